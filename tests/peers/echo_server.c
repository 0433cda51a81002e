/*
 * The floor's server: the least that any agent could do for a PAM module.
 *
 * It accepts one connection at a time on a Unix stream socket, reads one message that ends with a newline or a
 * NUL, answers one fixed text with the same end, and closes. Nothing is parsed, looked up, logged or kept.
 *
 * Usage: echo_server SOCKET [ANSWER]
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char ANSWER[] = "{\"verdict\":\"permit\"}";

/* Reads up to the end of a message, which it returns; -1 when the peer hung up or sent too much. */
static int read_message(int peer)
{
    char message[1024];
    size_t used = 0;
    while (used < sizeof message) {
        ssize_t got = read(peer, message + used, sizeof message - used);
        if (got <= 0)
            return -1;
        used += (size_t)got;
        if (message[used - 1] == '\n' || message[used - 1] == '\0')
            return message[used - 1];
    }
    return -1;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char answer[1024];
    const char *text = argc == 3 ? argv[2] : ANSWER;
    size_t length = strlen(text);
    if (argc < 2 || argc > 3 || strlen(argv[1]) >= sizeof address.sun_path || length >= sizeof answer) {
        fprintf(stderr, "usage: echo_server SOCKET [ANSWER]\n");
        return 2;
    }
    strcpy(address.sun_path, argv[1]);
    memcpy(answer, text, length);
    unlink(argv[1]);

    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 16) < 0) {
        perror(argv[1]);
        return 1;
    }
    for (;;) {
        int end, peer = accept(listener, NULL, NULL);
        if (peer < 0)
            continue;
        if ((end = read_message(peer)) >= 0) {
            answer[length] = (char)end;
            if (write(peer, answer, length + 1) < 0)
                perror("write");
        }
        close(peer);
    }
}

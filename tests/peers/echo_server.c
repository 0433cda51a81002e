/*
 * The floor's server: the least that any agent could do for a PAM module.
 *
 * It accepts one connection at a time on a Unix stream socket, reads one line, answers one fixed line and
 * closes. Nothing is parsed, looked up, logged or kept.
 *
 * Usage: echo_server SOCKET
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char ANSWER[] = "{\"verdict\":\"permit\"}\n";

/* Reads until a newline; false when the peer hung up or sent too much. */
static int read_line(int peer, char *line, size_t room)
{
    size_t used = 0;
    while (used < room) {
        ssize_t got = read(peer, line + used, room - used);
        if (got <= 0)
            return 0;
        used += (size_t)got;
        if (line[used - 1] == '\n')
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) {
        fprintf(stderr, "usage: echo_server SOCKET\n");
        return 2;
    }
    strcpy(address.sun_path, argv[1]);
    unlink(argv[1]);

    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 16) < 0) {
        perror(argv[1]);
        return 1;
    }
    for (;;) {
        char line[1024];
        int peer = accept(listener, NULL, NULL);
        if (peer < 0)
            continue;
        if (read_line(peer, line, sizeof line) && write(peer, ANSWER, sizeof ANSWER - 1) < 0)
            perror("write");
        close(peer);
    }
}

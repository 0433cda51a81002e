/*
 * Asks one question over and over, each time on a connection of its own, as a PAM module does.
 *
 * The question goes out with a NUL behind it, and the answer is read up to its NUL: one Varlink call, or one turn of
 * echo_server. An answer that is no permit ends the run with exit code 1, since a denial would be timed as something
 * it is not.
 *
 * Usage: question_client ask SOCKET QUESTION                        prints the answer
 *        question_client rate SOCKET QUESTION PROCESSES MS          prints `COUNT NS`: answers, and the time they took
 *        question_client each SOCKET QUESTION COUNT PAUSE_US        prints `NS NS ...`: each from socket() to close()
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Samples before those that count: caches and the scheduler settle. */
#define WARMUP 50
#define MOST_PROCESSES 16

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static const char *question;
static size_t question_length;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "question_client: %s: ", address.sun_path);
    perror(what);
    exit(1);
}

/* One question and its answer. */
static void ask(char *answer, size_t room)
{
    size_t used = 0;
    int agent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (agent < 0 || connect(agent, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    if (send(agent, question, question_length, MSG_NOSIGNAL) != (ssize_t)question_length)
        fail("send");
    do {
        ssize_t got = used < room ? recv(agent, answer + used, room - used, 0) : -1;
        if (got <= 0)
            fail("recv");
        used += (size_t)got;
    } while (answer[used - 1] != '\0');
    close(agent);
    if (strstr(answer, "\"permit\"") == NULL) {
        fprintf(stderr, "question_client: %s: not permitted: %s\n", address.sun_path, answer);
        exit(1);
    }
}

static int64_t ask_timed(void)
{
    char answer[4096];
    int64_t start = now();
    ask(answer, sizeof answer);
    return now() - start;
}

/* Several processes ask until the time is up; each adds its count to its own place. */
static void rate(long processes, long milliseconds)
{
    struct { int64_t count, end; } *done =
        mmap(NULL, MOST_PROCESSES * sizeof *done, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (done == MAP_FAILED)
        fail("mmap");
    for (int i = 0; i < WARMUP; i++)
        ask_timed();
    int64_t start = now(), end = start + milliseconds * 1000000;
    for (long i = 0; i < processes; i++) {
        pid_t child = fork();
        if (child < 0)
            fail("fork");
        if (child == 0) {
            do {
                ask_timed();
                done[i].count++;
            } while ((done[i].end = now()) < end);
            _exit(0);
        }
    }
    int64_t count = 0;
    for (long i = 0; i < processes; i++) {
        int status;
        if (wait(&status) < 0 || status != 0)
            exit(1);
    }
    for (long i = 0; i < processes; i++) {
        count += done[i].count;
        if (done[i].end > end)
            end = done[i].end;
    }
    printf("%lld %lld\n", (long long)count, (long long)(end - start));
}

/* One question at a time, with a pause before each: nobody else waits for an answer. */
static void each(long count, long pause_us)
{
    const struct timespec pause = {pause_us / 1000000, pause_us % 1000000 * 1000};
    for (long i = -WARMUP; i < count; i++) {
        nanosleep(&pause, NULL);
        int64_t took = ask_timed();
        if (i >= 0)
            printf("%lld ", (long long)took);
    }
    putchar('\n');
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    long first = argc == 6 ? atol(argv[4]) : 0, second = argc == 6 ? atol(argv[5]) : 0;
    int asks = argc == 4 && strcmp(mode, "ask") == 0;
    int rates = first > 0 && first <= MOST_PROCESSES && second > 0 && strcmp(mode, "rate") == 0;
    int times = first > 0 && second >= 0 && strcmp(mode, "each") == 0;
    if (!(asks || rates || times) || strlen(argv[2]) >= sizeof address.sun_path) {
        fprintf(stderr, "usage: question_client ask SOCKET QUESTION\n"
                        "       question_client rate SOCKET QUESTION PROCESSES MS\n"
                        "       question_client each SOCKET QUESTION COUNT PAUSE_US\n");
        return 2;
    }
    strcpy(address.sun_path, argv[2]);
    question = argv[3];
    question_length = strlen(question) + 1;
    if (rates) {
        rate(first, second);
    } else if (times) {
        each(first, second);
    } else {
        char answer[4096];
        ask(answer, sizeof answer);
        puts(answer);
    }
    return 0;
}

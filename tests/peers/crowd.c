/*
 * A crowd on a socket that anybody may open: connections that stand and say nothing, and a few that send garbage.
 *
 * Each user of the crowd is a process of its own with a uid of its own, since the agent bounds what one user may hold.
 * The first GARBLERS of them also send garbage: a connection, a message that is none, whatever comes back, the end,
 * and a pause of PAUSE_US. It runs until its standard input ends, at most for SECONDS.
 *
 * Usage: crowd SOCKET FIRST_UID USERS CONNECTIONS_EACH GARBLERS PAUSE_US SECONDS
 * Output: `standing N` when all stand, and `standing N garbage M` at the end: how many stand then, and how many messages
 * were sent.
 */
#define _GNU_SOURCE
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_EACH 1000
#define MOST_USERS 100
#define GARBAGE 600
/* A connection that was not closed this long after the last one opened was taken. */
#define TAKEN_MS 300

static struct sockaddr_un address = {.sun_family = AF_UNIX};

/* What the crowd's processes tell their parent. */
struct shared {
    atomic_int end;
    atomic_long garbage;
    atomic_int begun;
    atomic_int done;
    atomic_long standing[MOST_USERS];
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int open_one(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* How many of them the other side has not closed. */
static long count_standing(struct pollfd *all, long count)
{
    long standing = 0;
    if (poll(all, (nfds_t)count, 0) < 0)
        fail("poll");
    for (long i = 0; i < count; i++)
        standing += all[i].fd >= 0 && all[i].revents == 0;
    return standing;
}

/* One connection that sends a message that is none, and takes what comes back. */
static int send_garbage(void)
{
    static const struct timeval patience = {0, 100000};
    char bytes[GARBAGE];
    int fd = open_one();
    if (fd < 0)
        return 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(rand() % 255 + 1);
    bytes[sizeof bytes - 1] = '\0';
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    int sent = send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) == (ssize_t)sizeof bytes;
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        ;
    close(fd);
    return sent;
}

static void stand(struct shared *shared, int number, uid_t uid, long count, int garbles, long pause_us)
{
    const struct timespec pause = {pause_us / 1000000, pause_us % 1000000 * 1000};
    const struct timespec taken = {0, TAKEN_MS * 1000000};
    static struct pollfd all[MOST_EACH];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0)
        fail("setuid");
    for (long i = 0; i < count; i++)
        all[i] = (struct pollfd){.fd = open_one(), .events = POLLIN};
    nanosleep(&taken, NULL);
    shared->standing[number] = count_standing(all, count);
    shared->begun++;
    while (!shared->end) {
        if (garbles)
            shared->garbage += send_garbage();
        nanosleep(garbles ? &pause : &taken, NULL);
    }
    shared->standing[number] = count_standing(all, count);
    shared->done++;
    _exit(0);
}

static long sum(const struct shared *shared, int users)
{
    long all = 0;
    for (int i = 0; i < users; i++)
        all += shared->standing[i];
    return all;
}

int main(int argc, char **argv)
{
    long numbers[6];
    for (int i = 0; i < 6; i++)
        numbers[i] = argc == 8 ? atol(argv[2 + i]) : 0;
    long first_uid = numbers[0], users = numbers[1], each = numbers[2], garblers = numbers[3];
    if (argc != 8 || strlen(argv[1]) >= sizeof address.sun_path || first_uid < 1 || users < 1 || users > MOST_USERS
        || each < 1 || each > MOST_EACH) {
        fprintf(stderr, "usage: crowd SOCKET FIRST_UID USERS CONNECTIONS_EACH GARBLERS PAUSE_US SECONDS\n");
        return 2;
    }
    strcpy(address.sun_path, argv[1]);
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        fail("mmap");
    for (int i = 0; i < users; i++) {
        pid_t child = fork();
        if (child < 0)
            fail("fork");
        if (child == 0)
            stand(shared, i, (uid_t)(first_uid + i), each, i < garblers, numbers[4]);
    }
    while (shared->begun < users)
        usleep(10000);
    printf("standing %ld\n", sum(shared, (int)users));
    fflush(stdout);

    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    poll(&input, 1, (int)numbers[5] * 1000);
    shared->end = 1;
    while (shared->done < users)
        usleep(10000);
    printf("standing %ld garbage %ld\n", sum(shared, (int)users), (long)shared->garbage);
    return 0;
}

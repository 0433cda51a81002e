/*
 * Root's program with two threads, of which each has ids of its own: the kernel keeps them for a thread, and only the C library makes them the
 * same for all. It leaves its control group for the one above the run's, and stays for ten minutes. Which thread stays root's, its argument
 * says: `first`, `other` or `none`.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define USER 1001
#define STAYS 600

static pthread_barrier_t both;

static void fail(const char *what)
{
    perror(what);
    _exit(1);
}

/* The calling thread alone becomes the user. */
static void become_user(void)
{
    if (syscall(SYS_setgroups, 0, NULL) != 0 || syscall(SYS_setresgid, USER, USER, USER) != 0
        || syscall(SYS_setresuid, USER, USER, USER) != 0)
        fail("becoming the user");
}

static void leave_group(void)
{
    char line[4096], path[8192];
    FILE *own = fopen("/proc/self/cgroup", "r");
    char *group = NULL;

    while (own != NULL && group == NULL && fgets(line, sizeof line, own) != NULL)
        if (strncmp(line, "0::", 3) == 0)
            group = line + 3;
    if (group == NULL)
        fail("/proc/self/cgroup");
    fclose(own);
    group[strcspn(group, "\n")] = '\0';
    char *run = strstr(group, "/curfew-run");
    if (run != NULL)
        *run = '\0';
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/cgroup.procs", group);
    int procs = open(path, O_WRONLY);
    if (procs < 0 || write(procs, "0", 1) != 1)
        fail(path);
    close(procs);
}

static void *other(void *stays_root)
{
    pthread_barrier_wait(&both);
    if (stays_root == NULL)
        become_user();
    sleep(STAYS);
    return NULL;
}

int main(int count, char **arguments)
{
    pthread_t thread;

    if (count != 2)
        return 2;
    pid_t child = fork();
    if (child != 0)
        return child < 0;
    setsid();
    leave_group();
    pthread_barrier_init(&both, NULL, 2);
    if (pthread_create(&thread, NULL, other, strcmp(arguments[1], "other") == 0 ? arguments[1] : NULL) != 0)
        fail("pthread_create");
    if (strcmp(arguments[1], "first") != 0)
        become_user();
    pthread_barrier_wait(&both);
    sleep(STAYS);
    return 0;
}

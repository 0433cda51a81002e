/*
 * Fills a host with processes that sleep, each with a number, a /proc folder and a command line of its own kind, as a
 * busy host has them.
 *
 * They share one address space, so that tens of thousands cost little but what the kernel keeps of each. They go with
 * the unit that this runs in.
 *
 * Usage: fill COUNT
 * Output: `ready` when all are there.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* What pause(2) takes, with what clone(3) puts there. */
#define STACK 1024

static int sleeper(void *unused)
{
    (void)unused;
    while (pause())
        ;
    return 0;
}

int main(int argc, char **argv)
{
    long count = argc == 2 ? strtol(argv[1], NULL, 10) : -1;
    if (count < 0) {
        fprintf(stderr, "usage: fill COUNT\n");
        return 2;
    }
    size_t size = (size_t)(count + 1) * STACK;
    char *stacks = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stacks == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    for (long i = 1; i <= count; i++) {
        if (clone(sleeper, stacks + i * STACK, CLONE_VM | SIGCHLD, NULL) < 0) {
            perror("clone");
            return 1;
        }
    }
    puts("ready");
    fflush(stdout);
    pause();
    return 0;
}

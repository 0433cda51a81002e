/*
 * A wall clock that stands where a test puts it: preloaded, it answers for CLOCK_REALTIME in one process and its children.
 *
 * CURFEW_MODEL_CLOCK names a file of eight bytes, the time in nanoseconds since 1970 in the machine's byte order. It is mapped once, so
 * that who writes to it moves the clock at once. All other clocks go on as ever.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BILLION 1000000000

static volatile int64_t *shown;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void map_the_clock(void)
{
    *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("CURFEW_MODEL_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof *shown, PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED)
        shown = mapped;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (shown && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t now = *shown;
        time->tv_sec = now / BILLION;
        time->tv_nsec = now % BILLION;
        return 0;
    }
    return real_clock_gettime ? real_clock_gettime(clock, time) : -1;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now))
        return -1;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *place)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now))
        return (time_t)-1;
    if (place)
        *place = now.tv_sec;
    return now.tv_sec;
}

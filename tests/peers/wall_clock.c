/*
 * Clocks that stand where a test puts them: preloaded, it answers for CLOCK_REALTIME and CLOCK_BOOTTIME in one process and its children.
 *
 * CURFEW_MODEL_CLOCK names a file of three numbers of eight bytes in the machine's byte order, in nanoseconds: where the wall clock stands
 * since 1970, where CLOCK_BOOTTIME stands, and, where a clock is to run and that number is 0, how far the wall clock is set from the
 * machine's. It is mapped once, so that who writes to it moves the clocks at once. Timers on the wall clock that are cancelled when it is
 * set (TFD_TIMER_CANCEL_ON_SET) go by the same clock, but do not learn of a step. All other clocks go on as ever.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BILLION 1000000000

#define CANCEL_ON_SET 2

struct clocks {
    int64_t wall, boot, shift;
};

static volatile struct clocks *shown;
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_timerfd_settime)(int, int, const struct itimerspec *, struct itimerspec *);

__attribute__((constructor)) static void map_the_clock(void)
{
    *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    *(void **)&real_timerfd_settime = dlsym(RTLD_NEXT, "timerfd_settime");
    const char *path = getenv("CURFEW_MODEL_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof *shown, PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED)
        shown = mapped;
    close(file);
}

static int64_t nanoseconds(const struct timespec *time)
{
    return time->tv_sec * BILLION + time->tv_nsec;
}

static void put(struct timespec *time, int64_t nanoseconds)
{
    time->tv_sec = nanoseconds / BILLION;
    time->tv_nsec = nanoseconds % BILLION;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int is_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    int failed = real_clock_gettime ? real_clock_gettime(clock, time) : -1;
    if (failed || !shown)
        return failed;
    if (is_wall)
        put(time, shown->wall ? shown->wall : nanoseconds(time) + shown->shift);
    else if (clock == CLOCK_BOOTTIME && shown->boot)
        put(time, shown->boot);
    return 0;
}

int timerfd_settime(int timer, int flags, const struct itimerspec *new, struct itimerspec *old)
{
    struct itimerspec moved = *new;
    if (shown && flags & CANCEL_ON_SET && !shown->wall) {
        int64_t at = nanoseconds(&new->it_value) - shown->shift;
        put(&moved.it_value, at > BILLION ? at : BILLION);
    }
    return real_timerfd_settime ? real_timerfd_settime(timer, flags, &moved, old) : -1;
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

/* The time of day of a program is the system's plus what a file of eight bytes says, in nanoseconds: preloaded before
 * the program, by service.py, which builds it. Only CLOCK_REALTIME as programs ask for it: timers, monotonic clocks and
 * gettimeofday, by which the allocator sleeps, stay the system's.
 *
 * (libfaketime waits for ever in a program whose allocator asks for the time before there is a heap.) */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("TOLD_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED)
        ahead = mapped;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && ahead && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t total = (int64_t)now->tv_sec * 1000000000 + now->tv_nsec + *ahead;
        now->tv_sec = total / 1000000000;
        now->tv_nsec = total % 1000000000;
    }
    return failed;
}

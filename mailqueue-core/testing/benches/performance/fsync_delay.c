/* Makes every fsync and fdatasync of the processes that load it take longer, by as many microseconds as the environment
   says: a disk of a known speed, whatever the real one is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static struct timespec delay;

__attribute__((constructor)) static void begin(void)
{
    const char *text = getenv("FSYNC_DELAY_US");
    long microseconds = text ? atol(text) : 0;
    delay.tv_sec = microseconds / 1000000;
    delay.tv_nsec = microseconds % 1000000 * 1000;
    real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
}

static void wait_for_disk(void)
{
    /* The kernel may be 50 us late otherwise. It is a thread's own and costs a fraction of a microsecond. */
    prctl(PR_SET_TIMERSLACK, 1000UL);
    nanosleep(&delay, NULL);
}

int fsync(int file)
{
    wait_for_disk();
    return real_fsync(file);
}

int fdatasync(int file)
{
    wait_for_disk();
    return real_fdatasync(file);
}

#define _POSIX_C_SOURCE 200809L
#include "Base/clock.h"

#include <time.h>

int64_t vdni_clock_ns(void)
{
    struct timespec now = { 0, 0 };
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

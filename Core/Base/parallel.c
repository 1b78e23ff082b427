#define _GNU_SOURCE
#include "Base/parallel.h"

#include <sched.h>
#include <unistd.h>

void vdni_parallel_for(int32_t threads, int64_t n, void (*body)(void *user, int64_t i), void *user)
{
    if (threads < 2 || n < 2) {
        for (int64_t i = 0; i < n; i++) body(user, i);
        return;
    }
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
#endif
    for (int64_t i = 0; i < n; i++) body(user, i);
}

int32_t vdni_processor_count(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        const int count = CPU_COUNT(&set);
        if (count > 0) return count;
    }
#endif
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int32_t)online : 1;
}

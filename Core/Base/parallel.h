/* Threads: one OpenMP team, shared with oneDNN; plain loops where OpenMP is absent.
 *
 * Work is cut into a number of chunks that does not depend on the thread count, and sums are
 * reduced in chunk order, so results are the same bits for every thread count. */
#ifndef VDNI_PARALLEL_H
#define VDNI_PARALLEL_H

#include <stdint.h>

/* Chunks of every parallel reduction: enough for the machines we meet, fixed for ever. */
enum { VDNI_CHUNKS = 64 };

/* First item of chunk @p k when @p n items are cut into @p chunks nearly equal parts. */
static inline int64_t vdni_chunk_begin(int64_t n, int64_t chunks, int64_t k)
{
    return n / chunks * k + (n % chunks < k ? n % chunks : k);
}

/* Call body(user, i) for i in [0, n) on up to @p threads threads; returns when all are done. */
void vdni_parallel_for(int32_t threads, int64_t n, void (*body)(void *user, int64_t i), void *user);

/* Processors this process may run on. */
int32_t vdni_processor_count(void);

#endif

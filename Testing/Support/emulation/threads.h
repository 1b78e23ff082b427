/* Blocks and threads of a kernel on the CPU.
 *
 * Blocks run one after another; the threads of a block are fibers that give way only at barriers
 * and warp operations. VERDIFF_EMULATION_ORDER=up|down|random:<seed> says in which order threads
 * run between two barriers, and the blocks of a grid: with a barrier missing the results differ. */
#ifndef VERDIFF_EMULATION_THREADS_H
#define VERDIFF_EMULATION_THREADS_H

#include "vectors.h"

namespace emulation
{

/* Where the running thread is. */
struct place {
    uint3 thread, block;
    dim3 block_size, grid_size;
    unsigned linear; /* of the thread in its block */
};
extern place here;

enum warp_operation { WARP_SYNC, WARP_SHUFFLE, WARP_BALLOT };

void barrier();
/* Wait for the lanes of @p mask; the result of the operation. A lane that does not exist or takes
 * no part shuffles 0xff bytes. */
uint64_t warp(warp_operation operation, unsigned mask, uint64_t value, int from);
/* Every lane of a warp has to make the same number of these: the tile operations of mma.h. */
void count_tile_operation();
/* Report @p what with kernel, block and thread, and abort. */
[[noreturn]] void stop(const char *what);

static inline int lane() { return (int)(here.linear % 32); }

/* Run @p body once for every thread of every block. */
void run_grid(const void *kernel, dim3 grid, dim3 block, const std::function<void()> &body);

} // namespace emulation

#define threadIdx (::emulation::here.thread)
#define blockIdx  (::emulation::here.block)
#define blockDim  (::emulation::here.block_size)
#define gridDim   (::emulation::here.grid_size)
static const int warpSize = 32;

#endif

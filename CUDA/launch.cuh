/* Starting kernels, and the index arithmetic they share. */
#ifndef VDNI_CUDA_LAUNCH_CUH
#define VDNI_CUDA_LAUNCH_CUH

#include "CUDA/device.h"

#include <utility>

enum { VDNI_CUDA_BLOCK = 256, VDNI_CUDA_WARP = 32 };

/* Enqueue @p kernel; a wrong configuration is reported at once, a fault while it runs by a later
 * call. No dynamic shared memory: kernels declare what they need. */
template <class... P, class... A>
static vdn_status vdni_launch(vdn_ctx *ctx, vdni_device *device, void (*kernel)(P...), dim3 grid,
                              dim3 block, A... arguments)
{
    return [&](P... values) -> vdn_status {
        void *pointers[sizeof...(P) + 1] = { const_cast<void *>(
                                                 static_cast<const volatile void *>(&values))...,
                                             nullptr };
        VDNI_CUDA(cudaLaunchKernel(kernel, grid, block, pointers, 0, device->stream));
        return VDN_OK;
    }(static_cast<P>(arguments)...);
}

/* Blocks for @p items in a grid-stride loop: all of them for small work, a few waves for large. */
static inline dim3 vdni_blocks_for(const vdni_device *device, int64_t items)
{
    const int64_t wanted = (items + VDNI_CUDA_BLOCK - 1) / VDNI_CUDA_BLOCK;
    const int64_t most = (int64_t)device->multiprocessors * 16;
    return dim3((unsigned)(wanted < 1 ? 1 : wanted < most ? wanted : most));
}

/* for (VDNI_GRID_STRIDE(i, count)): every i of 0 .. count-1 once over the whole grid. */
#define VDNI_GRID_STRIDE(i, count)                                                                 \
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;                                    \
    i < (count);                                                                                   \
    i += (int64_t)gridDim.x * blockDim.x

#endif

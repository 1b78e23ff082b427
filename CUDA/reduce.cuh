/* Sums over a warp and a block in a fixed order: the same bits on every run. */
#ifndef VDNI_CUDA_REDUCE_CUH
#define VDNI_CUDA_REDUCE_CUH

#include "CUDA/launch.cuh"

template <class V>
__device__ static inline V vdni_warp_sum(V x)
{
    for (int lanes = VDNI_CUDA_WARP / 2; lanes > 0; lanes /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, lanes);
    return x;
}

/* Sum over the block, for every thread of it. @p scratch: 32 values of shared memory that nobody
 * else uses. blockDim.x is a multiple of 32; every thread of the block calls it. */
template <class V>
__device__ static inline V vdni_block_sum(V x, V *scratch)
{
    const int lane = (int)threadIdx.x % VDNI_CUDA_WARP, warp = (int)threadIdx.x / VDNI_CUDA_WARP;
    const int warps = (int)blockDim.x / VDNI_CUDA_WARP;
    x = vdni_warp_sum(x);
    if (lane == 0) scratch[warp] = x;
    __syncthreads();
    x = lane < warps ? scratch[lane] : V(0);
    x = vdni_warp_sum(x);
    __syncthreads();
    return x;
}

#endif

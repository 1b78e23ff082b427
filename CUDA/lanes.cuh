/* What the kernels with several channels of a pixel in a thread's registers share: loads that are
 * converted later, the choice of the storage type, and sums over parts in a fixed order. */
#ifndef VDNI_CUDA_LANES_CUH
#define VDNI_CUDA_LANES_CUH

#include "CUDA/elements.cuh"
#include "CUDA/reduce.cuh"

/* V elements that are loaded and not yet converted; vdni_any has no storage type to keep. */
template <class T, int V>
using vdni_raw =
    vdni_pack<typename std::conditional<std::is_same<T, vdni_any>::value, float, T>::type, V>;

template <class T, int V>
__device__ static inline vdni_raw<T, V> vdni_fetch(const vdni_view &t, int64_t at)
{
    if constexpr (std::is_same<T, vdni_any>::value) {
        vdni_raw<T, V> p;
        vdni_load<T, V>(p.x, t, at);
        return p;
    } else {
        return vdni_get<T, V>(t.data, at);
    }
}

/* Storage type of a call all of whose activations (NULL: absent) share it and can be moved 16 bytes
 * at a time, -1 otherwise. */
static inline int vdni_common_type(std::initializer_list<const vdni_tensor *> activations,
                                   int64_t channels)
{
    const vdni_dtype dtype = (*activations.begin())->dtype;
    for (const vdni_tensor *t : activations)
        if (t && (t->dtype != dtype || !vdni_is_aligned(t))) return -1;
    return channels * vdni_dtype_bytes(dtype) % 16 ? -1 : (int)dtype;
}

enum { VDNI_COLUMNS = 32, VDNI_COLUMN_LANES = VDNI_CUDA_BLOCK / VDNI_COLUMNS };

/* Sum over @p parts of in[part * count + column], in a fixed order, for the VDNI_COLUMNS columns of
 * a block of VDNI_CUDA_BLOCK threads; complete in the threads of the first warp. Every thread of the
 * block calls it; column may be beyond count. */
template <class X>
__device__ static inline double vdni_parts_sum(const X *in, int64_t count, int64_t parts,
                                               int64_t column)
{
    __shared__ double lanes[VDNI_COLUMN_LANES][VDNI_COLUMNS];
    const int lane = (int)threadIdx.x / VDNI_COLUMNS, at = (int)threadIdx.x % VDNI_COLUMNS;
    double sum = 0;
    if (column < count)
        for (int64_t p = lane; p < parts; p += VDNI_COLUMN_LANES)
            sum += (double)in[p * count + column];
    lanes[lane][at] = sum;
    __syncthreads();
    for (int i = 1; lane == 0 && i < VDNI_COLUMN_LANES; i++) sum += lanes[i][at];
    return sum;
}

#endif

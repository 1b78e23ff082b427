/* Storage types in kernels: everything is read to float, computed in float and rounded to nearest
 * even when it is stored. */
#ifndef VDNI_CUDA_SCALAR_CUH
#define VDNI_CUDA_SCALAR_CUH

#include "CUDA/device.h"

__device__ static inline float vdni_read(const float *p) { return *p; }
__device__ static inline float vdni_read(const __nv_bfloat16 *p) { return __bfloat162float(*p); }
__device__ static inline float vdni_read(const __half *p) { return __half2float(*p); }

__device__ static inline void vdni_write(float *p, float x) { *p = x; }
__device__ static inline void vdni_write(__nv_bfloat16 *p, float x) { *p = __float2bfloat16_rn(x); }
__device__ static inline void vdni_write(__half *p, float x) { *p = __float2half_rn(x); }

/* @p function is a template over the storage type: run it for @p dtype (f32, bf16 or f16). */
#define VDNI_BY_TYPE(dtype, function, ...)                                                         \
    ((dtype) == VDNI_BF16  ? function<__nv_bfloat16>(__VA_ARGS__)                                  \
     : (dtype) == VDNI_F16 ? function<__half>(__VA_ARGS__)                                         \
                           : function<float>(__VA_ARGS__))

template <class T>
static inline T *vdni_data(const vdni_tensor *t)
{
    return t ? static_cast<T *>(t->data) : nullptr;
}

#endif

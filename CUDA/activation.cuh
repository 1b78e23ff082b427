/* Activation functions and their slopes, as Ops/activation.h defines them. */
#ifndef VDNI_CUDA_ACTIVATION_CUH
#define VDNI_CUDA_ACTIVATION_CUH

#include "CUDA/device.h"

__device__ static inline float vdni_sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

/* log(1 + exp(x)) without overflow. */
__device__ static inline float vdni_softplus(float x)
{
    return (x > 0.0f ? x : 0.0f) + log1pf(expf(-fabsf(x)));
}

/* Distribution function of the standard normal; erfc keeps the lower tail exact. */
__device__ static inline float vdni_normal_cdf(float x) { return 0.5f * erfcf(-0.707106781f * x); }

/* NaN stays NaN in every branch. */
__device__ static inline float vdni_activate(vdni_activation act, float x)
{
    switch (act) {
    case VDNI_ACT_NONE:
        return x;
    case VDNI_ACT_RELU:
        return x < 0.0f ? 0.0f : x;
    case VDNI_ACT_LEAKY_RELU:
        return x > 0.0f ? x : 0.01f * x;
    case VDNI_ACT_ELU:
        return x > 0.0f ? x : expm1f(x);
    case VDNI_ACT_SILU:
        return x * vdni_sigmoid(x);
    case VDNI_ACT_SIGMOID:
        return vdni_sigmoid(x);
    case VDNI_ACT_SOFTPLUS:
        return vdni_softplus(x);
    case VDNI_ACT_GELU:
        return x * vdni_normal_cdf(x);
    }
    return x;
}

/* Derivative at the pre-activation @p x; at 0 the side of x < 0 counts. */
__device__ static inline float vdni_activate_slope(vdni_activation act, float x)
{
    switch (act) {
    case VDNI_ACT_NONE:
        return 1.0f;
    case VDNI_ACT_RELU:
        return x > 0.0f ? 1.0f : 0.0f;
    case VDNI_ACT_LEAKY_RELU:
        return x > 0.0f ? 1.0f : 0.01f;
    case VDNI_ACT_ELU:
        return x > 0.0f ? 1.0f : expf(x);
    case VDNI_ACT_SILU: {
        const float s = vdni_sigmoid(x);
        return s * (1.0f + x * (1.0f - s));
    }
    case VDNI_ACT_SIGMOID: {
        const float s = vdni_sigmoid(x);
        return s * (1.0f - s);
    }
    case VDNI_ACT_SOFTPLUS:
        return vdni_sigmoid(x);
    case VDNI_ACT_GELU:
        return vdni_normal_cdf(x) + x * (0.398942280f * expf(-0.5f * x * x));
    }
    return 1.0f;
}

/* The same for V values; chosen once for all of them, since a choice for each costs more than most
 * of the functions. */
#define VDNI_BY_ACTIVATION(act, function, row)                                                     \
    switch (act) {                                                                                 \
    case VDNI_ACT_NONE:                                                                            \
        return function<VDNI_ACT_NONE, V>(row);                                                    \
    case VDNI_ACT_RELU:                                                                            \
        return function<VDNI_ACT_RELU, V>(row);                                                    \
    case VDNI_ACT_LEAKY_RELU:                                                                      \
        return function<VDNI_ACT_LEAKY_RELU, V>(row);                                              \
    case VDNI_ACT_ELU:                                                                             \
        return function<VDNI_ACT_ELU, V>(row);                                                     \
    case VDNI_ACT_SILU:                                                                            \
        return function<VDNI_ACT_SILU, V>(row);                                                    \
    case VDNI_ACT_SIGMOID:                                                                         \
        return function<VDNI_ACT_SIGMOID, V>(row);                                                 \
    case VDNI_ACT_SOFTPLUS:                                                                        \
        return function<VDNI_ACT_SOFTPLUS, V>(row);                                                \
    case VDNI_ACT_GELU:                                                                            \
        return function<VDNI_ACT_GELU, V>(row);                                                    \
    }

template <vdni_activation ACT, int V>
__device__ static inline void vdni_activate_row_as(float *x)
{
#pragma unroll
    for (int k = 0; k < V; k++) x[k] = vdni_activate(ACT, x[k]);
}

template <vdni_activation ACT, int V>
__device__ static inline void vdni_slope_row_as(float *x)
{
#pragma unroll
    for (int k = 0; k < V; k++) x[k] = vdni_activate_slope(ACT, x[k]);
}

/* x = act(x) */
template <int V>
__device__ static inline void vdni_activate_row(vdni_activation act, float *x)
{
    VDNI_BY_ACTIVATION(act, vdni_activate_row_as, x)
}

/* x = act'(x) */
template <int V>
__device__ static inline void vdni_slope_row(vdni_activation act, float *x)
{
    VDNI_BY_ACTIVATION(act, vdni_slope_row_as, x)
}

#endif

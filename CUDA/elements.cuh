/* Element-wise kernels over activations.
 *
 * A body is a struct with a member `template <class T, int V> __device__ void at(int64_t at) const`
 * that does V elements of one pixel from flat position `at`. T is the storage type that all its
 * activations share, or vdni_any when they differ: the address then says the type at run time. A
 * shared type is worth kernels of its own, because all of a thread's loads are in flight before the
 * first is converted. */
#ifndef VDNI_CUDA_ELEMENTS_CUH
#define VDNI_CUDA_ELEMENTS_CUH

#include "CUDA/launch.cuh"
#include "CUDA/scalar.cuh"

#include <initializer_list>
#include <type_traits>

enum { VDNI_WIDE = 8 }; /* elements of a thread at once: 16 bytes of bf16 and f16 */

struct vdni_view {
    void *data; /* NULL = no tensor */
    vdni_dtype dtype;
};

struct vdni_any {};

template <class T, int V>
struct alignas(sizeof(T) * V < 16 ? sizeof(T) * V : 16) vdni_pack {
    T x[V];
};

static inline vdni_view vdni_view_of(const vdni_tensor *t)
{
    return t ? vdni_view{ t->data, t->dtype } : vdni_view{ nullptr, VDNI_F32 };
}

/* ---- elements -------------------------------------------------------------------------------- */

/* V elements as they are stored; the address is a multiple of their size, up to 16 bytes. */
template <class T, int V>
__device__ static inline vdni_pack<T, V> vdni_get(const void *data, int64_t at)
{
    return *reinterpret_cast<const vdni_pack<T, V> *>(static_cast<const T *>(data) + at);
}

template <class T, int V>
__device__ static inline void vdni_put(void *data, int64_t at, const vdni_pack<T, V> &pack)
{
    *reinterpret_cast<vdni_pack<T, V> *>(static_cast<T *>(data) + at) = pack;
}

template <class T, int V>
__device__ static inline void vdni_load(float *to, const vdni_view &from, int64_t at)
{
    if constexpr (std::is_same<T, vdni_any>::value) {
        if (from.dtype == VDNI_BF16)
            vdni_load<__nv_bfloat16, V>(to, from, at);
        else if (from.dtype == VDNI_F16)
            vdni_load<__half, V>(to, from, at);
        else
            vdni_load<float, V>(to, from, at);
    } else {
        const vdni_pack<T, V> pack = vdni_get<T, V>(from.data, at);
#pragma unroll
        for (int k = 0; k < V; k++) to[k] = vdni_read(&pack.x[k]);
    }
}

template <class T, int V>
__device__ static inline void vdni_store(const vdni_view &to, int64_t at, const float *from)
{
    if constexpr (std::is_same<T, vdni_any>::value) {
        if (to.dtype == VDNI_BF16)
            vdni_store<__nv_bfloat16, V>(to, at, from);
        else if (to.dtype == VDNI_F16)
            vdni_store<__half, V>(to, at, from);
        else
            vdni_store<float, V>(to, at, from);
    } else {
        vdni_pack<T, V> pack;
#pragma unroll
        for (int k = 0; k < V; k++) vdni_write(&pack.x[k], from[k]);
        vdni_put<T, V>(to.data, at, pack);
    }
}

/* Add the elements of @p from, if there is such a tensor. */
template <class T, int V>
__device__ static inline void vdni_add(float *to, const vdni_view &from, int64_t at)
{
    float x[V];
    if (!from.data) return;
    vdni_load<T, V>(x, from, at);
#pragma unroll
    for (int k = 0; k < V; k++) to[k] += x[k];
}

/* V values of a vector per channel, always f32. */
template <int V>
__device__ static inline void vdni_load_row(float *to, const float *row, int64_t channel)
{
    const vdni_pack<float, V> pack = vdni_get<float, V>(row, channel);
#pragma unroll
    for (int k = 0; k < V; k++) to[k] = pack.x[k];
}

__device__ static inline float vdni_value(const vdni_view &t, int64_t at)
{
    float x;
    vdni_load<vdni_any, 1>(&x, t, at);
    return x;
}

__device__ static inline void vdni_set_value(const vdni_view &t, int64_t at, float x)
{
    vdni_store<vdni_any, 1>(t, at, &x);
}

/* ---- positions ------------------------------------------------------------------------------- */

/* a / b of numbers that are not negative. A 64-bit division costs as much as the rest of a kernel;
 * most are not needed. */
__device__ static inline int64_t vdni_quotient(int64_t a, int64_t b)
{
    if (((uint64_t)a | (uint64_t)b) >> 32) return a / b;
    return (int64_t)((uint32_t)a / (uint32_t)b);
}

struct vdni_place {
    int64_t pixel, channel;
};

__device__ static inline vdni_place vdni_place_of(int64_t at, int64_t c)
{
    const int64_t pixel = vdni_quotient(at, c);
    return { pixel, at - pixel * c };
}

/* Pixel @p pixel of the batch: image n, row i, column j. */
struct vdni_pixel {
    int64_t n, i, j;
};

__device__ static inline vdni_pixel vdni_pixel_of(int64_t pixel, int64_t h, int64_t w)
{
    const int64_t row = vdni_quotient(pixel, w), n = vdni_quotient(row, h);
    return { n, row - n * h, pixel - row * w };
}

/* ---- starting -------------------------------------------------------------------------------- */

enum vdni_form {
    VDNI_FORM_ONE, /* element by element, any types */
    VDNI_FORM_ANY, /* V at once, types differ */
    VDNI_FORM_F32,
    VDNI_FORM_BF16,
    VDNI_FORM_F16
};

static inline bool vdni_is_aligned(const vdni_tensor *t)
{
    return !t || reinterpret_cast<uintptr_t>(t->data) % 16 == 0;
}

/* @p run: elements that lie together, a multiple of V for the wide forms. @p rows: vectors per
 * channel that are read V at once. NULL tensors are skipped. */
static inline vdni_form vdni_form_of(int64_t run, int width,
                                     std::initializer_list<const vdni_tensor *> activations,
                                     std::initializer_list<const vdni_tensor *> rows = {})
{
    const vdni_tensor *first = nullptr;
    bool same = true;
    if (run % width) return VDNI_FORM_ONE;
    for (const vdni_tensor *t : rows)
        if (!vdni_is_aligned(t)) return VDNI_FORM_ONE;
    for (const vdni_tensor *t : activations) {
        if (!vdni_is_aligned(t)) return VDNI_FORM_ONE;
        if (!t) continue;
        if (!first) first = t;
        same = same && t->dtype == first->dtype;
    }
    if (!same) return VDNI_FORM_ANY;
    return first->dtype == VDNI_BF16  ? VDNI_FORM_BF16
           : first->dtype == VDNI_F16 ? VDNI_FORM_F16
                                      : VDNI_FORM_F32;
}

/* @p function is a template over the storage type and the width. */
#define VDNI_BY_FORM(form, width, function, ...)                                                   \
    ((form) == VDNI_FORM_ONE    ? function<vdni_any, 1>(__VA_ARGS__)                               \
     : (form) == VDNI_FORM_ANY  ? function<vdni_any, width>(__VA_ARGS__)                           \
     : (form) == VDNI_FORM_BF16 ? function<__nv_bfloat16, width>(__VA_ARGS__)                      \
     : (form) == VDNI_FORM_F16  ? function<__half, width>(__VA_ARGS__)                             \
                                : function<float, width>(__VA_ARGS__))

template <class Body, class T, int V>
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) vdni_each_kernel(Body body, int64_t groups)
{
    for (VDNI_GRID_STRIDE(i, groups)) body.template at<T, V>(i * V);
}

template <class T, int V, class Body>
static vdn_status vdni_each_as(vdn_ctx *ctx, vdni_device *device, const Body &body, int64_t count)
{
    const int64_t groups = count / V;
    return vdni_launch(ctx, device, vdni_each_kernel<Body, T, V>, vdni_blocks_for(device, groups),
                       dim3(VDNI_CUDA_BLOCK), body, groups);
}

/* body.at for every element of @p count. */
template <class Body>
static vdn_status vdni_each(vdn_ctx *ctx, vdni_device *device, vdni_form form, const Body &body,
                            int64_t count)
{
    return VDNI_BY_FORM(form, VDNI_WIDE, vdni_each_as, ctx, device, body, count);
}

/* ---- several threads to a pixel -------------------------------------------------------------- */

/* Threads that share a pixel of @p c channels, V each at a time: a power of two within a warp. */
static inline int32_t vdni_team_of(int64_t c, int width)
{
    int32_t team = 1;
    while (team < VDNI_CUDA_WARP && (int64_t)team * width < c) team *= 2;
    return team;
}

/* Sum over the team, for all of it. Every thread of the warp calls it. */
__device__ static inline float vdni_team_sum(float x, int32_t team)
{
    for (int lanes = team / 2; lanes > 0; lanes /= 2) x += __shfl_xor_sync(0xffffffffu, x, lanes);
    return x;
}

#endif

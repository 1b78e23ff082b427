/* How the passes of normalisation cut an activation, and the sums they make.
 *
 * A block takes a chunk of an image's pixels and a slab of its channels; a thread keeps to one run of
 * V channels, so that coefficients and sums stay in its registers. The chunks of the sums depend on
 * one image's shape only: the bits depend neither on the batch nor on the device. */
#ifndef VDNI_CUDA_NORM_CUH
#define VDNI_CUDA_NORM_CUH

#include "CUDA/activation.cuh"
#include "CUDA/lanes.cuh"

enum {
    VDNI_NORM_RUN = 16,    /* terms added in float before they go on in double */
    VDNI_NORM_BATCH = 4,   /* pixels of a thread in flight */
    VDNI_NORM_SUMS = 256,  /* most chunks of an image in the passes that sum */
    VDNI_NORM_APPLY = 1024 /* and in those that write */
};

/* Rows of coefficients, c floats each, per image. */
enum { VDNI_ROW_MEAN, VDNI_ROW_SLOPE, VDNI_ROW_OFFSET, VDNI_ROW_EVEN, VDNI_ROW_ODD, VDNI_ROWS };

struct vdni_norm_cut {
    int64_t pixels, step; /* of an image; of a chunk */
    int32_t c, chunks;
    int32_t width, rows; /* of a block: runs of channels side by side, pixels side by side */
    int32_t slabs;
};

static inline vdni_norm_cut vdni_norm_cut_of(const vdni_tensor *x, int32_t v, int32_t most)
{
    vdni_norm_cut k;
    const int32_t vectors = (int32_t)(x->c / v);
    k.pixels = x->h * x->w;
    k.c = (int32_t)x->c;
    k.slabs = (vectors + VDNI_CUDA_BLOCK - 1) / VDNI_CUDA_BLOCK;
    k.width = (vectors + k.slabs - 1) / k.slabs;
    k.rows = VDNI_CUDA_BLOCK / k.width;
    const int64_t small = (int64_t)VDNI_NORM_BATCH * k.rows, least = (k.pixels + most - 1) / most;
    k.step = small > least ? small : least;
    k.chunks = (int32_t)((k.pixels + k.step - 1) / k.step);
    return k;
}

/* Chunks of the sums of @p x whatever V turns out to be: where the tensors lie is not yet known when
 * the workspace is sized. */
static inline int64_t vdni_norm_most_chunks(const vdni_tensor *x)
{
    int64_t most = 0;
    for (int32_t v = 1; v <= 8; v *= 2) {
        const int64_t chunks = x->c % v ? 0 : vdni_norm_cut_of(x, v, VDNI_NORM_SUMS).chunks;
        most = chunks > most ? chunks : most;
    }
    return most;
}

static inline dim3 vdni_norm_grid(const vdni_norm_cut *k, const vdni_tensor *x)
{
    return dim3((unsigned)k->chunks, (unsigned)x->n, (unsigned)k->slabs);
}

/* Where a thread is: image, first channel, and the pixels first, first + rows .. of its chunk. */
struct vdni_norm_place {
    int64_t image, first, end;
    int channel, row;
    bool on;
};

template <int V> __device__ static inline vdni_norm_place vdni_norm_place_of(const vdni_norm_cut &k)
{
    vdni_norm_place p;
    const int64_t begin = blockIdx.x * k.step;
    p.row = (int)threadIdx.x / k.width;
    p.channel = ((int)blockIdx.z * k.width + (int)threadIdx.x % k.width) * V;
    p.on = p.row < k.rows && p.channel < k.c;
    p.image = blockIdx.y;
    p.first = begin + p.row;
    p.end = begin + k.step < k.pixels ? begin + k.step : k.pixels;
    return p;
}

/* Flat position of the thread's channels of @p pixel. */
__device__ static inline int64_t vdni_norm_at(const vdni_norm_cut &k, const vdni_norm_place &p,
                                              int64_t pixel)
{
    return (p.image * k.pixels + pixel) * k.c + p.channel;
}

template <int V> struct vdni_norm_row {
    float x[V];
};

template <int V>
__device__ static inline vdni_norm_row<V>
vdni_norm_read_row(const vdni_norm_cut &k, const vdni_norm_place &p, const float *rows, int row)
{
    vdni_norm_row<V> r;
    vdni_load_row<V>(r.x, rows + (p.image * VDNI_ROWS + row) * k.c, p.channel);
    return r;
}

/* Add the two sums per channel of all rows of the block, as a tree, and put them where the chunk
 * has its place: sums is (n, chunks, 2, c). @p scratch: 2 V VDNI_CUDA_BLOCK values of shared memory. */
template <int V>
__device__ static inline void vdni_norm_put(const vdni_norm_cut &k, const vdni_norm_place &p,
                                            double *scratch, const double (&a)[2][V], double *sums)
{
    double *own = scratch + threadIdx.x;
#pragma unroll
    for (int i = 0; i < 2 * V; i++) own[i * VDNI_CUDA_BLOCK] = p.on ? a[i / V][i % V] : 0.0;
    for (int left = k.rows; left > 1;) {
        const int half = (left + 1) / 2;
        __syncthreads();
        if (p.row + half < left) {
#pragma unroll
            for (int i = 0; i < 2 * V; i++)
                own[i * VDNI_CUDA_BLOCK] += own[i * VDNI_CUDA_BLOCK + half * k.width];
        }
        left = half;
    }
    if (!p.on || p.row != 0) return;
    double *to = sums + (p.image * k.chunks + blockIdx.x) * 2 * k.c + p.channel;
#pragma unroll
    for (int i = 0; i < 2 * V; i++) to[i / V * k.c + i % V] = own[i * VDNI_CUDA_BLOCK];
}

/* u = act(u): one branch for all of them. */
template <int V>
__device__ static inline void vdni_norm_activate(vdni_activation act, float (&u)[V])
{
#define VDNI_ACTIVATE_ALL(one)                                                         \
    do {                                                                               \
        _Pragma("unroll") for (int i = 0; i < V; i++) u[i] = vdni_activate(one, u[i]); \
    } while (0)
    if (act == VDNI_ACT_SILU)
        VDNI_ACTIVATE_ALL(VDNI_ACT_SILU);
    else if (act == VDNI_ACT_LEAKY_RELU)
        VDNI_ACTIVATE_ALL(VDNI_ACT_LEAKY_RELU);
    else if (act == VDNI_ACT_RELU)
        VDNI_ACTIVATE_ALL(VDNI_ACT_RELU);
    else if (act != VDNI_ACT_NONE)
        VDNI_ACTIVATE_ALL(act);
#undef VDNI_ACTIVATE_ALL
}

/* h = g act'(u) */
template <int V>
__device__ static inline void vdni_norm_slope(vdni_activation act, float (&h)[V],
                                              const float (&u)[V])
{
#define VDNI_SLOPE_ALL(one)                                                                   \
    do {                                                                                      \
        _Pragma("unroll") for (int i = 0; i < V; i++) h[i] *= vdni_activate_slope(one, u[i]); \
    } while (0)
    if (act == VDNI_ACT_SILU)
        VDNI_SLOPE_ALL(VDNI_ACT_SILU);
    else if (act == VDNI_ACT_LEAKY_RELU)
        VDNI_SLOPE_ALL(VDNI_ACT_LEAKY_RELU);
    else if (act == VDNI_ACT_RELU)
        VDNI_SLOPE_ALL(VDNI_ACT_RELU);
    else if (act != VDNI_ACT_NONE)
        VDNI_SLOPE_ALL(act);
#undef VDNI_SLOPE_ALL
}

/* One unit of statistics: the channels [c, c + channels) of images [n, n + images). */
struct vdni_norm_unit {
    int64_t n, images;
    int32_t c, channels;
};

/* What the small kernels between the passes read and write. */
struct vdni_norm_call {
    int64_t n, pixels;
    int32_t c, groups, mode, chunks;
    float eps;
    const double *sums; /* (n, chunks, 2, c) */
    float *stats, *running, *rows;
    const float *gamma, *beta, *mod;
};

__device__ static inline vdni_norm_unit vdni_norm_unit_of(const vdni_norm_call &k, int index)
{
    if (k.mode != VDNI_NORM_GROUP) return { 0, k.n, index, 1 };
    const int32_t channels = k.c / k.groups;
    return { index / k.groups, 1, index % k.groups * channels, channels };
}

__device__ static inline double vdni_norm_scale(const vdni_norm_call &k, int64_t n, int c)
{
    return k.mod ? 1.0 + (double)k.mod[n * 2 * k.c + c] : 1.0;
}

/* Rows MEAN, SLOPE and OFFSET of a unit, by all threads of a block. */
__device__ static inline void vdni_norm_fill_rows(const vdni_norm_call &k, const vdni_norm_unit &u,
                                                  float mean, float rstd)
{
    for (int64_t i = threadIdx.x; i < u.images * u.channels; i += blockDim.x) {
        const int64_t n = u.n + i / u.channels;
        const int c = u.c + (int)(i % u.channels);
        const double s = vdni_norm_scale(k, n, c);
        const double shift = k.mod ? (double)k.mod[(n * 2 + 1) * k.c + c] : 0.0;
        float *rows = k.rows + n * VDNI_ROWS * k.c + c;
        rows[VDNI_ROW_MEAN * k.c] = mean;
        rows[VDNI_ROW_SLOPE * k.c] = (float)((double)rstd * (double)k.gamma[c] * s);
        rows[VDNI_ROW_OFFSET * k.c] = (float)((double)k.beta[c] * s + shift);
    }
}

vdn_status vdni_cuda_norm_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                   void *workspace);
int64_t vdni_cuda_norm_backward_workspace(const vdni_device *device, const vdni_op *op);

#endif

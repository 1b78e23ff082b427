/* Sums over the pixels of an image, for every channel.
 *
 * An image is cut into chunks whose number depends on its shape only. A block sums one chunk and
 * leaves it in the workspace; a second kernel adds the chunks in a fixed order. Sums are kept in
 * float for at most VDNI_SUM_RUN pixels of a thread, then in double.
 *
 * A body has
 *     enum { KINDS = ... };       sums per channel
 *     template <class T, int V>
 *     __device__ void add(float (*sums)[V], int64_t n, int64_t pixel, int64_t channel) const;
 *         adds V channels of pixel `pixel` of the batch, which lies in image n
 *     __device__ void finish(const double *totals, int64_t n, int64_t channel) const; */
#ifndef VDNI_CUDA_CHANNEL_SUMS_CUH
#define VDNI_CUDA_CHANNEL_SUMS_CUH

#include "CUDA/elements.cuh"

enum {
    VDNI_SUM_WIDE = 4,
    VDNI_SUM_RUN = 32,
    VDNI_SUM_CHUNKS = 1024,   /* of an image, at most */
    VDNI_SUM_ELEMENTS = 8192, /* of a chunk, where that is not fewer pixels than */
    VDNI_SUM_PIXELS = 32,     /* this, so that the sums stay small beside the image */
    VDNI_SUM_COLUMNS = 64,    /* threads of a block that share a pixel, at most */
    VDNI_FINISH_COLUMNS = 16
};

struct vdni_sums {
    int64_t n, pixels, c, chunks;
    double *partial; /* (n, chunks, kinds, c) */
};

static inline vdni_sums vdni_sums_of(int64_t n, int64_t pixels, int64_t c, void *workspace)
{
    vdni_sums s = { n, pixels, c, 0, static_cast<double *>(workspace) };
    int64_t each = VDNI_SUM_ELEMENTS / c;
    if (each < VDNI_SUM_PIXELS) each = VDNI_SUM_PIXELS;
    s.chunks = (pixels + each - 1) / each;
    if (s.chunks > VDNI_SUM_CHUNKS) s.chunks = VDNI_SUM_CHUNKS;
    return s;
}

static inline int64_t vdni_sums_bytes(const vdni_sums &s, int64_t kinds)
{
    return s.n * s.chunks * kinds * s.c * (int64_t)sizeof(double);
}

/* First item of part @p k when @p n items are cut into @p parts nearly equal ones. */
__device__ static inline int64_t vdni_part_begin(int64_t n, int64_t parts, int64_t k)
{
    const int64_t each = vdni_quotient(n, parts), rest = n - each * parts;
    return each * k + (rest < k ? rest : k);
}

/* One value of each thread, added over the threads with the same column; @p rows is a power of two.
 * The sum is with row 0. */
__device__ static inline double vdni_column_sum(double *scratch, double x, int columns, int rows)
{
    scratch[threadIdx.x] = x;
    __syncthreads();
    for (int below = rows / 2; below > 0; below /= 2) {
        if ((int)threadIdx.x < below * columns)
            scratch[threadIdx.x] += scratch[threadIdx.x + below * columns];
        __syncthreads();
    }
    return scratch[threadIdx.x]; /* nobody else reads it again, so the next sum may begin */
}

template <class Body, class T, int V>
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK)
    vdni_sum_kernel(Body body, vdni_sums s, int32_t columns)
{
    constexpr int K = Body::KINDS;
    __shared__ double scratch[VDNI_CUDA_BLOCK];
    const int rows = VDNI_CUDA_BLOCK / columns;
    const int column = (int)threadIdx.x % columns, row = (int)threadIdx.x / columns;
    const int64_t n = vdni_quotient(blockIdx.x, s.chunks), chunk = blockIdx.x - n * s.chunks;
    const int64_t channel = ((int64_t)blockIdx.y * columns + column) * V;
    const int64_t end = vdni_part_begin(s.pixels, s.chunks, chunk + 1);
    double total[K][V] = {};

    int64_t p = vdni_part_begin(s.pixels, s.chunks, chunk) + row;
    while (channel < s.c && p < end) {
        const int64_t stop = p + VDNI_SUM_RUN * rows < end ? p + VDNI_SUM_RUN * rows : end;
        float run[K][V] = {};
#pragma unroll 4
        for (; p < stop; p += rows) body.template add<T, V>(run, n, n * s.pixels + p, channel);
#pragma unroll
        for (int k = 0; k < K * V; k++) total[k / V][k % V] += (double)run[k / V][k % V];
    }
#pragma unroll
    for (int k = 0; k < K * V; k++) {
        const double sum = vdni_column_sum(scratch, total[k / V][k % V], columns, rows);
        if (row == 0 && channel < s.c)
            s.partial[((int64_t)blockIdx.x * K + k / V) * s.c + channel + k % V] = sum;
    }
}

template <class Body>
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) vdni_finish_kernel(Body body, vdni_sums s)
{
    constexpr int K = Body::KINDS, ROWS = VDNI_CUDA_BLOCK / VDNI_FINISH_COLUMNS;
    __shared__ double scratch[VDNI_CUDA_BLOCK];
    const int row = (int)threadIdx.x / VDNI_FINISH_COLUMNS;
    const int64_t n = blockIdx.x;
    const int64_t channel =
        (int64_t)blockIdx.y * VDNI_FINISH_COLUMNS + threadIdx.x % VDNI_FINISH_COLUMNS;
    double total[K];

#pragma unroll
    for (int k = 0; k < K; k++) {
        double sum = 0.0;
        if (channel < s.c)
#pragma unroll 4
            for (int64_t chunk = row; chunk < s.chunks; chunk += ROWS)
                sum += s.partial[((n * s.chunks + chunk) * K + k) * s.c + channel];
        total[k] = vdni_column_sum(scratch, sum, VDNI_FINISH_COLUMNS, ROWS);
    }
    if (row == 0 && channel < s.c) body.finish(total, n, channel);
}

template <class T, int V, class Body>
static vdn_status vdni_sum_as(vdn_ctx *ctx, vdni_device *device, const Body &body,
                              const vdni_sums &s)
{
    int32_t columns = 1;
    while (columns < VDNI_SUM_COLUMNS && (int64_t)columns * V < s.c) columns *= 2;
    const int64_t slices = (s.c + columns * V - 1) / (columns * V);
    const dim3 grid((unsigned)(s.n * s.chunks), (unsigned)slices);
    return vdni_launch(ctx, device, vdni_sum_kernel<Body, T, V>, grid, dim3(VDNI_CUDA_BLOCK), body,
                       s, columns);
}

/* Both kernels. @p form is of width VDNI_SUM_WIDE; s.partial has vdni_sums_bytes(s, KINDS). */
template <class Body>
static vdn_status vdni_sum_channels(vdn_ctx *ctx, vdni_device *device, vdni_form form,
                                    const Body &body, const vdni_sums &s)
{
    const dim3 grid((unsigned)s.n,
                    (unsigned)((s.c + VDNI_FINISH_COLUMNS - 1) / VDNI_FINISH_COLUMNS));
    VDN_CHECK(VDNI_BY_FORM(form, VDNI_SUM_WIDE, vdni_sum_as, ctx, device, body, s));
    return vdni_launch(ctx, device, vdni_finish_kernel<Body>, grid, dim3(VDNI_CUDA_BLOCK), body, s);
}

#endif

/* Weight gradient of convolution with the own kernels. The contract is Core/Ops/conv.h.
 *
 *     dw (channels of g, depth) += g (pixels, channels) transposed x gathered x (pixels, depth)
 *
 * The pixels are cut into splits whose number depends on the shape alone; a block sums one split of
 * a 64 x 64 tile, and the splits are added to dw in order. */
#include "CUDA/conv.cuh"
#include "CUDA/conv.h"
#include "CUDA/reduce.cuh"

#include <mma.h>

namespace {

using namespace nvcuda;

enum { THREADS = 256 };
enum { PLAIN_K = 16, TENSOR_K = 32 }; /* pixels of one step */
enum { WANTED_BLOCKS = 512, LEAST_PIXELS = 256, MOST_PARTIAL_BYTES = 32 << 20 };
enum { BIAS_X = 32, BIAS_Y = 8, BIAS_PIXELS = 1024, BIAS_CHUNKS = 256 };

struct splits {
    int64_t pixels; /* of one split, a multiple of both steps: no step reaches into the next */
    int32_t count;
    float *partial; /* (count, channels of g, depth) */
};

/* A tile of M channels by N positions of the depth, of which a thread of the plain form sums
 * TM x TN. */
template <int CHANNELS, int POSITIONS, int ROWS, int COLUMNS> struct shape {
    enum { M = CHANNELS, N = POSITIONS, TM = ROWS, TN = COLUMNS };
    enum { THREADS_OF_ROW = N / TN };
    static_assert(M / TM * THREADS_OF_ROW == (int)THREADS, "");
};
typedef shape<64, 64, 4, 4> wide;
typedef shape<4, 256, 4, 1> narrow; /* the heads */

template <class S> int64_t tiles_of(int64_t channels, int64_t depth)
{
    return (channels + S::M - 1) / S::M * ((depth + S::N - 1) / S::N);
}

splits splits_of(int64_t tiles, int64_t pixels, int64_t channels, int64_t depth)
{
    int64_t count = WANTED_BLOCKS / tiles, most = pixels / LEAST_PIXELS;
    if (most > MOST_PARTIAL_BYTES / (channels * depth * (int64_t)sizeof(float)))
        most = MOST_PARTIAL_BYTES / (channels * depth * (int64_t)sizeof(float));
    if (count > most) count = most;
    if (count < 1) count = 1;
    const int64_t each = ((pixels + count - 1) / count + TENSOR_K - 1) / TENSOR_K * TENSOR_K;
    return { each, (int32_t)((pixels + each - 1) / each), nullptr };
}

/* What a block of either form works on. */
struct share {
    vdni_conv_phase f;
    splits s;
    int32_t channel, depth; /* first of the tile */
    int64_t begin, end;     /* pixels */
};

template <class S> __device__ share share_of(const vdni_conv_phase &f, const splits &s)
{
    const int32_t depth_tiles = (f.depth + S::N - 1) / S::N;
    share h = { f,
                s,
                (int32_t)blockIdx.x / depth_tiles * S::M,
                (int32_t)blockIdx.x % depth_tiles * S::N,
                blockIdx.y * s.pixels,
                0 };
    h.end = h.begin + s.pixels;
    if (h.end > f.pixels) h.end = f.pixels;
    return h;
}

__device__ void put_partial(const vdni_conv_pass &p, const share &h, int32_t row, int32_t column,
                            float sum)
{
    const int32_t channel = h.channel + row, k = h.depth + column;
    if (channel < p.dst.c && k < h.f.depth)
        h.s.partial[((int64_t)blockIdx.y * p.dst.c + channel) * h.f.depth + k] = sum;
}

/* ---- single precision ---- */

/* Quads of one step of either operand, and how many a thread loads. */
template <class S> struct quads {
    enum { A_ROW = S::M / 4, B_ROW = S::N / 4, A = PLAIN_K * A_ROW };
    enum { B_EACH = PLAIN_K * B_ROW / THREADS };
    static_assert(A <= (int)THREADS, "");
};

template <class S> struct plain_tile {
    vdni_conv_pixel pixels[2][PLAIN_K];
    alignas(16) float a[2][PLAIN_K][S::M];
    alignas(16) float b[2][PLAIN_K][S::N];
};

template <class S> struct plain_step {
    float a[4], b[quads<S>::B_EACH][4];
};

__device__ void gradient_quad(float *to, const vdni_conv_pass &p, const vdni_conv_pixel &pixel,
                              int32_t channel)
{
    const int64_t at = (int64_t)pixel.at * p.dst.c + channel;
    to[0] = to[1] = to[2] = to[3] = 0;
    if (pixel.at < 0) return;
    if (p.dst_piece >= 4) {
        if (channel < p.dst.c) vdni_load<4>(to, p.dst, at);
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (channel + i < p.dst.c) vdni_load<1>(to + i, p.dst, at + i);
}

template <class S>
__device__ void plain_fetch(plain_step<S> *s, const plain_tile<S> &t, const vdni_conv_pass &p,
                            const share &h, int at)
{
    typedef quads<S> q;
    const int32_t thread = (int32_t)threadIdx.x;
    if (thread < q::A)
        gradient_quad(s->a, p, t.pixels[at][thread / q::A_ROW], h.channel + thread % q::A_ROW * 4);
#pragma unroll
    for (int i = 0; i < q::B_EACH; i++) {
        const int32_t unit = thread + i * THREADS;
        vdni_conv_gather(s->b[i], p, h.f, t.pixels[at][unit / q::B_ROW],
                         h.depth + unit % q::B_ROW * 4);
    }
}

template <class S> __device__ void plain_put(plain_tile<S> *t, const plain_step<S> &s, int at)
{
    typedef quads<S> q;
    const int32_t thread = (int32_t)threadIdx.x;
#pragma unroll
    for (int j = 0; j < 4; j++) {
        if (thread < q::A) t->a[at][thread / q::A_ROW][thread % q::A_ROW * 4 + j] = s.a[j];
#pragma unroll
        for (int i = 0; i < q::B_EACH; i++) {
            const int32_t unit = thread + i * THREADS;
            t->b[at][unit / q::B_ROW][unit % q::B_ROW * 4 + j] = s.b[i][j];
        }
    }
}

template <class S>
__device__ void plain_multiply(float (*sums)[S::TN], const plain_tile<S> &t, int at)
{
    const int32_t row = (int32_t)threadIdx.x / S::THREADS_OF_ROW * S::TM;
    const int32_t column = (int32_t)threadIdx.x % S::THREADS_OF_ROW * S::TN;
#pragma unroll
    for (int k = 0; k < PLAIN_K; k++)
#pragma unroll
        for (int i = 0; i < S::TM; i++)
#pragma unroll
            for (int j = 0; j < S::TN; j++)
                sums[i][j] = fmaf(t.a[at][k][row + i], t.b[at][k][column + j], sums[i][j]);
}

/* The pixels of a step are looked up by a few threads two steps ahead. */
template <class S>
__global__ void __launch_bounds__(THREADS, 2)
    weights_plain(vdni_conv_pass p, vdni_conv_phase f, splits splits)
{
    __shared__ plain_tile<S> t;
    const share h = share_of<S>(f, splits);
    const int32_t thread = (int32_t)threadIdx.x;
    float sums[S::TM][S::TN] = {};
    plain_step<S> s;

    if (thread < 2 * PLAIN_K)
        t.pixels[thread / PLAIN_K][thread % PLAIN_K] = vdni_conv_pixel_of(p, h.f, h.begin + thread);
    __syncthreads();
    plain_fetch<S>(&s, t, p, h, 0);
    plain_put<S>(&t, s, 0);
    __syncthreads();
    int at = 0;
    for (int64_t i = h.begin; i < h.end; i += PLAIN_K, at ^= 1) {
        const bool more = i + PLAIN_K < h.end;
        if (more) plain_fetch<S>(&s, t, p, h, at ^ 1);
        if (thread < PLAIN_K)
            t.pixels[at][thread] = vdni_conv_pixel_of(p, h.f, i + 2 * PLAIN_K + thread);
        plain_multiply<S>(sums, t, at);
        if (more) plain_put<S>(&t, s, at ^ 1);
        __syncthreads();
    }
    for (int i = 0; i < S::TM; i++)
        for (int j = 0; j < S::TN; j++)
            put_partial(p, h, thread / S::THREADS_OF_ROW * S::TM + i,
                        thread % S::THREADS_OF_ROW * S::TN + j, sums[i][j]);
}

/* ---- tensor cores ---- */

enum { M = wide::M, N = wide::N };
enum { EDGE = 16, FRAGMENTS_N = 2, WARPS_N = N / (FRAGMENTS_N * EDGE) };
enum { UNITS = M / VDNI_CONV_UNIT, PITCH = M + 8, SUM_PITCH = N + 4 };
static_assert(THREADS == TENSOR_K * UNITS, "one unit of each operand for every thread");
static_assert(THREADS / VDNI_CUDA_WARP == M / EDGE * WARPS_N, "the warps cover the tile");

/* Rows of pixels: a is read as its transpose. */
template <class V> struct operands {
    alignas(32) V a[2][TENSOR_K * PITCH];
    alignas(32) V b[2][TENSOR_K * PITCH];
};

template <class V> struct tensor_tile {
    vdni_conv_pixel pixels[2][TENSOR_K];
    union {
        alignas(32) unsigned char operand_bytes[sizeof(operands<V>)];
        alignas(32) float sums[M * SUM_PITCH]; /* after the last step */
    };
};

struct tensor_step {
    vdni_unit a, b;
};

template <class V>
__device__ vdni_unit gradient_unit(const vdni_conv_pass &p, const vdni_conv_pixel &pixel,
                                   int32_t channel)
{
    const V *g = static_cast<const V *>(p.dst.data) + (int64_t)pixel.at * p.dst.c + channel;
    V values[VDNI_CONV_UNIT];
    vdni_unit unit = {};
    if (pixel.at < 0 || channel >= p.dst.c) return unit;
    if (p.dst_piece == VDNI_CONV_UNIT) return *reinterpret_cast<const vdni_unit *>(g);
#pragma unroll
    for (int i = 0; i < VDNI_CONV_UNIT; i++) {
        vdni_write(&values[i], 0.0f);
        if (channel + i < p.dst.c) values[i] = g[i];
    }
    memcpy(&unit, values, sizeof unit);
    return unit;
}

template <class V>
__device__ void tensor_fetch(tensor_step *s, const tensor_tile<V> &t, const vdni_conv_pass &p,
                             const share &h, int at)
{
    const int32_t first = (int32_t)threadIdx.x % UNITS * VDNI_CONV_UNIT;
    const vdni_conv_pixel &pixel = t.pixels[at][threadIdx.x / UNITS];
    s->a = gradient_unit<V>(p, pixel, h.channel + first);
    s->b = vdni_conv_gather_unit<V>(p, h.f, pixel, h.depth + first);
}

template <class V> __device__ void tensor_put(operands<V> *o, const tensor_step &s, int at)
{
    const int32_t to =
        (int32_t)threadIdx.x / UNITS * PITCH + (int32_t)threadIdx.x % UNITS * VDNI_CONV_UNIT;
    *reinterpret_cast<vdni_unit *>(o->a[at] + to) = s.a;
    *reinterpret_cast<vdni_unit *>(o->b[at] + to) = s.b;
}

typedef wmma::fragment<wmma::accumulator, EDGE, EDGE, EDGE, float> sum_fragment;

template <class V> __device__ void tensor_multiply(sum_fragment *sums, const operands<V> &o, int at)
{
    const int warp = (int)threadIdx.x / VDNI_CUDA_WARP;
    const V *a = o.a[at] + warp / WARPS_N * EDGE;
    const V *b = o.b[at] + warp % WARPS_N * FRAGMENTS_N * EDGE;
#pragma unroll
    for (int k = 0; k < TENSOR_K; k += EDGE) {
        wmma::fragment<wmma::matrix_a, EDGE, EDGE, EDGE, V, wmma::col_major> left;
        wmma::fragment<wmma::matrix_b, EDGE, EDGE, EDGE, V, wmma::row_major> right;
        wmma::load_matrix_sync(left, a + k * PITCH, PITCH);
#pragma unroll
        for (int j = 0; j < FRAGMENTS_N; j++) {
            wmma::load_matrix_sync(right, b + k * PITCH + j * EDGE, PITCH);
            wmma::mma_sync(sums[j], left, right, sums[j]);
        }
    }
}

template <class V>
__device__ void tensor_sum(tensor_tile<V> *t, const vdni_conv_pass &p, const share &h)
{
    operands<V> *o = reinterpret_cast<operands<V> *>(t->operand_bytes);
    const int32_t thread = (int32_t)threadIdx.x, warp = thread / VDNI_CUDA_WARP;
    sum_fragment sums[FRAGMENTS_N];
    tensor_step s;

    for (int j = 0; j < FRAGMENTS_N; j++) wmma::fill_fragment(sums[j], 0.0f);
    if (thread < 2 * TENSOR_K)
        t->pixels[thread / TENSOR_K][thread % TENSOR_K] =
            vdni_conv_pixel_of(p, h.f, h.begin + thread);
    __syncthreads();
    tensor_fetch(&s, *t, p, h, 0);
    tensor_put(o, s, 0);
    __syncthreads();
    int at = 0;
    for (int64_t i = h.begin; i < h.end; i += TENSOR_K, at ^= 1) {
        const bool more = i + TENSOR_K < h.end;
        if (more) tensor_fetch(&s, *t, p, h, at ^ 1);
        if (thread < TENSOR_K)
            t->pixels[at][thread] = vdni_conv_pixel_of(p, h.f, i + 2 * TENSOR_K + thread);
        tensor_multiply(sums, *o, at);
        if (more) tensor_put(o, s, at ^ 1);
        __syncthreads();
    }
    float *corner =
        t->sums + warp / WARPS_N * EDGE * SUM_PITCH + warp % WARPS_N * FRAGMENTS_N * EDGE;
    for (int j = 0; j < FRAGMENTS_N; j++)
        wmma::store_matrix_sync(corner + j * EDGE, sums[j], SUM_PITCH, wmma::mem_row_major);
    __syncthreads();
    for (int32_t i = thread; i < M * N; i += THREADS)
        put_partial(p, h, i / N, i % N, t->sums[i / N * SUM_PITCH + i % N]);
}

template <class V>
__global__ void __launch_bounds__(THREADS)
    weights_tensor(vdni_conv_pass p, vdni_conv_phase f, splits splits)
{
    if constexpr (vdni_has_product<V>::value) {
        __shared__ tensor_tile<V> t;
        tensor_sum(&t, p, share_of<wide>(f, splits));
    }
}

/* ---- sums of the splits ---- */

/* to[i] += the parts in order. */
__global__ void add_parts(float *to, const float *parts, int64_t count, int32_t part_count)
{
    for (VDNI_GRID_STRIDE(i, count)) {
        float sum = 0;
        for (int32_t s = 0; s < part_count; s++) sum += parts[s * count + i];
        to[i] += sum;
    }
}

/* Sums of one chunk of pixels: adjacent threads take adjacent channels. */
__global__ void __launch_bounds__(BIAS_X *BIAS_Y)
    bias_parts(float *parts, vdni_conv_side g, int64_t pixels, int64_t each)
{
    __shared__ float rows[BIAS_Y][BIAS_X];
    const int32_t x = (int32_t)threadIdx.x % BIAS_X, y = (int32_t)threadIdx.x / BIAS_X;
    const int32_t channel = (int32_t)blockIdx.x * BIAS_X + x;
    const int64_t begin = blockIdx.y * each, end = begin + each < pixels ? begin + each : pixels;
    float sum = 0;
    if (channel < g.c)
        for (int64_t i = begin + y; i < end; i += BIAS_Y) {
            float value;
            vdni_load<1>(&value, g, i * g.c + channel);
            sum += value;
        }
    rows[y][x] = sum;
    __syncthreads();
    if (y > 0 || channel >= g.c) return;
    for (int i = 1; i < BIAS_Y; i++) sum += rows[i][x];
    parts[(int64_t)blockIdx.y * g.c + channel] = sum;
}

int64_t bias_chunks(int64_t pixels)
{
    const int64_t chunks = (pixels + BIAS_PIXELS - 1) / BIAS_PIXELS;
    return chunks < BIAS_CHUNKS ? chunks : (int64_t)BIAS_CHUNKS;
}

bool is_narrow(const vdni_device *device, const vdni_op *op)
{
    return vdni_conv_get_roles(op).narrow->c <= narrow::M && !vdni_conv_is_tensor(device, op);
}

int64_t tile_count(const vdni_device *device, const vdni_op *op)
{
    const vdni_tensor *dw = vdni_conv_get_roles(op).w;
    const int64_t depth = dw->h * dw->w * dw->c;
    return is_narrow(device, op) ? tiles_of<narrow>(dw->n, depth) : tiles_of<wide>(dw->n, depth);
}

int64_t pixel_count(const vdni_tensor *t) { return t->n * t->h * t->w; }

vdn_status add(vdn_ctx *ctx, vdni_device *device, const vdni_tensor *to, const float *parts,
               int64_t part_count)
{
    const int64_t count = vdni_tensor_count(to);
    return vdni_launch(ctx, device, add_parts, vdni_blocks_for(device, count),
                       dim3(VDNI_CUDA_BLOCK), vdni_data<float>(to), parts, count,
                       (int32_t)part_count);
}

} // namespace

vdn_status vdni_cuda_conv_bias(vdn_ctx *ctx, vdni_device *device, const vdni_tensor *db,
                               const vdni_tensor *g, void *workspace)
{
    const int64_t pixels = pixel_count(g), chunks = bias_chunks(pixels);
    const int64_t each = (pixels + chunks - 1) / chunks;
    const vdni_conv_side side = { g->data, g->dtype, (int32_t)g->h, (int32_t)g->w, (int32_t)g->c };
    const dim3 grid((unsigned)((g->c + BIAS_X - 1) / BIAS_X), (unsigned)chunks);
    float *parts = static_cast<float *>(workspace);
    VDN_CHECK(vdni_launch(ctx, device, bias_parts, grid, dim3(BIAS_X * BIAS_Y), parts, side, pixels,
                          each));
    return add(ctx, device, db, parts, chunks);
}

int64_t vdni_cuda_conv_bias_workspace(const vdni_tensor *g)
{
    return bias_chunks(pixel_count(g)) * g->c * (int64_t)sizeof(float);
}

vdn_status vdni_cuda_conv_weights(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                  void *workspace)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const vdni_conv_pass pass = vdni_conv_pass_of(op);
    vdni_conv_phases phases;
    (void)vdni_conv_phases_of(pass, &phases);
    const vdni_conv_phase f = phases.item[0];
    const int64_t tiles = tile_count(device, op);
    splits s = splits_of(tiles, f.pixels, pass.dst.c, f.depth);
    s.partial = static_cast<float *>(workspace);

    const dim3 grid((unsigned)tiles, (unsigned)s.count), block(THREADS);
    auto *kernel = is_narrow(device, op)              ? weights_plain<narrow>
                   : !vdni_conv_is_tensor(device, op) ? weights_plain<wide>
                   : pass.src.dtype == VDNI_F16       ? weights_tensor<__half>
                                                      : weights_tensor<__nv_bfloat16>;
    VDN_CHECK(vdni_launch(ctx, device, kernel, grid, block, pass, f, s));
    VDN_CHECK(add(ctx, device, r.w, s.partial, s.count));
    /* The parts of dw have been read when those of db are written: one stream, in order. */
    return r.b ? vdni_cuda_conv_bias(ctx, device, r.b, r.narrow, workspace) : VDN_OK;
}

int64_t vdni_cuda_conv_weights_workspace(const vdni_device *device, const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const int64_t depth = r.w->h * r.w->w * r.w->c, channels = r.w->n;
    const int64_t pixels = pixel_count(r.narrow);
    const int64_t parts = splits_of(tile_count(device, op), pixels, channels, depth).count *
                          channels * depth * (int64_t)sizeof(float);
    const int64_t bias = r.b ? vdni_cuda_conv_bias_workspace(r.narrow) : 0;
    return parts > bias ? parts : bias;
}

/* Convolution with the own kernels on the tensor cores: CONV and CONV_DX of 16-bit activations.
 *
 * The same product as conv.cu in tiles of 128 pixels by 64 or 16 channels, 32 positions of the
 * depth at a time: eight warps of 32 x 32 or 16 x 16 sums in f32. The f32 weight is rounded to the
 * activation's type on its way into the tile, as the libraries' form has it. */
#include "CUDA/conv.cuh"

#include <mma.h>

namespace {

using namespace nvcuda;

enum { M = 128, K = 32, THREADS = 256, WARPS = THREADS / VDNI_CUDA_WARP, EDGE = 16 };
enum { UNIT = VDNI_CONV_UNIT, UNITS = K / UNIT, A_UNITS = M * UNITS / THREADS }; /* 16 bytes */
enum { PITCH = K + 8 }; /* spreads the rows over the banks */

/* A tile of CHANNELS columns of products of type V. */
template <class V, int CHANNELS> struct shape {
    typedef V type;
    enum { N = CHANNELS, WARP_N = N < 32 ? N : 32, WARPS_N = N / WARP_N };
    enum { WARP_M = M / (WARPS / WARPS_N) };
    enum { FRAGMENTS_M = WARP_M / EDGE, FRAGMENTS_N = WARP_N / EDGE };
    enum { B_THREADS = N * UNITS }; /* threads that load one unit of the weight */
    enum { SUM_PITCH = N + 4 };
    static_assert(B_THREADS <= (int)THREADS, "");
};
enum { WIDE = 64, NARROW = 16 };

/* Both operands lie along the depth: a as rows of pixels, b as columns of channels. */
template <class S> struct operands {
    alignas(32) typename S::type a[2][M * PITCH];
    alignas(32) typename S::type b[2][S::N * PITCH];
};

/* The sums take the operands' place after the last step. */
template <class S> struct tile {
    vdni_conv_pixel pixels[M];
    union {
        alignas(32) unsigned char operand_bytes[sizeof(operands<S>)];
        alignas(32) float sums[M * S::SUM_PITCH];
    };
};

struct step {
    vdni_unit a[A_UNITS], b;
};

template <class T>
__device__ vdni_unit round_weights(const vdni_conv_pass &p, const vdni_conv_phase &f, int32_t k,
                                   int32_t column)
{
    vdni_unit words;
    T values[UNIT];
    float weights[UNIT];
    vdni_conv_weights<UNIT>(weights, p, f, k, column);
#pragma unroll
    for (int i = 0; i < UNIT; i++) vdni_write(&values[i], weights[i]);
    memcpy(&words, values, sizeof words);
    return words;
}

/* Adjacent threads read adjacent memory: along the depth, or along the columns of a transposed
 * weight. */
template <class S>
__device__ void weight_place(const vdni_conv_pass &p, int32_t *k, int32_t *column)
{
    const int32_t t = (int32_t)threadIdx.x;
    *k = (p.transposed ? t / S::N : t % UNITS) * UNIT;
    *column = p.transposed ? t % S::N : t / UNITS;
}

template <class S>
__device__ void fetch(step *s, const tile<S> &t, const vdni_conv_pass &p, const vdni_conv_phase &f,
                      int32_t first, int32_t k0)
{
    typedef typename S::type V;
    const int32_t thread = (int32_t)threadIdx.x;
    int32_t k, column;
#pragma unroll
    for (int i = 0; i < A_UNITS; i++) {
        const int32_t unit = thread + i * THREADS;
        s->a[i] = vdni_conv_gather_unit<V>(p, f, t.pixels[unit / UNITS], k0 + unit % UNITS * UNIT);
    }
    if (thread >= S::B_THREADS) return;
    weight_place<S>(p, &k, &column);
    s->b = round_weights<V>(p, f, k0 + k, first + column);
}

template <class S>
__device__ void put(operands<S> *o, const step &s, const vdni_conv_pass &p, int at)
{
    const int32_t thread = (int32_t)threadIdx.x;
    int32_t k, column;
#pragma unroll
    for (int i = 0; i < A_UNITS; i++) {
        const int32_t unit = thread + i * THREADS;
        auto *to = o->a[at] + unit / UNITS * PITCH + unit % UNITS * UNIT;
        *reinterpret_cast<vdni_unit *>(to) = s.a[i];
    }
    if (thread >= S::B_THREADS) return;
    weight_place<S>(p, &k, &column);
    *reinterpret_cast<vdni_unit *>(o->b[at] + column * PITCH + k) = s.b;
}

typedef wmma::fragment<wmma::accumulator, EDGE, EDGE, EDGE, float> sum_fragment;

template <class S>
__device__ void multiply(sum_fragment (*sums)[S::FRAGMENTS_N], const operands<S> &o, int at)
{
    typedef typename S::type V;
    const int warp = (int)threadIdx.x / VDNI_CUDA_WARP;
    const V *a = o.a[at] + warp / S::WARPS_N * S::WARP_M * PITCH;
    const V *b = o.b[at] + warp % S::WARPS_N * S::WARP_N * PITCH;
#pragma unroll
    for (int k = 0; k < K; k += EDGE) {
        wmma::fragment<wmma::matrix_a, EDGE, EDGE, EDGE, V, wmma::row_major> left[S::FRAGMENTS_M];
        wmma::fragment<wmma::matrix_b, EDGE, EDGE, EDGE, V, wmma::col_major> right[S::FRAGMENTS_N];
#pragma unroll
        for (int i = 0; i < S::FRAGMENTS_M; i++)
            wmma::load_matrix_sync(left[i], a + i * EDGE * PITCH + k, PITCH);
#pragma unroll
        for (int j = 0; j < S::FRAGMENTS_N; j++)
            wmma::load_matrix_sync(right[j], b + j * EDGE * PITCH + k, PITCH);
#pragma unroll
        for (int i = 0; i < S::FRAGMENTS_M; i++)
#pragma unroll
            for (int j = 0; j < S::FRAGMENTS_N; j++)
                wmma::mma_sync(sums[i][j], left[i], right[j], sums[i][j]);
    }
}

template <class S>
__device__ void finish(tile<S> *t, const sum_fragment (*sums)[S::FRAGMENTS_N],
                       const vdni_conv_pass &p, int32_t first)
{
    const int warp = (int)threadIdx.x / VDNI_CUDA_WARP;
    float *corner =
        t->sums + warp / S::WARPS_N * S::WARP_M * S::SUM_PITCH + warp % S::WARPS_N * S::WARP_N;
#pragma unroll
    for (int i = 0; i < S::FRAGMENTS_M; i++)
#pragma unroll
        for (int j = 0; j < S::FRAGMENTS_N; j++)
            wmma::store_matrix_sync(corner + i * EDGE * S::SUM_PITCH + j * EDGE, sums[i][j],
                                    S::SUM_PITCH, wmma::mem_row_major);
    __syncthreads();
    for (int32_t quad = (int32_t)threadIdx.x; quad < M * S::N / 4; quad += THREADS) {
        const int32_t row = quad / (S::N / 4), column = quad % (S::N / 4) * 4;
        const int32_t to = t->pixels[row].at;
        if (to >= 0) vdni_conv_finish(p, to, first + column, t->sums + row * S::SUM_PITCH + column);
    }
}

template <class S>
__device__ void compute(tile<S> *t, const vdni_conv_pass &p, const vdni_conv_phase &f,
                        int32_t column_tiles)
{
    operands<S> *o = reinterpret_cast<operands<S> *>(t->operand_bytes);
    const int32_t thread = (int32_t)threadIdx.x;
    const int64_t pixel = (int64_t)(blockIdx.x / (unsigned)column_tiles) * M;
    const int32_t first = (int32_t)(blockIdx.x % (unsigned)column_tiles) * S::N;
    sum_fragment sums[S::FRAGMENTS_M][S::FRAGMENTS_N];
    step s;

    for (int i = 0; i < S::FRAGMENTS_M; i++)
        for (int j = 0; j < S::FRAGMENTS_N; j++) wmma::fill_fragment(sums[i][j], 0.0f);
    if (thread < M) t->pixels[thread] = vdni_conv_pixel_of(p, f, pixel + thread);
    __syncthreads();
    fetch<S>(&s, *t, p, f, first, 0);
    put<S>(o, s, p, 0);
    __syncthreads();
    for (int32_t k0 = 0, at = 0; k0 < f.depth; k0 += K, at ^= 1) {
        const bool more = k0 + K < f.depth;
        if (more) fetch<S>(&s, *t, p, f, first, k0 + K);
        multiply<S>(sums, *o, at);
        if (more) put<S>(o, s, p, at ^ 1);
        __syncthreads();
    }
    finish<S>(t, sums, p, first);
}

template <class S>
__global__ void __launch_bounds__(THREADS)
    conv_tensor(vdni_conv_pass p, vdni_conv_phases phases, int32_t column_tiles)
{
    if constexpr (vdni_has_product<typename S::type>::value) {
        __shared__ tile<S> t;
        compute<S>(&t, p, phases.item[blockIdx.z], column_tiles);
    }
}

template <class S> vdn_status run(vdn_ctx *ctx, vdni_device *device, const vdni_conv_pass &pass)
{
    vdni_conv_phases phases;
    const int32_t count = vdni_conv_phases_of(pass, &phases);
    const int32_t tiles = (pass.dst.c + S::N - 1) / S::N;
    const int64_t rows = (phases.item[0].pixels + (int64_t)M - 1) / M;
    return vdni_launch(ctx, device, conv_tensor<S>,
                       dim3((unsigned)(rows * tiles), 1, (unsigned)count), dim3(THREADS), pass,
                       phases, tiles);
}

template <class V>
vdn_status run_type(vdn_ctx *ctx, vdni_device *device, const vdni_conv_pass &pass)
{
    return pass.dst.c <= NARROW ? run<shape<V, NARROW>>(ctx, device, pass)
                                : run<shape<V, WIDE>>(ctx, device, pass);
}

} // namespace

vdn_status vdni_cuda_conv_tensor(vdn_ctx *ctx, vdni_device *device, const vdni_conv_pass *pass)
{
    return pass->src.dtype == VDNI_F16 ? run_type<__half>(ctx, device, *pass)
                                       : run_type<__nv_bfloat16>(ctx, device, *pass);
}

/* What both directions of attention share: the geometry of heads, tiles in shared memory, and the two
 * ways to multiply them.
 *
 * Plain: tiles of floats and fused multiply-adds, any types and head sizes.
 * Tensor cores (bf16, forward f16 too; d a multiple of 8 up to 64): operands as they are stored, so
 * their products are exact; P and dS are split into two 16-bit parts each, x = hi + lo, so that no
 * more than 2^-17 of them is lost and results are as good as those of the plain way. */
#ifndef VDNI_CUDA_ATTENTION_CUH
#define VDNI_CUDA_ATTENTION_CUH

extern "C" {
#include "Ops/attention.h"
}

#include "CUDA/lanes.cuh"

#include <math.h>
#include <mma.h>

enum { VDNI_ATT_THREADS = 128, VDNI_ATT_WARPS = VDNI_ATT_THREADS / VDNI_CUDA_WARP };

/* A tensor of heads: token i, channel c of part p and head a is at
 * ((n tokens + i) parts heads + p heads + a) d + c. */
struct vdni_att {
    int32_t tokens, heads, d;
    float scale; /* 1 / sqrt(d) */
};

static inline vdni_att vdni_att_of(const vdni_tensor *qkv, int32_t heads)
{
    const int32_t d = (int32_t)(qkv->c / 3 / heads);
    return { (int32_t)(qkv->h * qkv->w), heads, d, 1.0f / sqrtf((float)d) };
}

__device__ static inline int64_t vdni_att_at(const vdni_att &k, int64_t item, int token, int parts,
                                             int part)
{
    const int64_t n = item / k.heads, a = item % k.heads;
    return ((n * k.tokens + token) * parts * k.heads + part * k.heads + a) * k.d;
}

/* ---- plain ----------------------------------------------------------------------------------- */

/* A block has 8 x 16 threads for a TILE x TILE tile of scores: thread (y, x) has the rows y ROWS + i
 * and the columns x + 16 j; of the outputs the columns x + 16 j of D. */
template <int D> struct vdni_plain {
    static constexpr int TILE = D <= 64 ? 32 : 16, LINE = D + 4, SCORES = TILE + 1;
    static constexpr int ROWS = TILE / 8, COLUMNS = TILE / 16, OUT = D / 16;
    float s[ROWS][COLUMNS];
};

/* Rows first.. of one part of a head times @p factor into a tile; zeros beyond tokens and d. */
template <int D>
__device__ static inline void vdni_plain_load(float *tile, const vdni_att &k, const vdni_view &t,
                                              int64_t item, int first, int parts, int part,
                                              float factor)
{
    for (int i = (int)threadIdx.x; i < vdni_plain<D>::TILE * D; i += VDNI_ATT_THREADS) {
        const int row = i / D, c = i % D;
        float x = 0;
        if (first + row < k.tokens && c < k.d)
            x = factor * vdni_value(t, vdni_att_at(k, item, first + row, parts, part) + c);
        tile[row * vdni_plain<D>::LINE + c] = x;
    }
}

/* The thread's part of a b^T. */
template <int D>
__device__ static inline vdni_plain<D> vdni_plain_scores(const float *a, const float *b)
{
    using P = vdni_plain<D>;
    const int y = (int)threadIdx.x / 16, x = (int)threadIdx.x % 16;
    P p = {};
#pragma unroll 4
    for (int c = 0; c < D; c += 4) {
        float rows[P::ROWS][4], columns[P::COLUMNS][4];
#pragma unroll
        for (int i = 0; i < P::ROWS; i++)
            vdni_load_row<4>(rows[i], a, (y * P::ROWS + i) * P::LINE + c);
#pragma unroll
        for (int j = 0; j < P::COLUMNS; j++)
            vdni_load_row<4>(columns[j], b, (x + 16 * j) * P::LINE + c);
#pragma unroll
        for (int i = 0; i < P::ROWS; i++)
#pragma unroll
            for (int j = 0; j < P::COLUMNS; j++)
#pragma unroll
                for (int l = 0; l < 4; l++) p.s[i][j] += rows[i][l] * columns[j][l];
    }
    return p;
}

template <int D> __device__ static inline void vdni_plain_put(float *scores, const vdni_plain<D> &p)
{
    using P = vdni_plain<D>;
    const int y = (int)threadIdx.x / 16, x = (int)threadIdx.x % 16;
#pragma unroll
    for (int i = 0; i < P::ROWS; i++)
#pragma unroll
        for (int j = 0; j < P::COLUMNS; j++)
            scores[(y * P::ROWS + i) * P::SCORES + x + 16 * j] = p.s[i][j];
}

/* out += scores b */
template <int D>
__device__ static inline void vdni_plain_add(float (&out)[vdni_plain<D>::ROWS][vdni_plain<D>::OUT],
                                             const float *scores, const float *b)
{
    using P = vdni_plain<D>;
    const int y = (int)threadIdx.x / 16, x = (int)threadIdx.x % 16;
#pragma unroll 4
    for (int k = 0; k < P::TILE; k++) {
        float row[P::ROWS];
#pragma unroll
        for (int i = 0; i < P::ROWS; i++) row[i] = scores[(y * P::ROWS + i) * P::SCORES + k];
#pragma unroll
        for (int j = 0; j < P::OUT; j++) {
            const float v = b[k * P::LINE + x + 16 * j];
#pragma unroll
            for (int i = 0; i < P::ROWS; i++) out[i][j] += row[i] * v;
        }
    }
}

/* Start kernel<D> for the head size. */
#define VDNI_BY_HEAD(d, function, ...)       \
    ((d) <= 16   ? function<16>(__VA_ARGS__) \
     : (d) <= 32 ? function<32>(__VA_ARGS__) \
     : (d) <= 64 ? function<64>(__VA_ARGS__) \
                 : function<128>(__VA_ARGS__))

/* ---- tensor cores ---------------------------------------------------------------------------- */

template <class T> struct vdni_has_tiles {
    static constexpr bool value = true;
};

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
template <> struct vdni_has_tiles<__nv_bfloat16> {
    static constexpr bool value = false;
};
#endif

/* A block owns 64 rows (queries, or keys in the second backward kernel), a warp 16 of them; the other
 * side streams past in tiles of STREAM rows. The accumulators' layout over the lanes is not ours to
 * know, so what is done to elements is done in the warp's scratch: lane 2 r + h has the columns
 * 8 j + 4 h + (0..3) of row r. */
template <class T, int D, int STREAM> struct vdni_tiles {
    using left =
        nvcuda::wmma::fragment<nvcuda::wmma::matrix_a, 16, 16, 16, T, nvcuda::wmma::row_major>;
    using right =
        nvcuda::wmma::fragment<nvcuda::wmma::matrix_b, 16, 16, 16, T, nvcuda::wmma::row_major>;
    using turned =
        nvcuda::wmma::fragment<nvcuda::wmma::matrix_b, 16, 16, 16, T, nvcuda::wmma::col_major>;
    using sum = nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, 16, float>;
    static constexpr int OWN = 16 * VDNI_ATT_WARPS, LINE = D + 8, SCORES = STREAM + 8;
    static constexpr int BLOCKS = D / 16, LANE = STREAM / 2;
};

/* @p rows rows of one part of a head from token @p first, as they are; zeros beyond tokens and d. */
template <class T, int D>
__device__ static inline void vdni_tile_load(T *tile, int rows, const vdni_att &k, const T *t,
                                             int64_t at, int64_t step, int first)
{
    for (int i = (int)threadIdx.x; i < rows * (D / 8); i += VDNI_ATT_THREADS) {
        const int row = i / (D / 8), c = i % (D / 8) * 8;
        vdni_pack<T, 8> p;
        if (first + row < k.tokens && c < k.d)
            p = *reinterpret_cast<const vdni_pack<T, 8> *>(t + at + (first + row) * step + c);
        else
            for (int l = 0; l < 8; l++) vdni_write(&p.x[l], 0.0f);
        *reinterpret_cast<vdni_pack<T, 8> *>(tile + row * (D + 8) + c) = p;
    }
}

/* The 16 rows of this warp of a tile, as left operands. */
template <class K, class T>
__device__ static inline void vdni_tile_left(typename K::left (&a)[K::BLOCKS], const T *tile)
{
    const int warp = (int)threadIdx.x / VDNI_CUDA_WARP;
#pragma unroll
    for (int i = 0; i < K::BLOCKS; i++)
        nvcuda::wmma::load_matrix_sync(a[i], tile + warp * 16 * K::LINE + i * 16, K::LINE);
}

/* scores (16 x STREAM, lines of SCORES) = a b^T */
template <class K, class T, int STREAM>
__device__ static inline void vdni_tile_scores(float *scores,
                                               const typename K::left (&a)[K::BLOCKS], const T *b)
{
#pragma unroll 2
    for (int j = 0; j < STREAM / 16; j++) {
        typename K::sum s;
        nvcuda::wmma::fill_fragment(s, 0.0f);
#pragma unroll
        for (int i = 0; i < K::BLOCKS; i++) {
            typename K::turned columns;
            nvcuda::wmma::load_matrix_sync(columns, b + j * 16 * K::LINE + i * 16, K::LINE);
            nvcuda::wmma::mma_sync(s, a[i], columns, s);
        }
        nvcuda::wmma::store_matrix_sync(scores + j * 16, s, K::SCORES, nvcuda::wmma::mem_row_major);
    }
}

/* The lane's scores. */
template <class K>
__device__ static inline void vdni_tile_get(float (&x)[K::LANE], const float *scores)
{
    const int lane = (int)threadIdx.x % VDNI_CUDA_WARP;
    const float *from = scores + lane / 2 * K::SCORES + lane % 2 * 4;
#pragma unroll
    for (int j = 0; j < K::LANE; j += 4) {
        const auto p = *reinterpret_cast<const vdni_pack<float, 4> *>(from + 2 * j);
#pragma unroll
        for (int l = 0; l < 4; l++) x[j + l] = p.x[l];
    }
}

/* The lane's values as two parts in the place of the scores: 16 lines of hi, then 16 of lo. The
 * warp has read the scores before (__syncwarp). */
template <class K, class T>
__device__ static inline void vdni_tile_split(float *scores, const float (&x)[K::LANE])
{
    const int lane = (int)threadIdx.x % VDNI_CUDA_WARP;
    T *to = reinterpret_cast<T *>(scores) + lane / 2 * K::SCORES + lane % 2 * 4;
#pragma unroll
    for (int j = 0; j < K::LANE; j += 4) {
        vdni_pack<T, 4> hi, lo;
#pragma unroll
        for (int l = 0; l < 4; l++) {
            vdni_write(&hi.x[l], x[j + l]);
            vdni_write(&lo.x[l], x[j + l] - vdni_read(&hi.x[l]));
        }
        *reinterpret_cast<vdni_pack<T, 4> *>(to + 2 * j) = hi;
        *reinterpret_cast<vdni_pack<T, 4> *>(to + 2 * j + 16 * K::SCORES) = lo;
    }
}

/* out += (hi + lo) b */
template <class K, class T, int STREAM>
__device__ static inline void vdni_tile_add(typename K::sum (&out)[K::BLOCKS], const float *scores,
                                            const T *b)
{
    const T *hi = reinterpret_cast<const T *>(scores);
#pragma unroll 2
    for (int k = 0; k < STREAM / 16; k++) {
        typename K::left high, low;
        nvcuda::wmma::load_matrix_sync(high, hi + k * 16, K::SCORES);
        nvcuda::wmma::load_matrix_sync(low, hi + 16 * K::SCORES + k * 16, K::SCORES);
#pragma unroll
        for (int i = 0; i < K::BLOCKS; i++) {
            typename K::right rows;
            nvcuda::wmma::load_matrix_sync(rows, b + k * 16 * K::LINE + i * 16, K::LINE);
            nvcuda::wmma::mma_sync(out[i], low, rows, out[i]);
            nvcuda::wmma::mma_sync(out[i], high, rows, out[i]);
        }
    }
}

/* Outputs to the warp's scratch (16 lines of LINE floats) and back. */
template <class K>
__device__ static inline void vdni_tile_spill(float *scratch,
                                              const typename K::sum (&out)[K::BLOCKS])
{
#pragma unroll
    for (int i = 0; i < K::BLOCKS; i++)
        nvcuda::wmma::store_matrix_sync(scratch + i * 16, out[i], K::LINE,
                                        nvcuda::wmma::mem_row_major);
}

/* The lane's row of the spilled outputs times @p factor to memory, if the token exists. */
template <class K, class T, int D>
__device__ static inline void vdni_tile_write(const float *scratch, const vdni_att &k, T *t,
                                              int64_t at, int64_t step, int token, float factor)
{
    const int lane = (int)threadIdx.x % VDNI_CUDA_WARP;
    if (token >= k.tokens) return;
    for (int c = lane % 2 * 8; c < D && c < k.d; c += 16) {
        vdni_pack<T, 8> p;
#pragma unroll
        for (int l = 0; l < 8; l++)
            vdni_write(&p.x[l], factor * scratch[lane / 2 * K::LINE + c + l]);
        *reinterpret_cast<vdni_pack<T, 8> *>(t + at + token * step + c) = p;
    }
}

vdn_status vdni_cuda_attention_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                        void *workspace);
int64_t vdni_cuda_attention_backward_workspace(const vdni_device *device, const vdni_op *op);

#endif

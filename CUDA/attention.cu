/* CUDA twin of attention, forward; the contract is Core/Ops/attention.h. A block has a tile of queries
 * of one head; keys and values stream past in tiles with a running maximum and sum per query. */
#include "CUDA/attention.cuh"

namespace
{

struct forward_call {
    vdni_att k;
    vdni_view qkv, o;
    float *lse;
};

/* ---- plain ----------------------------------------------------------------------------------- */

__device__ inline float half_warp_max(float x)
{
    for (int lanes = 8; lanes > 0; lanes /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, lanes));
    return x;
}

__device__ inline float half_warp_sum(float x)
{
    for (int lanes = 8; lanes > 0; lanes /= 2) x += __shfl_xor_sync(0xffffffffu, x, lanes);
    return x;
}

/* Scores to exponentials about the maximum so far; @p factor: by how much what was there shrinks. */
template <int N>
__device__ inline void soften(float (&s)[N], int x, int left, float *top, float *sum, float *factor)
{
    float most = *top, added = 0;
#pragma unroll
    for (int j = 0; j < N; j++) {
        if (x + 16 * j >= left) s[j] = -INFINITY;
        most = fmaxf(most, s[j]);
    }
    most = half_warp_max(most);
    const float base = most == -INFINITY ? 0.0f : most; /* a row of NaN */
#pragma unroll
    for (int j = 0; j < N; j++) {
        s[j] = expf(s[j] - base);
        added += s[j];
    }
    *factor = expf(*top - base);
    *sum = *sum * *factor + half_warp_sum(added);
    *top = most;
}

template <int D> __global__ void __launch_bounds__(VDNI_ATT_THREADS) plain_kernel(forward_call q)
{
    using P = vdni_plain<D>;
    alignas(16) __shared__ float queries[P::TILE * P::LINE], keys[P::TILE * P::LINE];
    alignas(16) __shared__ float values[P::TILE * P::LINE], scores[P::TILE * P::SCORES];
    const vdni_att &k = q.k;
    const int y = (int)threadIdx.x / 16, x = (int)threadIdx.x % 16;
    const int begin = (int)blockIdx.x * P::TILE;
    const int64_t item = blockIdx.y;
    float top[P::ROWS], sum[P::ROWS], out[P::ROWS][P::OUT] = {};

    vdni_plain_load<D>(queries, k, q.qkv, item, begin, 3, 0, k.scale);
    for (int i = 0; i < P::ROWS; i++) top[i] = -INFINITY, sum[i] = 0;
    for (int first = 0; first < k.tokens; first += P::TILE) {
        __syncthreads();
        vdni_plain_load<D>(keys, k, q.qkv, item, first, 3, 1, 1.0f);
        vdni_plain_load<D>(values, k, q.qkv, item, first, 3, 2, 1.0f);
        __syncthreads();
        P p = vdni_plain_scores<D>(queries, keys);
#pragma unroll
        for (int i = 0; i < P::ROWS; i++) {
            float factor;
            soften(p.s[i], x, k.tokens - first, &top[i], &sum[i], &factor);
#pragma unroll
            for (int j = 0; j < P::OUT; j++) out[i][j] *= factor;
        }
        vdni_plain_put<D>(scores, p);
        __syncthreads();
        vdni_plain_add<D>(out, scores, values);
    }
#pragma unroll
    for (int i = 0; i < P::ROWS; i++) {
        const int token = begin + y * P::ROWS + i;
        if (token >= k.tokens) continue;
        if (x == 0) q.lse[item * k.tokens + token] = top[i] + logf(sum[i]);
#pragma unroll
        for (int j = 0; j < P::OUT; j++) {
            if (x + 16 * j < k.d)
                vdni_set_value(q.o, vdni_att_at(k, item, token, 1, 0) + x + 16 * j,
                               out[i][j] / sum[i]);
        }
    }
}

template <int D>
vdn_status run_plain(vdn_ctx *ctx, vdni_device *device, const forward_call &q, int64_t items)
{
    const unsigned tiles = (unsigned)((q.k.tokens + vdni_plain<D>::TILE - 1) / vdni_plain<D>::TILE);
    return vdni_launch(ctx, device, plain_kernel<D>, dim3(tiles, (unsigned)items), VDNI_ATT_THREADS,
                       q);
}

/* ---- tensor cores ---------------------------------------------------------------------------- */

enum { STREAM = 64 };

/* A row's maximum may lag by this many powers of two: outputs are rescaled only when it is passed. */
constexpr float LAG = 10.0f;

/* What a lane knows of its row; both lanes of a row agree on top, each has its own part of sum. */
struct row_state {
    float top, sum;
};

__device__ inline int warp_or(int x)
{
    for (int lanes = VDNI_CUDA_WARP / 2; lanes > 0; lanes /= 2)
        x |= __shfl_xor_sync(0xffffffffu, x, lanes);
    return x;
}

/* Multiply the warp's outputs, row by row, by the lanes' @p factor. */
template <class K>
__device__ inline void rescale(typename K::sum (&out)[K::BLOCKS], float *scratch, float factor)
{
    const int lane = (int)threadIdx.x % VDNI_CUDA_WARP;
    vdni_tile_spill<K>(scratch, out);
    __syncwarp();
    for (int c = lane % 2; c < 16 * K::BLOCKS; c += 2) scratch[lane / 2 * K::LINE + c] *= factor;
    __syncwarp();
#pragma unroll
    for (int i = 0; i < K::BLOCKS; i++)
        nvcuda::wmma::load_matrix_sync(out[i], scratch + i * 16, K::LINE,
                                       nvcuda::wmma::mem_row_major);
}

/* Scores in the warp's scratch to P, as two parts in the same place. @p left: keys of the tile. */
template <class K, class T>
__device__ inline void soften_tile(typename K::sum (&out)[K::BLOCKS], float *scratch,
                                   row_state *row, float scale, int left)
{
    const int half = (int)threadIdx.x % 2;
    float s[K::LANE], most = -INFINITY;
    vdni_tile_get<K>(s, scratch);
#pragma unroll
    for (int j = 0; j < K::LANE; j++) {
        const int column = j / 4 * 8 + half * 4 + j % 4;
        s[j] = column < left ? s[j] * scale : -INFINITY;
        most = fmaxf(most, s[j]);
    }
    most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
    const int grows = most > row->top + LAG;
    __syncwarp(); /* all have read the scores */
    if (warp_or(grows)) {
        const float factor = grows ? exp2f(row->top - most) : 1.0f;
        if (grows) row->top = most;
        row->sum *= factor;
        rescale<K>(out, scratch, factor);
        __syncwarp();
    }
    const float base = row->top == -INFINITY ? 0.0f : row->top; /* a row of NaN */
#pragma unroll
    for (int j = 0; j < K::LANE; j++) {
        s[j] = exp2f(s[j] - base);
        row->sum += s[j];
    }
    vdni_tile_split<K, T>(scratch, s);
    __syncwarp();
}

template <class T, int D> __device__ inline void tile_body(const forward_call &q)
{
    using K = vdni_tiles<T, D, STREAM>;
    static_assert(K::SCORES >= K::LINE, "outputs are spilled to where the scores were");
    alignas(32) __shared__ T tiles[2 * STREAM * K::LINE];
    alignas(32) __shared__ float scratches[VDNI_ATT_WARPS][16 * K::SCORES];
    const vdni_att &k = q.k;
    const T *qkv = static_cast<const T *>(q.qkv.data);
    const int64_t item = blockIdx.y, step = (int64_t)3 * k.heads * k.d;
    const int warp = (int)threadIdx.x / VDNI_CUDA_WARP, lane = (int)threadIdx.x % VDNI_CUDA_WARP;
    const int begin = (int)blockIdx.x * K::OWN, token = begin + warp * 16 + lane / 2;
    float *scratch = scratches[warp];
    row_state row = { -INFINITY, 0 };
    typename K::left queries[K::BLOCKS];
    typename K::sum out[K::BLOCKS];

    vdni_tile_load<T, D>(tiles, K::OWN, k, qkv, vdni_att_at(k, item, 0, 3, 0), step, begin);
    __syncthreads();
    vdni_tile_left<K>(queries, tiles);
    for (int i = 0; i < K::BLOCKS; i++) nvcuda::wmma::fill_fragment(out[i], 0.0f);
    for (int first = 0; first < k.tokens; first += STREAM) {
        T *keys = tiles, *values = tiles + STREAM * K::LINE;
        __syncthreads();
        vdni_tile_load<T, D>(keys, STREAM, k, qkv, vdni_att_at(k, item, 0, 3, 1), step, first);
        vdni_tile_load<T, D>(values, STREAM, k, qkv, vdni_att_at(k, item, 0, 3, 2), step, first);
        __syncthreads();
        vdni_tile_scores<K, T, STREAM>(scratch, queries, keys);
        __syncwarp();
        soften_tile<K, T>(out, scratch, &row, k.scale * 1.44269504f, k.tokens - first);
        vdni_tile_add<K, T, STREAM>(out, scratch, values);
        __syncwarp();
    }
    vdni_tile_spill<K>(scratch, out);
    row.sum += __shfl_xor_sync(0xffffffffu, row.sum, 1);
    __syncwarp();
    vdni_tile_write<K, T, D>(scratch, k, static_cast<T *>(q.o.data), vdni_att_at(k, item, 0, 1, 0),
                             (int64_t)k.heads * k.d, token, 1.0f / row.sum);
    if (lane % 2 == 0 && token < k.tokens)
        q.lse[item * k.tokens + token] = (row.top + log2f(row.sum)) * 0.693147181f;
}

template <class T, int D>
__global__ void __launch_bounds__(VDNI_ATT_THREADS, 3) tile_kernel(forward_call q)
{
    if constexpr (vdni_has_tiles<T>::value) tile_body<T, D>(q);
}

template <class T>
vdn_status run_tiles(vdn_ctx *ctx, vdni_device *device, const forward_call &q, int64_t items)
{
    constexpr int own = 16 * VDNI_ATT_WARPS;
    void (*const kernel)(forward_call) = q.k.d <= 16   ? tile_kernel<T, 16>
                                         : q.k.d <= 32 ? tile_kernel<T, 32>
                                                       : tile_kernel<T, 64>;
    return vdni_launch(ctx, device, kernel,
                       dim3((unsigned)((q.k.tokens + own - 1) / own), (unsigned)items),
                       VDNI_ATT_THREADS, q);
}

vdn_status run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const forward_call q = { vdni_att_of(op->in[0], op->a.heads), vdni_view_of(op->in[0]),
                             vdni_view_of(op->out[0]), vdni_data<float>(op->out[1]) };
    const int64_t items = op->in[0]->n * op->a.heads;
    const int type = q.k.d > 64 ? -1 : vdni_common_type({ op->in[0], op->out[0] }, q.k.d);
    if (type == VDNI_BF16 && device->capability >= 80)
        return run_tiles<__nv_bfloat16>(ctx, device, q, items);
    if (type == VDNI_F16) return run_tiles<__half>(ctx, device, q, items);
    return VDNI_BY_HEAD(q.k.d, run_plain, ctx, device, q, items);
}

} // namespace

const vdni_cuda_entry vdni_cuda_attention[2] = {
    { run, nullptr, nullptr, nullptr },
    { vdni_cuda_attention_backward, vdni_cuda_attention_backward_workspace, nullptr, nullptr },
};

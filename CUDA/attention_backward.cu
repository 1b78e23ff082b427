/* CUDA twin of attention, backward; the contract is Core/Ops/attention.h. Two kernels of one form,
 * each summing in one fixed order:
 *
 *     own      stream           S = A1 B1^T       E = A2 B2^T       result
 *     queries  keys             A1 = q, B1 = k    A2 = g, B2 = v    dq = dS B1
 *     keys     queries          A1 = k, B1 = q    A2 = v, B2 = g    dk = dS B1, dv = P B2
 *
 * with P = exp(S / sqrt(d) - lse) and dS = P (E - D); lse and D belong to the queries: to the rows in
 * the first kernel, to the columns in the second. D = g.o goes to the workspace before. */
#include "CUDA/attention.cuh"

namespace
{

struct backward_call {
    vdni_att k;
    vdni_view g, qkv, o, dqkv;
    const float *lse;
    float *means; /* D, (n, heads, tokens) */
    int64_t items;
};

/* A warp a query and head. */
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) means_kernel(backward_call q)
{
    const vdni_att &k = q.k;
    const int lane = (int)threadIdx.x % VDNI_CUDA_WARP;
    const int64_t warps = VDNI_CUDA_BLOCK / VDNI_CUDA_WARP, count = q.items * k.tokens;
    for (int64_t i = blockIdx.x * warps + threadIdx.x / VDNI_CUDA_WARP; i < count;
         i += gridDim.x * warps) {
        /* heads vary fastest: neighbouring warps read neighbouring memory */
        const int64_t token = i / k.heads % k.tokens, n = i / k.heads / k.tokens;
        const int64_t item = n * k.heads + i % k.heads;
        const int64_t at = vdni_att_at(k, item, (int)token, 1, 0);
        double sum = 0;
        for (int c = lane; c < k.d; c += VDNI_CUDA_WARP)
            sum += (double)vdni_value(q.g, at + c) * (double)vdni_value(q.o, at + c);
        sum = vdni_warp_sum(sum);
        if (lane == 0) q.means[item * k.tokens + token] = (float)sum;
    }
}

/* ---- plain ----------------------------------------------------------------------------------- */

/* P and dS of one score. */
__device__ inline void differentiate(const backward_call &q, int64_t item, int query, float s,
                                     float e, float *p, float *ds)
{
    const int64_t at = item * q.k.tokens + query;
    *p = expf(s - q.lse[at]);
    *ds = *p * (e - q.means[at]);
}

template <int D>
__device__ inline void put_rows(const backward_call &q, int64_t item, int begin, int part,
                                const float (&out)[vdni_plain<D>::ROWS][vdni_plain<D>::OUT],
                                float factor)
{
    using P = vdni_plain<D>;
    const int y = (int)threadIdx.x / 16, x = (int)threadIdx.x % 16;
#pragma unroll
    for (int i = 0; i < P::ROWS; i++) {
        const int token = begin + y * P::ROWS + i;
        if (token >= q.k.tokens) continue;
#pragma unroll
        for (int j = 0; j < P::OUT; j++) {
            if (x + 16 * j < q.k.d)
                vdni_set_value(q.dqkv, vdni_att_at(q.k, item, token, 3, part) + x + 16 * j,
                               factor * out[i][j]);
        }
    }
}

template <int D, bool OWNS_KEYS>
__global__ void __launch_bounds__(VDNI_ATT_THREADS) plain_kernel(backward_call q)
{
    using P = vdni_plain<D>;
    alignas(16) __shared__ float a1[P::TILE * P::LINE], a2[P::TILE * P::LINE];
    alignas(16) __shared__ float b1[P::TILE * P::LINE], b2[P::TILE * P::LINE];
    __shared__ float ps[P::TILE * P::SCORES], dss[P::TILE * P::SCORES];
    const vdni_att &k = q.k;
    const int y = (int)threadIdx.x / 16, x = (int)threadIdx.x % 16;
    const int begin = (int)blockIdx.x * P::TILE;
    const int64_t item = blockIdx.y;
    const vdni_view own2 = OWNS_KEYS ? q.qkv : q.g, stream2 = OWNS_KEYS ? q.g : q.qkv;
    const int own_parts = OWNS_KEYS ? 3 : 1, own_part = OWNS_KEYS ? 2 : 0;
    float out1[P::ROWS][P::OUT] = {}, out2[P::ROWS][P::OUT] = {};

    vdni_plain_load<D>(a1, k, q.qkv, item, begin, 3, OWNS_KEYS, OWNS_KEYS ? 1.0f : k.scale);
    vdni_plain_load<D>(a2, k, own2, item, begin, own_parts, own_part, 1.0f);
    for (int first = 0; first < k.tokens; first += P::TILE) {
        __syncthreads();
        vdni_plain_load<D>(b1, k, q.qkv, item, first, 3, !OWNS_KEYS, OWNS_KEYS ? k.scale : 1.0f);
        vdni_plain_load<D>(b2, k, stream2, item, first, 4 - own_parts, 2 - own_part, 1.0f);
        __syncthreads();
        P s = vdni_plain_scores<D>(a1, b1), e = vdni_plain_scores<D>(a2, b2);
#pragma unroll
        for (int i = 0; i < P::ROWS; i++)
#pragma unroll
            for (int j = 0; j < P::COLUMNS; j++) {
                const int own = begin + y * P::ROWS + i, stream = first + x + 16 * j;
                float p = 0, ds = 0;
                if (own < k.tokens && stream < k.tokens)
                    differentiate(q, item, OWNS_KEYS ? stream : own, s.s[i][j], e.s[i][j], &p, &ds);
                s.s[i][j] = p;
                e.s[i][j] = ds;
            }
        vdni_plain_put<D>(dss, e);
        if (OWNS_KEYS) vdni_plain_put<D>(ps, s);
        __syncthreads();
        vdni_plain_add<D>(out1, dss, b1);
        if (OWNS_KEYS) vdni_plain_add<D>(out2, ps, b2);
    }
    put_rows<D>(q, item, begin, OWNS_KEYS, out1, OWNS_KEYS ? 1.0f : k.scale);
    if (OWNS_KEYS) put_rows<D>(q, item, begin, 2, out2, 1.0f);
}

template <int D> vdn_status run_plain(vdn_ctx *ctx, vdni_device *device, const backward_call &q)
{
    constexpr int tile = vdni_plain<D>::TILE;
    const dim3 grid((unsigned)((q.k.tokens + tile - 1) / tile), (unsigned)q.items);
    VDN_CHECK(vdni_launch(ctx, device, plain_kernel<D, false>, grid, VDNI_ATT_THREADS, q));
    return vdni_launch(ctx, device, plain_kernel<D, true>, grid, VDNI_ATT_THREADS, q);
}

/* ---- tensor cores ---------------------------------------------------------------------------- */

enum { STREAM = 32 };

/* Scores and E in the warp's scratch to P and dS, as two parts each in the same places. @p lse,
 * @p means: of the tile's columns (OWNS_KEYS) or of the lane's row; @p left: columns that exist. */
template <class K, class T, bool OWNS_KEYS>
__device__ inline void differentiate_tile(float *scores, float *gains, float scale, int left,
                                          const float *lse, const float *means)
{
    constexpr float per_ln_2 = 1.44269504f;
    const int half = (int)threadIdx.x % 2;
    float p[K::LANE], ds[K::LANE];
    vdni_tile_get<K>(p, scores);
    vdni_tile_get<K>(ds, gains);
    __syncwarp();
#pragma unroll
    for (int j = 0; j < K::LANE; j++) {
        const int column = j / 4 * 8 + half * 4 + j % 4, at = OWNS_KEYS ? column : 0;
        p[j] = column < left ? exp2f((p[j] * scale - lse[at]) * per_ln_2) : 0.0f;
        ds[j] = column < left ? p[j] * (ds[j] - means[at]) : 0.0f;
    }
    if (OWNS_KEYS) vdni_tile_split<K, T>(scores, p);
    vdni_tile_split<K, T>(gains, ds);
    __syncwarp();
}

/* The rows of this warp of one part of a tensor, through shared memory. */
template <class K, class T, int D>
__device__ inline void load_own(typename K::left (&a)[K::BLOCKS], T *tile, const vdni_att &k,
                                const T *t, int64_t at, int64_t step)
{
    __syncthreads();
    vdni_tile_load<T, D>(tile, K::OWN, k, t, at, step, (int)blockIdx.x * K::OWN);
    __syncthreads();
    vdni_tile_left<K>(a, tile);
}

template <class K, class T, int D>
__device__ inline void put_own(float *scratch, const typename K::sum (&out)[K::BLOCKS],
                               const backward_call &q, int part, float factor)
{
    const int warp = (int)threadIdx.x / VDNI_CUDA_WARP, lane = (int)threadIdx.x % VDNI_CUDA_WARP;
    const int token = (int)blockIdx.x * K::OWN + warp * 16 + lane / 2;
    vdni_tile_spill<K>(scratch, out);
    __syncwarp();
    vdni_tile_write<K, T, D>(scratch, q.k, static_cast<T *>(q.dqkv.data),
                             vdni_att_at(q.k, blockIdx.y, 0, 3, part),
                             (int64_t)3 * q.k.heads * q.k.d, token, factor);
    __syncwarp();
}

template <class T, int D, bool OWNS_KEYS> __device__ inline void tile_body(const backward_call &q)
{
    using K = vdni_tiles<T, D, STREAM>;
    constexpr int per_warp = 16 * (2 * K::SCORES > K::LINE ? 2 * K::SCORES : K::LINE);
    alignas(32) __shared__ T tiles[2 * STREAM * K::LINE];
    alignas(32) __shared__ float scratches[VDNI_ATT_WARPS][per_warp];
    __shared__ float columns[2][STREAM]; /* lse and D of the streaming queries */
    const vdni_att &k = q.k;
    const T *qkv = static_cast<const T *>(q.qkv.data), *g = static_cast<const T *>(q.g.data);
    const int64_t item = blockIdx.y, one = (int64_t)k.heads * k.d, three = 3 * one;
    const int64_t at_q = vdni_att_at(k, item, 0, 3, 0), at_k = at_q + one, at_v = at_k + one;
    const int64_t at_g = vdni_att_at(k, item, 0, 1, 0), head = item * k.tokens;
    const int thread = (int)threadIdx.x, warp = thread / VDNI_CUDA_WARP;
    const int own = (int)blockIdx.x * K::OWN + warp * 16 + thread % VDNI_CUDA_WARP / 2;
    float *scores = scratches[warp], *gains = scores + 16 * K::SCORES;
    T *b1 = tiles, *b2 = tiles + STREAM * K::LINE;
    float lse = 0, mean = 0;
    typename K::left a1[K::BLOCKS], a2[K::BLOCKS];
    typename K::sum out1[K::BLOCKS], out2[K::BLOCKS];

    if (!OWNS_KEYS && own < k.tokens) lse = q.lse[head + own], mean = q.means[head + own];
    load_own<K, T, D>(a1, tiles, k, qkv, OWNS_KEYS ? at_k : at_q, three);
    load_own<K, T, D>(a2, tiles, k, OWNS_KEYS ? qkv : g, OWNS_KEYS ? at_v : at_g,
                      OWNS_KEYS ? three : one);
    for (int i = 0; i < K::BLOCKS; i++) {
        nvcuda::wmma::fill_fragment(out1[i], 0.0f);
        if (OWNS_KEYS) nvcuda::wmma::fill_fragment(out2[i], 0.0f);
    }
    for (int first = 0; first < k.tokens; first += STREAM) {
        __syncthreads();
        vdni_tile_load<T, D>(b1, STREAM, k, qkv, OWNS_KEYS ? at_q : at_k, three, first);
        vdni_tile_load<T, D>(b2, STREAM, k, OWNS_KEYS ? g : qkv, OWNS_KEYS ? at_g : at_v,
                             OWNS_KEYS ? one : three, first);
        if (OWNS_KEYS && thread < STREAM && first + thread < k.tokens) {
            columns[0][thread] = q.lse[head + first + thread];
            columns[1][thread] = q.means[head + first + thread];
        }
        __syncthreads();
        vdni_tile_scores<K, T, STREAM>(scores, a1, b1);
        vdni_tile_scores<K, T, STREAM>(gains, a2, b2);
        __syncwarp();
        differentiate_tile<K, T, OWNS_KEYS>(scores, gains, k.scale, k.tokens - first,
                                            OWNS_KEYS ? columns[0] : &lse,
                                            OWNS_KEYS ? columns[1] : &mean);
        vdni_tile_add<K, T, STREAM>(out1, gains, b1);
        if (OWNS_KEYS) vdni_tile_add<K, T, STREAM>(out2, scores, b2);
        __syncwarp();
    }
    put_own<K, T, D>(scores, out1, q, OWNS_KEYS ? 1 : 0, k.scale);
    if (OWNS_KEYS) put_own<K, T, D>(scores, out2, q, 2, 1.0f);
}

template <int D, bool OWNS_KEYS>
__global__ void __launch_bounds__(VDNI_ATT_THREADS, 3) tile_kernel(backward_call q)
{
    if constexpr (vdni_has_tiles<__nv_bfloat16>::value) tile_body<__nv_bfloat16, D, OWNS_KEYS>(q);
}

template <int D> vdn_status run_tiles(vdn_ctx *ctx, vdni_device *device, const backward_call &q)
{
    constexpr int own = 16 * VDNI_ATT_WARPS;
    const dim3 grid((unsigned)((q.k.tokens + own - 1) / own), (unsigned)q.items);
    VDN_CHECK(vdni_launch(ctx, device, tile_kernel<D, false>, grid, VDNI_ATT_THREADS, q));
    return vdni_launch(ctx, device, tile_kernel<D, true>, grid, VDNI_ATT_THREADS, q);
}

} // namespace

int64_t vdni_cuda_attention_backward_workspace(const vdni_device *, const vdni_op *op)
{
    return vdni_tensor_bytes(op->in[3]);
}

/* f16 takes the plain way: the two parts of a small dS would lie below its range. */
vdn_status vdni_cuda_attention_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                        void *workspace)
{
    const backward_call q = { vdni_att_of(op->in[1], op->a.heads),
                              vdni_view_of(op->in[0]),
                              vdni_view_of(op->in[1]),
                              vdni_view_of(op->in[2]),
                              vdni_view_of(op->out[0]),
                              vdni_data<float>(op->in[3]),
                              static_cast<float *>(workspace),
                              op->in[1]->n * op->a.heads };
    VDN_CHECK(vdni_launch(ctx, device, means_kernel,
                          vdni_blocks_for(device, q.items * q.k.tokens * VDNI_CUDA_WARP),
                          VDNI_CUDA_BLOCK, q));
    if (q.k.d <= 64 && device->capability >= 80 &&
        vdni_common_type({ op->in[0], op->in[1], op->out[0] }, q.k.d) == VDNI_BF16)
        return q.k.d <= 16   ? run_tiles<16>(ctx, device, q)
               : q.k.d <= 32 ? run_tiles<32>(ctx, device, q)
                             : run_tiles<64>(ctx, device, q);
    return VDNI_BY_HEAD(q.k.d, run_plain, ctx, device, q);
}

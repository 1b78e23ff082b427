/* CUDA twin of window attention; the contract is Ops/window_attention.h. A thread takes one token of one
 * head: windows are small, what a thread reads twice is in the cache, and nothing crosses threads but the
 * sums of the table's gradient. */
#include "CUDA/elements.cuh"
#include "CUDA/reduce.cuh"

extern "C" {
#include "Ops/window_attention.h"
}

#include <math.h>

namespace
{

struct plan {
    vdni_view qkv, o, g, dqkv;
    const float *table;
    float *lse, *dtable;
    int64_t n, h, w, c, d, heads; /* c of o */
    int64_t shift_h, shift_w;
    int32_t k;
    float scale;
};

/* A token by its place in the rolled image. */
struct token {
    int64_t n, y, x;
};

__device__ inline int64_t pixel_of(const plan &p, const token &t)
{
    int64_t y = t.y + p.shift_h, x = t.x + p.shift_w;
    if (y >= p.h) y -= p.h;
    if (x >= p.w) x -= p.w;
    return (t.n * p.h + y) * p.w + x;
}

__device__ inline bool see_each_other(const plan &p, const token &a, const token &b)
{
    return (a.y >= p.h - p.shift_h) == (b.y >= p.h - p.shift_h) &&
           (a.x >= p.w - p.shift_w) == (b.x >= p.w - p.shift_w);
}

/* Token @p j of the window that @p t lies in. */
__device__ inline token neighbour(const plan &p, const token &t, int j)
{ return { t.n, t.y - t.y % p.k + j / p.k, t.x - t.x % p.k + j % p.k }; }

__device__ inline float dot(const plan &p, const vdni_view &a, int64_t at, const vdni_view &b,
                            int64_t bt)
{
    float sum = 0.0f;
    for (int64_t c = 0; c < p.d; c++) sum += vdni_value(a, at + c) * vdni_value(b, bt + c);
    return sum;
}

/* Where part @p part of qkv of a pixel begins for a head. */
__device__ inline int64_t qkv_at(const plan &p, int64_t pixel, int part, int64_t head)
{ return (pixel * 3 + part) * p.c + head * p.d; }

__device__ inline float score(const plan &p, const token &i, const token &j, int64_t head)
{
    const int64_t side = 2 * p.k - 1;
    const int64_t t = (i.y - j.y + p.k - 1) * side + i.x - j.x + p.k - 1;
    return p.scale * dot(p, p.qkv, qkv_at(p, pixel_of(p, i), 0, head), p.qkv,
                         qkv_at(p, pixel_of(p, j), 1, head)) +
           p.table[t * p.heads + head];
}

__device__ inline token token_of(const plan &p, int64_t number)
{
    const vdni_pixel at = vdni_pixel_of(number, p.h, p.w);
    return { at.n, at.i, at.j };
}

__device__ inline void forward(const plan &p, const token &i, int64_t head)
{
    const int tokens = p.k * p.k;
    const int64_t pixel = pixel_of(p, i);
    float s[VDNI_MAX_WINDOW_TOKENS], top = -INFINITY, sum = 0.0f;
    for (int j = 0; j < tokens; j++) {
        const token other = neighbour(p, i, j);
        s[j] = see_each_other(p, i, other) ? score(p, i, other, head) : -INFINITY;
        top = s[j] > top ? s[j] : top;
    }
    for (int j = 0; j < tokens; j++) sum += s[j] = expf(s[j] - top);
    for (int64_t c = 0; c < p.d; c++) {
        float y = 0.0f;
        for (int j = 0; j < tokens; j++)
            y += s[j] * vdni_value(p.qkv, qkv_at(p, pixel_of(p, neighbour(p, i, j)), 2, head) + c);
        vdni_set_value(p.o, pixel * p.c + head * p.d + c, y / sum);
    }
    p.lse[pixel * p.heads + head] = top + logf(sum);
}

/* P[i,j] and dS[i,j]; both 0 where they do not see each other. */
struct pair {
    float weight, ds;
};

__device__ inline pair pair_of(const plan &p, const token &i, const token &j, int64_t head)
{
    if (!see_each_other(p, i, j)) return { 0.0f, 0.0f };
    const int64_t pixel = pixel_of(p, i), at = pixel * p.c + head * p.d;
    const float weight = expf(score(p, i, j, head) - p.lse[pixel * p.heads + head]);
    const float dp = dot(p, p.g, at, p.qkv, qkv_at(p, pixel_of(p, j), 2, head));
    return { weight, weight * (dp - dot(p, p.g, at, p.o, at)) };
}

__device__ inline void backward_query(const plan &p, const token &i, int64_t head)
{
    const int tokens = p.k * p.k;
    float ds[VDNI_MAX_WINDOW_TOKENS];
    for (int j = 0; j < tokens; j++) ds[j] = pair_of(p, i, neighbour(p, i, j), head).ds;
    for (int64_t c = 0; c < p.d; c++) {
        float sum = 0.0f;
        for (int j = 0; j < tokens; j++)
            sum +=
                ds[j] * vdni_value(p.qkv, qkv_at(p, pixel_of(p, neighbour(p, i, j)), 1, head) + c);
        vdni_set_value(p.dqkv, qkv_at(p, pixel_of(p, i), 0, head) + c, p.scale * sum);
    }
}

__device__ inline void backward_key(const plan &p, const token &j, int64_t head)
{
    const int tokens = p.k * p.k;
    const int64_t pixel = pixel_of(p, j);
    pair pairs[VDNI_MAX_WINDOW_TOKENS];
    for (int i = 0; i < tokens; i++) pairs[i] = pair_of(p, neighbour(p, j, i), j, head);
    for (int64_t c = 0; c < p.d; c++) {
        float dk = 0.0f, dv = 0.0f;
        for (int i = 0; i < tokens; i++) {
            const int64_t from = pixel_of(p, neighbour(p, j, i));
            dk += pairs[i].ds * vdni_value(p.qkv, qkv_at(p, from, 0, head) + c);
            dv += pairs[i].weight * vdni_value(p.g, from * p.c + head * p.d + c);
        }
        vdni_set_value(p.dqkv, qkv_at(p, pixel, 1, head) + c, p.scale * dk);
        vdni_set_value(p.dqkv, qkv_at(p, pixel, 2, head) + c, dv);
    }
}

template <bool BACKWARD> __global__ void __launch_bounds__(VDNI_CUDA_BLOCK) token_kernel(plan p)
{
    for (VDNI_GRID_STRIDE(at, p.n * p.h * p.w * p.heads)) {
        const int64_t number = vdni_quotient(at, p.heads), head = at - number * p.heads;
        const token t = token_of(p, number);
        if (!BACKWARD) {
            forward(p, t, head);
            continue;
        }
        backward_query(p, t, head);
        backward_key(p, t, head);
    }
}

/* Block blockIdx.x sums one entry of the table: all pairs that lie (dy, dx) apart. */
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) table_kernel(plan p)
{
    __shared__ double scratch[VDNI_CUDA_WARP];
    const int side = 2 * p.k - 1;
    const int64_t head = blockIdx.x % p.heads;
    const int t = (int)(blockIdx.x / p.heads), dy = t / side - p.k + 1, dx = t % side - p.k + 1;
    const int tall = p.k - (dy < 0 ? -dy : dy), broad = p.k - (dx < 0 ? -dx : dx);
    const int64_t across = p.w / p.k, down = p.h / p.k, each = (int64_t)tall * broad;
    double sum = 0.0;
    for (int64_t e = threadIdx.x; e < p.n * down * across * each; e += blockDim.x) {
        const int64_t window = vdni_quotient(e, each), place = e - window * each;
        const vdni_pixel at = vdni_pixel_of(window, down, across);
        const token i = { at.n, at.i * p.k + place / broad + (dy > 0 ? dy : 0),
                          at.j * p.k + place % broad + (dx > 0 ? dx : 0) };
        sum += (double)pair_of(p, i, { i.n, i.y - dy, i.x - dx }, head).ds;
    }
    sum = vdni_block_sum(sum, scratch);
    if (threadIdx.x == 0) p.dtable[t * p.heads + head] += (float)sum;
}

plan plan_of(const vdni_op *op, const vdni_tensor *qkv, const vdni_tensor *table)
{
    plan p = {};
    p.qkv = vdni_view_of(qkv);
    p.table = vdni_data<float>(table);
    p.n = qkv->n;
    p.h = qkv->h;
    p.w = qkv->w;
    p.c = qkv->c / 3;
    p.heads = op->a.heads;
    p.d = p.c / p.heads;
    p.k = op->a.kernel;
    p.shift_h = vdni_window_shift(&op->a, p.h);
    p.shift_w = vdni_window_shift(&op->a, p.w);
    p.scale = 1.0f / sqrtf((float)p.d);
    return p;
}

template <bool BACKWARD> vdn_status run_tokens(vdn_ctx *ctx, vdni_device *device, const plan &p)
{
    return vdni_launch(ctx, device, token_kernel<BACKWARD>,
                       vdni_blocks_for(device, p.n * p.h * p.w * p.heads), dim3(VDNI_CUDA_BLOCK),
                       p);
}

vdn_status run_forward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    plan p = plan_of(op, op->in[0], op->in[1]);
    p.o = vdni_view_of(op->out[0]);
    p.lse = vdni_data<float>(op->out[1]);
    return run_tokens<false>(ctx, device, p);
}

vdn_status run_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    plan p = plan_of(op, op->in[1], op->in[2]);
    p.g = vdni_view_of(op->in[0]);
    p.o = vdni_view_of(op->in[3]);
    p.lse = vdni_data<float>(op->in[4]);
    p.dqkv = vdni_view_of(op->out[0]);
    p.dtable = vdni_data<float>(op->out[1]);
    VDN_CHECK(run_tokens<true>(ctx, device, p));
    const int64_t entries = vdni_tensor_count(op->out[1]);
    return vdni_launch(ctx, device, table_kernel, dim3((unsigned)entries), dim3(VDNI_CUDA_BLOCK),
                       p);
}

} // namespace

const vdni_cuda_entry vdni_cuda_window_attention[2] = {
    { run_forward, nullptr, nullptr, nullptr },
    { run_backward, nullptr, nullptr, nullptr },
};

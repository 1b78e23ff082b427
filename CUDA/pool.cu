/* CUDA twin of the pooling operators; the contract is Ops/pool.h. */
#include "CUDA/channel_sums.cuh"
#include "CUDA/reduce.cuh"

extern "C" {
#include "Ops/pool.h"
}

#include <math.h>

namespace {

/* ---- max pool -------------------------------------------------------------------------------- */

struct max_pool {
    vdni_view x, y;
    uint8_t *argmax;
    int64_t h, w, c; /* of x */

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        const vdni_place place = vdni_place_of(at, c);
        const vdni_pixel p = vdni_pixel_of(place.pixel, h / 2, w / 2);
        const int64_t corner = ((p.n * h + 2 * p.i) * w + 2 * p.j) * c + place.channel;
        float best[V], next[V];
        vdni_pack<uint8_t, V> index = {};
        vdni_load<T, V>(best, x, corner);
#pragma unroll
        for (int k = 1; k < 4; k++) {
            vdni_load<T, V>(next, x, corner + (k / 2 * w + k % 2) * c);
#pragma unroll
            for (int i = 0; i < V; i++) {
                const bool take = next[i] > best[i] || next[i] != next[i];
                best[i] = take ? next[i] : best[i];
                index.x[i] = take ? (uint8_t)k : index.x[i];
            }
        }
        vdni_store<T, V>(y, at, best);
        if (argmax) vdni_put<uint8_t, V>(argmax, at, index);
    }
};

struct max_pool_backward {
    vdni_view g, addend, dx;
    const uint8_t *argmax;
    int64_t h, w, c; /* of dx */

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        const vdni_place place = vdni_place_of(at, c);
        const vdni_pixel p = vdni_pixel_of(place.pixel, h, w);
        float row[V] = {};
        if (p.i / 2 < h / 2 && p.j / 2 < w / 2) {
            const int here = (int)(2 * (p.i % 2) + p.j % 2);
            const int64_t from =
                ((p.n * (h / 2) + p.i / 2) * (w / 2) + p.j / 2) * c + place.channel;
            const vdni_pack<uint8_t, V> index = vdni_get<uint8_t, V>(argmax, from);
            vdni_load<T, V>(row, g, from);
#pragma unroll
            for (int k = 0; k < V; k++) row[k] = index.x[k] == here ? row[k] : 0.0f;
        }
        vdni_add<T, V>(row, addend, at);
        vdni_store<T, V>(dx, at, row);
    }
};

/* 3 x 3 windows with stride 2 and pad 1. */
struct max_pool3 {
    vdni_view x, y;
    uint8_t *argmax;
    int64_t h, w, c, out_h, out_w;

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        const vdni_place place = vdni_place_of(at, c);
        const vdni_pixel p = vdni_pixel_of(place.pixel, out_h, out_w);
        float best[V], next[V];
        vdni_pack<uint8_t, V> index;
#pragma unroll
        for (int i = 0; i < V; i++) {
            best[i] = -INFINITY;
            index.x[i] = 4; /* the middle is always there */
        }
        for (int k = 0; k < 9; k++) {
            const int64_t row = 2 * p.i + k / 3 - 1, column = 2 * p.j + k % 3 - 1;
            if (row < 0 || row >= h || column < 0 || column >= w) continue;
            vdni_load<T, V>(next, x, ((p.n * h + row) * w + column) * c + place.channel);
#pragma unroll
            for (int i = 0; i < V; i++) {
                const bool take = next[i] > best[i] || next[i] != next[i];
                best[i] = take ? next[i] : best[i];
                index.x[i] = take ? (uint8_t)k : index.x[i];
            }
        }
        vdni_store<T, V>(y, at, best);
        if (argmax) vdni_put<uint8_t, V>(argmax, at, index);
    }
};

/* A pixel lies in the windows i/2 and (i+1)/2 of each axis, once if they are one. */
struct max_pool3_backward {
    vdni_view g, addend, dx;
    const uint8_t *argmax;
    int64_t h, w, c, out_h, out_w;

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        const vdni_place place = vdni_place_of(at, c);
        const vdni_pixel p = vdni_pixel_of(place.pixel, h, w);
        float sum[V] = {}, row[V];
        for (int64_t i = p.i / 2; i <= (p.i + 1) / 2 && i < out_h; i++)
            for (int64_t j = p.j / 2; j <= (p.j + 1) / 2 && j < out_w; j++) {
                const int tap = (int)(3 * (p.i - 2 * i + 1) + p.j - 2 * j + 1);
                const int64_t from = ((p.n * out_h + i) * out_w + j) * c + place.channel;
                const vdni_pack<uint8_t, V> index = vdni_get<uint8_t, V>(argmax, from);
                vdni_load<T, V>(row, g, from);
#pragma unroll
                for (int k = 0; k < V; k++) sum[k] += index.x[k] == tap ? row[k] : 0.0f;
            }
        vdni_add<T, V>(sum, addend, at);
        vdni_store<T, V>(dx, at, sum);
    }
};

vdn_status run_max3(vdn_ctx *ctx, vdni_device *device, const vdni_op *op)
{
    const vdni_tensor *x = op->in[0], *y = op->out[0], *argmax = op->out[1];
    const max_pool3 body = { vdni_view_of(x), vdni_view_of(y), vdni_data<uint8_t>(argmax), x->h,
                             x->w,            x->c,            y->h,                       y->w };
    return vdni_each(ctx, device, vdni_form_of(x->c, VDNI_WIDE, { x, y }, { argmax }), body,
                     vdni_tensor_count(y));
}

vdn_status run_max3_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op)
{
    const vdni_tensor *g = op->in[0], *argmax = op->in[1], *addend = op->in[2], *dx = op->out[0];
    const max_pool3_backward body = { vdni_view_of(g),
                                      vdni_view_of(addend),
                                      vdni_view_of(dx),
                                      vdni_data<uint8_t>(argmax),
                                      dx->h,
                                      dx->w,
                                      dx->c,
                                      g->h,
                                      g->w };
    const vdni_form form = vdni_form_of(dx->c, VDNI_WIDE, { g, addend, dx }, { argmax });
    return vdni_each(ctx, device, form, body, vdni_tensor_count(dx));
}

vdn_status run_max(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    if (op->a.kernel == 3) return run_max3(ctx, device, op);
    const vdni_tensor *x = op->in[0], *y = op->out[0], *argmax = op->out[1];
    const max_pool body = {
        vdni_view_of(x), vdni_view_of(y), vdni_data<uint8_t>(argmax), x->h, x->w, x->c
    };
    return vdni_each(ctx, device, vdni_form_of(x->c, VDNI_WIDE, { x, y }, { argmax }), body,
                     vdni_tensor_count(y));
}

vdn_status run_max_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    if (op->a.kernel == 3) return run_max3_backward(ctx, device, op);
    const vdni_tensor *g = op->in[0], *argmax = op->in[1], *addend = op->in[2], *dx = op->out[0];
    const max_pool_backward body = { vdni_view_of(g),
                                     vdni_view_of(addend),
                                     vdni_view_of(dx),
                                     vdni_data<uint8_t>(argmax),
                                     dx->h,
                                     dx->w,
                                     dx->c };
    const vdni_form form = vdni_form_of(dx->c, VDNI_WIDE, { g, addend, dx }, { argmax });
    return vdni_each(ctx, device, form, body, vdni_tensor_count(dx));
}

/* ---- average pool ---------------------------------------------------------------------------- */

struct average {
    vdni_view x, y;
    int64_t h, w, c, out_h, out_w, outputs;
    int32_t kernel, stride, pad;
    int32_t team; /* threads to an output */
    float gain;
    bool steps;
};

/* Sum of the window of output pixel p, every team-th element from @p lane. */
__device__ inline double window_sum(const average &k, const vdni_pixel &p, int64_t channel,
                                    int lane)
{
    const int64_t top = p.i * k.stride - k.pad, left = p.j * k.stride - k.pad;
    double sum = 0.0;
    for (int32_t e = lane; e < k.kernel * k.kernel; e += k.team) {
        const int64_t i = top + e / k.kernel, j = left + e % k.kernel;
        if (i < 0 || i >= k.h || j < 0 || j >= k.w) continue;
        sum += (double)vdni_value(k.x, ((p.n * k.h + i) * k.w + j) * k.c + channel);
    }
    return sum;
}

__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) average_kernel(average k)
{
    const int lane = (int)threadIdx.x % k.team, mine = (int)threadIdx.x / k.team;
    const int64_t each = VDNI_CUDA_BLOCK / k.team;
    /* The same turns for every thread of a block: the sums need whole warps. */
    for (int64_t first = blockIdx.x * each; first < k.outputs; first += gridDim.x * each) {
        const int64_t at = first + mine;
        double sum = 0.0;
        if (at < k.outputs) {
            const vdni_place place = vdni_place_of(at, k.c);
            sum = window_sum(k, vdni_pixel_of(place.pixel, k.out_h, k.out_w), place.channel, lane);
        }
        if (k.team > 1) sum = vdni_warp_sum(sum);
        if (at >= k.outputs || lane != 0) continue;
        const double mean = sum / ((double)k.kernel * k.kernel);
        double value = k.gain > 0.0f ? (double)k.gain * mean : mean;
        if (k.steps && value == value) value = value >= 1.0 ? 1.0 : 0.0;
        const bool is_full = k.gain > 0.0f && value > 1.0; /* written so that NaN stays NaN */
        vdni_set_value(k.y, at, is_full ? 1.0f : (float)value);
    }
}

vdn_status run_average(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *x = op->in[0], *y = op->out[0];
    const vdni_attr &a = op->a;
    const int32_t team = a.kernel * a.kernel >= VDNI_CUDA_WARP ? VDNI_CUDA_WARP : 1;
    const average k = { vdni_view_of(x),      vdni_view_of(y), x->h,     x->w,  x->c, y->h,   y->w,
                        vdni_tensor_count(y), a.kernel,        a.stride, a.pad, team, a.scale,
                        a.mode == VDNI_POOL_STEP };
    return vdni_launch(ctx, device, average_kernel, vdni_blocks_for(device, k.outputs * team),
                       dim3(VDNI_CUDA_BLOCK), k);
}

/* ---- global pool ----------------------------------------------------------------------------- */

struct global_pool {
    enum { KINDS = 1 };
    vdni_view x;
    float *y;
    int64_t pixels, c;

    template <class T, int V>
    __device__ void add(float (*sums)[V], int64_t, int64_t pixel, int64_t channel) const
    {
        vdni_add<T, V>(sums[0], x, pixel * c + channel);
    }

    __device__ void finish(const double *total, int64_t n, int64_t channel) const
    {
        y[n * c + channel] = (float)(total[0] / (double)pixels);
    }
};

struct global_pool_backward {
    const float *g;
    vdni_view addend, dx;
    int64_t pixels, c;

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        const vdni_place place = vdni_place_of(at, c);
        float row[V];
        vdni_load_row<V>(row, g + vdni_quotient(place.pixel, pixels) * c, place.channel);
#pragma unroll
        for (int k = 0; k < V; k++) row[k] /= (float)pixels;
        vdni_add<T, V>(row, addend, at);
        vdni_store<T, V>(dx, at, row);
    }
};

vdni_sums global_sums(const vdni_op *op, void *workspace)
{
    const vdni_tensor *x = op->in[0];
    return vdni_sums_of(x->n, x->h * x->w, x->c, workspace);
}

int64_t global_bytes(const vdni_device *, const vdni_op *op)
{
    return vdni_sums_bytes(global_sums(op, nullptr), global_pool::KINDS);
}

vdn_status run_global(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const vdni_tensor *x = op->in[0];
    const global_pool body = { vdni_view_of(x), vdni_data<float>(op->out[0]), x->h * x->w, x->c };
    return vdni_sum_channels(ctx, device, vdni_form_of(x->c, VDNI_SUM_WIDE, { x }), body,
                             global_sums(op, workspace));
}

vdn_status run_global_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *g = op->in[0], *addend = op->in[1], *dx = op->out[0];
    const global_pool_backward body = { vdni_data<float>(g), vdni_view_of(addend), vdni_view_of(dx),
                                        dx->h * dx->w, dx->c };
    return vdni_each(ctx, device, vdni_form_of(dx->c, VDNI_WIDE, { addend, dx }, { g }), body,
                     vdni_tensor_count(dx));
}

/* ---- channel statistics ---------------------------------------------------------------------- */

struct channel_stats {
    vdni_view x, y;
    uint16_t *argmax;
    int64_t pixels, c;
    int32_t team; /* threads to a pixel */
};

/* Part of a pixel: the lowest channel that reaches the maximum; NaN is above everything. */
struct part_stats {
    float sum, max;
    int32_t argmax;
};

__device__ inline bool is_above(float a, float b) { return a > b || (a != a && b == b); }

/* The better of two parts, @p other being of another thread. */
__device__ inline void join(part_stats *s, const part_stats &other)
{
    const bool both_nan = s->max != s->max && other.max != other.max;
    const bool tie = s->max == other.max || both_nan;
    const bool take = tie ? other.argmax < s->argmax : is_above(other.max, s->max);
    s->sum += other.sum;
    s->max = take ? other.max : s->max;
    s->argmax = take ? other.argmax : s->argmax;
}

template <class T, int V>
__device__ inline part_stats stats_of(const channel_stats &k, int64_t pixel, int lane)
{
    /* A thread without channels loses against every other. */
    part_stats s = { 0.0f, -INFINITY, INT32_MAX };
    for (int64_t c = (int64_t)lane * V; c < k.c; c += (int64_t)k.team * V) {
        float x[V];
        vdni_load<T, V>(x, k.x, pixel * k.c + c);
#pragma unroll
        for (int i = 0; i < V; i++) {
            const bool take = s.argmax == INT32_MAX || is_above(x[i], s.max);
            s.sum += x[i];
            s.max = take ? x[i] : s.max;
            s.argmax = take ? (int32_t)c + i : s.argmax;
        }
    }
    return s;
}

template <class T, int V>
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) channel_stats_kernel(channel_stats k)
{
    const int lane = (int)threadIdx.x % k.team, mine = (int)threadIdx.x / k.team;
    const int64_t each = VDNI_CUDA_BLOCK / k.team;
    for (int64_t first = blockIdx.x * each; first < k.pixels; first += gridDim.x * each) {
        const int64_t pixel = first + mine;
        part_stats s = { 0.0f, -INFINITY, INT32_MAX };
        if (pixel < k.pixels) s = stats_of<T, V>(k, pixel, lane);
        for (int lanes = k.team / 2; lanes > 0; lanes /= 2) {
            const part_stats other = { __shfl_xor_sync(0xffffffffu, s.sum, lanes),
                                       __shfl_xor_sync(0xffffffffu, s.max, lanes),
                                       __shfl_xor_sync(0xffffffffu, s.argmax, lanes) };
            join(&s, other);
        }
        if (pixel >= k.pixels || lane != 0) continue;
        vdni_set_value(k.y, 2 * pixel, s.sum / (float)k.c);
        vdni_set_value(k.y, 2 * pixel + 1, s.max);
        if (k.argmax) k.argmax[pixel] = s.max == s.max ? (uint16_t)s.argmax : (uint16_t)0;
    }
}

template <class T, int V>
vdn_status channel_stats_as(vdn_ctx *ctx, vdni_device *device, channel_stats k)
{
    k.team = vdni_team_of(k.c, V);
    return vdni_launch(ctx, device, channel_stats_kernel<T, V>,
                       vdni_blocks_for(device, k.pixels * k.team), dim3(VDNI_CUDA_BLOCK), k);
}

struct channel_stats_backward {
    vdni_view g, addend, dx;
    const uint16_t *argmax;
    int64_t c;

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        const vdni_place place = vdni_place_of(at, c);
        const float mean = vdni_value(g, 2 * place.pixel) / (float)c;
        const float peak = vdni_value(g, 2 * place.pixel + 1);
        const int64_t top = (int64_t)argmax[place.pixel] - place.channel;
        float row[V];
#pragma unroll
        for (int k = 0; k < V; k++) row[k] = k == top ? mean + peak : mean;
        vdni_add<T, V>(row, addend, at);
        vdni_store<T, V>(dx, at, row);
    }
};

vdn_status run_channel(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *x = op->in[0];
    const channel_stats k = { vdni_view_of(x),
                              vdni_view_of(op->out[0]),
                              vdni_data<uint16_t>(op->out[1]),
                              x->n * x->h * x->w,
                              x->c,
                              0 };
    const vdni_form form = vdni_form_of(x->c, VDNI_WIDE, { x });
    return VDNI_BY_FORM(form, VDNI_WIDE, channel_stats_as, ctx, device, k);
}

vdn_status run_channel_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *addend = op->in[2], *dx = op->out[0];
    const channel_stats_backward body = { vdni_view_of(op->in[0]), vdni_view_of(addend),
                                          vdni_view_of(dx), vdni_data<uint16_t>(op->in[1]), dx->c };
    return vdni_each(ctx, device, vdni_form_of(dx->c, VDNI_WIDE, { addend, dx }), body,
                     vdni_tensor_count(dx));
}

} // namespace

const vdni_cuda_entry vdni_cuda_pool[7] = {
    { run_max, nullptr, nullptr, nullptr },
    { run_max_backward, nullptr, nullptr, nullptr },
    { run_average, nullptr, nullptr, nullptr },
    { run_global, global_bytes, nullptr, nullptr },
    { run_global_backward, nullptr, nullptr, nullptr },
    { run_channel, nullptr, nullptr, nullptr },
    { run_channel_backward, nullptr, nullptr, nullptr },
};

/* CUDA twin of the depthwise convolution; the contract is Core/Ops/depthwise.h.
 *
 * Fast form (kernels 3, 5 and 7, one storage type): a thread makes COLUMNS outputs of V channels that
 * lie d columns apart, so that they share their inputs; the taps of the block's channels are in
 * shared memory. Backward to the input is the same with the kernel turned round and
 * pad = d(k-1) - pad. For the weights a thread keeps one row of taps in registers and slides along a
 * row of g; its share goes to the workspace and the shares are added in order. */
extern "C" {
#include "Ops/depthwise.h"
}

#include "CUDA/lanes.cuh"

namespace
{

enum {
    V = 4,
    COLUMNS = 4,
    WIDTH = 32,         /* most runs of V channels side by side in a block */
    SEGMENT = 32,       /* outputs of a row that a thread of the weight gradient takes at a time */
    MOST_SHARES = 1024, /* of the weight gradient */
    WAVES = 8           /* blocks per multiprocessor of the forward pass */
};

/* in: what is read through the window; out: y, dx, or g of the weight gradient. */
struct geometry {
    int64_t n;
    int32_t c, in_h, in_w, out_h, out_w, k, d, pad;
    int32_t flip;                /* taps in reverse order */
    int32_t width, rows, groups; /* of a block; groups: threads or segments per row and residue */
    int32_t shares;
};

struct spot {
    int64_t n;
    int32_t h, column; /* of the first output; the next ones are d further */
    int32_t left;      /* how many there are in the row from here */
};

/* Item (image, row, group, residue modulo d) of the outputs, @p length to a group. */
__device__ inline spot spot_of(const geometry &k, int64_t item, int length)
{
    spot s;
    const int32_t per_row = k.groups * k.d;
    const int32_t rest = (int32_t)(item % per_row);
    const int64_t row = item / per_row;
    s.n = row / k.out_h;
    s.h = (int32_t)(row % k.out_h);
    s.column = rest % k.d + rest / k.d * length * k.d;
    s.left = s.column < k.out_w ? (k.out_w - s.column + k.d - 1) / k.d : 0;
    return s;
}

template <class T>
__device__ inline vdni_pack<T, V> fetch_or_zero(const vdni_view &t, int64_t at, bool is_there)
{
    vdni_pack<T, V> p;
    if (is_there) return vdni_fetch<T, V>(t, at);
#pragma unroll
    for (int i = 0; i < V; i++) vdni_write(&p.x[i], 0.0f);
    return p;
}

struct window_call {
    geometry k;
    vdni_view x, add, y;
    const float *w, *b;
};

/* acc += the taps of row @p kh; taps: of the thread's channels, WIDTH * V floats from tap to tap. */
template <class T, int K>
__device__ inline void add_row(const window_call &q, const spot &s, int channel, int kh,
                               const float *taps, float (&acc)[COLUMNS][V])
{
    const geometry &k = q.k;
    const int32_t row = s.h - k.pad + kh * k.d, first = s.column - k.pad;
    if (row < 0 || row >= k.in_h) return;
    const int64_t base = (s.n * k.in_h + row) * k.in_w;
    vdni_pack<T, V> raw[COLUMNS + K - 1];
    float w[K][V];
#pragma unroll
    for (int i = 0; i < COLUMNS + K - 1; i++) {
        const int32_t column = first + i * k.d;
        raw[i] =
            fetch_or_zero<T>(q.x, (base + column) * k.c + channel, column >= 0 && column < k.in_w);
    }
#pragma unroll
    for (int kw = 0; kw < K; kw++) vdni_load_row<V>(w[kw], taps, (kh * K + kw) * WIDTH * V);
#pragma unroll
    for (int i = 0; i < COLUMNS + K - 1; i++) {
        float x[V];
#pragma unroll
        for (int l = 0; l < V; l++) x[l] = vdni_read(&raw[i].x[l]);
#pragma unroll
        for (int j = 0; j < COLUMNS; j++) {
            if (i - j < 0 || i - j >= K) continue;
#pragma unroll
            for (int l = 0; l < V; l++) acc[j][l] += x[l] * w[i - j][l];
        }
    }
}

template <class T>
__device__ inline void put_columns(const window_call &q, const spot &s, int channel,
                                   float (&acc)[COLUMNS][V])
{
    const geometry &k = q.k;
#pragma unroll
    for (int j = 0; j < COLUMNS; j++) {
        const int64_t pixel = (s.n * k.out_h + s.h) * k.out_w + s.column + j * k.d;
        const int64_t at = pixel * k.c + channel;
        if (j >= s.left) break;
        if (q.add.data) {
            const vdni_pack<T, V> add = vdni_fetch<T, V>(q.add, at);
#pragma unroll
            for (int l = 0; l < V; l++) acc[j][l] += vdni_read(&add.x[l]);
        }
        vdni_store<T, V>(q.y, at, acc[j]);
    }
}

template <class T, int K>
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) window_kernel(window_call q)
{
    alignas(16) __shared__ float taps[(K * K + 1) * WIDTH * V]; /* the last row is the bias */
    const geometry &k = q.k;
    const int slab = (int)blockIdx.y * k.width * V, lanes = k.width * V;
    for (int i = (int)threadIdx.x; i < (K * K + 1) * lanes; i += VDNI_CUDA_BLOCK) {
        const int t = i / lanes, c = slab + i % lanes;
        float value = 0;
        if (c < k.c && t < K * K) value = q.w[(k.flip ? K * K - 1 - t : t) * k.c + c];
        if (c < k.c && t == K * K && q.b) value = q.b[c];
        taps[t * WIDTH * V + i % lanes] = value;
    }
    __syncthreads();

    const int lane = (int)threadIdx.x % k.width * V, row = (int)threadIdx.x / k.width;
    const int64_t items = k.n * k.out_h * k.groups * k.d;
    if (row >= k.rows || slab + lane >= k.c) return;
    for (int64_t item = (int64_t)blockIdx.x * k.rows + row; item < items;
         item += (int64_t)gridDim.x * k.rows) {
        const spot s = spot_of(k, item, COLUMNS);
        float acc[COLUMNS][V];
#pragma unroll
        for (int j = 0; j < COLUMNS; j++) vdni_load_row<V>(acc[j], taps, K * K * WIDTH * V + lane);
#pragma unroll 1
        for (int kh = 0; kh < K; kh++) add_row<T, K>(q, s, slab + lane, kh, taps + lane, acc);
        put_columns<T>(q, s, slab + lane, acc);
    }
}

/* Any kernel, any types: one output a thread. */
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) any_window_kernel(window_call q)
{
    const geometry &k = q.k;
    for (VDNI_GRID_STRIDE(at, k.n * k.out_h * k.out_w * k.c)) {
        const int32_t c = (int32_t)(at % k.c), ow = (int32_t)(at / k.c % k.out_w);
        const int64_t line = at / k.c / k.out_w, n = line / k.out_h;
        const int32_t oh = (int32_t)(line % k.out_h);
        float sum = q.b ? q.b[c] : 0.0f;
        for (int32_t t = 0; t < k.k * k.k; t++) {
            const int32_t h = oh - k.pad + t / k.k * k.d, w = ow - k.pad + t % k.k * k.d;
            if (h < 0 || h >= k.in_h || w < 0 || w >= k.in_w) continue;
            sum += vdni_value(q.x, ((n * k.in_h + h) * k.in_w + w) * k.c + c) *
                   q.w[(k.flip ? k.k * k.k - 1 - t : t) * k.c + c];
        }
        if (q.add.data) sum += vdni_value(q.add, at);
        vdni_set_value(q.y, at, sum);
    }
}

/* ---- weight gradient ------------------------------------------------------------------------- */

struct weights_call {
    geometry k;
    vdni_view x, g;
    float *shares; /* (shares, k * k + 1, c), the last row of the bias */
};

/* acc[kw] += g x over up to SEGMENT outputs of a row; bias += g. */
template <class T, int K>
__device__ inline void slide(const weights_call &q, const spot &s, int channel, int kh,
                             float (&acc)[K][V], float (&bias)[V])
{
    const geometry &k = q.k;
    const int32_t row = s.h - k.pad + kh * k.d, first = s.column - k.pad;
    const bool is_row = row >= 0 && row < k.in_h;
    const int count = s.left < SEGMENT ? s.left : SEGMENT;
    const int64_t in = (s.n * k.in_h + row) * k.in_w, out = (s.n * k.out_h + s.h) * k.out_w;
    vdni_pack<T, V> ring[K];
    if (!is_row && kh != 0) return;

#pragma unroll
    for (int i = 0; i < K; i++) {
        const int32_t column = first + i * k.d;
        ring[i] = fetch_or_zero<T>(q.x, (in + column) * k.c + channel,
                                   is_row && i < K - 1 && column >= 0 && column < k.in_w);
    }
    for (int j = 0; j < count; j += K) {
#pragma unroll
        for (int u = 0; u < K; u++) {
            const int32_t column = first + (j + u + K - 1) * k.d;
            ring[(u + K - 1) % K] = fetch_or_zero<T>(q.x, (in + column) * k.c + channel,
                                                     is_row && column >= 0 && column < k.in_w);
            const vdni_pack<T, V> g = fetch_or_zero<T>(
                q.g, (out + s.column + (j + u) * k.d) * k.c + channel, j + u < count);
#pragma unroll
            for (int l = 0; l < V; l++) {
                const float gl = vdni_read(&g.x[l]);
                bias[l] += gl;
#pragma unroll
                for (int kw = 0; kw < K; kw++)
                    acc[kw][l] += gl * vdni_read(&ring[(u + kw) % K].x[l]);
            }
        }
    }
}

/* Threads of a block: (share, row of taps, run of channels). */
template <class T, int K>
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) weights_kernel(weights_call q)
{
    const geometry &k = q.k;
    const int kh = (int)threadIdx.x / k.width % K, row = (int)threadIdx.x / (k.width * K);
    const int channel = ((int)blockIdx.y * k.width + (int)threadIdx.x % k.width) * V;
    const int share = (int)blockIdx.x * k.rows + row;
    const int64_t items = k.n * k.out_h * k.groups * k.d;
    float acc[K][V] = {}, bias[V] = {};

    if (row >= k.rows || share >= k.shares || channel >= k.c) return;
    for (int64_t item = share; item < items; item += k.shares)
        slide<T, K>(q, spot_of(k, item, SEGMENT), channel, kh, acc, bias);
    const vdni_view to = { q.shares + (int64_t)share * (K * K + 1) * k.c + channel, VDNI_F32 };
#pragma unroll
    for (int kw = 0; kw < K; kw++) vdni_store<float, V>(to, (kh * K + kw) * k.c, acc[kw]);
    if (kh == 0) vdni_store<float, V>(to, K * K * k.c, bias);
}

/* Any kernel, any types: block (share, tap or bias, slab of channels), one channel a thread. */
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) any_weights_kernel(weights_call q)
{
    const geometry &k = q.k;
    const int tap = (int)blockIdx.y, share = (int)blockIdx.x;
    const int c = (int)(blockIdx.z * blockDim.x + threadIdx.x);
    const bool is_bias = tap == k.k * k.k;
    float sum = 0;

    if (c >= k.c) return;
    for (int64_t line = share; line < k.n * k.out_h; line += k.shares) {
        const int64_t n = line / k.out_h;
        const int32_t h = (int32_t)(line % k.out_h) - k.pad + tap / k.k * k.d;
        if (!is_bias && (h < 0 || h >= k.in_h)) continue;
        for (int32_t ow = 0; ow < k.out_w; ow++) {
            const int32_t w = ow - k.pad + tap % k.k * k.d;
            if (!is_bias && (w < 0 || w >= k.in_w)) continue;
            const float g = vdni_value(q.g, (line * k.out_w + ow) * k.c + c);
            const int64_t at = ((n * k.in_h + h) * k.in_w + w) * k.c + c;
            sum += is_bias ? g : g * vdni_value(q.x, at);
        }
    }
    q.shares[((int64_t)share * (k.k * k.k + 1) + tap) * k.c + c] = sum;
}

__global__ void __launch_bounds__(VDNI_CUDA_BLOCK)
    add_shares_kernel(geometry k, const float *shares, float *dw, float *db)
{
    const int64_t count = (int64_t)(k.k * k.k + 1) * k.c, weights = count - k.c;
    const int64_t at = (int64_t)blockIdx.x * VDNI_COLUMNS + threadIdx.x % VDNI_COLUMNS;
    const double sum = vdni_parts_sum(shares, count, k.shares, at);
    if (threadIdx.x >= VDNI_COLUMNS || at >= count) return;
    if (at < weights)
        dw[at] += (float)sum;
    else if (db)
        db[at - weights] += (float)sum;
}

/* ---- host ------------------------------------------------------------------------------------ */

geometry geometry_of(const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const bool is_dx = op->kind == VDNI_OP_DEPTHWISE_DX, is_dw = op->kind == VDNI_OP_DEPTHWISE_DW;
    const vdni_tensor *in = is_dx ? r.narrow : r.wide, *out = is_dx ? r.wide : r.narrow;
    const int length = is_dw ? (int)SEGMENT : (int)COLUMNS;
    geometry k = {};
    k.n = in->n;
    k.c = (int32_t)in->c;
    k.in_h = (int32_t)in->h;
    k.in_w = (int32_t)in->w;
    k.out_h = (int32_t)out->h;
    k.out_w = (int32_t)out->w;
    k.k = op->a.kernel;
    k.d = op->a.dilation;
    k.pad = is_dx ? k.d * (k.k - 1) - op->a.pad : op->a.pad;
    k.flip = is_dx;
    k.groups = ((k.out_w + k.d - 1) / k.d + length - 1) / length;
    return k;
}

/* Storage type of the fast form, -1 when the call needs the general one. */
int fast_type(const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    if (op->a.kernel != 3 && op->a.kernel != 5 && op->a.kernel != 7) return -1;
    return vdni_common_type({ r.wide, r.narrow, r.add }, r.wide->c);
}

/* Fill in the block's shape; returns the number of slabs of channels. */
int slabs_of(geometry *k, int taps)
{
    const int vectors = k->c / V, slabs = (vectors + WIDTH - 1) / WIDTH;
    k->width = (vectors + slabs - 1) / slabs;
    k->rows = VDNI_CUDA_BLOCK / (k->width * taps);
    return slabs;
}

window_call window_of(const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const bool is_dx = op->kind == VDNI_OP_DEPTHWISE_DX;
    return { geometry_of(op),       vdni_view_of(is_dx ? r.narrow : r.wide),
             vdni_view_of(r.add),   vdni_view_of(is_dx ? r.wide : r.narrow),
             vdni_data<float>(r.w), vdni_data<float>(r.b) };
}

template <class T> vdn_status run_window_as(vdn_ctx *ctx, vdni_device *device, const vdni_op *op)
{
    window_call q = window_of(op);
    const int slabs = slabs_of(&q.k, 1);
    const int64_t items = q.k.n * q.k.out_h * q.k.groups * q.k.d;
    const int64_t wanted = (items + q.k.rows - 1) / q.k.rows;
    const int64_t most = ((int64_t)device->multiprocessors * WAVES + slabs - 1) / slabs;
    const dim3 grid((unsigned)(wanted < most ? wanted : most), (unsigned)slabs);
    void (*const kernel)(window_call) = q.k.k == 3   ? window_kernel<T, 3>
                                        : q.k.k == 5 ? window_kernel<T, 5>
                                                     : window_kernel<T, 7>;
    return vdni_launch(ctx, device, kernel, grid, VDNI_CUDA_BLOCK, q);
}

vdn_status run_window(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    switch (fast_type(op)) {
    case VDNI_F32:
        return run_window_as<float>(ctx, device, op);
    case VDNI_BF16:
        return run_window_as<__nv_bfloat16>(ctx, device, op);
    case VDNI_F16:
        return run_window_as<__half>(ctx, device, op);
    default: {
        const window_call q = window_of(op);
        return vdni_launch(ctx, device, any_window_kernel,
                           vdni_blocks_for(device, q.k.n * q.k.out_h * q.k.out_w * q.k.c),
                           VDNI_CUDA_BLOCK, q);
    }
    }
}

/* Shares of the weight gradient, from the shape alone: enough to fill a device. */
int32_t shares_of(const geometry *k, bool is_fast)
{
    const int64_t items = k->n * k->out_h * (is_fast ? (int64_t)k->groups * k->d : 1);
    return (int32_t)(items < MOST_SHARES ? items : (int64_t)MOST_SHARES);
}

weights_call weights_of(const vdni_op *op, void *workspace, bool is_fast)
{
    weights_call q = { geometry_of(op), vdni_view_of(op->in[0]), vdni_view_of(op->in[1]),
                       static_cast<float *>(workspace) };
    q.k.shares = shares_of(&q.k, is_fast);
    return q;
}

vdn_status add_shares(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, const geometry &k,
                      const float *shares)
{
    const int64_t count = (int64_t)(k.k * k.k + 1) * k.c;
    return vdni_launch(ctx, device, add_shares_kernel,
                       dim3((unsigned)((count + VDNI_COLUMNS - 1) / VDNI_COLUMNS)), VDNI_CUDA_BLOCK,
                       k, shares, vdni_data<float>(op->out[0]), vdni_data<float>(op->out[1]));
}

template <class T>
vdn_status run_weights_as(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    weights_call q = weights_of(op, workspace, true);
    const int slabs = slabs_of(&q.k, q.k.k);
    const dim3 grid((unsigned)((q.k.shares + q.k.rows - 1) / q.k.rows), (unsigned)slabs);
    void (*const kernel)(weights_call) = q.k.k == 3   ? weights_kernel<T, 3>
                                         : q.k.k == 5 ? weights_kernel<T, 5>
                                                      : weights_kernel<T, 7>;
    VDN_CHECK(vdni_launch(ctx, device, kernel, grid, VDNI_CUDA_BLOCK, q));
    return add_shares(ctx, device, op, q.k, q.shares);
}

vdn_status run_weights(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    switch (fast_type(op)) {
    case VDNI_F32:
        return run_weights_as<float>(ctx, device, op, workspace);
    case VDNI_BF16:
        return run_weights_as<__nv_bfloat16>(ctx, device, op, workspace);
    case VDNI_F16:
        return run_weights_as<__half>(ctx, device, op, workspace);
    default: {
        const weights_call q = weights_of(op, workspace, false);
        const dim3 grid((unsigned)q.k.shares, (unsigned)(q.k.k * q.k.k + 1),
                        (unsigned)((q.k.c + VDNI_CUDA_BLOCK - 1) / VDNI_CUDA_BLOCK));
        VDN_CHECK(vdni_launch(ctx, device, any_weights_kernel, grid, VDNI_CUDA_BLOCK, q));
        return add_shares(ctx, device, op, q.k, q.shares);
    }
    }
}

int64_t weights_workspace(const vdni_device *, const vdni_op *op)
{
    const geometry k = geometry_of(op);
    return (int64_t)shares_of(&k, true) * (k.k * k.k + 1) * k.c * (int64_t)sizeof(float);
}

} // namespace

const vdni_cuda_entry vdni_cuda_depthwise[3] = {
    { run_window, nullptr, nullptr, nullptr },
    { run_window, nullptr, nullptr, nullptr },
    { run_weights, weights_workspace, nullptr, nullptr },
};

/* CUDA twin of normalisation, forward; the contract is Core/Ops/norm.h. Three kernels: sums of the
 * chunks, statistics and coefficients of every unit, and the pass that writes y.
 *
 * A thread sums about its own first value in float and moves the sums to 0 in double every
 * VDNI_NORM_RUN terms, as the CPU twin does: nothing cancels, whatever the mean. */
extern "C" {
#include "Ops/norm.h"
}

#include "CUDA/norm.cuh"

namespace
{

/* a[0] += sum of x, a[1] += sum of x^2 over the next @p count pixels of the thread. */
template <class T, int V>
__device__ inline void add_moments(const vdni_norm_cut &k, const vdni_norm_place &p,
                                   const vdni_view &x, int64_t first, int count, double (&a)[2][V])
{
    const auto pivot = vdni_fetch<T, V>(x, vdni_norm_at(k, p, first));
    float s[V] = {}, q[V] = {};
    for (int j = 1; j < count; j += VDNI_NORM_BATCH) {
        vdni_raw<T, V> raw[VDNI_NORM_BATCH];
#pragma unroll
        for (int u = 0; u < VDNI_NORM_BATCH; u++) {
            const int at = j + u < count ? j + u : 0;
            raw[u] = vdni_fetch<T, V>(x, vdni_norm_at(k, p, first + (int64_t)at * k.rows));
        }
#pragma unroll
        for (int u = 0; u < VDNI_NORM_BATCH; u++) /* one that is not there is the pivot: 0 */
#pragma unroll
            for (int i = 0; i < V; i++) {
                const float d = vdni_read(&raw[u].x[i]) - vdni_read(&pivot.x[i]);
                s[i] += d;
                q[i] += d * d;
            }
    }
#pragma unroll
    for (int i = 0; i < V; i++) {
        const double at = (double)vdni_read(&pivot.x[i]), si = (double)s[i], m = (double)count;
        a[0][i] += m * at + si;
        a[1][i] += (double)q[i] + at * (2 * si + m * at);
    }
}

template <class T, int V>
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK)
    moments_kernel(vdni_norm_cut k, vdni_view x, double *sums)
{
    __shared__ double scratch[2 * V * VDNI_CUDA_BLOCK];
    const vdni_norm_place p = vdni_norm_place_of<V>(k);
    const int64_t run = (int64_t)VDNI_NORM_RUN * k.rows;
    double a[2][V] = {};
    for (int64_t first = p.first; p.on && first < p.end; first += run) {
        const int64_t left = (p.end - first + k.rows - 1) / k.rows;
        add_moments<T, V>(k, p, x, first, left < VDNI_NORM_RUN ? (int)left : (int)VDNI_NORM_RUN, a);
    }
    vdni_norm_put<V>(k, p, scratch, a, sums);
}

struct moments {
    double mean, variance, count;
};

__device__ moments gather(const vdni_norm_call &k, const vdni_norm_unit &u, double *scratch)
{
    const int64_t items = u.images * k.chunks * u.channels;
    const double *from = k.sums + u.n * k.chunks * 2 * k.c + u.c;
    double sum = 0, square = 0;
    for (int64_t i = threadIdx.x; i < items; i += blockDim.x) {
        const double *at = from + i / u.channels * 2 * k.c + i % u.channels;
        sum += at[0];
        square += at[k.c];
    }
    moments m;
    sum = vdni_block_sum(sum, scratch);
    square = vdni_block_sum(square, scratch);
    m.count = (double)(u.images * u.channels * k.pixels);
    m.mean = sum / m.count;
    m.variance = square / m.count - m.mean * m.mean; /* in double: exact to 1e-16 mean^2 */
    if (m.variance < 0) m.variance = 0;
    return m;
}

__device__ void update_running(float *running, int c, int channels, const moments &m)
{
    const double unbiased = m.variance * m.count / (m.count - 1);
    float *mean = running + c, *variance = running + channels + c;
    *mean += (float)(0.1 * (m.mean - (double)*mean));
    *variance += (float)(0.1 * (unbiased - (double)*variance));
}

/* One block per unit. */
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) statistics_kernel(vdni_norm_call k)
{
    __shared__ double scratch[32];
    const vdni_norm_unit u = vdni_norm_unit_of(k, (int)blockIdx.x);
    moments m;
    if (k.mode == VDNI_NORM_BATCH_EVAL)
        m = { (double)k.running[u.c], (double)k.running[k.c + u.c], 0 };
    else
        m = gather(k, u, scratch);
    const float mean = (float)m.mean, rstd = (float)(1.0 / sqrt(m.variance + (double)k.eps));
    if (threadIdx.x == 0) {
        k.stats[2 * blockIdx.x] = mean;
        k.stats[2 * blockIdx.x + 1] = rstd;
        if (k.mode == VDNI_NORM_BATCH_TRAIN && k.running) update_running(k.running, u.c, k.c, m);
    }
    vdni_norm_fill_rows(k, u, mean, rstd);
}

template <class T, int V>
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK)
    apply_kernel(vdni_norm_cut k, vdni_view x, vdni_view y, const float *rows, vdni_activation act)
{
    const vdni_norm_place p = vdni_norm_place_of<V>(k);
    if (!p.on) return;
    const auto mean = vdni_norm_read_row<V>(k, p, rows, VDNI_ROW_MEAN);
    const auto slope = vdni_norm_read_row<V>(k, p, rows, VDNI_ROW_SLOPE);
    const auto offset = vdni_norm_read_row<V>(k, p, rows, VDNI_ROW_OFFSET);
    for (int64_t first = p.first; first < p.end; first += (int64_t)VDNI_NORM_BATCH * k.rows) {
        vdni_raw<T, V> raw[VDNI_NORM_BATCH];
#pragma unroll
        for (int j = 0; j < VDNI_NORM_BATCH; j++) {
            const int64_t pixel = first + (int64_t)j * k.rows;
            raw[j] = vdni_fetch<T, V>(x, vdni_norm_at(k, p, pixel < p.end ? pixel : first));
        }
#pragma unroll
        for (int j = 0; j < VDNI_NORM_BATCH; j++) {
            const int64_t pixel = first + (int64_t)j * k.rows;
            float u[V];
            if (pixel >= p.end) break;
#pragma unroll
            for (int i = 0; i < V; i++)
                u[i] = (vdni_read(&raw[j].x[i]) - mean.x[i]) * slope.x[i] + offset.x[i];
            vdni_norm_activate<V>(act, u);
            vdni_store<T, V>(y, vdni_norm_at(k, p, pixel), u);
        }
    }
}

int64_t workspace_bytes(const vdni_device *, const vdni_op *op)
{
    const vdni_tensor *x = op->in[0];
    return x->n * x->c *
           (vdni_norm_most_chunks(x) * 2 * (int64_t)sizeof(double) +
            VDNI_ROWS * (int64_t)sizeof(float));
}

template <class T, int V>
vdn_status run_as(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const vdni_tensor *x = op->in[0];
    const vdni_norm_cut cut = vdni_norm_cut_of(x, V, VDNI_NORM_SUMS);
    const vdni_norm_cut apply = vdni_norm_cut_of(x, V, VDNI_NORM_APPLY);
    const bool is_group = op->a.mode == VDNI_NORM_GROUP;
    double *sums = static_cast<double *>(workspace);
    vdni_norm_call k = {};

    k.n = x->n;
    k.pixels = cut.pixels;
    k.c = cut.c;
    k.groups = (int32_t)vdni_norm_groups(op, x->c);
    k.mode = op->a.mode;
    k.chunks = cut.chunks;
    k.eps = op->a.eps;
    k.sums = sums;
    k.rows = reinterpret_cast<float *>(sums + x->n * cut.chunks * 2 * x->c);
    k.stats = vdni_data<float>(op->out[1]);
    k.gamma = vdni_data<float>(op->in[1]);
    k.beta = vdni_data<float>(op->in[2]);
    k.mod = vdni_data<float>(op->in[3]);
    k.running = vdni_data<float>(op->in[4]);

    if (k.mode != VDNI_NORM_BATCH_EVAL)
        VDN_CHECK(vdni_launch(ctx, device, moments_kernel<T, V>, vdni_norm_grid(&cut, x),
                              VDNI_CUDA_BLOCK, cut, vdni_view_of(x), sums));
    VDN_CHECK(vdni_launch(ctx, device, statistics_kernel,
                          dim3((unsigned)(k.groups * (is_group ? x->n : 1))), VDNI_CUDA_BLOCK, k));
    return vdni_launch(ctx, device, apply_kernel<T, V>, vdni_norm_grid(&apply, x), VDNI_CUDA_BLOCK,
                       apply, vdni_view_of(x), vdni_view_of(op->out[0]), k.rows, op->a.act);
}

vdn_status run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    switch (vdni_common_type({ op->in[0], op->out[0] }, op->in[0]->c)) {
    case VDNI_F32:
        return run_as<float, 4>(ctx, device, op, workspace);
    case VDNI_BF16:
        return run_as<__nv_bfloat16, 8>(ctx, device, op, workspace);
    case VDNI_F16:
        return run_as<__half, 8>(ctx, device, op, workspace);
    default:
        return run_as<vdni_any, 1>(ctx, device, op, workspace);
    }
}

} // namespace

const vdni_cuda_entry vdni_cuda_norm[2] = {
    { run, workspace_bytes, nullptr, nullptr },
    { vdni_cuda_norm_backward, vdni_cuda_norm_backward_workspace, nullptr, nullptr },
};

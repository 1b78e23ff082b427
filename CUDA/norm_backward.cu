/* CUDA twin of normalisation, backward; the contract is Core/Ops/norm.h. Both passes make u from x
 * again. With d = x - mean:
 *
 *     u  = d slope + offset          slope  = rstd gamma (1 + scale)
 *                                    offset = beta (1 + scale) + shift
 *     dx = slope h - even - odd d    even   = rstd E[dL/dxhat],   odd = rstd^2 E[dL/dxhat xhat]
 *
 * Kernels: the rows of u; sums of h and h d of the chunks; their totals per image and channel; rows
 * even and odd and the parameter gradients; dx. */
extern "C" {
#include "Ops/norm.h"
}

#include "CUDA/norm.cuh"

namespace
{

enum { BATCH = 2 }; /* pixels of a thread in flight: there are two tensors or three */

struct call {
    vdni_norm_call k;
    double *totals; /* (n, 2, c) */
    float *dgamma, *dbeta, *dmod;
};

template <int V> struct affine {
    vdni_norm_row<V> mean, slope, offset;
};

template <int V>
__device__ inline affine<V> read_affine(const vdni_norm_cut &k, const vdni_norm_place &p,
                                        const float *rows)
{
    return { vdni_norm_read_row<V>(k, p, rows, VDNI_ROW_MEAN),
             vdni_norm_read_row<V>(k, p, rows, VDNI_ROW_SLOPE),
             vdni_norm_read_row<V>(k, p, rows, VDNI_ROW_OFFSET) };
}

/* h = g act'(u) and d = x - mean of one pixel. */
template <int V, class P>
__device__ inline void make_h(const affine<V> &a, vdni_activation act, const P &g, const P &x,
                              float (&h)[V], float (&d)[V])
{
    float u[V];
#pragma unroll
    for (int i = 0; i < V; i++) {
        d[i] = vdni_read(&x.x[i]) - a.mean.x[i];
        u[i] = d[i] * a.slope.x[i] + a.offset.x[i];
        h[i] = vdni_read(&g.x[i]);
    }
    vdni_norm_slope<V>(act, h, u);
}

__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) rows_kernel(vdni_norm_call k)
{
    const vdni_norm_unit u = vdni_norm_unit_of(k, (int)blockIdx.x);
    vdni_norm_fill_rows(k, u, k.stats[2 * blockIdx.x], k.stats[2 * blockIdx.x + 1]);
}

struct sources {
    vdni_view g, x, addend;
};

template <class T, int V>
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK)
    sums_kernel(vdni_norm_cut k, sources in, const float *rows, vdni_activation act, double *sums)
{
    __shared__ double scratch[2 * V * VDNI_CUDA_BLOCK];
    const vdni_norm_place p = vdni_norm_place_of<V>(k);
    double a[2][V] = {};
    if (p.on) {
        const affine<V> w = read_affine<V>(k, p, rows);
        for (int64_t run = p.first; run < p.end; run += (int64_t)VDNI_NORM_RUN * k.rows) {
            float even[V] = {}, odd[V] = {};
            for (int64_t j = 0; j < VDNI_NORM_RUN; j += BATCH) {
                vdni_raw<T, V> g[BATCH], x[BATCH];
                if (run + j * k.rows >= p.end) break;
#pragma unroll
                for (int64_t b = 0; b < BATCH; b++) {
                    const int64_t pixel = run + (j + b) * k.rows;
                    const int64_t at = vdni_norm_at(k, p, pixel < p.end ? pixel : run);
                    g[b] = vdni_fetch<T, V>(in.g, at);
                    x[b] = vdni_fetch<T, V>(in.x, at);
                }
#pragma unroll
                for (int64_t b = 0; b < BATCH; b++) {
                    float h[V], d[V];
                    if (run + (j + b) * k.rows >= p.end) break;
                    make_h<V>(w, act, g[b], x[b], h, d);
#pragma unroll
                    for (int i = 0; i < V; i++) {
                        even[i] += h[i];
                        odd[i] += h[i] * d[i];
                    }
                }
            }
#pragma unroll
            for (int i = 0; i < V; i++) {
                a[0][i] += (double)even[i];
                a[1][i] += (double)odd[i];
            }
        }
    }
    vdni_norm_put<V>(k, p, scratch, a, sums);
}

/* Block (columns, n): sums of the chunks of an image. */
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) totals_kernel(call q)
{
    const int64_t count = 2 * (int64_t)q.k.c, n = blockIdx.y;
    const int64_t column = (int64_t)blockIdx.x * VDNI_COLUMNS + threadIdx.x % VDNI_COLUMNS;
    const double total =
        vdni_parts_sum(q.k.sums + n * q.k.chunks * count, count, q.k.chunks, column);
    if (threadIdx.x < VDNI_COLUMNS && column < count) q.totals[n * count + column] = total;
}

/* E[d] and E[d xhat] of a unit, as the rows EVEN and ODD of its images. */
__device__ void fill_means(const call &q, const vdni_norm_unit &u, double rstd, double *scratch)
{
    const vdni_norm_call &k = q.k;
    const double count = (double)(u.images * u.channels * k.pixels);
    double even = 0, odd = 0; /* sums of d and d (x - mean) */

    if (k.mode != VDNI_NORM_BATCH_EVAL)
        for (int64_t i = threadIdx.x; i < u.images * u.channels; i += blockDim.x) {
            const int64_t n = u.n + i / u.channels;
            const int c = u.c + (int)(i % u.channels);
            const double gain = (double)k.gamma[c] * vdni_norm_scale(k, n, c);
            even += q.totals[n * 2 * k.c + c] * gain;
            odd += q.totals[(n * 2 + 1) * k.c + c] * gain;
        }
    even = vdni_block_sum(even, scratch);
    odd = vdni_block_sum(odd, scratch);
    for (int64_t i = threadIdx.x; i < u.images * u.channels; i += blockDim.x) {
        float *rows = k.rows + (u.n + i / u.channels) * VDNI_ROWS * k.c + u.c + i % u.channels;
        rows[VDNI_ROW_EVEN * k.c] = (float)(rstd * even / count);
        rows[VDNI_ROW_ODD * k.c] = (float)(rstd * rstd * rstd * odd / count);
    }
}

/* The parameter gradients are added to, dmod is overwritten. */
__device__ void put_gradients(const call &q, int c)
{
    const vdni_norm_call &k = q.k;
    const int group = c / (k.c / k.groups);
    double dgamma = 0, dbeta = 0;

    for (int64_t n = 0; n < k.n; n++) {
        const int64_t unit = k.mode == VDNI_NORM_GROUP ? n * k.groups + group : c;
        const double h = q.totals[n * 2 * k.c + c];
        const double hx = q.totals[(n * 2 + 1) * k.c + c] * (double)k.stats[2 * unit + 1];
        const double s = vdni_norm_scale(k, n, c);
        dgamma += hx * s;
        dbeta += h * s;
        if (!q.dmod) continue;
        q.dmod[n * 2 * k.c + c] = (float)(hx * (double)k.gamma[c] + h * (double)k.beta[c]);
        q.dmod[(n * 2 + 1) * k.c + c] = (float)h;
    }
    if (q.dgamma) q.dgamma[c] += (float)dgamma;
    if (q.dbeta) q.dbeta[c] += (float)dbeta;
}

/* The first @p units blocks: a unit's means each; the others: parameter gradients. */
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) fold_kernel(call q, int units)
{
    __shared__ double scratch[32];
    const int block = (int)blockIdx.x;
    if (block < units) {
        fill_means(q, vdni_norm_unit_of(q.k, block), (double)q.k.stats[2 * block + 1], scratch);
        return;
    }
    const int c = (block - units) * (int)blockDim.x + (int)threadIdx.x;
    if (c < q.k.c) put_gradients(q, c);
}

template <class T, int V>
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK)
    dx_kernel(vdni_norm_cut k, sources in, vdni_view dx, const float *rows, vdni_activation act)
{
    const vdni_norm_place p = vdni_norm_place_of<V>(k);
    if (!p.on) return;
    const affine<V> w = read_affine<V>(k, p, rows);
    const auto even = vdni_norm_read_row<V>(k, p, rows, VDNI_ROW_EVEN);
    const auto odd = vdni_norm_read_row<V>(k, p, rows, VDNI_ROW_ODD);
    for (int64_t first = p.first; first < p.end; first += (int64_t)BATCH * k.rows) {
        vdni_raw<T, V> g[BATCH], x[BATCH], add[BATCH];
#pragma unroll
        for (int j = 0; j < BATCH; j++) {
            const int64_t pixel = first + (int64_t)j * k.rows;
            const int64_t at = vdni_norm_at(k, p, pixel < p.end ? pixel : first);
            g[j] = vdni_fetch<T, V>(in.g, at);
            x[j] = vdni_fetch<T, V>(in.x, at);
            if (in.addend.data) add[j] = vdni_fetch<T, V>(in.addend, at);
        }
#pragma unroll
        for (int j = 0; j < BATCH; j++) {
            const int64_t pixel = first + (int64_t)j * k.rows;
            float h[V], d[V];
            if (pixel >= p.end) break;
            make_h<V>(w, act, g[j], x[j], h, d);
#pragma unroll
            for (int i = 0; i < V; i++) {
                h[i] = w.slope.x[i] * h[i] - even.x[i] - odd.x[i] * d[i];
                if (in.addend.data) h[i] += vdni_read(&add[j].x[i]);
            }
            vdni_store<T, V>(dx, vdni_norm_at(k, p, pixel), h);
        }
    }
}

call call_of(const vdni_op *op, const vdni_norm_cut &cut, void *workspace)
{
    const vdni_tensor *x = op->in[1];
    const int64_t sums = x->n * cut.chunks * 2 * x->c;
    call q = {};
    q.totals = static_cast<double *>(workspace) + sums;
    q.dgamma = vdni_data<float>(op->out[1]);
    q.dbeta = vdni_data<float>(op->out[2]);
    q.dmod = vdni_data<float>(op->out[3]);
    q.k.n = x->n;
    q.k.pixels = cut.pixels;
    q.k.c = cut.c;
    q.k.groups = (int32_t)vdni_norm_groups(op, x->c);
    q.k.mode = op->a.mode;
    q.k.chunks = cut.chunks;
    q.k.sums = static_cast<double *>(workspace);
    q.k.rows = reinterpret_cast<float *>(q.totals + x->n * 2 * x->c);
    q.k.stats = vdni_data<float>(op->in[2]);
    q.k.gamma = vdni_data<float>(op->in[3]);
    q.k.beta = vdni_data<float>(op->in[4]);
    q.k.mod = vdni_data<float>(op->in[5]);
    return q;
}

template <class T, int V>
vdn_status run_as(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const vdni_tensor *x = op->in[1];
    const vdni_norm_cut cut = vdni_norm_cut_of(x, V, VDNI_NORM_SUMS);
    const vdni_norm_cut apply = vdni_norm_cut_of(x, V, VDNI_NORM_APPLY);
    const call q = call_of(op, cut, workspace);
    const sources in = { vdni_view_of(op->in[0]), vdni_view_of(x), vdni_view_of(op->in[6]) };
    const int units = q.k.groups * (op->a.mode == VDNI_NORM_GROUP ? (int)x->n : 1);
    const unsigned columns = (unsigned)((2 * x->c + VDNI_COLUMNS - 1) / VDNI_COLUMNS);
    const int parameters = (int)((x->c + VDNI_CUDA_BLOCK - 1) / VDNI_CUDA_BLOCK);

    VDN_CHECK(vdni_launch(ctx, device, rows_kernel, dim3((unsigned)units), VDNI_CUDA_BLOCK, q.k));
    VDN_CHECK(vdni_launch(ctx, device, sums_kernel<T, V>, vdni_norm_grid(&cut, x), VDNI_CUDA_BLOCK,
                          cut, in, q.k.rows, op->a.act, static_cast<double *>(workspace)));
    VDN_CHECK(
        vdni_launch(ctx, device, totals_kernel, dim3(columns, (unsigned)x->n), VDNI_CUDA_BLOCK, q));
    VDN_CHECK(vdni_launch(ctx, device, fold_kernel, dim3((unsigned)(units + parameters)),
                          VDNI_CUDA_BLOCK, q, units));
    return vdni_launch(ctx, device, dx_kernel<T, V>, vdni_norm_grid(&apply, x), VDNI_CUDA_BLOCK,
                       apply, in, vdni_view_of(op->out[0]), q.k.rows, op->a.act);
}

} // namespace

int64_t vdni_cuda_norm_backward_workspace(const vdni_device *, const vdni_op *op)
{
    const vdni_tensor *x = op->in[1];
    const int64_t sums = (vdni_norm_most_chunks(x) + 1) * 2 * (int64_t)sizeof(double);
    return x->n * x->c * (sums + VDNI_ROWS * (int64_t)sizeof(float));
}

vdn_status vdni_cuda_norm_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                   void *workspace)
{
    switch (vdni_common_type({ op->in[0], op->in[1], op->out[0], op->in[6] }, op->in[1]->c)) {
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

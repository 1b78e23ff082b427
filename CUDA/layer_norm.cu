/* CUDA twin of the layer norm; the contract is Ops/layer_norm.h. A warp takes a pixel. */
#include "CUDA/channel_sums.cuh"
#include "CUDA/reduce.cuh"

extern "C" {
#include "Ops/layer_norm.h"
}

namespace
{

struct layer {
    vdni_view x, y; /* backward: y is dx */
    vdni_view g, addend;
    const float *gamma, *beta;
    float *stats;
    int64_t pixels, c;
    float eps;
};

__device__ inline void forward_pixel(const layer &k, int64_t pixel, int lane)
{
    const int64_t at = pixel * k.c;
    double sum = 0.0, squares = 0.0;
    for (int64_t c = lane; c < k.c; c += VDNI_CUDA_WARP) sum += (double)vdni_value(k.x, at + c);
    const double mean = vdni_warp_sum(sum) / (double)k.c;
    for (int64_t c = lane; c < k.c; c += VDNI_CUDA_WARP) {
        const double away = (double)vdni_value(k.x, at + c) - mean;
        squares += away * away;
    }
    const float middle = (float)mean;
    const float rstd = (float)(1.0 / sqrt(vdni_warp_sum(squares) / (double)k.c + (double)k.eps));
    for (int64_t c = lane; c < k.c; c += VDNI_CUDA_WARP)
        vdni_set_value(k.y, at + c,
                       (vdni_value(k.x, at + c) - middle) * rstd * k.gamma[c] + k.beta[c]);
    if (lane != 0) return;
    k.stats[2 * pixel] = middle;
    k.stats[2 * pixel + 1] = rstd;
}

__device__ inline void backward_pixel(const layer &k, int64_t pixel, int lane)
{
    const int64_t at = pixel * k.c;
    const float mean = k.stats[2 * pixel], rstd = k.stats[2 * pixel + 1];
    double sum = 0.0, along = 0.0;
    for (int64_t c = lane; c < k.c; c += VDNI_CUDA_WARP) {
        const float d = vdni_value(k.g, at + c) * k.gamma[c];
        sum += (double)d;
        along += (double)(d * ((vdni_value(k.x, at + c) - mean) * rstd));
    }
    const float e = (float)(vdni_warp_sum(sum) / (double)k.c);
    const float s = (float)(vdni_warp_sum(along) / (double)k.c);
    for (int64_t c = lane; c < k.c; c += VDNI_CUDA_WARP) {
        const float xhat = (vdni_value(k.x, at + c) - mean) * rstd;
        float dx = rstd * (vdni_value(k.g, at + c) * k.gamma[c] - e - xhat * s);
        if (k.addend.data) dx += vdni_value(k.addend, at + c);
        vdni_set_value(k.y, at + c, dx);
    }
}

template <bool BACKWARD> __global__ void __launch_bounds__(VDNI_CUDA_BLOCK) pixel_kernel(layer k)
{
    constexpr int EACH = VDNI_CUDA_BLOCK / VDNI_CUDA_WARP;
    const int lane = (int)threadIdx.x % VDNI_CUDA_WARP, warp = (int)threadIdx.x / VDNI_CUDA_WARP;
    for (int64_t pixel = (int64_t)blockIdx.x * EACH + warp; pixel < k.pixels;
         pixel += (int64_t)gridDim.x * EACH) {
        if (BACKWARD)
            backward_pixel(k, pixel, lane);
        else
            forward_pixel(k, pixel, lane);
    }
}

struct affine_backward {
    enum { GAMMA, BETA, KINDS };
    vdni_view g, x;
    const float *stats;
    float *dgamma, *dbeta;
    int64_t c;

    template <class T, int V>
    __device__ void add(float (*sums)[V], int64_t, int64_t pixel, int64_t channel) const
    {
        float slope[V], row[V];
        vdni_load<T, V>(slope, g, pixel * c + channel);
        vdni_load<T, V>(row, x, pixel * c + channel);
        const float mean = stats[2 * pixel], rstd = stats[2 * pixel + 1];
#pragma unroll
        for (int k = 0; k < V; k++) {
            sums[GAMMA][k] += slope[k] * ((row[k] - mean) * rstd);
            sums[BETA][k] += slope[k];
        }
    }

    __device__ void finish(const double *total, int64_t, int64_t channel) const
    {
        if (dgamma) dgamma[channel] += (float)total[GAMMA];
        if (dbeta) dbeta[channel] += (float)total[BETA];
    }
};

int64_t pixels_of(const vdni_tensor *x) { return x->n * x->h * x->w; }

vdn_status run_forward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *x = op->in[0];
    layer k = {};
    k.x = vdni_view_of(x);
    k.y = vdni_view_of(op->out[0]);
    k.gamma = vdni_data<float>(op->in[1]);
    k.beta = vdni_data<float>(op->in[2]);
    k.stats = vdni_data<float>(op->out[1]);
    k.pixels = pixels_of(x);
    k.c = x->c;
    k.eps = op->a.eps;
    return vdni_launch(ctx, device, pixel_kernel<false>,
                       vdni_blocks_for(device, k.pixels * VDNI_CUDA_WARP), dim3(VDNI_CUDA_BLOCK),
                       k);
}

vdn_status run_dx(vdn_ctx *ctx, vdni_device *device, const vdni_op *op)
{
    const vdni_tensor *x = op->in[1];
    layer k = {};
    k.x = vdni_view_of(x);
    k.y = vdni_view_of(op->out[0]);
    k.g = vdni_view_of(op->in[0]);
    k.addend = vdni_view_of(op->in[4]);
    k.gamma = vdni_data<float>(op->in[3]);
    k.stats = vdni_data<float>(op->in[2]);
    k.pixels = pixels_of(x);
    k.c = x->c;
    return vdni_launch(ctx, device, pixel_kernel<true>,
                       vdni_blocks_for(device, k.pixels * VDNI_CUDA_WARP), dim3(VDNI_CUDA_BLOCK),
                       k);
}

vdni_sums affine_sums(const vdni_op *op, void *workspace)
{
    const vdni_tensor *x = op->in[1];
    return vdni_sums_of(1, pixels_of(x), x->c, workspace);
}

vdn_status run_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const vdni_tensor *g = op->in[0], *x = op->in[1];
    VDN_CHECK(run_dx(ctx, device, op));
    if (!op->out[1] && !op->out[2]) return VDN_OK;
    const affine_backward body = { vdni_view_of(g),
                                   vdni_view_of(x),
                                   vdni_data<float>(op->in[2]),
                                   vdni_data<float>(op->out[1]),
                                   vdni_data<float>(op->out[2]),
                                   x->c };
    return vdni_sum_channels(ctx, device, vdni_form_of(x->c, VDNI_SUM_WIDE, { g, x }, {}), body,
                             affine_sums(op, workspace));
}

int64_t backward_bytes(const vdni_device *, const vdni_op *op)
{ return vdni_sums_bytes(affine_sums(op, nullptr), affine_backward::KINDS); }

} // namespace

const vdni_cuda_entry vdni_cuda_layer_norm[2] = {
    { run_forward, nullptr, nullptr, nullptr },
    { run_backward, backward_bytes, nullptr, nullptr },
};

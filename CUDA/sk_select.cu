/* CUDA twin of the selection operators; the contract is Ops/sk_select.h. */
#include "CUDA/channel_sums.cuh"

namespace {

enum { BRANCHES = 3 };

/* The weights a_k like the logits: once per image and channel, then read by every pixel. */
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK)
    weights_kernel(float *weights, const float *logits, int64_t n, int64_t c)
{
    for (VDNI_GRID_STRIDE(i, n * c)) {
        const vdni_place place = vdni_place_of(i, c);
        const int64_t at = place.pixel * BRANCHES * c + place.channel;
        const float a = logits[at], b = logits[at + c], d = logits[at + 2 * c];
        const double top = (double)fmaxf(a, fmaxf(b, d));
        const double e[BRANCHES] = { exp((double)a - top), exp((double)b - top),
                                     exp((double)d - top) };
        const double sum = e[0] + e[1] + e[2];
#pragma unroll
        for (int k = 0; k < BRANCHES; k++) weights[at + k * c] = (float)(e[k] / sum);
    }
}

vdn_status fill_weights(vdn_ctx *ctx, vdni_device *device, float *weights,
                        const vdni_tensor *logits)
{
    const int64_t n = logits->n, c = logits->c / BRANCHES;
    return vdni_launch(ctx, device, weights_kernel, vdni_blocks_for(device, n * c),
                       dim3(VDNI_CUDA_BLOCK), weights, vdni_data<const float>(logits), n, c);
}

struct forward {
    vdni_view u[BRANCHES], y;
    const float *weights;
    int64_t pixels, c;

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        const vdni_place place = vdni_place_of(at, c);
        const float *a =
            weights + vdni_quotient(place.pixel, pixels) * BRANCHES * c + place.channel;
        float x[BRANCHES][V], row[V] = {};
#pragma unroll
        for (int k = 0; k < BRANCHES; k++) vdni_load<T, V>(x[k], u[k], at);
#pragma unroll
        for (int k = 0; k < BRANCHES; k++) {
            float weight[V];
            vdni_load_row<V>(weight, a + k * c, 0);
#pragma unroll
            for (int i = 0; i < V; i++) row[i] += weight[i] * x[k][i];
        }
        vdni_store<T, V>(y, at, row);
    }
};

struct backward {
    enum { KINDS = BRANCHES };
    vdni_view g, u[BRANCHES], du[BRANCHES];
    const float *weights;
    float *dlogits;
    int64_t c;

    template <class T, int V>
    __device__ void add(float (*sums)[V], int64_t n, int64_t pixel, int64_t channel) const
    {
        const int64_t at = pixel * c + channel;
        float gs[V], x[BRANCHES][V];
        vdni_load<T, V>(gs, g, at);
#pragma unroll
        for (int k = 0; k < BRANCHES; k++) vdni_load<T, V>(x[k], u[k], at);
#pragma unroll
        for (int k = 0; k < BRANCHES; k++) {
            float a[V];
            vdni_load_row<V>(a, weights + (n * BRANCHES + k) * c, channel);
#pragma unroll
            for (int i = 0; i < V; i++) {
                sums[k][i] += gs[i] * x[k][i];
                a[i] *= gs[i];
            }
            vdni_store<T, V>(du[k], at, a);
        }
    }

    __device__ void finish(const double *da, int64_t n, int64_t channel) const
    {
        const int64_t at = n * BRANCHES * c + channel;
        double a[BRANCHES], mean = 0.0;
#pragma unroll
        for (int k = 0; k < BRANCHES; k++) {
            a[k] = (double)weights[at + k * c];
            mean += a[k] * da[k];
        }
#pragma unroll
        for (int k = 0; k < BRANCHES; k++) dlogits[at + k * c] = (float)(a[k] * (da[k] - mean));
    }
};

/* Weights first, then the sums of the backward pass. */
int64_t weight_bytes(const vdni_tensor *logits)
{
    return (vdni_tensor_count(logits) * (int64_t)sizeof(float) + 63) / 64 * 64;
}

int64_t forward_bytes(const vdni_device *, const vdni_op *op) { return weight_bytes(op->in[3]); }

vdni_sums sums_of(const vdni_op *op, void *workspace)
{
    const vdni_tensor *g = op->in[0];
    return vdni_sums_of(g->n, g->h * g->w, g->c, workspace);
}

int64_t backward_bytes(const vdni_device *, const vdni_op *op)
{
    return weight_bytes(op->in[4]) + vdni_sums_bytes(sums_of(op, nullptr), BRANCHES);
}

vdn_status run_forward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    vdni_tensor *const *u = op->in;
    const vdni_tensor *y = op->out[0];
    float *weights = static_cast<float *>(workspace);
    const forward body = { { vdni_view_of(u[0]), vdni_view_of(u[1]), vdni_view_of(u[2]) },
                           vdni_view_of(y),
                           weights,
                           y->h * y->w,
                           y->c };
    VDN_CHECK(fill_weights(ctx, device, weights, op->in[3]));
    return vdni_each(ctx, device, vdni_form_of(y->c, VDNI_WIDE, { u[0], u[1], u[2], y }), body,
                     vdni_tensor_count(y));
}

vdn_status run_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const vdni_tensor *g = op->in[0];
    vdni_tensor *const *u = op->in + 1, *const *du = op->out;
    float *weights = static_cast<float *>(workspace);
    const backward body = { vdni_view_of(g),
                            { vdni_view_of(u[0]), vdni_view_of(u[1]), vdni_view_of(u[2]) },
                            { vdni_view_of(du[0]), vdni_view_of(du[1]), vdni_view_of(du[2]) },
                            weights,
                            vdni_data<float>(op->out[3]),
                            g->c };
    const vdni_form form =
        vdni_form_of(g->c, VDNI_SUM_WIDE, { g, u[0], u[1], u[2], du[0], du[1], du[2] });
    VDN_CHECK(fill_weights(ctx, device, weights, op->in[4]));
    return vdni_sum_channels(ctx, device, form, body,
                             sums_of(op, static_cast<char *>(workspace) + weight_bytes(op->in[4])));
}

} // namespace

const vdni_cuda_entry vdni_cuda_sk_select[2] = { { run_forward, forward_bytes, nullptr, nullptr },
                                                 { run_backward, backward_bytes, nullptr,
                                                   nullptr } };

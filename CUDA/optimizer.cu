/* CUDA twin of the optimiser step; the contract is Ops/optimizer.h. */
#include "CUDA/elements.cuh"
#include "CUDA/reduce.cuh"

extern "C" {
#include "Ops/optimizer.h"
}

#include <math.h>

namespace {

enum { CHUNKS = 1024, CHUNK_VALUES = 4096, VALUES = 4 };
static_assert((CHUNKS + 1) * sizeof(double) <= VDNI_CUDA_SUMS_BYTES, "room for the sums");

/* Sum of squares of chunk blockIdx.x; the number of chunks depends on the count only. */
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK)
    square_kernel(double *sums, const float *g, int64_t count)
{
    __shared__ double scratch[VDNI_CUDA_WARP];
    double sum = 0.0;
    for (VDNI_GRID_STRIDE(i, count)) sum += (double)g[i] * (double)g[i];
    sum = vdni_block_sum(sum, scratch);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(VDNI_CUDA_BLOCK)
    total_kernel(double *total, const double *sums, int32_t chunks)
{
    __shared__ double scratch[VDNI_CUDA_WARP];
    double sum = 0.0;
    for (int32_t i = (int32_t)threadIdx.x; i < chunks; i += VDNI_CUDA_BLOCK) sum += sums[i];
    sum = vdni_block_sum(sum, scratch);
    if (threadIdx.x == 0) *total = sum;
}

struct factors {
    float clip, b1, one_b1, b2, one_b2, lr, root, eps, decay, couple, average, one_average;
    bool descends; /* SGD */
};

struct update {
    float *parameters, *moment1, *moment2, *gradient, *average;
    const uint8_t *decay_mask;
    factors f;

    __device__ void one(float *p, float *m, float *v, float g, bool decays) const
    {
        float slope = f.clip * g;
        if (decays) {
            slope += f.couple * *p;
            *p -= f.decay * *p;
        }
        if (f.descends) {
            *m = f.b1 * *m + slope;
            *p -= f.lr * (slope + f.b1 * *m);
            return;
        }
        *m = f.b1 * *m + f.one_b1 * slope;
        *v = f.b2 * *v + f.one_b2 * (slope * slope);
        *p -= f.lr * *m / (sqrtf(*v) * f.root + f.eps);
    }

    template <class, int V>
    __device__ void at(int64_t at) const
    {
        float p[V], m[V], v[V], g[V], e[V], zero[V] = {};
        vdni_load_row<V>(p, parameters, at);
        vdni_load_row<V>(m, moment1, at);
        vdni_load_row<V>(v, moment2, at);
        vdni_load_row<V>(g, gradient, at);
        if (average) vdni_load_row<V>(e, average, at);
#pragma unroll
        for (int k = 0; k < V; k++)
            one(&p[k], &m[k], &v[k], g[k], !decay_mask || decay_mask[at + k]);
        put<V>(parameters, at, p);
        put<V>(moment1, at, m);
        put<V>(moment2, at, v);
        put<V>(gradient, at, zero);
        if (!average) return;
#pragma unroll
        for (int k = 0; k < V; k++) e[k] = f.average * e[k] + f.one_average * p[k];
        put<V>(average, at, e);
    }

    template <int V>
    __device__ static void put(float *to, int64_t at, const float *from)
    {
        vdni_store<float, V>(vdni_view{ to, VDNI_F32 }, at, from);
    }
};

vdn_status square_sum(vdn_ctx *ctx, vdni_device *device, const vdni_optimizer_step *step,
                      double *out)
{
    const int64_t wanted = (step->count + CHUNK_VALUES - 1) / CHUNK_VALUES;
    const int32_t chunks = wanted < CHUNKS ? (int32_t)wanted : CHUNKS;
    double *total = device->sums + CHUNKS;
    VDN_CHECK(vdni_launch(ctx, device, square_kernel, dim3((unsigned)chunks), dim3(VDNI_CUDA_BLOCK),
                          device->sums, step->gradient, step->count));
    VDN_CHECK(vdni_launch(ctx, device, total_kernel, dim3(1), dim3(VDNI_CUDA_BLOCK), total,
                          device->sums, chunks));
    VDNI_CUDA(cudaMemcpyAsync(out, total, sizeof *out, cudaMemcpyDeviceToHost, device->stream));
    VDNI_CUDA(cudaStreamSynchronize(device->stream));
    return VDN_OK;
}

factors factors_of(const vdni_optimizer_step *s, double norm)
{
    const double t = (double)s->step;
    factors f;
    f.clip = s->clip > 0.0 && norm > s->clip ? (float)(s->clip / norm) : 1.0f;
    f.b1 = (float)s->beta1;
    f.one_b1 = (float)(1.0 - s->beta1);
    f.b2 = (float)s->beta2;
    f.one_b2 = (float)(1.0 - s->beta2);
    f.descends = s->kind == VDNI_OPTIMIZER_SGD;
    f.lr = (float)(f.descends ? s->lr : s->lr / (1.0 - pow(s->beta1, t)));
    f.root = (float)(1.0 / sqrt(1.0 - pow(s->beta2, t)));
    f.eps = (float)s->eps;
    f.decay = s->kind == VDNI_OPTIMIZER_ADAMW ? (float)(s->lr * s->weight_decay) : 0.0f;
    f.couple = s->kind == VDNI_OPTIMIZER_ADAMW ? 0.0f : (float)s->weight_decay;
    f.average = (float)s->average_decay;
    f.one_average = (float)(1.0 - s->average_decay);
    return f;
}

bool are_aligned(const vdni_optimizer_step *s)
{
    const float *blocks[] = { s->parameters, s->moment1, s->moment2, s->gradient, s->average };
    for (const float *b : blocks)
        if (reinterpret_cast<uintptr_t>(b) % (VALUES * sizeof(float))) return false;
    return true;
}

} // namespace

vdn_status vdni_cuda_optimize(vdn_ctx *ctx, vdni_device *device, const vdni_optimizer_step *step)
{
    double sum = 0.0;
    VDN_CHECK(vdni_optimizer_check(ctx, step));
    VDN_CHECK(square_sum(ctx, device, step, &sum));
    const double norm = sqrt(sum);
    if (step->gradient_norm) *step->gradient_norm = norm;
    if (!isfinite(norm))
        return vdni_fail(ctx, VDN_ERR_NUMERIC, "the gradient norm is %g at optimiser step %lld",
                         norm, (long long)step->step);

    update body = { step->parameters, step->moment1,    step->moment2,         step->gradient,
                    step->average,    step->decay_mask, factors_of(step, norm) };
    const int64_t whole = are_aligned(step) ? step->count / VALUES * VALUES : 0;
    if (whole > 0) {
        const vdn_status status = vdni_each_as<float, VALUES>(ctx, device, body, whole);
        if (status != VDN_OK || whole == step->count) return status;
    }
    body.parameters += whole;
    body.moment1 += whole;
    body.moment2 += whole;
    body.gradient += whole;
    if (body.average) body.average += whole;
    if (body.decay_mask) body.decay_mask += whole;
    return vdni_each_as<float, 1>(ctx, device, body, step->count - whole);
}

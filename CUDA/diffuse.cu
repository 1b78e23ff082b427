/* CUDA twin of the diffusion process's data side; the contract is Ops/diffuse.h. */
#include "CUDA/activation.cuh"
#include "CUDA/elements.cuh"

extern "C" {
#include "Ops/diffuse.h"
}

namespace {

struct combine {
    vdni_view term[VDNI_COMBINE_TERMS], y; /* y may be any of the terms */
    const float *coefficients;
    int64_t size; /* of an image */
    float most;   /* 0: no bound */

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        const float *q = coefficients + vdni_quotient(at, size) * VDNI_COMBINE_TERMS;
        float sum[V] = {};
#pragma unroll
        for (int i = 0; i < VDNI_COMBINE_TERMS; i++) {
            float x[V];
            if (!term[i].data) continue;
            vdni_load<T, V>(x, term[i], at);
#pragma unroll
            for (int k = 0; k < V; k++) sum[k] += q[i] * x[k];
        }
#pragma unroll
        for (int k = 0; most > 0.0f && k < V; k++) {
            sum[k] = sum[k] > most ? most : sum[k]; /* NaN stays NaN */
            sum[k] = sum[k] < -most ? -most : sum[k];
        }
        vdni_store<T, V>(y, at, sum);
    }
};

vdn_status run_combine(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *a = op->in[0], *b = op->in[2], *c = op->in[3], *d = op->in[4];
    const vdni_tensor *y = op->out[0];
    const int64_t size = y->h * y->w * y->c;
    const combine body = { { vdni_view_of(a), vdni_view_of(b), vdni_view_of(c), vdni_view_of(d) },
                           vdni_view_of(y),
                           vdni_data<float>(op->in[1]),
                           size,
                           op->a.scale };
    return vdni_each(ctx, device, vdni_form_of(size, VDNI_WIDE, { a, b, c, d, y }), body,
                     vdni_tensor_count(y));
}

struct encode {
    const float *s;
    float *y, *p; /* p may be NULL */
    int64_t k;
    float rho;
    bool plus_minus;

    __device__ void put(int64_t at, float probability) const
    {
        if (p) p[at] = probability;
        y[at] = plus_minus ? rho * (2.0f * probability - 1.0f) : probability;
    }

    /* A pixel to a thread: k is small, and its lines are used up by the neighbours. */
    template <class, int>
    __device__ void at(int64_t pixel) const
    {
        const float *x = s + pixel * k;
        if (k == 1) {
            put(pixel, vdni_sigmoid(*x));
            return;
        }
        float top = x[0], sum = 0.0f;
        for (int64_t j = 1; j < k; j++) top = x[j] > top ? x[j] : top;
        for (int64_t j = 0; j < k; j++) sum += expf(x[j] - top);
        for (int64_t j = 0; j < k; j++) put(pixel * k + j, expf(x[j] - top) / sum);
    }
};

vdn_status run_encode(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *s = op->in[0];
    const encode body = {
        vdni_data<float>(s), vdni_data<float>(op->out[0]),      vdni_data<float>(op->out[1]), s->c,
        op->a.scale,         op->a.mode == VDNI_CODE_PLUS_MINUS
    };
    return vdni_each_as<float, 1>(ctx, device, body, s->n * s->h * s->w);
}

} // namespace

const vdni_cuda_entry vdni_cuda_diffuse[2] = { { run_combine, nullptr, nullptr, nullptr },
                                               { run_encode, nullptr, nullptr, nullptr } };

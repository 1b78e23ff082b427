/* CUDA twin of MODULATE and MODULATE_BACKWARD; the contract is Ops/arithmetic.h. */
#include "CUDA/channel_sums.cuh"
#include "CUDA/modulate.cuh"

extern "C" {
#include "Ops/arithmetic.h"
}

namespace {

/* Rows of an image in mod: c scales, then c shifts; or the shifts alone; or plain factors alone. */
struct modulation {
    const float *mod;
    int64_t c, width;
    bool factors;

    __device__ bool has_scale() const { return width != c || factors; }
    __device__ bool has_shift() const { return !factors; }
    __device__ float factor(float value) const { return factors ? value : 1.0f + value; }
    __device__ const float *scale(int64_t n) const { return mod + n * width; }
    __device__ const float *shift(int64_t n) const { return mod + n * width + (width - c); }
};

struct modulate {
    vdni_view x, y;
    modulation mod;
    int64_t pixels; /* of an image */

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        float row[V], other[V];
        const vdni_place place = vdni_place_of(at, mod.c);
        const int64_t n = vdni_quotient(place.pixel, pixels);
        vdni_load<T, V>(row, x, at);
        if (mod.has_scale()) {
            vdni_load_row<V>(other, mod.scale(n), place.channel);
#pragma unroll
            for (int k = 0; k < V; k++) row[k] *= mod.factor(other[k]);
        }
        if (mod.has_shift()) {
            vdni_load_row<V>(other, mod.shift(n), place.channel);
#pragma unroll
            for (int k = 0; k < V; k++) row[k] += other[k];
        }
        vdni_store<T, V>(y, at, row);
    }
};

struct modulate_backward {
    enum { SHIFT, SCALE, KINDS };
    vdni_view g, x, addend, dx;
    modulation mod;
    float *dmod;

    template <class T, int V>
    __device__ void add(float (*sums)[V], int64_t n, int64_t pixel, int64_t channel) const
    {
        const int64_t at = pixel * mod.c + channel;
        float row[V], other[V];
        vdni_load<T, V>(row, g, at);
#pragma unroll
        for (int k = 0; k < V; k++) sums[SHIFT][k] += row[k];
        if (mod.has_scale()) {
            vdni_load<T, V>(other, x, at);
#pragma unroll
            for (int k = 0; k < V; k++) sums[SCALE][k] += row[k] * other[k];
            vdni_load_row<V>(other, mod.scale(n), channel);
#pragma unroll
            for (int k = 0; k < V; k++) row[k] *= mod.factor(other[k]);
        }
        vdni_add<T, V>(row, addend, at);
        vdni_store<T, V>(dx, at, row);
    }

    __device__ void finish(const double *total, int64_t n, int64_t channel) const
    {
        float *to = dmod + n * mod.width;
        if (mod.has_scale()) to[channel] = (float)total[SCALE];
        if (mod.has_shift()) to[mod.width - mod.c + channel] = (float)total[SHIFT];
    }
};

modulation modulation_of(const vdni_op *op, const vdni_tensor *mod, int64_t c)
{
    return { vdni_data<float>(mod), c, mod->c, op->a.mode == VDNI_MODULATE_SCALE };
}

vdni_sums sums_of(const vdni_op *op, void *workspace)
{
    const vdni_tensor *x = op->in[1];
    return vdni_sums_of(x->n, x->h * x->w, x->c, workspace);
}

} // namespace

vdn_status vdni_cuda_run_modulate(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *x = op->in[0], *mod = op->in[1], *y = op->out[0];
    const modulate body = {
        vdni_view_of(x), vdni_view_of(y), modulation_of(op, mod, x->c), x->h * x->w
    };
    return vdni_each(ctx, device, vdni_form_of(x->c, VDNI_WIDE, { x, y }, { mod }), body,
                     vdni_tensor_count(y));
}

int64_t vdni_cuda_modulate_backward_bytes(const vdni_device *, const vdni_op *op)
{
    return vdni_sums_bytes(sums_of(op, nullptr), modulate_backward::KINDS);
}

vdn_status vdni_cuda_run_modulate_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                           void *workspace)
{
    const vdni_tensor *g = op->in[0], *x = op->in[1], *mod = op->in[2], *addend = op->in[3];
    const vdni_tensor *dx = op->out[0], *dmod = op->out[1];
    const modulate_backward body = { vdni_view_of(g),
                                     vdni_view_of(x),
                                     vdni_view_of(addend),
                                     vdni_view_of(dx),
                                     modulation_of(op, mod, x->c),
                                     vdni_data<float>(dmod) };
    const vdni_form form = vdni_form_of(x->c, VDNI_SUM_WIDE, { g, x, addend, dx }, { mod });
    return vdni_sum_channels(ctx, device, form, body, sums_of(op, workspace));
}

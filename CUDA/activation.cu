/* CUDA twin of the activation operators; the contract is Ops/activation.h. */
#include "CUDA/activation.cuh"
#include "CUDA/elements.cuh"

namespace {

struct forward {
    vdni_view x, y;
    vdni_activation act;

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        float row[V];
        vdni_load<T, V>(row, x, at);
        vdni_activate_row<V>(act, row);
        vdni_store<T, V>(y, at, row);
    }
};

struct backward {
    vdni_view g, x, addend, dx;
    vdni_activation act;

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        float row[V], slope[V];
        vdni_load<T, V>(row, g, at);
        vdni_load<T, V>(slope, x, at);
        vdni_slope_row<V>(act, slope);
#pragma unroll
        for (int k = 0; k < V; k++) row[k] *= slope[k];
        vdni_add<T, V>(row, addend, at);
        vdni_store<T, V>(dx, at, row);
    }
};

vdn_status run_forward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *x = op->in[0], *y = op->out[0];
    const int64_t count = vdni_tensor_count(y);
    const forward body = { vdni_view_of(x), vdni_view_of(y), op->a.act };
    return vdni_each(ctx, device, vdni_form_of(count, VDNI_WIDE, { x, y }), body, count);
}

vdn_status run_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *g = op->in[0], *x = op->in[1], *addend = op->in[2], *dx = op->out[0];
    const int64_t count = vdni_tensor_count(dx);
    const backward body = { vdni_view_of(g), vdni_view_of(x), vdni_view_of(addend),
                            vdni_view_of(dx), op->a.act };
    return vdni_each(ctx, device, vdni_form_of(count, VDNI_WIDE, { g, x, addend, dx }), body,
                     count);
}

} // namespace

const vdni_cuda_entry vdni_cuda_activation[2] = { { run_forward, nullptr, nullptr, nullptr },
                                                  { run_backward, nullptr, nullptr, nullptr } };

/* CUDA twin of the random steps; the contract is Ops/draw.h. */
#include "CUDA/activation.cuh"
#include "CUDA/elements.cuh"

extern "C" {
#include "Ops/draw.h"
}

namespace
{

struct tensors {
    const float *a, *b, *noise, *q;
    float *y;
    int64_t size; /* of an image */
};

struct ancestral {
    tensors t;

    template <class, int> __device__ void at(int64_t i) const
    {
        const float *q = t.q + 4 * vdni_quotient(i, t.size);
        t.y[i] = t.a[i] + expf(q[0] * t.b[i] + q[1]) * t.noise[i];
    }
};

struct coin {
    tensors t;

    template <class, int> __device__ void at(int64_t i) const
    {
        const float p = t.a[i];
        const double u = 0.5 * erfc(-(double)t.b[i] * 0.70710678118654752440);
        t.y[i] = p != p ? p : u < (double)p ? 1.0f : 0.0f;
    }
};

struct flip {
    tensors t;

    template <class, int> __device__ void at(int64_t i) const
    { t.y[i] = fabsf(t.b[i] - vdni_sigmoid(t.a[i])); }
};

template <class BODY> vdn_status run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const int64_t count = vdni_tensor_count(op->out[0]);
    const tensors t = { vdni_data<float>(op->in[0]),  vdni_data<float>(op->in[1]),
                        vdni_data<float>(op->in[2]),  vdni_data<float>(op->in[3]),
                        vdni_data<float>(op->out[0]), count / op->out[0]->n };
    return vdni_each_as<float, 1>(ctx, device, BODY{ t }, count);
}

} // namespace

const vdni_cuda_entry vdni_cuda_draw[3] = { { run<ancestral>, nullptr, nullptr, nullptr },
                                            { run<coin>, nullptr, nullptr, nullptr },
                                            { run<flip>, nullptr, nullptr, nullptr } };

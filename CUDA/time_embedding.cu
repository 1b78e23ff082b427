/* CUDA twin of the time embedding; the contract is Ops/time_embedding.h. */
#include "CUDA/elements.cuh"

namespace {

struct embedding {
    const float *t;
    float *y;
    int64_t half;

    template <class, int>
    __device__ void at(int64_t at) const
    {
        const vdni_place place = vdni_place_of(at, half);
        const double w = exp(-log(10000.0) * (double)place.channel / (double)half);
        const double angle = ((double)t[place.pixel] - 1.0) * w;
        float *row = y + place.pixel * 2 * half + place.channel;
        row[0] = (float)cos(angle);
        row[half] = (float)sin(angle);
    }
};

vdn_status run_time_embedding(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *y = op->out[0];
    const embedding body = { vdni_data<float>(op->in[0]), vdni_data<float>(y), y->c / 2 };
    return vdni_each_as<float, 1>(ctx, device, body, y->n * body.half);
}

} // namespace

const vdni_cuda_entry vdni_cuda_time_embedding[1] = { { run_time_embedding, nullptr, nullptr,
                                                        nullptr } };

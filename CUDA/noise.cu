/* CUDA twin of the noise operator; the contract is Ops/noise.h. Compiled without fused
 * multiplication and addition, so that the bits are those of Base/philox.c. */
#include "CUDA/elements.cuh"

#include "Base/philox_kernel.h"

extern "C" {
#include "Base/philox.h"
}

namespace {

enum { BLOCK_NUMBERS = 4 };

/* A block of the generator to a thread; Base/philox.h says how a key becomes its counter. */
struct noise {
    const int32_t *keys;
    float *y;
    int64_t size, blocks; /* of an image */

    __device__ void normal(float out[BLOCK_NUMBERS], const int32_t *row, uint32_t block) const
    {
        uint32_t word[VDNI_NOISE_KEY_WORDS];
#pragma unroll
        for (int i = 0; i < VDNI_NOISE_KEY_WORDS; i++) word[i] = (uint32_t)row[i];
        const uint32_t purpose = word[2], case_key = word[3], slice = word[4], step = word[5];
        uint32_t x[4] = { block, step, slice << 16 ^ word[6], case_key };
        vdni_philox_rounds(x, word[0], word[1] ^ purpose * 0x9E3779B9u);
        vdni_box_muller(&out[0], &out[1], x[0], x[1]);
        vdni_box_muller(&out[2], &out[3], x[2], x[3]);
    }

    template <class, int>
    __device__ void at(int64_t at) const
    {
        const int64_t n = vdni_quotient(at, blocks), block = at - n * blocks;
        const int64_t first = block * BLOCK_NUMBERS;
        vdni_pack<float, BLOCK_NUMBERS> pack;
        normal(pack.x, keys + n * VDNI_NOISE_KEY_WORDS, (uint32_t)block);
        if (size % BLOCK_NUMBERS == 0 && reinterpret_cast<uintptr_t>(y) % sizeof pack == 0) {
            vdni_put<float, BLOCK_NUMBERS>(y, n * size + first, pack);
            return;
        }
#pragma unroll
        for (int k = 0; k < BLOCK_NUMBERS; k++)
            if (first + k < size) y[n * size + first + k] = pack.x[k];
    }
};

vdn_status run_noise(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *y = op->out[0];
    const int64_t size = y->h * y->w * y->c;
    const noise body = { vdni_data<int32_t>(op->in[0]), vdni_data<float>(y), size,
                         (size + BLOCK_NUMBERS - 1) / BLOCK_NUMBERS };
    return vdni_each_as<float, 1>(ctx, device, body, y->n * body.blocks);
}

} // namespace

const vdni_cuda_entry vdni_cuda_noise[1] = { { run_noise, nullptr, nullptr, nullptr } };

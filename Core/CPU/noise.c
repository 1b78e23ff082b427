/* CPU twin of the noise operator; the contract is Core/Ops/noise.h. */
#include "Ops/noise.h"
#include "Base/philox.h"
#include "CPU/cpu.h"

enum { PIECE = 1 << 14 };

static vdn_status run_noise(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    vdni_tensor *const y = op->out[0];
    const int32_t *const keys = op->in[0]->data;
    const int64_t size = y->h * y->w * y->c, pieces = (size + PIECE - 1) / PIECE;

    (void)ctx;
    (void)device; /* without OpenMP */
    (void)workspace;
#pragma omp parallel for num_threads(device->threads) if (y->n * pieces > 1)
    for (int64_t i = 0; i < y->n * pieces; i++) {
        const int64_t n = i / pieces, first = i % pieces * PIECE;
        const int64_t count = size - first < PIECE ? size - first : PIECE;
        const vdni_noise_key key = vdni_noise_key_unpack(keys + n * VDNI_NOISE_KEY_WORDS);
        vdni_philox_normal((float *)y->data + n * size + first, &key, first, count);
    }
    return VDN_OK;
}

const vdni_cpu_entry vdni_cpu_noise[1] = { { run_noise, NULL } };

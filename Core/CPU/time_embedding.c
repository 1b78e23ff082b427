/* CPU twin of the time embedding; the contract is Core/Ops/time_embedding.h. */
#include "Ops/time_embedding.h"

#include "CPU/cpu.h"

#include <math.h>

static vdn_status run_time_embedding(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                     void *workspace)
{
    const float *const t = op->in[0]->data;
    float *const y = op->out[0]->data;
    const int64_t n = op->out[0]->n, half = op->out[0]->c / 2;

    (void)ctx;
    (void)device;
    (void)workspace;
    for (int64_t i = 0; i < half; i++) {
        const double w = exp(-log(10000.0) * (double)i / (double)half);
        for (int64_t k = 0; k < n; k++) {
            const double angle = ((double)t[k] - 1.0) * w;
            y[k * 2 * half + i] = (float)cos(angle);
            y[k * 2 * half + half + i] = (float)sin(angle);
        }
    }
    return VDN_OK;
}

const vdni_cpu_entry vdni_cpu_time_embedding[1] = { { run_time_embedding, NULL } };

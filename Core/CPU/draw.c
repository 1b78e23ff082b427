/* CPU twin of the random steps; the contract is Core/Ops/draw.h. */
#include "Ops/draw.h"

#include "CPU/cpu.h"

#include <math.h>

enum { PIECE = 1 << 12 };

typedef struct {
    const float *a, *b, *noise, *q;
    float *y;
    int64_t size; /* of an image */
} job;

typedef float one_value(const job *j, int64_t i);

static float ancestral(const job *j, int64_t i)
{
    const float *q = j->q + 4 * (i / j->size);
    return j->a[i] + expf(q[0] * j->b[i] + q[1]) * j->noise[i];
}

static float coin(const job *j, int64_t i)
{
    const float p = j->a[i];
    if (isnan(p)) return p;
    return 0.5 * erfc(-(double)j->b[i] * 0.70710678118654752440) < (double)p ? 1.0f : 0.0f;
}

static float flip(const job *j, int64_t i)
{ return fabsf(j->b[i] - 1.0f / (1.0f + expf(-j->a[i]))); }

static vdn_status run(vdni_device *device, const vdni_op *op, one_value *value)
{
    const int64_t count = vdni_tensor_count(op->out[0]), pieces = (count + PIECE - 1) / PIECE;
    const job j = { op->in[0]->data,
                    op->in[1]->data,
                    op->in[2] ? op->in[2]->data : NULL,
                    op->in[3] ? op->in[3]->data : NULL,
                    op->out[0]->data,
                    count / op->out[0]->n };
    (void)device; /* without OpenMP */
#pragma omp parallel for num_threads(device->threads) if (pieces > 1)
    for (int64_t p = 0; p < pieces; p++)
        for (int64_t i = p * PIECE; i < (p + 1) * PIECE && i < count; i++) j.y[i] = value(&j, i);
    return VDN_OK;
}

static vdn_status run_ancestral(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *space)
{
    (void)ctx;
    (void)space;
    return run(device, op, ancestral);
}

static vdn_status run_draw(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *space)
{
    (void)ctx;
    (void)space;
    return run(device, op, coin);
}

static vdn_status run_flip(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *space)
{
    (void)ctx;
    (void)space;
    return run(device, op, flip);
}

const vdni_cpu_entry vdni_cpu_draw[3] = { { run_ancestral, NULL },
                                          { run_draw, NULL },
                                          { run_flip, NULL } };

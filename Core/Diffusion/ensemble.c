#include "Diffusion/ensemble.h"

#include "Base/memory.h"
#include "Base/parallel.h"

#include <math.h>
#include <string.h>

vdn_status vdni_ensemble_create(vdn_ctx *ctx, vdni_ensemble *out, int64_t pixels, int32_t channels)
{
    vdn_status status = VDN_OK;
    memset(out, 0, sizeof *out);
    out->pixels = pixels;
    out->channels = channels;
    out->threads = ctx->threads;
    VDN_TRY(VDNI_NEW(ctx, out->sum, pixels * channels));
    VDN_TRY(VDNI_NEW(ctx, out->sum_squares, pixels * channels));
    VDN_TRY(VDNI_NEW(ctx, out->sum_entropy, pixels));
done:
    if (status != VDN_OK) vdni_ensemble_free(ctx, out);
    return status;
}

void vdni_ensemble_free(vdn_ctx *ctx, vdni_ensemble *e)
{
    if (!e) return;
    vdni_free(ctx, e->sum);
    vdni_free(ctx, e->sum_squares);
    vdni_free(ctx, e->sum_entropy);
    memset(e, 0, sizeof *e);
}

void vdni_ensemble_clear(vdni_ensemble *e)
{
    const size_t bytes = (size_t)(e->pixels * e->channels) * sizeof *e->sum;
    memset(e->sum, 0, bytes);
    memset(e->sum_squares, 0, bytes);
    memset(e->sum_entropy, 0, (size_t)e->pixels * sizeof *e->sum_entropy);
    e->samples = 0;
}

static double term(double p) { return p > 0.0 ? -p * log(p) : 0.0; }

double vdni_entropy(const float *p, int32_t channels)
{
    double sum = 0.0;
    if (channels == 1) return term(p[0]) + term(1.0 - (double)p[0]);
    for (int32_t c = 0; c < channels; c++) sum += term(p[c]);
    return sum;
}

enum { SOME_PIXELS = 4096 };

typedef struct {
    vdni_ensemble *e;
    const float *p;
    const vdni_ensemble_maps *out;
} task;

static int64_t task_count(const vdni_ensemble *e) { return (e->pixels + SOME_PIXELS - 1) / SOME_PIXELS; }

static int64_t task_end(const vdni_ensemble *e, int64_t index)
{
    const int64_t end = (index + 1) * SOME_PIXELS;
    return end < e->pixels ? end : e->pixels;
}

static void add_some(void *user, int64_t index)
{
    const task *t = user;
    vdni_ensemble *e = t->e;
    const int64_t begin = index * SOME_PIXELS, end = task_end(e, index);
    for (int64_t i = begin * e->channels; i < end * e->channels; i++) {
        e->sum[i] += t->p[i];
        e->sum_squares[i] += t->p[i] * t->p[i];
    }
    for (int64_t i = begin; i < end; i++)
        e->sum_entropy[i] += (float)vdni_entropy(t->p + i * e->channels, e->channels);
}

void vdni_ensemble_add(vdni_ensemble *e, const float *p)
{
    task t = { e, p, NULL };
    vdni_parallel_for(e->threads, task_count(e), add_some, &t);
    e->samples++;
}

/* Rounding can leave a hair below zero where the true value is zero. */
static float not_negative(double value) { return value > 0.0 ? (float)value : 0.0f; }

static void get_one(const vdni_ensemble_maps *out, const vdni_ensemble *e, int64_t i)
{
    const int32_t k = e->channels;
    const double share = 1.0 / e->samples;
    float mean[VDN_MAX_CLASSES];

    for (int32_t c = 0; c < k; c++) {
        const int64_t at = i * k + c;
        mean[c] = (float)(e->sum[at] * share);
        if (out->mean) out->mean[at] = mean[c];
        if (out->variance)
            out->variance[at] =
                not_negative(e->sum_squares[at] * share - (double)mean[c] * mean[c]);
    }
    const double entropy = vdni_entropy(mean, k), expected = e->sum_entropy[i] * share;
    if (out->entropy) out->entropy[i] = (float)entropy;
    if (out->expected) out->expected[i] = (float)expected;
    if (out->information) out->information[i] = not_negative(entropy - expected);
}

static void get_some(void *user, int64_t index)
{
    const task *t = user;
    for (int64_t i = index * SOME_PIXELS; i < task_end(t->e, index); i++) get_one(t->out, t->e, i);
}

void vdni_ensemble_get(const vdni_ensemble_maps *out, const vdni_ensemble *e)
{
    /* Nothing of @p e is written by get_some. */
    task t = { (vdni_ensemble *)(uintptr_t)e, NULL, out };
    vdni_parallel_for(e->threads, task_count(e), get_some, &t);
}

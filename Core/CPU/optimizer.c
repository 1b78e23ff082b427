/* CPU twin of the optimiser step; the contract is Core/Ops/optimizer.h. */
#include "Ops/optimizer.h"

#include "CPU/cpu.h"

#include <math.h>

enum { LANES = 16 };

typedef struct {
    float clip, b1, one_b1, b2, one_b2, lr, root, eps, decay, couple, average, one_average;
} factors;

typedef struct {
    const vdni_optimizer_step *step;
    factors f;
    double sum[VDNI_CHUNKS]; /* of squared gradients */
} job;

static VDNI_VECTOR double sum_of_squares(const float *g, int64_t count)
{
    double lane[LANES] = { 0 }, sum = 0.0;
    const int64_t whole = count / LANES * LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int l = 0; l < LANES; l++) lane[l] += (double)g[i + l] * (double)g[i + l];
    for (int64_t i = whole; i < count; i++) lane[i - whole] += (double)g[i] * (double)g[i];
    for (int l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

static VDNI_VECTOR void update(float *restrict p, float *restrict m, float *restrict v,
                               float *restrict g, const factors *f, int64_t count)
{
    const factors k = *f;
    for (int64_t i = 0; i < count; i++) {
        const float slope = k.clip * g[i];
        m[i] = k.b1 * m[i] + k.one_b1 * slope;
        v[i] = k.b2 * v[i] + k.one_b2 * (slope * slope);
        p[i] -= k.lr * m[i] / (sqrtf(v[i]) * k.root + k.eps);
        g[i] = 0.0f;
    }
}

/* g becomes c g + wd p; what follows clips no more. */
static VDNI_VECTOR void couple_decay(float *restrict g, const float *restrict p,
                                     const uint8_t *restrict mask, const factors *f, int64_t count)
{
    const float clip = f->clip, couple = f->couple;
    for (int64_t i = 0; i < count; i++)
        g[i] = clip * g[i] + (!mask || mask[i] ? couple * p[i] : 0.0f);
}

static VDNI_VECTOR void descend(float *restrict p, float *restrict m, float *restrict g,
                                const factors *f, int64_t count)
{
    const float momentum = f->b1, lr = f->lr;
    for (int64_t i = 0; i < count; i++) {
        m[i] = momentum * m[i] + g[i];
        p[i] -= lr * (g[i] + momentum * m[i]);
        g[i] = 0.0f;
    }
}

static VDNI_VECTOR void average_in(float *restrict e, const float *restrict p, const factors *f,
                                   int64_t count)
{
    const float keep = f->average, take = f->one_average;
    for (int64_t i = 0; i < count; i++) e[i] = keep * e[i] + take * p[i];
}

static void sum_chunk(void *user, int64_t k)
{
    job *const j = user;
    const int64_t n = j->step->count, begin = vdni_chunk_begin(n, VDNI_CHUNKS, k);
    j->sum[k] =
        sum_of_squares(j->step->gradient + begin, vdni_chunk_begin(n, VDNI_CHUNKS, k + 1) - begin);
}

static void update_chunk(void *user, int64_t k)
{
    job *const j = user;
    const vdni_optimizer_step *const s = j->step;
    const int64_t begin = vdni_chunk_begin(s->count, VDNI_CHUNKS, k);
    const int64_t end = vdni_chunk_begin(s->count, VDNI_CHUNKS, k + 1);
    if (j->f.decay != 0.0f)
        for (int64_t i = begin; i < end; i++)
            if (!s->decay_mask || s->decay_mask[i])
                s->parameters[i] -= j->f.decay * s->parameters[i];
    factors f = j->f;
    if (s->kind != VDNI_OPTIMIZER_ADAMW) {
        couple_decay(s->gradient + begin, s->parameters + begin,
                     s->decay_mask ? s->decay_mask + begin : NULL, &f, end - begin);
        f.clip = 1.0f;
    }
    if (s->kind == VDNI_OPTIMIZER_SGD)
        descend(s->parameters + begin, s->moment1 + begin, s->gradient + begin, &f, end - begin);
    else
        update(s->parameters + begin, s->moment1 + begin, s->moment2 + begin, s->gradient + begin,
               &f, end - begin);
    if (s->average) average_in(s->average + begin, s->parameters + begin, &j->f, end - begin);
}

vdn_status vdni_cpu_optimize(vdn_ctx *ctx, vdni_device *device, const vdni_optimizer_step *step)
{
    VDN_CHECK(vdni_optimizer_check(ctx, step));
    job j = { .step = step };
    double sum = 0.0;
    vdni_parallel_for(device->threads, VDNI_CHUNKS, sum_chunk, &j);
    for (int k = 0; k < VDNI_CHUNKS; k++) sum += j.sum[k];
    const double norm = sqrt(sum);
    if (step->gradient_norm) *step->gradient_norm = norm;
    if (!isfinite(norm))
        return vdni_fail(ctx, VDN_ERR_NUMERIC, "the gradient norm is %g at optimiser step %lld",
                         norm, (long long)step->step);

    const double t = (double)step->step;
    const int decoupled = step->kind == VDNI_OPTIMIZER_ADAMW, sgd = step->kind == VDNI_OPTIMIZER_SGD;
    const double clip = step->clip > 0.0 && norm > step->clip ? step->clip / norm : 1.0;
    j.f = (factors){ .clip = (float)clip,
                     .b1 = (float)step->beta1,
                     .one_b1 = (float)(1.0 - step->beta1),
                     .b2 = (float)step->beta2,
                     .one_b2 = (float)(1.0 - step->beta2),
                     .lr = (float)(sgd ? step->lr : step->lr / (1.0 - pow(step->beta1, t))),
                     .root = (float)(1.0 / sqrt(1.0 - pow(step->beta2, t))),
                     .eps = (float)step->eps,
                     .decay = decoupled ? (float)(step->lr * step->weight_decay) : 0.0f,
                     .couple = (float)step->weight_decay,
                     .average = (float)step->average_decay,
                     .one_average = (float)(1.0 - step->average_decay) };
    vdni_parallel_for(device->threads, VDNI_CHUNKS, update_chunk, &j);
    return VDN_OK;
}

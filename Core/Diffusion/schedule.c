#include "Diffusion/schedule.h"

#include "Base/memory.h"

#include <math.h>

static double cosine_signal(double u)
{
    const double c = cos((u + 0.008) / 1.008 * 1.57079632679489661923);
    return c * c;
}

static double beta_of(vdni_schedule_kind kind, int64_t t, int64_t T)
{
    const double steps = (double)T, i = (double)(t - 1);
    if (kind == VDNI_SCHEDULE_COSINE)
        return fmin(0.999, 1.0 - cosine_signal((i + 1.0) / steps) / cosine_signal(i / steps));
    const double first = 0.1 / steps, last = 20.0 / steps;
    return first + i * ((last - first) / (steps - 1.0));
}

static void fill(vdni_schedule *s)
{
    s->alpha[0] = s->abar[0] = 1.0;
    for (int64_t t = 1; t <= s->T; t++) {
        s->alpha[t] = 1.0 - beta_of(s->kind, t, s->T);
        s->abar[t] = s->abar[t - 1] * s->alpha[t];

        const double before = s->abar[t - 1], noise = 1.0 - s->abar[t], beta = 1.0 - s->alpha[t];
        s->gamma0[t] = sqrt(before) * beta / noise;
        s->gamma1[t] = sqrt(s->alpha[t]) * (1.0 - before) / noise;
        s->gamma2[t] = (1.0 - sqrt(s->alpha[t])) * (1.0 - sqrt(before)) / (1.0 + sqrt(s->abar[t]));
        s->sigma[t] = sqrt(beta * (1.0 - before) / noise);
    }
}

vdn_status vdni_schedule_create(vdn_ctx *ctx, vdni_schedule **out, vdni_schedule_kind kind,
                                int64_t T)
{
    vdn_status status = VDN_OK;
    vdni_schedule *s = NULL;

    if (T < 1 || T > VDNI_MAX_TIME_STEPS)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "schedule of %lld steps, needed 1 to %d",
                         (long long)T, VDNI_MAX_TIME_STEPS);
    if (kind != VDNI_SCHEDULE_LINEAR && kind != VDNI_SCHEDULE_COSINE)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "schedule kind %d is neither 0 (linear) nor 1 (cosine)", (int)kind);
    if (kind == VDNI_SCHEDULE_LINEAR && T <= 20)
        return vdni_fail(
            ctx, VDN_ERR_ARGUMENT,
            "a linear schedule of %lld steps ends at beta %g; it needs more than 20 steps",
            (long long)T, 20.0 / (double)T);

    VDN_TRY(VDNI_NEW(ctx, s, 1));
    s->kind = kind;
    s->T = T;
    VDN_TRY(VDNI_NEW(ctx, s->alpha, 6 * (T + 1)));
    s->abar = s->alpha + (T + 1);
    s->gamma0 = s->abar + (T + 1);
    s->gamma1 = s->gamma0 + (T + 1);
    s->gamma2 = s->gamma1 + (T + 1);
    s->sigma = s->gamma2 + (T + 1);
    fill(s);

    *out = s;
    s = NULL;
done:
    vdni_schedule_free(ctx, s);
    return status;
}

void vdni_schedule_free(vdn_ctx *ctx, vdni_schedule *schedule)
{
    if (!schedule) return;
    vdni_free(ctx, schedule->alpha);
    vdni_free(ctx, schedule);
}

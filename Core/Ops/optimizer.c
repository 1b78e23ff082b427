#include "Ops/optimizer.h"

#include <math.h>

static vdn_status need(vdn_ctx *ctx, int ok, const char *what, double value, const char *range)
{
    if (ok) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_ARGUMENT, "optimiser: %s is %g, needed %s", what, value, range);
}

/* Comparisons are written so that NaN fails them. */
vdn_status vdni_optimizer_check(vdn_ctx *ctx, const vdni_optimizer_step *step)
{
    const vdni_optimizer_step *s = step;
    if ((unsigned)s->kind >= VDNI_OPTIMIZERS)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "optimiser: kind %d, there are %d", (int)s->kind,
                         (int)VDNI_OPTIMIZERS);
    if (s->count < 1 || s->step < 1)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "optimiser: %lld values at step %lld, needed 1 or more",
                         (long long)s->count, (long long)s->step);
    if (!s->parameters || !s->moment1 || !s->moment2 || !s->gradient)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "optimiser: a block is missing");
    VDN_CHECK(need(ctx, s->lr > 0.0 && isfinite(s->lr), "lr", s->lr, "above 0"));
    VDN_CHECK(need(ctx, s->eps > 0.0 && isfinite(s->eps), "eps", s->eps, "above 0"));
    VDN_CHECK(need(ctx, s->beta1 >= 0.0 && s->beta1 < 1.0, "beta1", s->beta1, "0 <= beta1 < 1"));
    VDN_CHECK(need(ctx, s->beta2 >= 0.0 && s->beta2 < 1.0, "beta2", s->beta2, "0 <= beta2 < 1"));
    VDN_CHECK(need(ctx, s->weight_decay >= 0.0 && isfinite(s->weight_decay), "weight decay",
                   s->weight_decay, "0 or more"));
    VDN_CHECK(need(ctx, s->clip >= 0.0 && isfinite(s->clip), "clip", s->clip, "0 or more"));
    return need(ctx, s->average_decay >= 0.0 && s->average_decay <= 1.0, "average decay",
                s->average_decay, "0 to 1");
}

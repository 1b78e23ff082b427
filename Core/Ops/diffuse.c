#include "Ops/diffuse.h"

#include <math.h>

static vdn_status need_f32_like(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t,
                                const char *name, const vdni_tensor *like)
{
    const int64_t shape[4] = { like->n, like->h, like->w, like->c };
    if (!t) return VDN_OK;
    VDN_CHECK(vdni_need_type(ctx, op, t, name, VDNI_F32));
    return vdni_need_shape(ctx, op, t, name, shape);
}

static vdn_status check_combine(vdn_ctx *ctx, const vdni_op *op)
{
    static const char *const name[] = { "a", "coefficients", "b", "c", "d" };
    const vdni_tensor *a = op->in[0], *coefficients = op->in[1];
    const int64_t four[4] = { a->n, 1, 1, VDNI_COMBINE_TERMS };

    for (int i = 0; i < 5; i++)
        if (i != 1) VDN_CHECK(need_f32_like(ctx, op, op->in[i], name[i], a));
    VDN_CHECK(vdni_need(ctx, op, op->a.scale >= 0.0f, "a negative bound"));
    VDN_CHECK(vdni_need_type(ctx, op, coefficients, "coefficients", VDNI_F32));
    VDN_CHECK(vdni_need_shape(ctx, op, coefficients, "coefficients", four));
    return need_f32_like(ctx, op, op->out[0], "y", a);
}

static vdn_status check_encode(vdn_ctx *ctx, const vdni_op *op)
{
    const int code = op->a.mode;
    VDN_CHECK(vdni_need_type(ctx, op, op->in[0], "s", VDNI_F32));
    VDN_CHECK(need_f32_like(ctx, op, op->out[0], "y", op->in[0]));
    VDN_CHECK(need_f32_like(ctx, op, op->out[1], "p", op->in[0]));
    VDN_CHECK(vdni_need(ctx, op, code == VDNI_CODE_PLUS_MINUS || code == VDNI_CODE_ZERO_ONE,
                        "mode is neither 0 (+-rho) nor 1 ({0, 1})"));
    return vdni_need(ctx, op,
                     code == VDNI_CODE_ZERO_ONE || (op->a.scale > 0.0f && isfinite(op->a.scale)),
                     "scale (rho) is not above 0 and finite");
}

vdn_status vdni_diffuse_check(vdn_ctx *ctx, const vdni_op *op)
{
    return op->kind == VDNI_OP_COMBINE ? check_combine(ctx, op) : check_encode(ctx, op);
}

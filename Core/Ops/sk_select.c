#include "Ops/sk_select.h"

static vdn_status need_like(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t, const char *name,
                            const vdni_tensor *x)
{
    VDN_CHECK(vdni_need_float(ctx, op, t, name));
    return vdni_need_shape(ctx, op, t, name, (const int64_t[4]){ x->n, x->h, x->w, x->c });
}

static vdn_status need_logits(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t,
                              const char *name, const vdni_tensor *x)
{
    VDN_CHECK(vdni_need_type(ctx, op, t, name, VDNI_F32));
    return vdni_need_shape(ctx, op, t, name, (const int64_t[4]){ x->n, 1, 1, 3 * x->c });
}

vdn_status vdni_sk_select_check(vdn_ctx *ctx, const vdni_op *op)
{
    static const char *const names[3] = { "u3", "u5", "u7" };
    static const char *const gradients[3] = { "du3", "du5", "du7" };
    const int is_forward = op->kind == VDNI_OP_SK_SELECT;
    vdni_tensor *const *u = is_forward ? op->in : op->in + 1;

    for (int k = 0; k < 3; k++) VDN_CHECK(need_like(ctx, op, u[k], names[k], u[0]));
    VDN_CHECK(need_logits(ctx, op, u[3], "logits", u[0]));
    if (is_forward) return need_like(ctx, op, op->out[0], "y", u[0]);
    VDN_CHECK(need_like(ctx, op, op->in[0], "g", u[0]));
    for (int k = 0; k < 3; k++) VDN_CHECK(need_like(ctx, op, op->out[k], gradients[k], u[0]));
    return need_logits(ctx, op, op->out[3], "dlogits", u[0]);
}

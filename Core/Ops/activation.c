#include "Ops/activation.h"

vdn_status vdni_act_check(vdn_ctx *ctx, const vdni_op *op)
{
    if ((unsigned)op->a.act <= VDNI_ACT_GELU) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s: activation %d, the last one is %d",
                     vdni_op_name(op->kind), (int)op->a.act, (int)VDNI_ACT_GELU);
}

vdn_status vdni_activation_check(vdn_ctx *ctx, const vdni_op *op)
{
    const int is_forward = op->kind == VDNI_OP_ACTIVATION;
    const vdni_tensor *x = is_forward ? op->in[0] : op->in[1], *y = op->out[0];
    const int64_t shape[4] = { x->n, x->h, x->w, x->c };

    VDN_CHECK(vdni_act_check(ctx, op));
    for (int i = 0; i < 3; i++) {
        static const char *const names[3] = { "g", "x", "addend" };
        if (!op->in[i]) continue;
        const char *name = is_forward ? "x" : names[i];
        VDN_CHECK(vdni_need_float(ctx, op, op->in[i], name));
        VDN_CHECK(vdni_need_shape(ctx, op, op->in[i], name, shape));
    }
    VDN_CHECK(vdni_need_float(ctx, op, y, is_forward ? "y" : "dx"));
    VDN_CHECK(vdni_need_shape(ctx, op, y, is_forward ? "y" : "dx", shape));
    return vdni_need(ctx, op, !y->data || y->data != x->data || y->dtype == x->dtype,
                     "in place needs x and y of one type");
}

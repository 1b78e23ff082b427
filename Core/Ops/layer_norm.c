#include "Ops/layer_norm.h"

static vdn_status need(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t, const char *name,
                       const int64_t shape[4], int is_f32)
{
    if (!t) return VDN_OK;
    VDN_CHECK(is_f32 ? vdni_need_type(ctx, op, t, name, VDNI_F32)
                     : vdni_need_float(ctx, op, t, name));
    return vdni_need_shape(ctx, op, t, name, shape);
}

vdn_status vdni_layer_norm_check(vdn_ctx *ctx, const vdni_op *op)
{
    const int forward = op->kind == VDNI_OP_LAYER_NORM;
    const vdni_tensor *x = op->in[forward ? 0 : 1];
    const int64_t shape[4] = { x->n, x->h, x->w, x->c }, row[4] = { 1, 1, 1, x->c };
    const int64_t stats[4] = { x->n, x->h, x->w, 2 };

    VDN_CHECK(vdni_need_float(ctx, op, x, "x"));
    VDN_CHECK(vdni_need(ctx, op, op->a.eps > 0 && op->a.eps <= 1, "eps must be in (0, 1]"));
    VDN_CHECK(vdni_need(ctx, op, x->c <= VDNI_LAYER_NORM_CHANNELS, "more than 8192 channels"));
    VDN_CHECK(need(ctx, op, op->out[0], forward ? "y" : "dx", shape, 0));
    if (forward) {
        VDN_CHECK(need(ctx, op, op->in[1], "gamma", row, 1));
        VDN_CHECK(need(ctx, op, op->in[2], "beta", row, 1));
        return need(ctx, op, op->out[1], "stats", stats, 1);
    }
    VDN_CHECK(need(ctx, op, op->in[0], "g", shape, 0));
    VDN_CHECK(need(ctx, op, op->in[2], "stats", stats, 1));
    VDN_CHECK(need(ctx, op, op->in[3], "gamma", row, 1));
    VDN_CHECK(need(ctx, op, op->in[4], "addend", shape, 0));
    VDN_CHECK(need(ctx, op, op->out[1], "dgamma", row, 1));
    return need(ctx, op, op->out[2], "dbeta", row, 1);
}

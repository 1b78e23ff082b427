#include "Ops/linear.h"

static vdn_status need(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t, const char *name,
                       int64_t n, int64_t c)
{
    if (!t) return VDN_OK;
    VDN_CHECK(vdni_need_type(ctx, op, t, name, VDNI_F32));
    return vdni_need_shape(ctx, op, t, name, (const int64_t[4]){ n, 1, 1, c });
}

vdn_status vdni_linear_check(vdn_ctx *ctx, const vdni_op *op)
{
    const int is_dx = op->kind == VDNI_OP_LINEAR_DX, is_dw = op->kind == VDNI_OP_LINEAR_DW;
    const vdni_tensor *x = is_dx ? op->out[0] : op->in[0];
    const vdni_tensor *y = is_dx ? op->in[0] : is_dw ? op->in[1] : op->out[0];
    const vdni_tensor *w = is_dw ? op->out[0] : op->in[1];
    const vdni_tensor *b = is_dx ? NULL : is_dw ? op->out[1] : op->in[2];
    const vdni_tensor *add = is_dx ? op->in[2] : NULL;

    VDN_CHECK(need(ctx, op, x, "the input side", x->n, x->c));
    VDN_CHECK(need(ctx, op, y, "the output side", x->n, y->c));
    VDN_CHECK(need(ctx, op, w, "the weight", y->c, x->c));
    VDN_CHECK(need(ctx, op, b, "the bias", 1, y->c));
    return need(ctx, op, add, "the added tensor", x->n, x->c);
}

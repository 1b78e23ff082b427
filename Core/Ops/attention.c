#include "Ops/attention.h"

static vdn_status need_float_shape(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t,
                                   const char *name, const vdni_tensor *image, int64_t c)
{
    const int64_t shape[4] = { image->n, image->h, image->w, c };
    VDN_CHECK(vdni_need_float(ctx, op, t, name));
    return vdni_need_shape(ctx, op, t, name, shape);
}

vdn_status vdni_attention_check(vdn_ctx *ctx, const vdni_op *op)
{
    const int backward = op->kind == VDNI_OP_ATTENTION_BACKWARD;
    const vdni_tensor *qkv = op->in[backward], *lse = backward ? op->in[3] : op->out[1];
    const int64_t channels = qkv->c / 3, heads = op->a.heads;
    const int64_t rows[4] = { qkv->n, 1, heads, qkv->h * qkv->w };

    VDN_CHECK(vdni_need_float(ctx, op, qkv, "qkv"));
    VDN_CHECK(vdni_need(ctx, op, qkv->c % 3 == 0, "the channels of qkv are not a multiple of 3"));
    if (heads < 1 || channels % heads != 0 || channels / heads > VDNI_MAX_HEAD)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "%s: %lld heads do not divide %lld channels into parts of 1 to %d",
                         vdni_op_name(op->kind), (long long)heads, (long long)channels,
                         VDNI_MAX_HEAD);
    VDN_CHECK(vdni_need_type(ctx, op, lse, "lse", VDNI_F32));
    VDN_CHECK(vdni_need_shape(ctx, op, lse, "lse", rows));
    VDN_CHECK(need_float_shape(ctx, op, backward ? op->in[2] : op->out[0], "o", qkv, channels));
    if (!backward) return VDN_OK;
    VDN_CHECK(need_float_shape(ctx, op, op->in[0], "g", qkv, channels));
    return need_float_shape(ctx, op, op->out[0], "dqkv", qkv, qkv->c);
}

#include "Ops/window_attention.h"

static vdn_status need(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t, const char *name,
                       const int64_t shape[4], int is_f32)
{
    VDN_CHECK(is_f32 ? vdni_need_type(ctx, op, t, name, VDNI_F32)
                     : vdni_need_float(ctx, op, t, name));
    return vdni_need_shape(ctx, op, t, name, shape);
}

static vdn_status check_attributes(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *qkv)
{
    const vdni_attr *a = &op->a;
    if (a->kernel < 1 || a->kernel > VDNI_MAX_WINDOW || a->pad < 0 || a->pad >= a->kernel ||
        qkv->h % a->kernel != 0 || qkv->w % a->kernel != 0)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "%s: windows of %d shifted by %d on %lld x %lld pixels; needed 1..%d that "
                         "divides both, shifted by less",
                         vdni_op_name(op->kind), a->kernel, a->pad, (long long)qkv->h,
                         (long long)qkv->w, VDNI_MAX_WINDOW);
    if (a->heads < 1 || qkv->c % (3 * (int64_t)a->heads) != 0 ||
        qkv->c / (3 * (int64_t)a->heads) > VDNI_MAX_HEAD)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "%s: %lld channels for q, k and v of %d heads, needed 1 to %d each",
                         vdni_op_name(op->kind), (long long)qkv->c, a->heads, VDNI_MAX_HEAD);
    return VDN_OK;
}

vdn_status vdni_window_attention_check(vdn_ctx *ctx, const vdni_op *op)
{
    const int forward = op->kind == VDNI_OP_WINDOW_ATTENTION;
    const vdni_tensor *qkv = op->in[forward ? 0 : 1];
    VDN_CHECK(vdni_need_float(ctx, op, qkv, "qkv"));
    VDN_CHECK(check_attributes(ctx, op, qkv));
    const int64_t side = 2 * (int64_t)op->a.kernel - 1, heads = op->a.heads;
    const int64_t wide[4] = { qkv->n, qkv->h, qkv->w, qkv->c };
    const int64_t shape[4] = { qkv->n, qkv->h, qkv->w, qkv->c / 3 };
    const int64_t rows[4] = { qkv->n, qkv->h, qkv->w, heads },
                  table[4] = { 1, 1, side * side, heads };

    VDN_CHECK(need(ctx, op, op->in[forward ? 1 : 2], "table", table, 1));
    if (forward) {
        VDN_CHECK(need(ctx, op, op->out[0], "o", shape, 0));
        return need(ctx, op, op->out[1], "lse", rows, 1);
    }
    VDN_CHECK(need(ctx, op, op->in[0], "g", shape, 0));
    VDN_CHECK(need(ctx, op, op->in[3], "o", shape, 0));
    VDN_CHECK(need(ctx, op, op->in[4], "lse", rows, 1));
    VDN_CHECK(need(ctx, op, op->out[0], "dqkv", wide, 0));
    return need(ctx, op, op->out[1], "dtable", table, 1);
}

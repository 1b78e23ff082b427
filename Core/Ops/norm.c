#include "Ops/norm.h"

#include "Ops/activation.h"

static vdn_status check_attributes(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *x)
{
    const vdni_attr *a = &op->a;
    VDN_CHECK(vdni_act_check(ctx, op));
    VDN_CHECK(vdni_need(ctx, op, a->eps > 0 && a->eps <= 1, "eps must be in (0, 1]"));
    if (a->mode < VDNI_NORM_GROUP || a->mode > VDNI_NORM_BATCH_EVAL)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s: mode %d, needed 0..2", vdni_op_name(op->kind),
                         a->mode);
    if (a->mode == VDNI_NORM_GROUP && (a->groups < 1 || x->c % a->groups != 0))
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s: %d groups do not divide %lld channels",
                         vdni_op_name(op->kind), a->groups, (long long)x->c);
    return vdni_need(ctx, op, a->mode != VDNI_NORM_BATCH_TRAIN || x->n * x->h * x->w > 1,
                     "batch statistics need more than one pixel");
}

static vdn_status need(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t, const char *name,
                       int64_t n, int64_t c)
{
    if (!t) return VDN_OK;
    VDN_CHECK(vdni_need_type(ctx, op, t, name, VDNI_F32));
    return vdni_need_shape(ctx, op, t, name, (const int64_t[4]){ n, 1, 1, c });
}

static vdn_status need_like(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t, const char *name,
                            const vdni_tensor *x)
{
    if (!t) return VDN_OK;
    VDN_CHECK(vdni_need_float(ctx, op, t, name));
    return vdni_need_shape(ctx, op, t, name, (const int64_t[4]){ x->n, x->h, x->w, x->c });
}

static vdn_status check_forward(vdn_ctx *ctx, const vdni_op *op)
{
    const int is_group = op->a.mode == VDNI_NORM_GROUP;
    const vdni_tensor *x = op->in[0];
    VDN_CHECK(vdni_need_float(ctx, op, x, "x"));
    VDN_CHECK(check_attributes(ctx, op, x));
    VDN_CHECK(need(ctx, op, op->in[1], "gamma", 1, x->c));
    VDN_CHECK(need(ctx, op, op->in[2], "beta", 1, x->c));
    VDN_CHECK(need(ctx, op, op->in[3], "mod", x->n, 2 * x->c));
    VDN_CHECK(need(ctx, op, op->in[4], "running", 1, 2 * x->c));
    VDN_CHECK(vdni_need(ctx, op, !(is_group && op->in[4]), "running needs a batch mode"));
    VDN_CHECK(vdni_need(ctx, op, op->a.mode != VDNI_NORM_BATCH_EVAL || op->in[4],
                        "mode 2 needs running"));
    VDN_CHECK(need_like(ctx, op, op->out[0], "y", x));
    return need(ctx, op, op->out[1], "stats", is_group ? x->n : 1, 2 * vdni_norm_groups(op, x->c));
}

vdn_status vdni_norm_check(vdn_ctx *ctx, const vdni_op *op)
{
    if (op->kind == VDNI_OP_NORM) return check_forward(ctx, op);

    const vdni_tensor *x = op->in[1];
    VDN_CHECK(vdni_need_float(ctx, op, x, "x"));
    VDN_CHECK(check_attributes(ctx, op, x));
    VDN_CHECK(need_like(ctx, op, op->in[0], "g", x));
    VDN_CHECK(need(ctx, op, op->in[2], "stats", op->a.mode == VDNI_NORM_GROUP ? x->n : 1,
                   2 * vdni_norm_groups(op, x->c)));
    VDN_CHECK(need(ctx, op, op->in[3], "gamma", 1, x->c));
    VDN_CHECK(need(ctx, op, op->in[4], "beta", 1, x->c));
    VDN_CHECK(need(ctx, op, op->in[5], "mod", x->n, 2 * x->c));
    VDN_CHECK(need_like(ctx, op, op->in[6], "addend", x));
    VDN_CHECK(need_like(ctx, op, op->out[0], "dx", x));
    VDN_CHECK(need(ctx, op, op->out[1], "dgamma", 1, x->c));
    VDN_CHECK(need(ctx, op, op->out[2], "dbeta", 1, x->c));
    VDN_CHECK(vdni_need(ctx, op, !op->out[3] || op->in[5], "dmod needs mod"));
    return need(ctx, op, op->out[3], "dmod", x->n, 2 * x->c);
}

#include "Ops/process_loss.h"

static vdn_status need_f32(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t, const char *name,
                           const int64_t shape[4])
{
    VDN_CHECK(vdni_need_type(ctx, op, t, name, VDNI_F32));
    return vdni_need_shape(ctx, op, t, name, shape);
}

/* @p image: what counts as the size of the network's estimate. */
static vdn_status check_common(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *target,
                               const vdni_tensor *weights, int64_t values)
{
    const vdni_tensor *z = op->in[0];
    const int64_t all[4] = { z->n, z->h, z->w, z->c }, labels[4] = { z->n, z->h, z->w, 1 };
    const int64_t row[4] = { z->n, 1, 1, values }, terms[4] = { z->n, 1, 1, 4 };
    VDN_CHECK(need_f32(ctx, op, z, "z", all));
    VDN_CHECK(vdni_need_type(ctx, op, target, "target", VDNI_U8));
    VDN_CHECK(vdni_need_shape(ctx, op, target, "target", labels));
    VDN_CHECK(need_f32(ctx, op, weights, "weights", row));
    VDN_CHECK(need_f32(ctx, op, op->out[0], "dz", all));
    VDN_CHECK(need_f32(ctx, op, op->out[1], "terms", terms));
    for (int i = 0; i < 3; i++)
        VDN_CHECK(vdni_need(ctx, op, op->a.lambda[i] >= 0.0f, "a negative lambda"));
    return VDN_OK;
}

static vdn_status check_epsilon(vdn_ctx *ctx, const vdni_op *op)
{
    const vdni_tensor *z = op->in[0], *eps = op->in[1];
    const int64_t image[4] = { z->n, z->h, z->w, eps->c };
    VDN_CHECK(check_common(ctx, op, op->in[2], op->in[3], VDNI_EPSILON_WEIGHTS));
    VDN_CHECK(need_f32(ctx, op, eps, "eps", image));
    VDN_CHECK(vdni_need(ctx, op, z->c == eps->c || z->c == 2 * eps->c,
                        "z has neither the channels of eps nor twice as many"));
    return vdni_need(ctx, op, op->a.lambda[2] == 0.0f || z->c == 2 * eps->c,
                     "the variance's loss without a variance in z");
}

static vdn_status check_bernoulli(vdn_ctx *ctx, const vdni_op *op)
{
    const vdni_tensor *z = op->in[0];
    const int64_t image[4] = { z->n, z->h, z->w, z->c };
    VDN_CHECK(check_common(ctx, op, op->in[3], op->in[4], VDNI_BERNOULLI_WEIGHTS));
    VDN_CHECK(need_f32(ctx, op, op->in[1], "x", image));
    return need_f32(ctx, op, op->in[2], "f", image);
}

vdn_status vdni_process_loss_check(vdn_ctx *ctx, const vdni_op *op)
{ return op->kind == VDNI_OP_EPSILON_LOSS ? check_epsilon(ctx, op) : check_bernoulli(ctx, op); }

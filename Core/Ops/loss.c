#include "Ops/loss.h"

static vdn_status need_f32(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t, const char *name,
                           const int64_t shape[4])
{
    VDN_CHECK(vdni_need_type(ctx, op, t, name, VDNI_F32));
    return vdni_need_shape(ctx, op, t, name, shape);
}

static vdn_status check_common(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *target,
                               const vdni_tensor *weights)
{
    const vdni_tensor *s = op->in[0];
    const int64_t image[4] = { s->n, s->h, s->w, s->c }, labels[4] = { s->n, s->h, s->w, 1 };
    const int64_t pair[4] = { s->n, 1, 1, 2 }, terms[4] = { s->n, 1, 1, 4 };

    VDN_CHECK(need_f32(ctx, op, s, "the network output", image));
    VDN_CHECK(vdni_need(ctx, op, s->c <= VDNI_LOSS_MAX_CHANNELS, "more than 64 channels"));
    VDN_CHECK(vdni_need_type(ctx, op, target, "target", VDNI_U8));
    VDN_CHECK(vdni_need_shape(ctx, op, target, "target", labels));
    VDN_CHECK(need_f32(ctx, op, weights, "weights", pair));
    VDN_CHECK(need_f32(ctx, op, op->out[0], "the gradient", image));
    return need_f32(ctx, op, op->out[1], "terms", terms);
}

static vdn_status check_segmentation(vdn_ctx *ctx, const vdni_op *op)
{
    const vdni_tensor *s = op->in[0], *class_weights = op->in[3];
    const int64_t images = class_weights && class_weights->n != 1 ? s->n : 1;
    const int64_t classes[4] = { images, 1, 1, s->c > 2 ? s->c : 2 };

    VDN_CHECK(check_common(ctx, op, op->in[1], op->in[2]));
    if (class_weights) VDN_CHECK(need_f32(ctx, op, class_weights, "class_weights", classes));
    for (int i = 0; i < 3; i++)
        VDN_CHECK(vdni_need(ctx, op, op->a.lambda[i] >= 0.0f, "a negative lambda"));
    VDN_CHECK(vdni_need(ctx, op, op->a.scale >= 0.0f && op->a.scale <= 16.0f,
                        "the focal exponent lies between 0 and 16"));
    VDN_CHECK(vdni_need(ctx, op,
                        op->a.mode == VDNI_LOSS_PER_WEIGHT || op->a.mode == VDNI_LOSS_PER_PIXEL,
                        "an unknown mode"));
    return VDN_OK;
}

static vdn_status check_noise(vdn_ctx *ctx, const vdni_op *op)
{
    const vdni_tensor *z = op->in[0];
    const int64_t image[4] = { z->n, z->h, z->w, z->c };
    VDN_CHECK(check_common(ctx, op, op->in[2], op->in[3]));
    return need_f32(ctx, op, op->in[1], "eps", image);
}

vdn_status vdni_loss_check(vdn_ctx *ctx, const vdni_op *op)
{
    return op->kind == VDNI_OP_NOISE_LOSS ? check_noise(ctx, op) : check_segmentation(ctx, op);
}

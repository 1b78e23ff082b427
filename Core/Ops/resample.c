#include "Ops/resample.h"

static vdn_status need(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t, const char *name,
                       const int64_t shape[4])
{
    if (!t) return VDN_OK;
    VDN_CHECK(vdni_need_float(ctx, op, t, name));
    return vdni_need_shape(ctx, op, t, name, shape);
}

static vdn_status check_upsample(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *small,
                                 const vdni_tensor *large, const vdni_tensor *addend)
{
    if (op->a.factor != 2 ||
        (op->a.mode != VDNI_UPSAMPLE_NEAREST && op->a.mode != VDNI_UPSAMPLE_BILINEAR))
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "%s: factor %d mode %d, needed factor 2 mode 0 or 1",
                         vdni_op_name(op->kind), op->a.factor, op->a.mode);
    const int64_t same[4] = { small->n, small->h, small->w, small->c };
    const vdni_tensor *skip = op->kind == VDNI_OP_UPSAMPLE ? op->in[1] : NULL;
    const int64_t more = skip ? skip->c : 0;
    const int64_t twice[4] = { small->n, 2 * small->h, 2 * small->w, small->c + more };
    const int64_t beside[4] = { twice[0], twice[1], twice[2], more };
    VDN_CHECK(need(ctx, op, skip, "skip", beside));
    VDN_CHECK(need(ctx, op, small, "the small side", same));
    VDN_CHECK(need(ctx, op, large, "the large side", twice));
    return need(ctx, op, addend, "addend", same);
}

/* fine: the side with more pixels. */
static vdn_status check_shuffle(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *fine,
                                const vdni_tensor *coarse)
{
    const int64_t r = op->a.factor;
    if (r < 1 || r > 64 || fine->h % r != 0 || fine->w % r != 0)
        return vdni_fail(
            ctx, VDN_ERR_ARGUMENT, "%s: factor %lld must be 1..64 and divide %lld x %lld pixels",
            vdni_op_name(op->kind), (long long)r, (long long)fine->h, (long long)fine->w);
    const int64_t shape[4] = { fine->n, fine->h / r, fine->w / r, fine->c * r * r };
    VDN_CHECK(vdni_need_float(ctx, op, fine, "the side with more pixels"));
    return need(ctx, op, coarse, "the side with more channels", shape);
}

vdn_status vdni_resample_check(vdn_ctx *ctx, const vdni_op *op)
{
    switch (op->kind) {
    case VDNI_OP_UPSAMPLE:
        return check_upsample(ctx, op, op->in[0], op->out[0], NULL);
    case VDNI_OP_UPSAMPLE_BACKWARD:
        return check_upsample(ctx, op, op->out[0], op->in[0], op->in[1]);
    case VDNI_OP_UNSHUFFLE:
        return check_shuffle(ctx, op, op->in[0], op->out[0]);
    default:
        return check_shuffle(ctx, op, op->out[0], op->in[0]);
    }
}

#include "Ops/draw.h"

static vdn_status need_f32(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t, const char *name,
                           const int64_t shape[4])
{
    VDN_CHECK(vdni_need_type(ctx, op, t, name, VDNI_F32));
    return vdni_need_shape(ctx, op, t, name, shape);
}

vdn_status vdni_draw_check(vdn_ctx *ctx, const vdni_op *op)
{
    static const char *const names[3] = { "the first input", "the second input", "the noise" };
    const vdni_tensor *a = op->in[0];
    const int64_t like[4] = { a->n, a->h, a->w, a->c }, four[4] = { a->n, 1, 1, 4 };
    for (int i = 0; i < 3 && op->in[i]; i++)
        VDN_CHECK(need_f32(ctx, op, op->in[i], names[i], like));
    if (op->in[3]) VDN_CHECK(need_f32(ctx, op, op->in[3], "the coefficients", four));
    return need_f32(ctx, op, op->out[0], "y", like);
}

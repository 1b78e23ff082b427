#include "Ops/time_embedding.h"

vdn_status vdni_time_embedding_check(vdn_ctx *ctx, const vdni_op *op)
{
    const vdni_tensor *t = op->in[0], *y = op->out[0];
    const int64_t scalar[4] = { y->n, 1, 1, 1 }, vector[4] = { y->n, 1, 1, y->c };

    VDN_CHECK(vdni_need_type(ctx, op, t, "t", VDNI_F32));
    VDN_CHECK(vdni_need_type(ctx, op, y, "y", VDNI_F32));
    VDN_CHECK(vdni_need_shape(ctx, op, t, "t", scalar));
    VDN_CHECK(vdni_need_shape(ctx, op, y, "y", vector));
    return vdni_need(ctx, op, y->c % 2 == 0, "y has an odd number of channels");
}

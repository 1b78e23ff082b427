#include "Ops/noise.h"

#include "Base/philox.h"

vdn_status vdni_noise_check(vdn_ctx *ctx, const vdni_op *op)
{
    const vdni_tensor *keys = op->in[0], *y = op->out[0];
    const int64_t shape[4] = { y->n, 1, 1, VDNI_NOISE_KEY_WORDS };

    VDN_CHECK(vdni_need_type(ctx, op, keys, "keys", VDNI_I32));
    VDN_CHECK(vdni_need_type(ctx, op, y, "y", VDNI_F32));
    VDN_CHECK(vdni_need_shape(ctx, op, keys, "keys", shape));
    return vdni_need(ctx, op, y->h * y->w * y->c <= (int64_t)1 << 34,
                     "y has more than 2^34 values per image");
}

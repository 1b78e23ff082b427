/* Empty tables for the stems that CUDA/ does not have yet; a stem's own table takes their place. */
#include "CUDA/device.h"

#define VERDIFF_MISSING(stem, kinds) \
    __attribute__((weak)) extern const vdni_cuda_entry vdni_cuda_##stem[kinds] = {};

VERDIFF_MISSING(conv, 3)
VERDIFF_MISSING(depthwise, 3)
VERDIFF_MISSING(linear, 3)
VERDIFF_MISSING(norm, 2)
VERDIFF_MISSING(activation, 2)
VERDIFF_MISSING(pool, 7)
VERDIFF_MISSING(resample, 4)
VERDIFF_MISSING(concat, 2)
VERDIFF_MISSING(arithmetic, 11)
VERDIFF_MISSING(sk_select, 2)
VERDIFF_MISSING(attention, 2)
VERDIFF_MISSING(layer_norm, 2)
VERDIFF_MISSING(window_attention, 2)
VERDIFF_MISSING(time_embedding, 1)
VERDIFF_MISSING(diffuse, 2)
VERDIFF_MISSING(draw, 3)
VERDIFF_MISSING(process_loss, 2)
VERDIFF_MISSING(noise, 1)
VERDIFF_MISSING(loss, 2)

__attribute__((weak)) vdn_status vdni_cuda_optimize(vdn_ctx *ctx, vdni_device *,
                                                    const struct vdni_optimizer_step *)
{
    return vdni_fail(ctx, VDN_ERR_UNSUPPORTED, "the CUDA back end has no optimiser");
}

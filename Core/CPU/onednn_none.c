/* Stands in for Core/CPU/onednn where oneDNN was not found: no operator has a faster form. */
#include "CPU/cpu.h"

vdn_status vdni_onednn_open(vdn_ctx *ctx, vdni_device *device)
{
    (void)ctx;
    (void)device;
    return VDN_OK;
}

void vdni_onednn_close(vdn_ctx *ctx, vdni_device *device)
{
    (void)ctx;
    (void)device;
}

vdn_status vdni_onednn_prepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    (void)ctx;
    (void)device;
    (void)op;
    return VDN_OK;
}

void vdni_onednn_unprepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    (void)ctx;
    (void)device;
    (void)op;
}

/* Never reached: prepare left op->prepared NULL. */
vdn_status vdni_onednn_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    (void)device;
    (void)workspace;
    return vdni_fail(ctx, VDN_ERR_UNSUPPORTED, "%s: built without oneDNN", vdni_op_name(op->kind));
}

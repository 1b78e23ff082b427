#include "Ops/backend.h"

vdn_status vdni_op_run_once(vdn_ctx *ctx, const vdni_backend *backend, vdni_device *device,
                            vdni_op *op)
{
    vdn_status status = VDN_OK;
    void *workspace = NULL;

    VDN_CHECK(vdni_op_check(ctx, op));
    VDN_TRY(backend->prepare(ctx, device, op));
    VDN_TRY(backend->allocate(ctx, device, &workspace, op->workspace_bytes));
    VDN_TRY(backend->run(ctx, device, op, workspace));
    VDN_TRY(backend->synchronize(ctx, device));
done:
    backend->release(ctx, device, workspace);
    backend->unprepare(ctx, device, op);
    return status;
}

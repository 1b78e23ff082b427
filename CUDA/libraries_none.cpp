/* In a build without the headers of cuDNN and cuBLAS. */
#include "CUDA/libraries.h"

vdn_status vdni_cuda_libraries_open(vdn_ctx *ctx, vdni_device *device)
{
    (void)ctx;
    device->libraries = nullptr;
    return VDN_OK;
}

void vdni_cuda_libraries_close(vdn_ctx *ctx, vdni_device *device)
{
    (void)ctx;
    (void)device;
}

vdn_status vdni_cuda_library_prepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    (void)ctx;
    (void)device;
    (void)op;
    return VDN_OK;
}

void vdni_cuda_library_unprepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    (void)ctx;
    (void)device;
    (void)op;
}

vdn_status vdni_cuda_library_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                 void *workspace)
{
    (void)device;
    (void)workspace;
    return vdni_fail(ctx, VDN_ERR_UNSUPPORTED, "%s: no library in this build",
                     vdni_op_name(op->kind));
}

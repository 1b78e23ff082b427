/* The libraries of a device: cuDNN, for convolutions. Linear layers work on one vector per image
 * and stay on the own kernels: cuBLAS would be 600 MB to load for very little. */
#include "CUDA/libraries.h"

#include "CUDA/libraries/cudnn_device.h"

namespace {

bool is_convolution(const vdni_op *op)
{
    return op->kind == VDNI_OP_CONV || op->kind == VDNI_OP_CONV_DX || op->kind == VDNI_OP_CONV_DW;
}

} // namespace

vdn_status vdni_cuda_libraries_open(vdn_ctx *ctx, vdni_device *device)
{
    vdni_cuda_libraries *libraries = nullptr;
    device->libraries = nullptr;
    VDN_CHECK(VDNI_NEW(ctx, libraries, 1));
    if (vdni_cudnn_open(ctx, device, libraries) != VDN_OK) /* the own kernels need no library */
        vdni_note(ctx, "%s; own kernels instead", ctx->error);
    vdni_clear_error(ctx);
    if (!libraries->handle) {
        vdni_free(ctx, libraries);
        return VDN_OK;
    }
    device->libraries = libraries;
    return VDN_OK;
}

void vdni_cuda_libraries_close(vdn_ctx *ctx, vdni_device *device)
{
    if (!device->libraries) return;
    vdni_cudnn_close(ctx, device->libraries);
    vdni_free(ctx, device->libraries);
    device->libraries = nullptr;
}

vdn_status vdni_cuda_library_prepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    if (!device->libraries || !is_convolution(op)) return VDN_OK;
    return vdni_cudnn_prepare(ctx, device, op);
}

void vdni_cuda_library_unprepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    if (op->prepared) vdni_cudnn_unprepare(ctx, device, op);
    op->prepared = nullptr;
}

vdn_status vdni_cuda_library_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                 void *workspace)
{
    return vdni_cudnn_run(ctx, device, op, workspace);
}

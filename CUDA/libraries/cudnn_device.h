/* cuDNN on one device: the handle, the plans made so far, and convolutions that run on them. */
#ifndef VDNI_CUDA_CUDNN_DEVICE_H
#define VDNI_CUDA_CUDNN_DEVICE_H

#include "CUDA/libraries.h"
#include "CUDA/libraries/cudnn_plan.h"

/* A plan and the question it answers; plan.plan NULL is an answer too. Lives until the close. */
struct vdni_cudnn_entry {
    vdni_cudnn_conv conv;
    vdni_cudnn_plan plan;
    vdni_cudnn_entry *next;
};

struct vdni_cuda_libraries {
    vdni_cudnn_api cudnn;
    cudnnHandle_t handle;
    vdni_cudnn_entry *entries;
};

vdn_status vdni_cudnn_open(vdn_ctx *ctx, vdni_device *device, vdni_cuda_libraries *libraries);
void vdni_cudnn_close(vdn_ctx *ctx, vdni_cuda_libraries *libraries);

vdn_status vdni_cudnn_prepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op);
void vdni_cudnn_unprepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op);
vdn_status vdni_cudnn_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace);

#endif

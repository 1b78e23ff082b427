/* Record what is enqueued on the device's stream once, and run it again as one CUDA graph. */
#ifndef VDNI_CUDA_GRAPH_H
#define VDNI_CUDA_GRAPH_H

#include "CUDA/device.h"

/* The contracts are those of Ops/backend.h. */
vdn_status vdni_cuda_record_begin(vdn_ctx *ctx, vdni_device *device);
vdn_status vdni_cuda_record_end(vdn_ctx *ctx, vdni_device *device, void **recording);
vdn_status vdni_cuda_replay(vdn_ctx *ctx, vdni_device *device, void *recording);
void vdni_cuda_forget(vdn_ctx *ctx, vdni_device *device, void *recording);

#endif

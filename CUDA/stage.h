/* Host blocks whose copies run beside the computing: pinned memory, a stream for each way,
 * events. One stream for both ways would hold back what is sent until what comes back was computed. */
#ifndef VDNI_CUDA_STAGE_H
#define VDNI_CUDA_STAGE_H

#include "CUDA/device.h"

/* The contracts are those of Ops/backend.h. */
vdn_status vdni_cuda_stage_create(vdn_ctx *ctx, vdni_device *device, vdni_stage *out, int64_t bytes,
                                  int32_t twin);
void vdni_cuda_stage_free(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage);
vdn_status vdni_cuda_stage_send(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage);
vdn_status vdni_cuda_stage_take(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage, void *to,
                                int64_t offset, int64_t bytes);
vdn_status vdni_cuda_stage_fetch(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage,
                                 const void *from, int64_t bytes);
vdn_status vdni_cuda_stage_wait(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage);

#endif

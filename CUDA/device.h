/* The CUDA twin: internal to CUDA/. Same stems as Core/CPU; arguments were checked by Ops/<op>.c.
 *
 * Every kernel is enqueued on the device's one computing stream and nothing here waits for it, except
 * `get`, `synchronize`, `stage_wait` and `optimize` (which returns a norm). What stages carry between
 * host and device goes through two more. All of it is C++17 without exceptions,
 * RTTI or global constructors. */
#ifndef VDNI_CUDA_DEVICE_H
#define VDNI_CUDA_DEVICE_H

extern "C" {
#include "Base/memory.h"
#include "Ops/backend.h"
}

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

struct vdni_cuda_libraries; /* libraries.h */

enum { VDNI_CUDA_SUMS_BYTES = 64 * 1024 };

struct vdni_device {
    int32_t index;
    int32_t capability;      /* 75 for sm_75 */
    int32_t multiprocessors;
    uint32_t flags;          /* VDNI_PREPARE_... */
    cudaStream_t stream;   /* of the computing */
    cudaStream_t up, down; /* of what stages copy beside it, there and back */
    int64_t limit_bytes, now_bytes, peak_bytes; /* of all blocks together */
    void *blocks;                   /* what allocate gave out */
    vdni_cuda_libraries *libraries; /* cuDNN and cuBLAS when they were found, NULL otherwise */
    double *sums;                   /* device memory of the optimiser, VDNI_CUDA_SUMS_BYTES */
    char name[96];
};

/* Signature of every operator. workspace has op->workspace_bytes. */
typedef vdn_status vdni_cuda_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                 void *workspace);
/* Bytes of workspace a run needs. */
typedef int64_t vdni_cuda_workspace(const vdni_device *device, const vdni_op *op);
/* May choose a library's form: sets op->prepared and op->workspace_bytes, or leaves both alone and
 * the own kernel runs. */
typedef vdn_status vdni_cuda_prepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op);
typedef void vdni_cuda_unprepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op);

struct vdni_cuda_entry {
    vdni_cuda_run *run;
    vdni_cuda_workspace *workspace; /* NULL = none */
    vdni_cuda_prepare *prepare;     /* NULL = own kernel only */
    vdni_cuda_unprepare *unprepare;
};

/* Tables of the stems, indexed by position of the kind inside the stem (op.h order). */
extern const vdni_cuda_entry vdni_cuda_conv[3], vdni_cuda_depthwise[3], vdni_cuda_linear[3],
    vdni_cuda_norm[2], vdni_cuda_activation[2], vdni_cuda_pool[7], vdni_cuda_resample[4],
    vdni_cuda_concat[2], vdni_cuda_arithmetic[11], vdni_cuda_sk_select[2], vdni_cuda_attention[2],
    vdni_cuda_layer_norm[2], vdni_cuda_window_attention[2],
    vdni_cuda_time_embedding[1], vdni_cuda_diffuse[2], vdni_cuda_draw[3], vdni_cuda_noise[1],
    vdni_cuda_loss[2], vdni_cuda_process_loss[2];

vdn_status vdni_cuda_optimize(vdn_ctx *ctx, vdni_device *device,
                              const struct vdni_optimizer_step *step);

/* VDN_ERR_MEMORY when the device has none left, otherwise VDN_ERR_DEVICE, with @p what, the
 * device's name and the runtime's reason. A sticky error stays: every later call fails too. */
vdn_status vdni_cuda_fail(vdn_ctx *ctx, const vdni_device *device, cudaError_t error,
                          const char *what);

/* Memory of the device, counted against its limit. */
VDN_MUST_USE vdn_status vdni_cuda_allocate(vdn_ctx *ctx, vdni_device *device, void **out,
                                           int64_t bytes);
void vdni_cuda_release(vdn_ctx *ctx, vdni_device *device, void *data);

/* On failure: return. Needs ctx and device in scope. */
#define VDNI_CUDA(call)                                                                            \
    do {                                                                                           \
        const cudaError_t vdni_error_ = (call);                                                    \
        if (vdni_error_ != cudaSuccess) return vdni_cuda_fail(ctx, device, vdni_error_, #call);    \
    } while (0)

#endif

#include "CUDA/stage.h"

#include <stdio.h>
#include <string.h>

namespace
{

/* An event that was never recorded keeps nobody waiting. */
struct marks {
    cudaEvent_t arrived; /* the last copy that touches the host block is done */
    cudaEvent_t used;    /* the computing has read or filled the twin */
};

marks *marks_of(const vdni_stage *stage) { return static_cast<marks *>(stage->own); }

vdn_status fill(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage, int64_t bytes, int32_t twin)
{
    marks *m = nullptr;
    VDN_CHECK(VDNI_NEW(ctx, m, 1));
    stage->own = m;
    VDNI_CUDA(cudaSetDevice(device->index));
    VDNI_CUDA(cudaEventCreateWithFlags(&m->arrived, cudaEventDisableTiming));
    VDNI_CUDA(cudaEventCreateWithFlags(&m->used, cudaEventDisableTiming));
    VDN_CHECK(vdni_hold_bytes(ctx, bytes));
    stage->bytes = bytes; /* held from here on */
    const cudaError_t error = cudaMallocHost(&stage->host, (size_t)(bytes > 0 ? bytes : 1));
    if (error != cudaSuccess) {
        char what[64];
        (void)snprintf(what, sizeof what, "allocating %lld bytes of the host", (long long)bytes);
        return vdni_cuda_fail(ctx, device, error, what);
    }
    memset(stage->host, 0, (size_t)bytes);
    return twin ? vdni_cuda_allocate(ctx, device, &stage->twin, bytes) : VDN_OK;
}

} // namespace

vdn_status vdni_cuda_stage_create(vdn_ctx *ctx, vdni_device *device, vdni_stage *out, int64_t bytes,
                                  int32_t twin)
{
    *out = vdni_stage{};
    const vdn_status status = fill(ctx, device, out, bytes, twin);
    if (status != VDN_OK) vdni_cuda_stage_free(ctx, device, out);
    return status;
}

void vdni_cuda_stage_free(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage)
{
    marks *m = marks_of(stage);
    if (!m) return;
    (void)cudaSetDevice(device->index);
    (void)cudaStreamSynchronize(device->up);
    (void)cudaStreamSynchronize(device->down);
    (void)cudaStreamSynchronize(device->stream);
    vdni_cuda_release(ctx, device, stage->twin);
    if (stage->host) (void)cudaFreeHost(stage->host);
    if (m->arrived) (void)cudaEventDestroy(m->arrived);
    if (m->used) (void)cudaEventDestroy(m->used);
    vdni_drop_bytes(ctx, stage->bytes);
    vdni_free(ctx, m);
    *stage = vdni_stage{};
}

vdn_status vdni_cuda_stage_send(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage)
{
    const marks *m = marks_of(stage);
    if (!stage->twin) return VDN_OK; /* take reads the host block */
    VDNI_CUDA(cudaSetDevice(device->index));
    VDNI_CUDA(cudaStreamWaitEvent(device->up, m->used, 0));
    VDNI_CUDA(cudaMemcpyAsync(stage->twin, stage->host, (size_t)stage->bytes,
                              cudaMemcpyHostToDevice, device->up));
    VDNI_CUDA(cudaEventRecord(m->arrived, device->up));
    return VDN_OK;
}

vdn_status vdni_cuda_stage_take(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage, void *to,
                                int64_t offset, int64_t bytes)
{
    const marks *m = marks_of(stage);
    const void *from = static_cast<const char *>(stage->twin ? stage->twin : stage->host) + offset;
    VDNI_CUDA(cudaSetDevice(device->index));
    if (!stage->twin) {
        VDNI_CUDA(cudaMemcpyAsync(to, from, (size_t)bytes, cudaMemcpyHostToDevice, device->stream));
        VDNI_CUDA(cudaEventRecord(m->arrived, device->stream));
        return VDN_OK;
    }
    VDNI_CUDA(cudaStreamWaitEvent(device->stream, m->arrived, 0));
    VDNI_CUDA(cudaMemcpyAsync(to, from, (size_t)bytes, cudaMemcpyDeviceToDevice, device->stream));
    VDNI_CUDA(cudaEventRecord(m->used, device->stream));
    return VDN_OK;
}

vdn_status vdni_cuda_stage_fetch(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage,
                                 const void *from, int64_t bytes)
{
    const marks *m = marks_of(stage);
    const size_t size = (size_t)bytes;
    VDNI_CUDA(cudaSetDevice(device->index));
    if (!stage->twin) {
        VDNI_CUDA(cudaMemcpyAsync(stage->host, from, size, cudaMemcpyDeviceToHost, device->stream));
        VDNI_CUDA(cudaEventRecord(m->arrived, device->stream));
        return VDN_OK;
    }
    VDNI_CUDA(cudaMemcpyAsync(stage->twin, from, size, cudaMemcpyDeviceToDevice, device->stream));
    VDNI_CUDA(cudaEventRecord(m->used, device->stream));
    VDNI_CUDA(cudaStreamWaitEvent(device->down, m->used, 0));
    VDNI_CUDA(
        cudaMemcpyAsync(stage->host, stage->twin, size, cudaMemcpyDeviceToHost, device->down));
    VDNI_CUDA(cudaEventRecord(m->arrived, device->down));
    return VDN_OK;
}

vdn_status vdni_cuda_stage_wait(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage)
{
    VDNI_CUDA(cudaSetDevice(device->index));
    VDNI_CUDA(cudaEventSynchronize(marks_of(stage)->arrived));
    return VDN_OK;
}

#include "CUDA/graph.h"

vdn_status vdni_cuda_record_begin(vdn_ctx *ctx, vdni_device *device)
{
    VDNI_CUDA(cudaSetDevice(device->index));
    VDNI_CUDA(cudaStreamBeginCapture(device->stream, cudaStreamCaptureModeThreadLocal));
    return VDN_OK;
}

vdn_status vdni_cuda_record_end(vdn_ctx *ctx, vdni_device *device, void **recording)
{
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;

    *recording = nullptr;
    VDNI_CUDA(cudaStreamEndCapture(device->stream, &graph));
    const cudaError_t error = cudaGraphInstantiate(&executable, graph, 0);
    (void)cudaGraphDestroy(graph);
    VDNI_CUDA(error);
    *recording = executable;
    return VDN_OK;
}

vdn_status vdni_cuda_replay(vdn_ctx *ctx, vdni_device *device, void *recording)
{
    VDNI_CUDA(cudaSetDevice(device->index));
    VDNI_CUDA(cudaGraphLaunch(static_cast<cudaGraphExec_t>(recording), device->stream));
    return VDN_OK;
}

void vdni_cuda_forget(vdn_ctx *ctx, vdni_device *device, void *recording)
{
    (void)ctx;
    if (!recording) return;
    (void)cudaSetDevice(device->index);
    (void)cudaStreamSynchronize(device->stream);
    (void)cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(recording));
}

/* The CUDA library's entry in the back-end table, and the one symbol it exports. */
#include "CUDA/backend_entry.h"
#include "CUDA/device.h"
#include "CUDA/graph.h"
#include "CUDA/libraries.h"
#include "CUDA/stage.h"

#include <stdio.h>
#include <string.h>

namespace {

enum { OLDEST_CAPABILITY = 75 };

/* Blocks are few (arena, workspace, state, weights): a list is enough to know their sizes. */
struct block {
    void *data;
    int64_t bytes;
    block *next;
};

/* The runtime's device is a property of the calling thread. */
vdn_status enter(vdn_ctx *ctx, const vdni_device *device)
{
    VDNI_CUDA(cudaSetDevice(device->index));
    return VDN_OK;
}

vdn_status choose(vdn_ctx *ctx, vdni_device *device, int32_t index)
{
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess)
        return vdni_fail(ctx, VDN_ERR_DEVICE, "no CUDA device: %s (CUDA error %d)",
                         cudaGetErrorString(error), (int)error);
    if (index < 0 || index >= count)
        return vdni_fail(ctx, VDN_ERR_DEVICE, "CUDA device %d asked, there are %d, from 0", (int)index,
                         count);
    device->index = index;
    return VDN_OK;
}

vdn_status read_properties(vdn_ctx *ctx, vdni_device *device)
{
    cudaDeviceProp properties;
    VDNI_CUDA(cudaGetDeviceProperties(&properties, device->index));
    device->capability = properties.major * 10 + properties.minor;
    device->multiprocessors = properties.multiProcessorCount;
    (void)snprintf(device->name, sizeof device->name, "%.64s, sm_%d", properties.name,
                   (int)device->capability);
    if (device->capability < OLDEST_CAPABILITY)
        return vdni_fail(ctx, VDN_ERR_UNSUPPORTED, "CUDA device %d (%s): sm_%d or newer is needed",
                         (int)device->index, device->name, (int)OLDEST_CAPABILITY);
    return VDN_OK;
}

/* 90 % of what is free now, or less where the caller said so. */
vdn_status set_limit(vdn_ctx *ctx, vdni_device *device)
{
    size_t free_bytes = 0, total_bytes = 0;
    VDNI_CUDA(cudaMemGetInfo(&free_bytes, &total_bytes));
    device->limit_bytes = (int64_t)(free_bytes / 10 * 9);
    if (ctx->max_memory_bytes > 0 && ctx->max_memory_bytes < device->limit_bytes)
        device->limit_bytes = ctx->max_memory_bytes;
    return VDN_OK;
}

void cuda_close(vdn_ctx *ctx, vdni_device *device);

vdn_status set_up(vdn_ctx *ctx, vdni_device *device, int32_t index)
{
    VDN_CHECK(choose(ctx, device, index));
    VDN_CHECK(enter(ctx, device));
    VDN_CHECK(read_properties(ctx, device));
    VDNI_CUDA(cudaStreamCreateWithFlags(&device->stream, cudaStreamNonBlocking));
    VDNI_CUDA(cudaStreamCreateWithFlags(&device->up, cudaStreamNonBlocking));
    VDNI_CUDA(cudaStreamCreateWithFlags(&device->down, cudaStreamNonBlocking));
    VDN_CHECK(set_limit(ctx, device));
    VDNI_CUDA(cudaMalloc((void **)&device->sums, VDNI_CUDA_SUMS_BYTES));
    if (device->flags & VDNI_PREPARE_PLAIN) return VDN_OK;
    return vdni_cuda_libraries_open(ctx, device);
}

vdn_status cuda_open(vdn_ctx *ctx, vdni_device **out, int32_t index, int32_t threads, uint32_t flags)
{
    vdni_device *device = nullptr;
    (void)threads;
    *out = nullptr;
    VDN_CHECK(VDNI_NEW(ctx, device, 1));
    device->flags = flags;
    const vdn_status status = set_up(ctx, device, index);
    if (status != VDN_OK) {
        cuda_close(ctx, device);
        return status;
    }
    *out = device;
    return VDN_OK;
}

/* Nothing can be done about failures here: the context may already be lost. */
void cuda_close(vdn_ctx *ctx, vdni_device *device)
{
    if (!device) return;
    (void)cudaSetDevice(device->index);
    vdni_cuda_libraries_close(ctx, device);
    while (device->blocks) {
        block *b = static_cast<block *>(device->blocks);
        device->blocks = b->next;
        (void)cudaFree(b->data);
        vdni_free(ctx, b);
    }
    if (device->sums) (void)cudaFree(device->sums);
    if (device->up) (void)cudaStreamDestroy(device->up);
    if (device->down) (void)cudaStreamDestroy(device->down);
    if (device->stream) (void)cudaStreamDestroy(device->stream);
    vdni_free(ctx, device);
}

void cuda_describe(const vdni_device *device, vdni_device_info *out)
{
    size_t free_bytes = 0, total_bytes = 0;
    memset(out, 0, sizeof *out);
    (void)snprintf(out->name, sizeof out->name, "cuda:%d (%s%s)", (int)device->index, device->name,
                   device->libraries ? "" : ", own kernels only");
    out->bf16_is_fast = device->capability >= 80;
    out->f16_is_fast = 1;
    if (cudaMemGetInfo(&free_bytes, &total_bytes) == cudaSuccess) {
        out->memory_bytes = (int64_t)total_bytes;
        out->memory_free_bytes = (int64_t)free_bytes;
    }
    out->limit_bytes = device->limit_bytes;
    out->now_bytes = device->now_bytes;
    out->peak_bytes = device->peak_bytes;
}

/* ---- memory ---- */

/* The host's block may be reused on return: pageable memory is staged by the runtime. */
vdn_status cuda_put(vdn_ctx *ctx, vdni_device *device, void *to, const void *from, int64_t bytes)
{
    VDN_CHECK(enter(ctx, device));
    VDNI_CUDA(cudaMemcpyAsync(to, from, (size_t)bytes, cudaMemcpyHostToDevice, device->stream));
    return VDN_OK;
}

vdn_status cuda_get(vdn_ctx *ctx, vdni_device *device, void *to, const void *from, int64_t bytes)
{
    VDN_CHECK(enter(ctx, device));
    VDNI_CUDA(cudaMemcpyAsync(to, from, (size_t)bytes, cudaMemcpyDeviceToHost, device->stream));
    VDNI_CUDA(cudaStreamSynchronize(device->stream));
    return VDN_OK;
}

vdn_status cuda_copy(vdn_ctx *ctx, vdni_device *device, void *to, const void *from, int64_t bytes)
{
    VDN_CHECK(enter(ctx, device));
    VDNI_CUDA(cudaMemcpyAsync(to, from, (size_t)bytes, cudaMemcpyDeviceToDevice, device->stream));
    return VDN_OK;
}

vdn_status cuda_zero(vdn_ctx *ctx, vdni_device *device, void *to, int64_t bytes)
{
    VDN_CHECK(enter(ctx, device));
    VDNI_CUDA(cudaMemsetAsync(to, 0, (size_t)bytes, device->stream));
    return VDN_OK;
}

vdn_status cuda_synchronize(vdn_ctx *ctx, vdni_device *device)
{
    VDN_CHECK(enter(ctx, device));
    VDNI_CUDA(cudaStreamSynchronize(device->stream));
    return VDN_OK;
}

/* ---- operators ---- */

/* First kind of each stem, in op.h order, with its table. */
const struct {
    vdni_op_kind first;
    int32_t count;
    const vdni_cuda_entry *entries;
} stems[] = {
    { VDNI_OP_CONV, 3, vdni_cuda_conv },
    { VDNI_OP_DEPTHWISE, 3, vdni_cuda_depthwise },
    { VDNI_OP_LINEAR, 3, vdni_cuda_linear },
    { VDNI_OP_NORM, 2, vdni_cuda_norm },
    { VDNI_OP_ACTIVATION, 2, vdni_cuda_activation },
    { VDNI_OP_MAX_POOL, 7, vdni_cuda_pool },
    { VDNI_OP_UPSAMPLE, 4, vdni_cuda_resample },
    { VDNI_OP_CONCAT, 2, vdni_cuda_concat },
    { VDNI_OP_ADD, 11, vdni_cuda_arithmetic },
    { VDNI_OP_SK_SELECT, 2, vdni_cuda_sk_select },
    { VDNI_OP_ATTENTION, 2, vdni_cuda_attention },
    { VDNI_OP_LAYER_NORM, 2, vdni_cuda_layer_norm },
    { VDNI_OP_WINDOW_ATTENTION, 2, vdni_cuda_window_attention },
    { VDNI_OP_TIME_EMBEDDING, 1, vdni_cuda_time_embedding },
    { VDNI_OP_COMBINE, 2, vdni_cuda_diffuse },
    { VDNI_OP_ANCESTRAL, 3, vdni_cuda_draw },
    { VDNI_OP_NOISE, 1, vdni_cuda_noise },
    { VDNI_OP_SEGMENTATION_LOSS, 2, vdni_cuda_loss },
    { VDNI_OP_EPSILON_LOSS, 2, vdni_cuda_process_loss },
};

const vdni_cuda_entry *entry_of(vdni_op_kind kind)
{
    for (const auto &stem : stems)
        if (kind >= stem.first && kind < stem.first + stem.count)
            return &stem.entries[kind - stem.first];
    return nullptr;
}

vdn_status cuda_prepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    const vdni_cuda_entry *entry = entry_of(op->kind);
    op->prepared = nullptr;
    op->workspace_bytes = 0;
    if (!entry || !entry->run)
        return vdni_fail(ctx, VDN_ERR_UNSUPPORTED, "the CUDA back end has no %s",
                         vdni_op_name(op->kind));
    if (entry->workspace) op->workspace_bytes = entry->workspace(device, op);
    if (!entry->prepare) return VDN_OK;
    VDN_CHECK(enter(ctx, device));
    return entry->prepare(ctx, device, op);
}

void cuda_unprepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    const vdni_cuda_entry *entry = entry_of(op->kind);
    if (op->prepared && entry && entry->unprepare) entry->unprepare(ctx, device, op);
    op->prepared = nullptr;
}

vdn_status cuda_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    VDN_CHECK(enter(ctx, device));
    return entry_of(op->kind)->run(ctx, device, op, workspace);
}

vdn_status cuda_optimize(vdn_ctx *ctx, vdni_device *device, const vdni_optimizer_step *step)
{
    VDN_CHECK(enter(ctx, device));
    return vdni_cuda_optimize(ctx, device, step);
}

vdni_backend make_table()
{
    vdni_backend table = {};
    table.abi = VDNI_BACKEND_ABI;
    table.size = sizeof table;
    table.name = "cuda";
    table.open = cuda_open;
    table.close = cuda_close;
    table.describe = cuda_describe;
    table.allocate = vdni_cuda_allocate;
    table.release = vdni_cuda_release;
    table.put = cuda_put;
    table.get = cuda_get;
    table.copy = cuda_copy;
    table.zero = cuda_zero;
    table.synchronize = cuda_synchronize;
    table.stage_create = vdni_cuda_stage_create;
    table.stage_free = vdni_cuda_stage_free;
    table.stage_send = vdni_cuda_stage_send;
    table.stage_take = vdni_cuda_stage_take;
    table.stage_fetch = vdni_cuda_stage_fetch;
    table.stage_wait = vdni_cuda_stage_wait;
    table.prepare = cuda_prepare;
    table.unprepare = cuda_unprepare;
    table.run = cuda_run;
    table.optimize = cuda_optimize;
    table.record_begin = vdni_cuda_record_begin;
    table.record_end = vdni_cuda_record_end;
    table.replay = vdni_cuda_replay;
    table.forget = vdni_cuda_forget;
    return table;
}

} // namespace

vdn_status vdni_cuda_allocate(vdn_ctx *ctx, vdni_device *device, void **out, int64_t bytes)
{
    block *b = nullptr;
    *out = nullptr;
    if (bytes > device->limit_bytes - device->now_bytes)
        return vdni_fail(ctx, VDN_ERR_MEMORY,
                         "%s: %lld bytes asked with %lld in use, the limit is %lld", device->name,
                         (long long)bytes, (long long)device->now_bytes,
                         (long long)device->limit_bytes);
    VDN_CHECK(enter(ctx, device));
    VDN_CHECK(VDNI_NEW(ctx, b, 1));
    b->bytes = bytes > 0 ? bytes : 1;
    const cudaError_t error = cudaMalloc(&b->data, (size_t)b->bytes);
    if (error != cudaSuccess) {
        char what[64];
        (void)snprintf(what, sizeof what, "allocating %lld bytes", (long long)bytes);
        vdni_free(ctx, b);
        return vdni_cuda_fail(ctx, device, error, what);
    }
    b->next = static_cast<block *>(device->blocks);
    device->blocks = b;
    device->now_bytes += b->bytes;
    if (device->now_bytes > device->peak_bytes) device->peak_bytes = device->now_bytes;
    *out = b->data;
    return VDN_OK;
}

void vdni_cuda_release(vdn_ctx *ctx, vdni_device *device, void *data)
{
    if (!data) return;
    block *kept = nullptr, *b = static_cast<block *>(device->blocks);
    for (; b && b->data != data; b = b->next) kept = b;
    if (!b) return;
    if (kept) kept->next = b->next;
    else device->blocks = b->next;
    device->now_bytes -= b->bytes;
    (void)cudaSetDevice(device->index);
    (void)cudaStreamSynchronize(device->stream);
    (void)cudaFree(data);
    vdni_free(ctx, b);
}

vdn_status vdni_cuda_fail(vdn_ctx *ctx, const vdni_device *device, cudaError_t error,
                          const char *what)
{
    const vdn_status status = error == cudaErrorMemoryAllocation ? VDN_ERR_MEMORY : VDN_ERR_DEVICE;
    (void)cudaGetLastError(); /* an error that is not sticky must not show up in the next call */
    return vdni_fail(ctx, status, "%s: %s: %s (CUDA error %d); %lld bytes in use of %lld",
                     device->name[0] ? device->name : "cuda", what, cudaGetErrorString(error),
                     (int)error, (long long)device->now_bytes, (long long)device->limit_bytes);
}

extern "C" const vdni_backend *verdiff_cuda_backend(const vdni_backend_request *request, char *why,
                                                    size_t why_bytes)
{
    static const vdni_backend table = make_table();
    if (request->abi != VDNI_BACKEND_ABI || request->backend_bytes != sizeof(vdni_backend) ||
        request->context_bytes != sizeof(vdn_ctx) || strcmp(request->version, VDN_VERSION) != 0) {
        (void)snprintf(why, why_bytes, "the CUDA library is of Verdiff %s, the program of %s",
                       VDN_VERSION, request->version);
        return nullptr;
    }
    return &table;
}

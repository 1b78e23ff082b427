/* The CPU's entry in the back-end table: memory is the host's, operators are the plain C stems or,
 * where it has one, oneDNN's form. */
#include "Base/memory.h"
#include "CPU/cpu.h"
#include "CPU/simd.h"

#include <stdio.h>
#include <string.h>

static vdn_status cpu_open(vdn_ctx *ctx, vdni_device **out, int32_t index, int32_t threads,
                           uint32_t flags)
{
    vdn_status status = VDN_OK;
    vdni_device *device = NULL;

    *out = NULL;
    if (index != 0)
        return vdni_fail(ctx, VDN_ERR_DEVICE, "there is one CPU device, number %d asked", index);
    VDN_TRY(VDNI_NEW(ctx, device, 1));
    device->threads = threads > 0 ? threads : vdni_processor_count();
    device->flags = flags;
    device->simd = vdni_simd_get(0);
    if (!(flags & VDNI_PREPARE_PLAIN)) VDN_TRY(vdni_onednn_open(ctx, device));
    *out = device;
    device = NULL;
done:
    vdni_free(ctx, device);
    return status;
}

static void cpu_close(vdn_ctx *ctx, vdni_device *device)
{
    if (!device) return;
    vdni_onednn_close(ctx, device);
    vdni_free(ctx, device);
}

static void cpu_describe(const vdni_device *device, vdni_device_info *out)
{
    memset(out, 0, sizeof *out);
    out->bf16_is_fast = device->has_amx;
    (void)snprintf(out->name, sizeof out->name, "cpu (%s, %d threads)",
                   !device->onednn    ? "plain C"
                   : device->has_amx ? "oneDNN, amx bf16"
                                      : "oneDNN",
                   device->threads);
}

static vdn_status cpu_allocate(vdn_ctx *ctx, vdni_device *device, void **out, int64_t bytes)
{
    (void)device;
    return vdni_alloc(ctx, out, bytes, 1);
}

static void cpu_release(vdn_ctx *ctx, vdni_device *device, void *block)
{
    (void)device;
    vdni_free(ctx, block);
}

static vdn_status cpu_copy(vdn_ctx *ctx, vdni_device *device, void *to, const void *from,
                           int64_t bytes)
{
    (void)ctx;
    (void)device;
    memcpy(to, from, (size_t)bytes);
    return VDN_OK;
}

static vdn_status cpu_zero(vdn_ctx *ctx, vdni_device *device, void *to, int64_t bytes)
{
    (void)ctx;
    (void)device;
    memset(to, 0, (size_t)bytes);
    return VDN_OK;
}

static vdn_status cpu_synchronize(vdn_ctx *ctx, vdni_device *device)
{
    (void)ctx;
    (void)device;
    return VDN_OK;
}

/* ---- stages: the block itself is the twin ---- */

static vdn_status cpu_stage_create(vdn_ctx *ctx, vdni_device *device, vdni_stage *out,
                                   int64_t bytes, int32_t twin)
{
    (void)device;
    (void)twin;
    *out = (vdni_stage){ .bytes = bytes };
    return vdni_alloc(ctx, &out->host, bytes, 1);
}

static void cpu_stage_free(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage)
{
    (void)device;
    vdni_free(ctx, stage->host);
    *stage = (vdni_stage){ .host = NULL };
}

static vdn_status cpu_stage_rest(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage)
{
    (void)ctx;
    (void)device;
    (void)stage;
    return VDN_OK;
}

static vdn_status cpu_stage_take(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage, void *to,
                                 int64_t offset, int64_t bytes)
{
    return cpu_copy(ctx, device, to, (const char *)stage->host + offset, bytes);
}

static vdn_status cpu_stage_fetch(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage,
                                  const void *from, int64_t bytes)
{
    return cpu_copy(ctx, device, stage->host, from, bytes);
}

/* First kind of each stem, in op.h order, with its table. */
static const struct {
    vdni_op_kind first;
    int32_t count;
    const vdni_cpu_entry *entries;
} stems[] = {
    { VDNI_OP_CONV, 3, vdni_cpu_conv },
    { VDNI_OP_DEPTHWISE, 3, vdni_cpu_depthwise },
    { VDNI_OP_LINEAR, 3, vdni_cpu_linear },
    { VDNI_OP_NORM, 2, vdni_cpu_norm },
    { VDNI_OP_ACTIVATION, 2, vdni_cpu_activation },
    { VDNI_OP_MAX_POOL, 7, vdni_cpu_pool },
    { VDNI_OP_UPSAMPLE, 4, vdni_cpu_resample },
    { VDNI_OP_CONCAT, 2, vdni_cpu_concat },
    { VDNI_OP_ADD, 11, vdni_cpu_arithmetic },
    { VDNI_OP_SK_SELECT, 2, vdni_cpu_sk_select },
    { VDNI_OP_ATTENTION, 2, vdni_cpu_attention },
    { VDNI_OP_LAYER_NORM, 2, vdni_cpu_layer_norm },
    { VDNI_OP_WINDOW_ATTENTION, 2, vdni_cpu_window_attention },
    { VDNI_OP_TIME_EMBEDDING, 1, vdni_cpu_time_embedding },
    { VDNI_OP_COMBINE, 2, vdni_cpu_diffuse },
    { VDNI_OP_ANCESTRAL, 3, vdni_cpu_draw },
    { VDNI_OP_NOISE, 1, vdni_cpu_noise },
    { VDNI_OP_SEGMENTATION_LOSS, 2, vdni_cpu_loss },
    { VDNI_OP_EPSILON_LOSS, 2, vdni_cpu_process_loss },
};

static const vdni_cpu_entry *entry_of(vdni_op_kind kind)
{
    for (size_t i = 0; i < sizeof stems / sizeof stems[0]; i++)
        if (kind >= stems[i].first && kind < stems[i].first + stems[i].count)
            return stems[i].entries ? &stems[i].entries[kind - stems[i].first] : NULL;
    return NULL;
}

static vdn_status cpu_prepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    const vdni_cpu_entry *entry = entry_of(op->kind);
    if (!entry || !entry->run)
        return vdni_fail(ctx, VDN_ERR_UNSUPPORTED, "the CPU back end has no %s",
                         vdni_op_name(op->kind));
    for (int i = 0; i < VDNI_MAX_IN; i++)
        if (op->in[i] && op->in[i]->dtype == VDNI_F16)
            return vdni_fail(ctx, VDN_ERR_UNSUPPORTED, "%s: the CPU back end has no f16",
                             vdni_op_name(op->kind));
    op->prepared = NULL;
    op->workspace_bytes = entry->workspace ? entry->workspace(device, op) : 0;
    return device->onednn ? vdni_onednn_prepare(ctx, device, op) : VDN_OK;
}

static void cpu_unprepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    if (op->prepared) vdni_onednn_unprepare(ctx, device, op);
    op->prepared = NULL;
}

static vdn_status cpu_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    if (op->prepared) return vdni_onednn_run(ctx, device, op, workspace);
    return entry_of(op->kind)->run(ctx, device, op, workspace);
}

const vdni_backend *vdni_cpu_backend(void)
{
    static const vdni_backend table = {
        .abi = VDNI_BACKEND_ABI,
        .size = sizeof(vdni_backend),
        .name = "cpu",
        .shares_host_memory = 1,
        .open = cpu_open,
        .close = cpu_close,
        .describe = cpu_describe,
        .allocate = cpu_allocate,
        .release = cpu_release,
        .put = cpu_copy,
        .get = cpu_copy,
        .copy = cpu_copy,
        .zero = cpu_zero,
        .synchronize = cpu_synchronize,
        .stage_create = cpu_stage_create,
        .stage_free = cpu_stage_free,
        .stage_send = cpu_stage_rest,
        .stage_take = cpu_stage_take,
        .stage_fetch = cpu_stage_fetch,
        .stage_wait = cpu_stage_rest,
        .prepare = cpu_prepare,
        .unprepare = cpu_unprepare,
        .run = cpu_run,
        .optimize = vdni_cpu_optimize,
    };
    return &table;
}

/* Convolutions on cuDNN. The contract is Core/Ops/conv.h.
 *
 * Activations stay where they are. 16-bit forms take the weight rounded to their type, into the
 * workspace at every run (the values may have changed). What is added to the result:
 *  - CONV: bias and residual are part of cuDNN's graph, which has compiled engines for convolution
 *    + residual + bias in one type (not for the residual alone: then the bias is zeros). Where none
 *    keeps the rules, in f32 y is filled with residual + bias first and the convolution adds to it.
 *  - CONV_DX: dx is filled with the addend and the convolution adds to it.
 *  - CONV_DW: f32 adds to dw itself; cuDNN has no engine from bf16 sides to an f32 gradient, so
 *    that comes in bf16 into the workspace and is added from there (f16: own kernels). db is an own
 *    kernel's. */
#include "CUDA/conv.h"
#include "CUDA/libraries/cudnn_device.h"

#include <string.h>

namespace {

enum { POINTERS = 5, PART_ALIGNMENT = 256, POINTER_ALIGNMENT = 16 };

/* A prepared operator: its plan, where its parts lie in the workspace (-1: none), and the variant
 * pack of the addresses it last ran with. */
struct form {
    const vdni_cudnn_entry *entry;
    int64_t weight_at, bias_at, plan_at;
    cudnnBackendDescriptor_t pack;
    void *pointers[POINTERS];
    void *workspace;
};

const vdni_cudnn_entry *find(vdn_ctx *ctx, vdni_cuda_libraries *libraries,
                             const vdni_cudnn_conv *conv)
{
    vdni_cudnn_entry *e = libraries->entries;
    while (e && memcmp(&e->conv, conv, sizeof *conv) != 0) e = e->next;
    if (e) return e;
    if (VDNI_NEW(ctx, e, 1) != VDN_OK) return nullptr;
    const vdni_cudnn_rules rules = vdni_cudnn_device_rules(libraries->handle, nullptr);
    e->conv = *conv;
    vdni_cudnn_plan_build(&libraries->cudnn, &e->plan, conv, &rules);
    e->next = libraries->entries;
    libraries->entries = e;
    return e;
}

int64_t part(int64_t *used, int64_t bytes)
{
    const int64_t at = *used;
    *used += (bytes + PART_ALIGNMENT - 1) / PART_ALIGNMENT * PART_ALIGNMENT;
    return at;
}

/* Parts of the workspace; returns their sum. The sums of db use the plan's part after it. */
int64_t lay_out(form *f, const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const vdni_cudnn_conv &c = f->entry->conv;
    int64_t used = 0, last = f->entry->plan.workspace_bytes;
    f->weight_at = f->bias_at = -1;
    if (vdni_cudnn_is_half(c.dtype)) f->weight_at = part(&used, vdni_tensor_count(r.w) * 2);
    if (c.has_bias && (vdni_cudnn_is_half(c.dtype) || !r.b)) f->bias_at = part(&used, c.co * 4);
    if (op->kind == VDNI_OP_CONV_DW && r.b && vdni_cuda_conv_bias_workspace(r.narrow) > last)
        last = vdni_cuda_conv_bias_workspace(r.narrow);
    f->plan_at = part(&used, last);
    return used;
}

void *at(void *workspace, int64_t offset) { return static_cast<char *>(workspace) + offset; }

bool is_aligned(const form *f, const void *workspace)
{
    uintptr_t bits = (uintptr_t)workspace;
    for (const void *pointer : f->pointers) bits |= (uintptr_t)pointer;
    return bits % POINTER_ALIGNMENT == 0;
}

/* The pack for these addresses; the same one as long as they stay. */
vdn_status pack_for(vdn_ctx *ctx, const vdni_device *device, form *f, void *const *pointers,
                    void *workspace)
{
    const vdni_cudnn_api *api = &device->libraries->cudnn;
    const vdni_cudnn_conv &c = f->entry->conv;
    const int64_t all[POINTERS] = { VDNI_CUDNN_WIDE, VDNI_CUDNN_NARROW, VDNI_CUDNN_WEIGHT,
                                    VDNI_CUDNN_BIAS, VDNI_CUDNN_RESIDUAL };
    const int64_t count = 3 + (c.has_bias ? 1 : 0) + (c.has_residual ? 1 : 0);
    if (f->pack && f->workspace == workspace &&
        memcmp(f->pointers, pointers, sizeof f->pointers) == 0)
        return VDN_OK;
    if (f->pack) (void)api->destroy_descriptor(f->pack);
    f->pack = nullptr;
    memcpy(f->pointers, pointers, sizeof f->pointers);
    f->workspace = workspace;
    void *scratch = at(workspace, f->plan_at);
    cudnnStatus_t status = api->create_descriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &f->pack);
    if (status == CUDNN_STATUS_SUCCESS)
        status = api->set_attribute(f->pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
                                    CUDNN_TYPE_VOID_PTR, count, f->pointers);
    if (status == CUDNN_STATUS_SUCCESS)
        status = api->set_attribute(f->pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64,
                                    count, all);
    if (status == CUDNN_STATUS_SUCCESS)
        status = api->set_attribute(f->pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR,
                                    1, &scratch);
    if (status == CUDNN_STATUS_SUCCESS) status = api->finalize(f->pack);
    if (status == CUDNN_STATUS_SUCCESS) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_DEVICE, "%s: cuDNN: a variant pack: %s", device->name,
                     api->get_error_string(status));
}

/* What a run needs of the own kernels before the plan. */
vdn_status before(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, const form *f,
                  void *workspace)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const vdni_cudnn_conv &c = f->entry->conv;
    const auto dtype = (vdni_dtype)c.dtype;
    vdni_cuda_conversion items[2];
    int32_t count = 0;
    if (f->weight_at >= 0 && op->kind != VDNI_OP_CONV_DW)
        items[count++] = { at(workspace, f->weight_at), r.w->data, dtype, VDNI_F32,
                           vdni_tensor_count(r.w) };
    if (f->bias_at >= 0)
        items[count++] = { at(workspace, f->bias_at), r.b ? r.b->data : nullptr, dtype, VDNI_F32,
                           c.co };
    VDN_CHECK(vdni_cuda_convert(ctx, device, items, count));
    if (!c.accumulate || op->kind == VDNI_OP_CONV_DW) return VDN_OK;
    return vdni_cuda_conv_prime(ctx, device, op->out[0], r.add, r.b);
}

vdn_status after(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, const form *f,
                 void *workspace)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    if (op->kind != VDNI_OP_CONV_DW) return VDN_OK;
    if (f->weight_at >= 0)
        VDN_CHECK(vdni_cuda_accumulate(ctx, device, static_cast<float *>(r.w->data),
                                       at(workspace, f->weight_at),
                                       (vdni_dtype)f->entry->conv.dtype, vdni_tensor_count(r.w)));
    return r.b ? vdni_cuda_conv_bias(ctx, device, r.b, r.narrow, at(workspace, f->plan_at))
               : VDN_OK;
}

} // namespace

vdn_status vdni_cudnn_prepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    vdni_cudnn_conv questions[VDNI_CUDNN_MOST_FORMS];
    const int count = vdni_cudnn_forms(op, questions);
    const vdni_cudnn_entry *entry = nullptr;
    form *f = nullptr;
    for (int i = 0; i < count && !(entry && entry->plan.plan); i++) {
        entry = find(ctx, device->libraries, &questions[i]);
        if (!entry) return VDN_ERR_MEMORY;
    }
    if (!entry || !entry->plan.plan) return VDN_OK;
    VDN_CHECK(VDNI_NEW(ctx, f, 1));
    f->entry = entry;
    const int64_t bytes = lay_out(f, op);
    if (bytes > op->workspace_bytes) op->workspace_bytes = bytes;
    op->prepared = f;
    return VDN_OK;
}

void vdni_cudnn_unprepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    form *f = static_cast<form *>(op->prepared);
    if (f->pack) (void)device->libraries->cudnn.destroy_descriptor(f->pack);
    vdni_free(ctx, f);
}

/* An address cuDNN cannot take, which no plan of ours has, goes to the own kernels: the workspace
 * is large enough for either. */
vdn_status vdni_cudnn_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    form *f = static_cast<form *>(op->prepared);
    const vdni_cudnn_api *api = &device->libraries->cudnn;
    void *pointers[POINTERS] = { r.wide->data, r.narrow->data,
                                 f->weight_at >= 0 ? at(workspace, f->weight_at) : r.w->data,
                                 f->bias_at >= 0 ? at(workspace, f->bias_at)
                                 : r.b           ? r.b->data
                                                 : nullptr,
                                 r.add ? r.add->data : nullptr };
    if (!f->entry->conv.has_bias) pointers[3] = nullptr;
    if (!f->entry->conv.has_residual) pointers[4] = nullptr;
    VDN_CHECK(pack_for(ctx, device, f, pointers, workspace));
    if (!is_aligned(f, workspace)) return vdni_cuda_conv_own(ctx, device, op, workspace);
    VDN_CHECK(before(ctx, device, op, f, workspace));
    const cudnnStatus_t status =
        api->execute(device->libraries->handle, f->entry->plan.plan, f->pack);
    if (status != CUDNN_STATUS_SUCCESS)
        return vdni_fail(ctx, VDN_ERR_DEVICE, "%s: cuDNN: %s with engine %lld: %s", device->name,
                         vdni_op_name(op->kind), (long long)f->entry->plan.engine,
                         api->get_error_string(status));
    return after(ctx, device, op, f, workspace);
}

vdn_status vdni_cudnn_open(vdn_ctx *ctx, vdni_device *device, vdni_cuda_libraries *libraries)
{
    char why[640];
    if (!vdni_cudnn_load(&libraries->cudnn, why, sizeof why)) {
        vdni_note(ctx, "%s: convolutions run on the own kernels: %s", device->name, why);
        return VDN_OK;
    }
    const vdni_cudnn_api *api = &libraries->cudnn;
    cudnnStatus_t status = api->create(&libraries->handle);
    if (status == CUDNN_STATUS_SUCCESS) status = api->set_stream(libraries->handle, device->stream);
    if (status == CUDNN_STATUS_SUCCESS) return VDN_OK;
    if (libraries->handle) (void)api->destroy(libraries->handle);
    libraries->handle = nullptr;
    return vdni_fail(ctx, VDN_ERR_DEVICE, "%s: cuDNN %zu of %s gives no handle: %s", device->name,
                     api->version, api->path, api->get_error_string(status));
}

/* The library itself stays loaded: it keeps state of the driver that outlives its handles. */
void vdni_cudnn_close(vdn_ctx *ctx, vdni_cuda_libraries *libraries)
{
    while (libraries->entries) {
        vdni_cudnn_entry *e = libraries->entries;
        libraries->entries = e->next;
        vdni_cudnn_plan_drop(&libraries->cudnn, &e->plan);
        vdni_free(ctx, e);
    }
    if (libraries->handle) (void)libraries->cudnn.destroy(libraries->handle);
    libraries->handle = nullptr;
}

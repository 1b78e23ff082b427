#include "Ops/op.h"

#include <stdio.h>

typedef vdn_status check_function(vdn_ctx *ctx, const vdni_op *op);

typedef struct {
    const char *name;
    vdni_op_slots slots;
    check_function *check;
} kind_info;

/* In the order of vdni_op_kind; slots as in the table of op.h. */
static const kind_info kinds[VDNI_OP_COUNT] = {
    [VDNI_OP_CONV] = { "CONV", { 4, 1, 3, 1 }, vdni_conv_check },
    [VDNI_OP_CONV_DX] = { "CONV_DX", { 3, 1, 3, 1 }, vdni_conv_check },
    [VDNI_OP_CONV_DW] = { "CONV_DW", { 2, 2, 3, 1 }, vdni_conv_check },
    [VDNI_OP_DEPTHWISE] = { "DEPTHWISE", { 3, 1, 3, 1 }, vdni_depthwise_check },
    [VDNI_OP_DEPTHWISE_DX] = { "DEPTHWISE_DX", { 3, 1, 3, 1 }, vdni_depthwise_check },
    [VDNI_OP_DEPTHWISE_DW] = { "DEPTHWISE_DW", { 2, 2, 3, 1 }, vdni_depthwise_check },
    [VDNI_OP_LINEAR] = { "LINEAR", { 3, 1, 3, 1 }, vdni_linear_check },
    [VDNI_OP_LINEAR_DX] = { "LINEAR_DX", { 3, 1, 3, 1 }, vdni_linear_check },
    [VDNI_OP_LINEAR_DW] = { "LINEAR_DW", { 2, 2, 3, 1 }, vdni_linear_check },
    [VDNI_OP_NORM] = { "NORM", { 5, 2, 7, 3 }, vdni_norm_check },
    [VDNI_OP_NORM_BACKWARD] = { "NORM_BACKWARD", { 7, 4, 31, 1 }, vdni_norm_check },
    [VDNI_OP_ACTIVATION] = { "ACTIVATION", { 1, 1, 1, 1 }, vdni_activation_check },
    [VDNI_OP_ACTIVATION_BACKWARD] = { "ACTIVATION_BACKWARD", { 3, 1, 3, 1 },
                                      vdni_activation_check },
    [VDNI_OP_MAX_POOL] = { "MAX_POOL", { 1, 2, 1, 1 }, vdni_pool_check },
    [VDNI_OP_MAX_POOL_BACKWARD] = { "MAX_POOL_BACKWARD", { 3, 1, 3, 1 }, vdni_pool_check },
    [VDNI_OP_AVERAGE_POOL] = { "AVERAGE_POOL", { 1, 1, 1, 1 }, vdni_pool_check },
    [VDNI_OP_GLOBAL_POOL] = { "GLOBAL_POOL", { 1, 1, 1, 1 }, vdni_pool_check },
    [VDNI_OP_GLOBAL_POOL_BACKWARD] = { "GLOBAL_POOL_BACKWARD", { 2, 1, 1, 1 }, vdni_pool_check },
    [VDNI_OP_CHANNEL_STATS] = { "CHANNEL_STATS", { 1, 2, 1, 1 }, vdni_pool_check },
    [VDNI_OP_CHANNEL_STATS_BACKWARD] = { "CHANNEL_STATS_BACKWARD", { 3, 1, 3, 1 },
                                         vdni_pool_check },
    [VDNI_OP_UPSAMPLE] = { "UPSAMPLE", { 2, 1, 1, 1 }, vdni_resample_check },
    [VDNI_OP_UPSAMPLE_BACKWARD] = { "UPSAMPLE_BACKWARD", { 2, 1, 1, 1 }, vdni_resample_check },
    [VDNI_OP_UNSHUFFLE] = { "UNSHUFFLE", { 1, 1, 1, 1 }, vdni_resample_check },
    [VDNI_OP_SHUFFLE] = { "SHUFFLE", { 1, 1, 1, 1 }, vdni_resample_check },
    [VDNI_OP_CONCAT] = { "CONCAT", { 6, 1, 1, 1 }, vdni_concat_check },
    [VDNI_OP_SPLIT] = { "SPLIT", { 1, 6, 1, 0 }, vdni_concat_check },
    [VDNI_OP_ADD] = { "ADD", { 2, 1, 3, 1 }, vdni_arithmetic_check },
    [VDNI_OP_PRODUCT] = { "PRODUCT", { 4, 1, 3, 1 }, vdni_arithmetic_check },
    [VDNI_OP_PRODUCT_BACKWARD] = { "PRODUCT_BACKWARD", { 4, 3, 7, 3 }, vdni_arithmetic_check },
    [VDNI_OP_GATE] = { "GATE", { 3, 1, 7, 1 }, vdni_arithmetic_check },
    [VDNI_OP_GATE_BACKWARD] = { "GATE_BACKWARD", { 4, 3, 15, 7 }, vdni_arithmetic_check },
    [VDNI_OP_MIX] = { "MIX", { 3, 1, 7, 1 }, vdni_arithmetic_check },
    [VDNI_OP_MIX_BACKWARD] = { "MIX_BACKWARD", { 2, 2, 3, 3 }, vdni_arithmetic_check },
    [VDNI_OP_MODULATE] = { "MODULATE", { 2, 1, 3, 1 }, vdni_arithmetic_check },
    [VDNI_OP_MODULATE_BACKWARD] = { "MODULATE_BACKWARD", { 4, 2, 7, 3 }, vdni_arithmetic_check },
    [VDNI_OP_BIAS] = { "BIAS", { 2, 1, 3, 1 }, vdni_arithmetic_check },
    [VDNI_OP_BIAS_BACKWARD] = { "BIAS_BACKWARD", { 1, 1, 1, 1 }, vdni_arithmetic_check },
    [VDNI_OP_SK_SELECT] = { "SK_SELECT", { 4, 1, 15, 1 }, vdni_sk_select_check },
    [VDNI_OP_SK_SELECT_BACKWARD] = { "SK_SELECT_BACKWARD", { 5, 4, 31, 15 },
                                     vdni_sk_select_check },
    [VDNI_OP_ATTENTION] = { "ATTENTION", { 1, 2, 1, 3 }, vdni_attention_check },
    [VDNI_OP_ATTENTION_BACKWARD] = { "ATTENTION_BACKWARD", { 4, 1, 15, 1 },
                                     vdni_attention_check },
    [VDNI_OP_LAYER_NORM] = { "LAYER_NORM", { 3, 2, 7, 3 }, vdni_layer_norm_check },
    [VDNI_OP_LAYER_NORM_BACKWARD] = { "LAYER_NORM_BACKWARD", { 5, 3, 15, 1 },
                                      vdni_layer_norm_check },
    [VDNI_OP_WINDOW_ATTENTION] = { "WINDOW_ATTENTION", { 2, 2, 3, 3 },
                                   vdni_window_attention_check },
    [VDNI_OP_WINDOW_ATTENTION_BACKWARD] = { "WINDOW_ATTENTION_BACKWARD", { 5, 2, 31, 3 },
                                            vdni_window_attention_check },
    [VDNI_OP_TIME_EMBEDDING] = { "TIME_EMBEDDING", { 1, 1, 1, 1 }, vdni_time_embedding_check },
    [VDNI_OP_COMBINE] = { "COMBINE", { 5, 1, 3, 1 }, vdni_diffuse_check },
    [VDNI_OP_ENCODE] = { "ENCODE", { 1, 2, 1, 1 }, vdni_diffuse_check },
    [VDNI_OP_ANCESTRAL] = { "ANCESTRAL", { 4, 1, 15, 1 }, vdni_draw_check },
    [VDNI_OP_DRAW] = { "DRAW", { 2, 1, 3, 1 }, vdni_draw_check },
    [VDNI_OP_FLIP] = { "FLIP", { 2, 1, 3, 1 }, vdni_draw_check },
    [VDNI_OP_NOISE] = { "NOISE", { 1, 1, 1, 1 }, vdni_noise_check },
    [VDNI_OP_SEGMENTATION_LOSS] = { "SEGMENTATION_LOSS", { 4, 2, 7, 3 }, vdni_loss_check },
    [VDNI_OP_NOISE_LOSS] = { "NOISE_LOSS", { 4, 2, 15, 3 }, vdni_loss_check },
    [VDNI_OP_EPSILON_LOSS] = { "EPSILON_LOSS", { 4, 2, 15, 3 }, vdni_process_loss_check },
    [VDNI_OP_BERNOULLI_LOSS] = { "BERNOULLI_LOSS", { 5, 2, 31, 3 }, vdni_process_loss_check },
};

const char *vdni_op_name(vdni_op_kind kind)
{
    return (unsigned)kind < VDNI_OP_COUNT ? kinds[kind].name : "unknown operator";
}

vdni_op_slots vdni_op_get_slots(vdni_op_kind kind)
{
    const vdni_op_slots none = { 0, 0, 0, 0 };
    return (unsigned)kind < VDNI_OP_COUNT ? kinds[kind].slots : none;
}

int vdni_op_works_in_place(vdni_op_kind kind)
{
    switch (kind) {
    case VDNI_OP_NORM:
    case VDNI_OP_ACTIVATION:
    case VDNI_OP_ADD:
    case VDNI_OP_MIX:
    case VDNI_OP_SK_SELECT:
    case VDNI_OP_COMBINE: return 1;
    default: return 0;
    }
}

static vdn_status check_slots(vdn_ctx *ctx, const vdni_op *op, const char *side,
                              vdni_tensor *const *slot, int max, int count, uint32_t required)
{
    for (int i = 0; i < max; i++) {
        char name[48];
        if (slot[i] && i >= count)
            return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s: %s %d is set, it takes %d",
                             vdni_op_name(op->kind), side, i, count);
        if (!slot[i] && (required >> i & 1u))
            return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s: %s %d is missing",
                             vdni_op_name(op->kind), side, i);
        if (!slot[i]) continue;
        (void)snprintf(name, sizeof name, "%s: %s %d", vdni_op_name(op->kind), side, i);
        VDN_CHECK(vdni_tensor_check(ctx, slot[i], name));
    }
    return VDN_OK;
}

vdn_status vdni_op_check(vdn_ctx *ctx, const vdni_op *op)
{
    if ((unsigned)op->kind >= VDNI_OP_COUNT)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "operator kind %d, there are %d", (int)op->kind,
                         (int)VDNI_OP_COUNT);
    const kind_info *info = &kinds[op->kind];
    VDN_CHECK(check_slots(ctx, op, "input", op->in, VDNI_MAX_IN, info->slots.in_count,
                          info->slots.in_required));
    VDN_CHECK(check_slots(ctx, op, "output", op->out, VDNI_MAX_OUT, info->slots.out_count,
                          info->slots.out_required));
    return info->check(ctx, op);
}

vdn_status vdni_need(vdn_ctx *ctx, const vdni_op *op, int ok, const char *what)
{
    if (ok) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s: %s", vdni_op_name(op->kind), what);
}

vdn_status vdni_need_shape(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t, const char *name,
                           const int64_t nhwc[4])
{
    char text[96];
    if (t->n == nhwc[0] && t->h == nhwc[1] && t->w == nhwc[2] && t->c == nhwc[3]) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s: %s is %s, needed (%lld, %lld, %lld, %lld)",
                     vdni_op_name(op->kind), name, vdni_tensor_print(t, text, sizeof text),
                     (long long)nhwc[0], (long long)nhwc[1], (long long)nhwc[2],
                     (long long)nhwc[3]);
}

vdn_status vdni_need_float(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t, const char *name)
{
    if (t->dtype == VDNI_F32 || t->dtype == VDNI_BF16 || t->dtype == VDNI_F16) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s: %s is %s, needed f32, bf16 or f16",
                     vdni_op_name(op->kind), name, vdni_dtype_name(t->dtype));
}

vdn_status vdni_need_type(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t, const char *name,
                          vdni_dtype dtype)
{
    if (t->dtype == dtype) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s: %s is %s, needed %s", vdni_op_name(op->kind), name,
                     vdni_dtype_name(t->dtype), vdni_dtype_name(dtype));
}

static int64_t window_macs(const vdni_tensor *wide, const vdni_tensor *w)
{
    return wide->n * wide->h * wide->w * vdni_tensor_count(w);
}

int64_t vdni_op_macs(const vdni_op *op)
{
    switch (op->kind) {
    case VDNI_OP_CONV:
    case VDNI_OP_LINEAR:
    case VDNI_OP_DEPTHWISE: return window_macs(op->out[0], op->in[1]);
    case VDNI_OP_CONV_DX:
    case VDNI_OP_LINEAR_DX:
    case VDNI_OP_DEPTHWISE_DX: return window_macs(op->in[0], op->in[1]);
    case VDNI_OP_CONV_DW:
    case VDNI_OP_LINEAR_DW:
    case VDNI_OP_DEPTHWISE_DW: return window_macs(op->in[1], op->out[0]);
    case VDNI_OP_ATTENTION: {
        const vdni_tensor *o = op->out[0];
        return 2 * o->n * o->h * o->w * o->h * o->w * o->c;
    }
    case VDNI_OP_ATTENTION_BACKWARD: {
        const vdni_tensor *o = op->in[2];
        return 5 * o->n * o->h * o->w * o->h * o->w * o->c;
    }
    case VDNI_OP_WINDOW_ATTENTION:
        return 2 * vdni_tensor_count(op->out[0]) * op->a.kernel * op->a.kernel;
    case VDNI_OP_WINDOW_ATTENTION_BACKWARD:
        return 5 * vdni_tensor_count(op->in[3]) * op->a.kernel * op->a.kernel;
    default: return 0;
    }
}

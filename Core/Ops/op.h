/* One operator call: what it is, its tensors and its attributes. The same record describes a call on
 * every back end, in a graph and in a test.
 *
 * Contract that holds for every kind (so that it is written once):
 *  - tensors are NHWC and dense; activations are f32 or bf16, parameters and per-image vectors f32;
 *  - sums, statistics and softmax run in f32 or better, whatever the storage type;
 *  - outputs that are activations or activation gradients are overwritten;
 *  - outputs that are PARAMETER gradients are added to (so batches accumulate), always f32;
 *  - an output may not overlap an input unless the table says "in place": then the first output may
 *    be the first input, if that has its shape and type;
 *  - a slot marked ? may be NULL; a gradient output marked ? is skipped when NULL;
 *  - "+addend": the last input ? of the gradient's shape is added to the result (dx = ... + addend).
 *
 * The slots (in -> out); g is the gradient of the forward output y. Shapes are in Ops/<op>.h.
 *
 *  conv.h         CONV            x, w, b?, residual?          -> y
 *                 CONV_DX         g, w, addend?                -> dx
 *                 CONV_DW         x, g                         -> dw, db?
 *  depthwise.h    DEPTHWISE       x, w, b?                     -> y
 *                 DEPTHWISE_DX    g, w, addend?                -> dx
 *                 DEPTHWISE_DW    x, g                         -> dw, db?
 *  linear.h       LINEAR          x, w, b?                     -> y
 *                 LINEAR_DX       g, w, addend?                -> dx
 *                 LINEAR_DW       x, g                         -> dw, db?
 *  norm.h         NORM            x, gamma, beta, mod?, running? -> y, stats    (in place)
 *                 NORM_BACKWARD   g, x, stats, gamma, beta, mod?, addend? -> dx, dgamma?, dbeta?, dmod?
 *  activation.h   ACTIVATION      x                            -> y            (in place)
 *                 ACTIVATION_BACKWARD g, x, addend?            -> dx
 *  pool.h         MAX_POOL        x                            -> y, argmax(u8)?
 *                 MAX_POOL_BACKWARD g, argmax, addend?         -> dx
 *                 AVERAGE_POOL    x                            -> y
 *                 GLOBAL_POOL     x                            -> y (n,1,1,c) f32
 *                 GLOBAL_POOL_BACKWARD g, addend?              -> dx
 *                 CHANNEL_STATS   x                            -> y (n,h,w,2), argmax(u16)?
 *                 CHANNEL_STATS_BACKWARD g, argmax, addend?    -> dx
 *  resample.h     UPSAMPLE        x, skip?                     -> y
 *                 UPSAMPLE_BACKWARD g, addend?                 -> dx
 *                 UNSHUFFLE, SHUFFLE x                         -> y
 *  concat.h       CONCAT          x0..x5                       -> y     (also casts: types may differ)
 *                 SPLIT           g                            -> dx0?..dx5?
 *  arithmetic.h   ADD             a, b                         -> y            (in place on a)
 *                 PRODUCT         v, n, lambda?, u?            -> y
 *                 PRODUCT_BACKWARD g, v, n, lambda?            -> dv, dn, dlambda?
 *                 GATE            a, b, t                      -> y
 *                 GATE_BACKWARD   g, a, b, t                   -> da, db, dt
 *                 MIX             a, b, m                      -> y            (in place on a)
 *                 MIX_BACKWARD    g, m                         -> da, db
 *                 MODULATE        x, mod                       -> y
 *                 MODULATE_BACKWARD g, x, mod, addend?         -> dx, dmod
 *                 BIAS            x, b                         -> y
 *                 BIAS_BACKWARD   g                            -> db
 *  sk_select.h    SK_SELECT       u3, u5, u7, logits           -> y            (in place on u3)
 *                 SK_SELECT_BACKWARD g, u3, u5, u7, logits     -> du3, du5, du7, dlogits
 *  attention.h    ATTENTION       qkv                          -> o, lse
 *                 ATTENTION_BACKWARD g, qkv, o, lse            -> dqkv
 *  layer_norm.h   LAYER_NORM      x, gamma, beta               -> y, stats
 *                 LAYER_NORM_BACKWARD g, x, stats, gamma, addend? -> dx, dgamma?, dbeta?
 *  window_attention.h WINDOW_ATTENTION qkv, table              -> o, lse
 *                 WINDOW_ATTENTION_BACKWARD g, qkv, table, o, lse -> dqkv, dtable
 *  time_embedding.h TIME_EMBEDDING t (n,1,1,1) f32             -> y (n,1,1,B) f32
 *  diffuse.h      COMBINE         a, coefficients, b?, c?, d?  -> y            (in place on a..d)
 *                 ENCODE          s                            -> y (and p?)
 *  draw.h         ANCESTRAL       mean, v, noise, coefficients -> y
 *                 DRAW            p, noise                     -> y
 *                 FLIP            z, x                         -> y
 *  noise.h        NOISE           keys (n,1,1,8) i32           -> y f32
 *  loss.h         SEGMENTATION_LOSS s, target(u8), weights, class_weights? -> ds, terms
 *                 NOISE_LOSS      z, eps, target(u8), weights  -> dz, terms
 *  process_loss.h EPSILON_LOSS    z, eps, target(u8), weights  -> dz, terms
 *                 BERNOULLI_LOSS  z, x, f, target(u8), weights -> dz, terms
 */
#ifndef VDNI_OP_H
#define VDNI_OP_H

#include "Tensor/tensor.h"

typedef enum {
    VDNI_OP_CONV,
    VDNI_OP_CONV_DX,
    VDNI_OP_CONV_DW,
    VDNI_OP_DEPTHWISE,
    VDNI_OP_DEPTHWISE_DX,
    VDNI_OP_DEPTHWISE_DW,
    VDNI_OP_LINEAR,
    VDNI_OP_LINEAR_DX,
    VDNI_OP_LINEAR_DW,
    VDNI_OP_NORM,
    VDNI_OP_NORM_BACKWARD,
    VDNI_OP_ACTIVATION,
    VDNI_OP_ACTIVATION_BACKWARD,
    VDNI_OP_MAX_POOL,
    VDNI_OP_MAX_POOL_BACKWARD,
    VDNI_OP_AVERAGE_POOL,
    VDNI_OP_GLOBAL_POOL,
    VDNI_OP_GLOBAL_POOL_BACKWARD,
    VDNI_OP_CHANNEL_STATS,
    VDNI_OP_CHANNEL_STATS_BACKWARD,
    VDNI_OP_UPSAMPLE,
    VDNI_OP_UPSAMPLE_BACKWARD,
    VDNI_OP_UNSHUFFLE,
    VDNI_OP_SHUFFLE,
    VDNI_OP_CONCAT,
    VDNI_OP_SPLIT,
    VDNI_OP_ADD,
    VDNI_OP_PRODUCT,
    VDNI_OP_PRODUCT_BACKWARD,
    VDNI_OP_GATE,
    VDNI_OP_GATE_BACKWARD,
    VDNI_OP_MIX,
    VDNI_OP_MIX_BACKWARD,
    VDNI_OP_MODULATE,
    VDNI_OP_MODULATE_BACKWARD,
    VDNI_OP_BIAS,
    VDNI_OP_BIAS_BACKWARD,
    VDNI_OP_SK_SELECT,
    VDNI_OP_SK_SELECT_BACKWARD,
    VDNI_OP_ATTENTION,
    VDNI_OP_ATTENTION_BACKWARD,
    VDNI_OP_LAYER_NORM,
    VDNI_OP_LAYER_NORM_BACKWARD,
    VDNI_OP_WINDOW_ATTENTION,
    VDNI_OP_WINDOW_ATTENTION_BACKWARD,
    VDNI_OP_TIME_EMBEDDING,
    VDNI_OP_COMBINE,
    VDNI_OP_ENCODE,
    VDNI_OP_ANCESTRAL,
    VDNI_OP_DRAW,
    VDNI_OP_FLIP,
    VDNI_OP_NOISE,
    VDNI_OP_SEGMENTATION_LOSS,
    VDNI_OP_NOISE_LOSS,
    VDNI_OP_EPSILON_LOSS,
    VDNI_OP_BERNOULLI_LOSS,
    VDNI_OP_COUNT
} vdni_op_kind;

typedef enum {
    VDNI_ACT_NONE = 0,
    VDNI_ACT_RELU,
    VDNI_ACT_LEAKY_RELU, /* slope 0.01 */
    VDNI_ACT_ELU,        /* alpha 1 */
    VDNI_ACT_SILU,
    VDNI_ACT_SIGMOID,
    VDNI_ACT_SOFTPLUS,
    VDNI_ACT_GELU /* exact: x * Phi(x) */
} vdni_activation;

typedef enum {
    VDNI_NORM_GROUP = 0,   /* statistics per image and group; groups == c is instance norm */
    VDNI_NORM_BATCH_TRAIN, /* per channel over the batch; updates running */
    VDNI_NORM_BATCH_EVAL   /* running statistics */
} vdni_norm_kind;

typedef enum { VDNI_UPSAMPLE_NEAREST = 0, VDNI_UPSAMPLE_BILINEAR } vdni_upsample_mode;

enum { VDNI_MAX_IN = 8, VDNI_MAX_OUT = 6 };

/* Attributes; a kind reads only those its contract names, the rest stay 0. */
typedef struct vdni_attr {
    int32_t kernel, stride, dilation, pad; /* square windows; pad on all four sides */
    int32_t groups;                        /* NORM */
    int32_t heads;                         /* ATTENTION, WINDOW_ATTENTION */
    int32_t factor;                        /* SHUFFLE, UNSHUFFLE, UPSAMPLE */
    int32_t mode;           /* vdni_norm_kind, vdni_upsample_mode or as the contract says */
    vdni_activation act;    /* NORM, ACTIVATION */
    float eps;              /* NORM, LAYER_NORM */
    float scale;            /* ENCODE: rho; others as the contract says */
    float lambda[3];        /* weights of a loss's terms */
} vdni_attr;

typedef struct vdni_op {
    vdni_op_kind kind;
    vdni_attr a;
    vdni_tensor *in[VDNI_MAX_IN];
    vdni_tensor *out[VDNI_MAX_OUT];
    void *prepared;          /* the back end's compiled form, NULL before prepare */
    int64_t workspace_bytes; /* set by prepare */
} vdni_op;

/* "CONV_DX"; never NULL. */
const char *vdni_op_name(vdni_op_kind kind);

/* The first output may lie on the first input ("in place" above). */
int vdni_op_works_in_place(vdni_op_kind kind);

/* Slots of a kind: how many may be used and which must be. Bit i of required = slot i. */
typedef struct vdni_op_slots {
    int32_t in_count, out_count;
    uint32_t in_required, out_required;
} vdni_op_slots;
vdni_op_slots vdni_op_get_slots(vdni_op_kind kind);

/* Shapes, types and attributes of @p op against its contract.
 * VDN_ERR_ARGUMENT with the kind, the slot and the numbers. */
VDN_MUST_USE vdn_status vdni_op_check(vdn_ctx *ctx, const vdni_op *op);

/* Multiply-adds of one call, as model.md counts them: convolutions, linear layers and attention;
 * 0 for everything else. */
int64_t vdni_op_macs(const vdni_op *op);

/* Helpers of the check functions in Ops/<op>.c. */
VDN_MUST_USE vdn_status vdni_need(vdn_ctx *ctx, const vdni_op *op, int ok, const char *what);
VDN_MUST_USE vdn_status vdni_need_shape(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t,
                                        const char *name, const int64_t nhwc[4]);
VDN_MUST_USE vdn_status vdni_need_float(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t,
                                        const char *name);
VDN_MUST_USE vdn_status vdni_need_type(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t,
                                       const char *name, vdni_dtype dtype);

/* The check of each stem; vdni_op_check calls the right one after the slot check. */
vdn_status vdni_conv_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_depthwise_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_linear_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_norm_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_activation_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_pool_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_resample_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_concat_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_arithmetic_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_sk_select_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_attention_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_layer_norm_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_window_attention_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_time_embedding_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_diffuse_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_draw_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_noise_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_loss_check(vdn_ctx *ctx, const vdni_op *op);
vdn_status vdni_process_loss_check(vdn_ctx *ctx, const vdni_op *op);

#endif

/* A network written once, forward, as a list of operators with fixed shapes.
 *
 * The functions below append operators and return the tensor they make (vdni_id). The first failure
 * (a shape that does not fit, memory) sticks: every later call returns VDNI_NONE and does nothing, and
 * vdni_graph_status() tells the reason, so that a network reads like its equations.
 *
 * vdni_graph_backward() appends the reverse list; Graph/plan.h places every tensor and runs ranges of
 * the list on a back end. */
#ifndef VDNI_GRAPH_H
#define VDNI_GRAPH_H

#include "Graph/parameters.h"
#include "Ops/op.h"

typedef int32_t vdni_id;
enum { VDNI_NONE = -1 };

typedef enum {
    VDNI_ROLE_TEMP = 0,  /* lives in the arena from its first write to its last read */
    VDNI_ROLE_INPUT,     /* written by the caller; keeps its memory */
    VDNI_ROLE_OUTPUT,    /* a temp that the caller reads: keeps its memory */
    VDNI_ROLE_PARAMETER, /* in the model's flat array */
    VDNI_ROLE_GRADIENT,  /* of a parameter, in the flat gradient array */
    VDNI_ROLE_CONSTANT   /* filled when a plan is bound */
} vdni_role;

enum { VDNI_TENSOR_NAME_BYTES = 32, VDNI_MAX_CONSTANT = 4 };

typedef struct vdni_graph_tensor {
    vdni_tensor t; /* described; no data */
    vdni_role role;
    int32_t needs_gradient;
    int32_t borrowed;   /* an input or output without memory of its own: vdni_borrow */
    int64_t parameter;  /* index in the table, -1 */
    vdni_id gradient;   /* after vdni_graph_backward; VDNI_NONE when there is none */
    vdni_id original;   /* of a tensor computed again: whose value it has; VDNI_NONE */
    float constant[VDNI_MAX_CONSTANT]; /* of each image */
    char name[VDNI_TENSOR_NAME_BYTES]; /* inputs and outputs */
} vdni_graph_tensor;

typedef struct vdni_node {
    vdni_op_kind kind;
    vdni_attr a;
    vdni_id in[VDNI_MAX_IN], out[VDNI_MAX_OUT];
} vdni_node;

typedef struct vdni_graph {
    vdn_ctx *ctx;
    vdni_parameters *parameters; /* shared, borrowed */
    vdni_dtype activation;       /* type of feature maps: f32 or bf16 */
    int32_t training;            /* keep what the backward pass needs */
    vdn_status status;
    vdni_graph_tensor *tensors;
    int64_t tensor_count, tensor_capacity;
    vdni_node *nodes;
    int64_t node_count, node_capacity;
    int64_t forward_count; /* nodes before vdni_graph_backward */
    int32_t recompute;     /* the backward pass computes blocks again instead of keeping what is in
                              them (Graph/recompute.h); set before vdni_graph_backward */
} vdni_graph;

/* An empty graph. @p parameters must outlive it. */
VDN_MUST_USE vdn_status vdni_graph_create(vdn_ctx *ctx, vdni_graph **out,
                                          vdni_parameters *parameters, vdni_dtype activation,
                                          int32_t training);
void vdni_graph_free(vdn_ctx *ctx, vdni_graph *graph);

/* VDN_OK, or the first failure; the reason is in ctx. */
VDN_MUST_USE vdn_status vdni_graph_status(const vdni_graph *graph);

/* Shape of a tensor; all zero for VDNI_NONE. */
vdni_tensor vdni_graph_get(const vdni_graph *graph, vdni_id id);

/* ---- tensors ---- */
vdni_id vdni_input(vdni_graph *g, const char *name, const int64_t nhwc[4], vdni_dtype dtype);
/* Ask for the gradient of an input; the caller finds it in vdni_graph_gradient. */
void vdni_require_gradient(vdni_graph *g, vdni_id id);
/* Keep @p id readable under @p name after a run. */
vdni_id vdni_output(vdni_graph *g, vdni_id id, const char *name);
/* Let an input or output have no memory of its own: before a run vdni_plan_alias must say where it
 * lies. Returns @p id. */
vdni_id vdni_borrow(vdni_graph *g, vdni_id id);
/* Trainable block of the model; fan_in decides its start values. */
vdni_id vdni_parameter_of(vdni_graph *g, const char *name, const int64_t nhwc[4], vdni_init init,
                          int64_t fan_in);
/* The same @p count values for each of @p n images: (n,1,1,count) f32. At most VDNI_MAX_CONSTANT. */
vdni_id vdni_constant(vdni_graph *g, int64_t n, const float *values, int32_t count);
/* The input or output called @p name, or VDNI_NONE. */
vdni_id vdni_graph_find(const vdni_graph *g, const char *name);

/* ---- operators: thin, shapes follow from the contract in Ops/ ---- */
typedef struct vdni_window {
    int32_t kernel, stride, dilation, pad;
} vdni_window;

vdni_id vdni_conv(vdni_graph *g, vdni_id x, vdni_id w, vdni_id b, vdni_id residual,
                  vdni_window window, vdni_dtype dtype);
vdni_id vdni_depthwise(vdni_graph *g, vdni_id x, vdni_id w, vdni_id b, vdni_window window);
vdni_id vdni_linear(vdni_graph *g, vdni_id x, vdni_id w, vdni_id b);
/* mod and running may be VDNI_NONE. */
vdni_id vdni_norm(vdni_graph *g, vdni_id x, vdni_id gamma, vdni_id beta, vdni_id mod,
                  int32_t groups, vdni_activation act);
vdni_id vdni_batch_norm(vdni_graph *g, vdni_id x, vdni_id gamma, vdni_id beta, vdni_id running,
                        vdni_activation act);
vdni_id vdni_activate(vdni_graph *g, vdni_id x, vdni_activation act);
vdni_id vdni_max_pool(vdni_graph *g, vdni_id x);
/* 3 x 3 windows with stride 2 and pad 1. */
vdni_id vdni_max_pool_overlapping(vdni_graph *g, vdni_id x);
/* 1 where gain * mean >= 1, else 0. */
vdni_id vdni_average_step(vdni_graph *g, vdni_id x, int32_t kernel, int32_t stride, int32_t pad,
                          float gain);
/* gain 0: the mean; otherwise min(1, gain * mean). */
vdni_id vdni_average_pool(vdni_graph *g, vdni_id x, int32_t kernel, int32_t stride, int32_t pad,
                          float gain);
vdni_id vdni_global_pool(vdni_graph *g, vdni_id x);
vdni_id vdni_channel_stats(vdni_graph *g, vdni_id x);
vdni_id vdni_upsample(vdni_graph *g, vdni_id x, vdni_upsample_mode mode);
/* Channels of the up-sampled @p x, then those of @p skip. Without a backward pass one operator, and
 * the up-sampled tensor never exists. */
vdni_id vdni_upsample_join(vdni_graph *g, vdni_id x, vdni_id skip, vdni_upsample_mode mode);
vdni_id vdni_unshuffle(vdni_graph *g, vdni_id x, int32_t factor);
vdni_id vdni_shuffle(vdni_graph *g, vdni_id x, int32_t factor);
/* Join channels (count 1 = cast); the result has type @p dtype. */
vdni_id vdni_concat(vdni_graph *g, const vdni_id *x, int32_t count, vdni_dtype dtype);
vdni_id vdni_add(vdni_graph *g, vdni_id a, vdni_id b);
vdni_id vdni_product(vdni_graph *g, vdni_id v, vdni_id n, vdni_id lambda, vdni_id u);
vdni_id vdni_gate(vdni_graph *g, vdni_id a, vdni_id b, vdni_id t);
vdni_id vdni_mix(vdni_graph *g, vdni_id a, vdni_id b, vdni_id m);
vdni_id vdni_modulate(vdni_graph *g, vdni_id x, vdni_id mod);
/* y = x a[n,c], a (n,1,1,c). */
vdni_id vdni_scale(vdni_graph *g, vdni_id x, vdni_id a);
/* y = x + b[c], b a parameter (1,1,1,c). */
vdni_id vdni_bias(vdni_graph *g, vdni_id x, vdni_id b);
/* Transposed convolution: the gradient of a convolution of these windows over its input, as a map from
 * @p x (n,h,w,ci) to (n, (h-1) stride + kernel - 2 pad, .., co); w (ci,k,k,co). */
vdni_id vdni_conv_transposed(vdni_graph *g, vdni_id x, vdni_id w, vdni_window window,
                             vdni_dtype dtype);
vdni_id vdni_sk_select(vdni_graph *g, vdni_id u3, vdni_id u5, vdni_id u7, vdni_id logits);
vdni_id vdni_attention(vdni_graph *g, vdni_id qkv, int32_t heads);
vdni_id vdni_layer_norm(vdni_graph *g, vdni_id x, vdni_id gamma, vdni_id beta);
/* Ops/window_attention.h */
vdni_id vdni_window_attention(vdni_graph *g, vdni_id qkv, vdni_id table, int32_t window,
                              int32_t shift, int32_t heads);
vdni_id vdni_time_embedding(vdni_graph *g, vdni_id t, int64_t width);
/* y = sum of c[i] * x[i]; coefficients (n,1,1,4); up to four terms, all but the first may be NONE. */
vdni_id vdni_combine(vdni_graph *g, vdni_id coefficients, const vdni_id *x, int32_t count);
/* The same, cut to [-bound, bound]. */
vdni_id vdni_combine_bounded(vdni_graph *g, vdni_id coefficients, const vdni_id *x, int32_t count,
                             float bound);
/* The first @p channels of @p x and the rest. No gradient. */
void vdni_split(vdni_graph *g, vdni_id x, int64_t channels, vdni_id parts[2]);
/* Ops/draw.h */
vdni_id vdni_ancestral(vdni_graph *g, vdni_id mean, vdni_id v, vdni_id noise, vdni_id coefficients);
vdni_id vdni_draw(vdni_graph *g, vdni_id p, vdni_id noise);
vdni_id vdni_flip(vdni_graph *g, vdni_id z, vdni_id x);
/* Code of the probabilities of logits; *p gets the probabilities when not NULL. */
vdni_id vdni_encode(vdni_graph *g, vdni_id logits, float rho, int32_t zero_one, vdni_id *p);
vdni_id vdni_noise(vdni_graph *g, vdni_id keys, const int64_t nhwc[4]);

typedef struct vdni_loss_weights {
    float simple, cross_entropy, dice;
    float focal;        /* exponent of the cross entropy's focal factor, 0 = none */
    int32_t per_pixel;  /* vdni_loss_mode */
} vdni_loss_weights;
/* Terms (n,1,1,4); the gradient of @p logits is made at the same time. class_weights may be NONE. */
vdni_id vdni_segmentation_loss(vdni_graph *g, vdni_id logits, vdni_id target, vdni_id weights,
                               vdni_id class_weights, vdni_loss_weights lambda);
vdni_id vdni_noise_loss(vdni_graph *g, vdni_id z, vdni_id eps, vdni_id target, vdni_id weights);

/* Ops/process_loss.h; lambda in the order of the terms. */
vdni_id vdni_epsilon_loss(vdni_graph *g, vdni_id z, vdni_id eps, vdni_id target, vdni_id weights,
                          const float lambda[3]);
vdni_id vdni_bernoulli_loss(vdni_graph *g, vdni_id z, vdni_id x, vdni_id f, vdni_id target,
                            vdni_id weights, const float lambda[3]);

/* ---- backward ---- */
/* Begin the gradient of @p id with the tensor @p gradient (an input). Before vdni_graph_backward. */
void vdni_graph_seed(vdni_graph *g, vdni_id id, vdni_id gradient);
/* Append the reverse list: gradients of every loss with respect to parameters (added to their
 * blocks) and to inputs that asked. */
VDN_MUST_USE vdn_status vdni_graph_backward(vdni_graph *g);
/* Gradient of @p id after vdni_graph_backward, or VDNI_NONE. */
vdni_id vdni_graph_gradient(const vdni_graph *g, vdni_id id);

/* ---- for Graph/ itself ---- */
vdni_id vdni_graph_temp(vdni_graph *g, const int64_t nhwc[4], vdni_dtype dtype);
void vdni_graph_append(vdni_graph *g, const vdni_node *node);
vdni_node vdni_node_of(vdni_op_kind kind);

#endif

/* The network as it is trained: both U-Nets with their losses and gradients for images of one size,
 * one image at a time or several. Design: model.md 1.10.
 *
 * Several images in a pass have the losses, noise and gradients of as many passes, but for rounding:
 * times, noise, dropout, class weights and loss terms are each image's own. Only batch norm sees the
 * images of a pass together; its statistics are those of the pass.
 *
 * Order of use for one image: put, condition (forward), [prior on the host], refine, and for
 * training the gradients are added to the flat block on the way. With the condition detached its
 * backward pass runs inside condition(); otherwise inside refine(). A network without a refiner
 * (vdni_has_refiner) has the condition half only: refine() is not called. */
#ifndef VDNI_NETWORK_H
#define VDNI_NETWORK_H

#include "Base/philox.h"
#include "Diffusion/schedule.h"
#include "Graph/plan.h"
#include "Net/config.h"
#include "Train/recipe.h"

typedef struct vdni_network vdni_network;

enum { VDNI_NETWORK_MAX_IMAGES = 64 };

typedef struct vdni_network_options {
    int64_t height, width;
    vdni_dtype activation;
    int32_t training; /* 0: losses only, for validation */
    int32_t recompute; /* training with less memory and more time: Graph/recompute.h */
    int32_t images;    /* of a pass, B below; 0 = 1 */
} vdni_network_options;

/* The flat blocks, device memory; gradients NULL for validation. */
typedef struct vdni_network_weights {
    vdni_parameters *table;
    float *values, *gradients;
    const uint64_t *version;
} vdni_network_weights;

VDN_MUST_USE vdn_status vdni_network_create(vdn_ctx *ctx, vdni_network **out,
                                            const vdni_config *config, const vdni_recipe *recipe,
                                            const vdni_schedule *schedule,
                                            const vdni_network_weights *weights,
                                            const vdni_network_options *options);
void vdni_network_free(vdn_ctx *ctx, vdni_network *network);

/* Bytes of device memory of one such network, nothing allocated. */
VDN_MUST_USE vdn_status vdni_network_estimate(vdn_ctx *ctx, int64_t *bytes,
                                              const vdni_config *config, const vdni_recipe *recipe,
                                              int64_t height, int64_t width, vdni_dtype activation);

/* Loss terms of an image, unscaled: total, simple, cross entropy, Dice. */
typedef struct vdni_terms {
    float total, simple, ce, dice;
} vdni_terms;

/* Condition pass of (B,H,W,Cb) @p image with (B,H,W) @p target: prior probabilities (B,H,W,K) and the
 * prior losses (B). @p scale multiplies the gradients (1 / images of an optimiser step). */
VDN_MUST_USE vdn_status vdni_network_condition(vdn_ctx *ctx, vdni_network *network, float *prior,
                                               vdni_terms *terms, const float *image,
                                               const uint8_t *target, float scale);

/* Shares of the classes (of max(K, 2)) that decide the weights of a size-adaptive loss from now on;
 * NULL = each image's own. */
void vdni_network_set_shares(vdni_network *network, const double *shares);

typedef struct vdni_refine_call {
    const float *prior;   /* (H,W,K): the condition's or a corrupted copy */
    const uint8_t *target;
    int32_t t;            /* 1..T */
    int32_t is_start;     /* x_t is the sampler's start at t, without the mask */
    vdni_noise_key noise; /* names epsilon; complete */
    vdni_noise_key drop;  /* names the dropout masks */
    float scale;
} vdni_refine_call;

/* One noised copy of each of the last conditioned images through the refiner, @p calls (B): their loss
 * terms (B) (and gradients). */
VDN_MUST_USE vdn_status vdni_network_refine(vdn_ctx *ctx, vdni_network *network, vdni_terms *terms,
                                            const vdni_refine_call *calls);

/* Gradient and value access for tests: the tensor called @p name of the condition (0) or diffusion
 * (1) graph, or NULL. */
const vdni_tensor *vdni_network_tensor(vdni_network *network, int graph, const char *name);

#endif

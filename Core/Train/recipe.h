/* A recipe: every number of training that is not the network's. Design: model.md 5. */
#ifndef VDNI_RECIPE_H
#define VDNI_RECIPE_H

#include "Net/config.h"
#include "Ops/optimizer.h"
#include "Train/augment.h"
#include "Train/lr.h"
#include "Train/size_weights.h"

/* How the times of an optimiser step's images are drawn, model.md 5.2. */
typedef enum { VDNI_TIMES_STRATIFIED = 0, VDNI_TIMES_UNIFORM } vdni_time_draw;

typedef struct vdni_recipe {
    char name[16];
    vdni_augment_recipe augment;
    vdni_lr lr;
    vdni_optimizer_kind optimizer;
    double beta1, beta2, eps, weight_decay, clip; /* beta1: SGD's momentum */
    int32_t batch;          /* images per optimiser step (gradients are accumulated) */
    double average;         /* limit of the EMA's decay; 0 = no EMA */
    double snr_clip;        /* of the squared error's weight; 0 = none */
    double simple, ce, dice; /* refiner: lambda of equation 8, of cross entropy, of soft Dice */
    double vlb;             /* refiner that learns its variance: lambda of its bound, times T / 1000 */
    double prior_ce, prior_dice;
    double prior_mse;       /* lambda of the mean squared error of the prior's probabilities */
    vdni_size_loss seg;     /* the cross entropy of both */
    double corrupt;         /* probability that the prior given to the process is corrupted */
    double drop;            /* probability that it is replaced by 1/2 */
    double condition_drop;  /* Dropout2d of the features inside the refiner */
    vdni_time_draw time_draw;
    int32_t latest_time;    /* last t that is trained; 0 = T */
    double start_state;     /* probability that an image is given the sampler's start instead of x_t */
    int32_t detach;         /* the refiner's loss does not reach the condition net */
    int64_t prior_warmup;   /* first steps train the condition net only */
    int32_t patience;       /* validations without a better loss before stopping; 0 = never */
    int32_t all_times;      /* validate every slice at all ten times instead of one */
    int64_t validation_slices; /* most slices a validation looks at; 0 = all */
} vdni_recipe;

/* The named recipe for @p config and a run of @p steps optimiser steps (0: the recipe's own number,
 * returned in *steps). Also sets the process fields of @p config that the recipe decides.
 * VDN_ERR_ARGUMENT: no such recipe. */
VDN_MUST_USE vdn_status vdni_recipe_get(vdn_ctx *ctx, vdni_recipe *out, vdni_config *config,
                                        int64_t *steps, const char *name);

/* What an output mode decides of recipe and process, whatever they said: the printed one has no
 * extras. */
void vdni_recipe_follow_param(vdni_recipe *recipe, vdni_config *config);

/* What comes with a network by name, unless it is set otherwise: the loss of msff, the optimiser and loss
 * of nnunet2d (Isensee et al. 2021), the prior loss of medsegdiff (Wu et al. 2022, arXiv:2211.00611). */
void vdni_recipe_follow_network(vdni_recipe *recipe, const char *network);

/* Every number against its range, and against the network it is for.
 * VDN_ERR_ARGUMENT with the key, its value and what it must be. */
VDN_MUST_USE vdn_status vdni_recipe_check(vdn_ctx *ctx, const vdni_recipe *recipe,
                                          const vdni_config *config);

#endif

/* What a running training is made of; internal to Core/Train. */
#ifndef VDNI_TRAINER_STATE_H
#define VDNI_TRAINER_STATE_H

#include "Diffusion/schedule.h"
#include "Net/model.h"
#include "Train/log.h"
#include "Train/network.h"
#include "Train/prior_corruption.h"
#include "Train/recipe.h"
#include "Train/slice_store.h"
#include "Train/split.h"

/* Slices of one part of the split, by their number in the store. */
typedef struct vdni_slice_list {
    int64_t *ids;
    int64_t count;
    int64_t height, width; /* of the largest, padded to M */
} vdni_slice_list;

/* The flat blocks on the device: parameters.total_floats each. */
typedef struct vdni_blocks {
    float *values, *gradients, *moment1, *moment2;
    float *average; /* EMA; the values themselves when the recipe has none */
    float *best;    /* average at the best validation; host memory */
    uint8_t *decays;
    uint64_t version, average_version;
} vdni_blocks;

/* What the next step depends on besides the blocks. */
typedef struct vdni_progress_state {
    int64_t step;       /* finished optimiser steps */
    int64_t validated;  /* last step whose validation is finished, 0 before the first */
    double best_loss;   /* of a validation; infinity before the first */
    int64_t best_step;
    int64_t stale;      /* validations since the best */
    double seconds;     /* spent on training so far */
    double shares[VDN_MAX_CLASSES]; /* moving average of the classes' shares, if the loss uses it */
} vdni_progress_state;

/* What the progress line shows of the running training. */
typedef struct vdni_shown {
    double loss;    /* of the last steps, fading */
    double dice;    /* of the last validation: of the refiner, where there is one */
    double waited;  /* seconds of this run in which a step waited for its images */
    double stepped; /* seconds of this run spent in steps */
    int64_t from;   /* step this run began after */
} vdni_shown;

/* Bytes; made by memory_plan.h. */
typedef struct vdni_memory_plan {
    int32_t recompute;
    int32_t images_at_once; /* of a pass through the network: a divisor of the batch */
    int64_t weights, images, network, validation, scoring;
    int64_t peak;        /* of the context, the device's memory included where it is the host's */
    int64_t device_peak; /* of a device with memory of its own */
} vdni_memory_plan;

typedef struct vdni_batch_job vdni_batch_job;

typedef struct vdni_trainer {
    vdn_train_options options;
    const char *folder;
    vdni_recipe recipe;
    vdni_dtype activation;
    int64_t steps;
    vdni_schedule *schedule;
    vdni_store *store;
    vdni_slice_list parts[VDNI_PARTS];
    vdn_model *model; /* configuration, domain and table; its values are blocks.values on the host */
    vdni_blocks blocks;
    vdni_progress_state state;
    vdni_shown shown;
    vdni_memory_plan memory;
    vdni_network *network, *validation;
    vdni_log *log, *validation_log;
    int64_t height, width; /* training canvas */
    float *images;         /* (batch, H, W, Cb) */
    uint8_t *targets;      /* (batch, H, W) */
    int64_t *valid;        /* (batch, 2) rows and columns that are slice */
    struct vdni_loader *loader; /* makes them while the step before runs */
    float *prior;          /* (images of a pass, H, W, K) */
    float *normalized;     /* (largest slice) */
    vdni_batch_job *job;   /* of batch.c */
    char *work;            /* augmentation and corruption */
    int64_t *order;        /* training slices in this epoch's order */
    int64_t epoch;
    char *signature;       /* JSON of everything a resume has to agree with */
    int64_t start_ns;
    double seconds_before; /* of earlier runs */
} vdni_trainer;

/* batch.c: what vdni_batch_load needs; then fill images and targets of optimiser step @p step (from 1). */
VDN_MUST_USE vdn_status vdni_batch_create(vdn_ctx *ctx, vdni_trainer *t);
VDN_MUST_USE vdn_status vdni_batch_load(vdn_ctx *ctx, vdni_trainer *t, int64_t step);
/* Bytes of work for one image. */
int64_t vdni_batch_work_bytes(const vdni_trainer *t);

/* The same in parts, for several threads: choose the slices of a step; then for every image, in any
 * order, fetch its slice (one at a time) and make it (each with its own scratch); then the status of all.
 * Memory of the parts. */
typedef struct vdni_batch_images {
    float *images;
    uint8_t *targets;
    int64_t *valid;
} vdni_batch_images;
typedef struct vdni_batch_scratch {
    float *normalized;
    char *work;
} vdni_batch_scratch;
void vdni_batch_choose(vdni_trainer *t, int64_t step);
void vdni_batch_fetch(vdni_trainer *t, int32_t j);
void vdni_batch_make(const vdni_trainer *t, const vdni_batch_images *to,
                     const vdni_batch_scratch *scratch, int32_t j);
VDN_MUST_USE vdn_status vdni_batch_status(vdn_ctx *ctx, const vdni_trainer *t);
VDN_MUST_USE vdn_status vdni_batch_images_create(vdn_ctx *ctx, vdni_batch_images *out,
                                                 const vdni_trainer *t);
void vdni_batch_images_free(vdn_ctx *ctx, vdni_batch_images *images);
VDN_MUST_USE vdn_status vdni_batch_scratch_create(vdn_ctx *ctx, vdni_batch_scratch *out,
                                                  const vdni_trainer *t);
void vdni_batch_scratch_free(vdn_ctx *ctx, vdni_batch_scratch *scratch);

/* validate.c */
typedef struct vdni_validation {
    double loss, prior_dice, onepass_dice;
} vdni_validation;
VDN_MUST_USE vdn_status vdni_validate(vdn_ctx *ctx, vdni_validation *out, vdni_trainer *t);
/* Take and give back the memory that it needs: for memory_plan.h. */
VDN_MUST_USE vdn_status vdni_validate_dry(vdn_ctx *ctx, vdni_trainer *t);

/* checkpoint.c: everything of the state, atomically; and back. */
VDN_MUST_USE vdn_status vdni_checkpoint_save(vdn_ctx *ctx, const vdni_trainer *t);
VDN_MUST_USE vdn_status vdni_checkpoint_load(vdn_ctx *ctx, vdni_trainer *t);
/* Remove what a killed run left of files that it was writing ("NAME.<number>.partial"). */
void vdni_checkpoint_sweep(const vdni_trainer *t);

/* test_table.c: prior, one pass and ensemble on the test split with the best weights; writes
 * test.json and returns its text (vdni_free). */
VDN_MUST_USE vdn_status vdni_test_table(vdn_ctx *ctx, char **json, vdni_trainer *t);
VDN_MUST_USE vdn_status vdni_test_table_dry(vdn_ctx *ctx, vdni_trainer *t);

#endif

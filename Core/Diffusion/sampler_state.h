/* The sampler's own: what its graphs (sampler_graphs.c) leave for its life and its runs (sampler.c). */
#ifndef VDNI_SAMPLER_STATE_H
#define VDNI_SAMPLER_STATE_H

#include "Diffusion/sampler.h"
#include "Diffusion/schedule.h"
#include "Net/condition_unet.h"
#include "Net/diffusion_unet.h"

enum { PLAN_CONDITION, PLAN_GATES, PLAN_START, PLAN_STEP, PLAN_COUNT };

struct vdni_sampler {
    vdni_config config;
    vdni_sampler_options options;
    vdni_schedule *schedule;
    int64_t *grid; /* times of the steps, 0 first */
    vdni_plan *plans[PLAN_COUNT];
    void *arena, *workspace;
    vdni_stage image;     /* of the next condition pass */
    vdni_stage flipped;   /* the same, with mirror */
    vdni_stage planes;    /* code, skip and foreground; without a refiner the prior, host only */
    vdni_stage rows[2];   /* what each step of a run is told, and the start; of runs in turn */
    int64_t runs;         /* begun */
    void *device_rows;    /* the same on the device */
    vdni_stage found[2];  /* logits and samples on their way back, in turn */
    int64_t begun, ended; /* of what comes back */
    void *recording;      /* of a step */
    int32_t step_state;   /* 0: no step has run yet; 1: one has; 2: recording was tried */

    /* tensors by plan */
    vdni_id image_id, logits;                                     /* condition */
    vdni_id foreground;                                           /* gates */
    vdni_cache cached;                                            /* of both */
    vdni_id start_keys, start_coefficients, start_prior, start_x; /* start */
    vdni_step_inputs in;                                          /* step */
    vdni_id projection[VDNI_MAX_LEVELS], gate[VDNI_MAX_LEVELS];
    vdni_id coefficients, decode, sigma, keys, next;
    vdni_id estimate; /* of the mask: its probability, or its code in the noise modes */
};

/* What a step is told, per image: its key, then rows of coefficients, then its time. */
enum { ROW_STEP, ROW_DECODE, ROW_SIGMA, ROW_INPUT, ROWS };

/* Without a refiner there is the condition net only. */
static inline int vdni_sampler_plans(const vdni_config *config)
{
    return vdni_has_refiner(config) ? PLAN_COUNT : PLAN_CONDITION + 1;
}

/* Graph @p which for the sampler's configuration and options; the ids of its tensors go to @p s. */
VDN_MUST_USE vdn_status vdni_sampler_graph(vdn_ctx *ctx, vdni_graph **out, vdni_sampler *s,
                                           int which, vdni_parameters *table);

#endif

/* What a training will take at most, known before it begins; and what to do when that is too much.
 *
 * The networks and samplers are built once against a back end that counts and gives out nothing, so the
 * number is that of the real thing, workspaces included. Images are computed one at a time whatever the
 * batch, so a smaller batch would save nothing but the images themselves; what helps is to compute
 * blocks again in the backward pass (Graph/recompute.h), which is chosen when the plan without it does
 * not fit. Neither changes a bit of the result. */
#ifndef VDNI_MEMORY_PLAN_H
#define VDNI_MEMORY_PLAN_H

#include "Train/trainer_state.h"

/* Make the plan of @p t (data, model and canvas are there, nothing else) for the limits of @p ctx and its
 * device, and say it in a line to the log.
 * VDN_ERR_MEMORY with the numbers when even the smallest plan does not fit. */
VDN_MUST_USE vdn_status vdni_memory_plan_make(vdn_ctx *ctx, vdni_memory_plan *out, vdni_trainer *t);

#endif

/* What a training will take at most, known before it begins; and what to do when that is too much.
 *
 * The networks and samplers are built once against a back end that counts and gives out nothing, so the
 * number is that of the real thing, workspaces included. On the CPU images are computed one at a time
 * whatever the batch, as more at once gain nothing there; on a device as many as fit, a divisor of the
 * batch, which changes the result by rounding only (Train/network.h), so a resumed training has the same
 * bits where the device has as much memory. With batch norm it is one, as on the CPU. When even one
 * does not fit, blocks are computed again in the backward pass (Graph/recompute.h), which changes no
 * bit. */
#ifndef VDNI_MEMORY_PLAN_H
#define VDNI_MEMORY_PLAN_H

#include "Train/trainer_state.h"

/* Make the plan of @p t (data, model and canvas are there, nothing else) for the limits of @p ctx and its
 * device, and say it in a line to the log. @p images of a pass: at most so many, 0 = as above.
 * VDN_ERR_MEMORY with the numbers when even the smallest plan does not fit. */
VDN_MUST_USE vdn_status vdni_memory_plan_make(vdn_ctx *ctx, vdni_memory_plan *out, vdni_trainer *t,
                                              int32_t images);

#endif

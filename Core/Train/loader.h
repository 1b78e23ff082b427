/* The images of the next step are made on threads of their own while the current step is computed.
 *
 * An image depends on (seed, step, number) only, so neither the threads nor their order can change a
 * bit. Nothing is allocated after vdni_loader_create. With one thread to use there are no loader
 * threads: the images are made when they are asked for. */
#ifndef VDNI_LOADER_H
#define VDNI_LOADER_H

#include "Train/trainer_state.h"

typedef struct vdni_loader vdni_loader;

/* Loader threads for a context of @p threads: a quarter of them, at least one, at most one per image
 * of a batch and eight; none when there is one thread. */
int32_t vdni_loader_threads(int32_t threads, int32_t batch);

/* For steps up to @p last. What @p t holds of data and buffers must exist already. */
VDN_MUST_USE vdn_status vdni_loader_create(vdn_ctx *ctx, vdni_loader **out, vdni_trainer *t,
                                           int64_t last);

/* Waits for an image that is being made; NULL is fine. */
void vdni_loader_free(vdn_ctx *ctx, vdni_loader *loader);

/* The images of @p step in t->images, t->targets and t->valid; then begin those of the step after it.
 * @p waited gets the seconds until they were there. Statuses as vdni_batch_load. */
VDN_MUST_USE vdn_status vdni_loader_get(vdn_ctx *ctx, vdni_loader *loader, int64_t step,
                                        double *waited);

#endif

/* The life of a trainer: internal to Core/Train. */
#ifndef VDNI_TRAINER_SETUP_H
#define VDNI_TRAINER_SETUP_H

#include "Train/trainer_state.h"

/* Open the store, split it, make (or, with resume, read) the state and open the logs.
 * VDN_ERR_ARGUMENT, VDN_ERR_FORMAT, VDN_ERR_IO, VDN_ERR_MEMORY as vdn_train() documents. */
VDN_MUST_USE vdn_status vdni_trainer_create(vdn_ctx *ctx, vdni_trainer **out, const char *folder,
                                            const char *store_path,
                                            const vdn_train_options *options);
/* The same with @p images in a pass, a divisor of the batch; 0 = as memory_plan.h chooses. */
VDN_MUST_USE vdn_status vdni_trainer_create_by(vdn_ctx *ctx, vdni_trainer **out, const char *folder,
                                               const char *store_path,
                                               const vdn_train_options *options, int32_t images);
/* No more steps and validations: their memory goes, state and weights stay. */
void vdni_trainer_end_steps(vdn_ctx *ctx, vdni_trainer *trainer);
void vdni_trainer_free(vdn_ctx *ctx, vdni_trainer *trainer);

/* Length of the data set's name in a subject "name/subject"; 0 without one. */
int64_t vdni_group_length(const char *subject);

#endif

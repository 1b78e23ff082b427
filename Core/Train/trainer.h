/* Training from a slice store to a model with an honest table. The work behind vdn_train() of vdn.h.
 * Design: model.md 1.10, 5. */
#ifndef VDNI_TRAINER_H
#define VDNI_TRAINER_H

#include "Base/context.h"

/* As vdn_train(). */
VDN_MUST_USE vdn_status vdni_train(vdn_ctx *ctx, const char *folder, const char *store_path,
                                   const vdn_train_options *options);
/* The same with @p images in a pass, 0 = as memory_plan.h chooses; for tests. */
VDN_MUST_USE vdn_status vdni_train_by(vdn_ctx *ctx, const char *folder, const char *store_path,
                                      const vdn_train_options *options, int32_t images);

#endif

/* Fine-tuning: begin with the values of another model instead of random ones. */
#ifndef VDNI_INITIAL_MODEL_H
#define VDNI_INITIAL_MODEL_H

#include "Net/model.h"

/* Replace the values of @p model by those of the model file @p path, block by block of one name. The
 * networks must agree in everything but the number of classes; where that differs, the blocks whose
 * shape follows from it (the heads, and what reads the mask) keep their start values, and a line to the
 * log says which.
 * VDN_ERR_ARGUMENT with the block, the shape found and the shape needed; VDN_ERR_IO; VDN_ERR_FORMAT;
 * VDN_ERR_MEMORY. On failure @p model is unchanged. */
VDN_MUST_USE vdn_status vdni_initial_model(vdn_ctx *ctx, vdn_model *model, const char *path);

#endif

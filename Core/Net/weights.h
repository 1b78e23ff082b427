/* Weights files in the safetensors layout: 8 bytes little-endian header length, a JSON header
 * { "name": {"dtype":"F32","shape":[..],"data_offsets":[begin,end]}, "__metadata__": {..} }, then the
 * values, one behind the other from a 64-byte boundary.
 *
 * The reader trusts nothing: header length, every offset, shape product, type, overlap, every gap,
 * duplicate names and metadata types are checked before a value is touched. */
#ifndef VDNI_WEIGHTS_H
#define VDNI_WEIGHTS_H

#include "Base/context.h"

enum { VDNI_WEIGHTS_NAME_BYTES = 80, VDNI_WEIGHTS_MAX_DIMENSIONS = 4 };

typedef enum {
    VDNI_WEIGHTS_F32 = 0,
    VDNI_WEIGHTS_U8,
    VDNI_WEIGHTS_I32,
    VDNI_WEIGHTS_I64
} vdni_weights_type;

typedef struct vdni_weights_entry {
    char name[VDNI_WEIGHTS_NAME_BYTES];
    vdni_weights_type type;
    int32_t dimensions;
    int64_t shape[VDNI_WEIGHTS_MAX_DIMENSIONS]; /* outermost first; 1 beyond dimensions */
    int64_t count, bytes;
    const void *data; /* in the map (reading) or the caller's (writing) */
} vdni_weights_entry;

typedef struct vdni_weights vdni_weights;

/* Map @p path and check it whole. The entries' data may be unaligned for their type: copy it.
 * VDN_ERR_IO; VDN_ERR_FORMAT with path, tensor, value found and value needed; VDN_ERR_MEMORY. */
VDN_MUST_USE vdn_status vdni_weights_open(vdn_ctx *ctx, vdni_weights **out, const char *path);
void vdni_weights_close(vdn_ctx *ctx, vdni_weights *weights);

int64_t vdni_weights_count(const vdni_weights *weights);
const vdni_weights_entry *vdni_weights_at(const vdni_weights *weights, int64_t index);
/* NULL when there is none of that name. */
const vdni_weights_entry *vdni_weights_find(const vdni_weights *weights, const char *name);
/* Value of a metadata key, or NULL. */
const char *vdni_weights_metadata(const vdni_weights *weights, const char *key);

/* Copy the values of tensor @p name into @p to.
 * VDN_ERR_FORMAT: absent, of another type, or not @p count values. */
VDN_MUST_USE vdn_status vdni_weights_copy(vdn_ctx *ctx, void *to, const vdni_weights *weights,
                                          const char *name, vdni_weights_type type, int64_t count);

typedef struct vdni_weights_metadatum {
    const char *key, *value;
} vdni_weights_metadatum;

/* Write @p entries (name, type, dimensions, shape, data; the rest is worked out) and metadata as one
 * file, atomically. VDN_ERR_IO, VDN_ERR_MEMORY, VDN_ERR_ARGUMENT (empty shape). */
VDN_MUST_USE vdn_status vdni_weights_save(vdn_ctx *ctx, const char *path,
                                          const vdni_weights_entry *entries, int64_t count,
                                          const vdni_weights_metadatum *metadata,
                                          int64_t metadata_count);

#endif

/* The slice store: every training slice of a data set in one file, ready to be mapped.
 * The format is Resources/Formats/slice-store.md; a change there changes VDNI_STORE_VERSION.
 *
 * The writer streams: a record goes to disk when it is added, and only the index (80 bytes and two
 * names per slice) stays in memory. The file gets its name when it is complete.
 * The reader maps the file and trusts nothing: header and index are checked when it is opened,
 * every record (checksum, label values) when it is first asked for. */
#ifndef VDNI_SLICE_STORE_H
#define VDNI_SLICE_STORE_H

#include "Base/context.h"

enum {
    VDNI_STORE_MAX_EXTENT = 1 << 16, /* pixels along one axis of a slice */
    VDNI_STORE_MAX_CHANNELS = 64,
    VDNI_STORE_MAX_ID_BYTES = 255 /* of a case or subject name */
};

/* ---- writing ------------------------------------------------------------------------------- */

/* The functions behind vdn_store_create, _add, _finish and _discard of vdn.h; the same contracts.
 * VDN_ERR_ARGUMENT names the field, its value and what is needed; a slice that is refused, also with
 * VDN_ERR_NUMERIC for a NaN or infinite pixel, leaves the writer as it was. */
VDN_MUST_USE vdn_status vdni_store_create(vdn_ctx *ctx, vdn_store_writer **out, const char *path,
                                          const vdn_store_header *header);
VDN_MUST_USE vdn_status vdni_store_add(vdn_ctx *ctx, vdn_store_writer *writer,
                                       const vdn_store_slice *slice);
/* Frees @p writer, also on failure. VDN_ERR_ARGUMENT when no slice was added. */
VDN_MUST_USE vdn_status vdni_store_finish(vdn_ctx *ctx, vdn_store_writer *writer);
/* NULL is fine, for either. */
void vdni_store_discard(vdn_ctx *ctx, vdn_store_writer *writer);

/* ---- reading ------------------------------------------------------------------------------- */

typedef struct vdni_store vdni_store;

/* VDN_ERR_FORMAT naming the file, the field, what was found and what is needed; VDN_ERR_IO;
 * VDN_ERR_MEMORY. */
VDN_MUST_USE vdn_status vdni_store_open(vdn_ctx *ctx, vdni_store **out, const char *path);
void vdni_store_close(vdn_ctx *ctx, vdni_store *store);

const vdn_store_header *vdni_store_get_header(const vdni_store *store);
int64_t vdni_store_get_count(const vdni_store *store);

/* What the index says of slice @p i in [0, count): everything but pixels and labels, which are
 * NULL. Strings are borrowed from @p store. */
void vdni_store_get_entry(vdn_store_slice *out, const vdni_store *store, int64_t i);

/* The whole slice; pointers are into the map, 64-byte aligned. The first call for a slice checks its
 * record: VDN_ERR_FORMAT. One thread at a time. */
VDN_MUST_USE vdn_status vdni_store_get_slice(vdn_ctx *ctx, vdn_store_slice *out, vdni_store *store,
                                             int64_t i);

#endif

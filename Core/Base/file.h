/* Files: whole or not at all.
 *
 * What is written goes to a temporary name in the same folder ("<path>.<number>.partial"), is
 * flushed to the device and renamed over the old file in one step; on any failure the old file, if
 * there was one, is untouched and the temporary one is gone. Every message names the path and the
 * system's reason. Everything here returns VDN_ERR_IO unless it says more. */
#ifndef VDNI_FILE_H
#define VDNI_FILE_H

#include "Base/context.h"

/* Write @p bytes of @p data as the file @p path. Also VDN_ERR_MEMORY. */
VDN_MUST_USE vdn_status vdni_file_write(vdn_ctx *ctx, const char *path, const void *data,
                                        int64_t bytes);

/* Read the whole file; *out has one zero byte more than *bytes; free with vdni_free.
 * Also VDN_ERR_MEMORY, and VDN_ERR_FORMAT when the file has more than @p max_bytes. */
VDN_MUST_USE vdn_status vdni_file_read(vdn_ctx *ctx, char **out, int64_t *bytes, const char *path,
                                       int64_t max_bytes);

/* A file written in pieces, for files larger than memory should hold. */
typedef struct vdni_file_writer vdni_file_writer;

VDN_MUST_USE vdn_status vdni_file_create(vdn_ctx *ctx, vdni_file_writer **out, const char *path);
VDN_MUST_USE vdn_status vdni_file_append(vdn_ctx *ctx, vdni_file_writer *writer, const void *data,
                                         int64_t bytes);
/* Zeros up to a multiple of @p alignment bytes. */
VDN_MUST_USE vdn_status vdni_file_align(vdn_ctx *ctx, vdni_file_writer *writer, int64_t alignment);
/* Overwrite bytes already written, e.g. a header that needs the sizes. */
VDN_MUST_USE vdn_status vdni_file_patch(vdn_ctx *ctx, vdni_file_writer *writer, int64_t offset,
                                        const void *data, int64_t bytes);
/* Bytes appended so far. */
int64_t vdni_file_position(const vdni_file_writer *writer);
/* Flush, rename and free @p writer, also on failure. */
VDN_MUST_USE vdn_status vdni_file_commit(vdn_ctx *ctx, vdni_file_writer *writer);
/* Remove the temporary file and free @p writer; NULL is fine. */
void vdni_file_discard(vdn_ctx *ctx, vdni_file_writer *writer);

/* A file mapped for reading. The map stays valid when the name is replaced; cutting the file short
 * in place while it is mapped is not survivable, which is why nothing here writes in place. */
typedef struct vdni_file_map {
    const char *data; /* never NULL after success, also for an empty file */
    int64_t bytes;
} vdni_file_map;

VDN_MUST_USE vdn_status vdni_file_map_open(vdn_ctx *ctx, vdni_file_map *out, const char *path);
/* A map of all zeros is fine; afterwards it is one. */
void vdni_file_map_close(vdni_file_map *map);

#endif

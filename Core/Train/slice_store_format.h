/* What the writer and the reader of slice stores share: where things lie in the file, numbers in it,
 * and the rules of Resources/Formats/slice-store.md that both enforce. Private to the two. */
#ifndef VDNI_SLICE_STORE_FORMAT_H
#define VDNI_SLICE_STORE_FORMAT_H

#include "Train/slice_store.h"

enum {
    VDNI_STORE_VERSION = 2, /* written only where plane or neighbours need it, otherwise 1 */
    VDNI_STORE_HEADER_BYTES = 4544,
    VDNI_STORE_ENTRY_BYTES = 80,
    VDNI_STORE_ALIGNMENT = 64,
    VDNI_STORE_LABELS_AT = 128,
    VDNI_STORE_NAMES_AT = 384,
    VDNI_STORE_HEADER_CRC_AT = VDNI_STORE_HEADER_BYTES - 4
};

#define VDNI_STORE_MAGIC "VDNSLICE"

/* Little-endian numbers. */
void vdni_store_put_u32(uint8_t *to, uint32_t value);
void vdni_store_put_u64(uint8_t *to, uint64_t value);
void vdni_store_put_f32(uint8_t *to, float value);
uint32_t vdni_store_get_u32(const uint8_t *from);
int32_t vdni_store_get_i32(const uint8_t *from);
uint64_t vdni_store_get_u64(const uint8_t *from);
float vdni_store_get_f32(const uint8_t *from);

/* Records hold the machine's own floats, so that they can be mapped. VDN_ERR_UNSUPPORTED on a
 * big-endian machine. */
VDN_MUST_USE vdn_status vdni_store_check_machine(vdn_ctx *ctx, const char *path);

/* The version that @p header needs: 1 unless its slices are not sagittal ones by themselves. */
uint32_t vdni_store_version_of(const vdn_store_header *header);

/* Bytes up to the next multiple of VDNI_STORE_ALIGNMENT. */
int64_t vdni_store_align(int64_t bytes);

typedef struct vdni_store_layout {
    int64_t labels, native; /* where the second and third block of a record begin */
    int64_t bytes;          /* of the record */
} vdni_store_layout;
vdni_store_layout vdni_store_layout_of(const vdn_store_slice *slice, int32_t channels);

/* Valid UTF-8 of 1..max_bytes bytes without control characters. */
int vdni_store_is_name(const char *text, int64_t bytes, int64_t max_bytes);

/* @p bad with the field, what was found and what is needed: VDN_ERR_ARGUMENT for a writer,
 * VDN_ERR_FORMAT for a reader. check_slice looks at numbers only, check_labels at both grids. */
VDN_MUST_USE vdn_status vdni_store_check_header(vdn_ctx *ctx, vdn_status bad, const char *path,
                                                const vdn_store_header *header);
VDN_MUST_USE vdn_status vdni_store_check_slice(vdn_ctx *ctx, vdn_status bad, const char *path,
                                               const vdn_store_slice *slice);
VDN_MUST_USE vdn_status vdni_store_check_labels(vdn_ctx *ctx, vdn_status bad,
                                                const vdn_store_slice *slice, int32_t classes);

#endif

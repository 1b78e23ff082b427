#include "Train/slice_store_format.h"

#include "Base/checksum.h"
#include "Base/file.h"
#include "Base/memory.h"

#include <math.h>
#include <string.h>

struct vdn_store_writer {
    vdni_file_writer *file;
    char *path;
    vdn_store_header header;
    uint8_t *entries;
    char *strings;
    int64_t count, entry_room, string_bytes, string_room;
    int broken; /* a write failed part way: nothing can follow */
};

vdn_status vdni_store_create(vdn_ctx *ctx, vdn_store_writer **out, const char *path,
                             const vdn_store_header *header)
{
    static const uint8_t nothing[VDNI_STORE_HEADER_BYTES];
    vdn_status status = VDN_OK;
    vdn_store_writer *w = NULL;

    VDN_CHECK(vdni_store_check_machine(ctx, path));
    VDN_CHECK(vdni_store_check_header(ctx, VDN_ERR_ARGUMENT, path, header));
    VDN_TRY(VDNI_NEW(ctx, w, 1));
    VDN_TRY(vdni_strdup(ctx, &w->path, path));
    VDN_TRY(vdni_file_create(ctx, &w->file, path));
    VDN_TRY(vdni_file_append(ctx, w->file, nothing, VDNI_STORE_HEADER_BYTES));
    w->header = *header;
    *out = w;
    w = NULL;
done:
    vdni_store_discard(ctx, w);
    return status;
}

static vdn_status check_added(vdn_ctx *ctx, const vdn_store_writer *w, const vdn_store_slice *s)
{
    const char *const name[2] = { s->case_id, s->subject };
    const int64_t values = s->height * s->width * w->header.image_channels;

    for (int i = 0; i < 2; i++)
        if (!name[i] ||
            !vdni_store_is_name(name[i], (int64_t)strlen(name[i]), VDNI_STORE_MAX_ID_BYTES))
            return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                             "%s: %s name of slice %lld is not 1 to %d bytes of plain UTF-8 text",
                             w->path, i == 0 ? "case" : "subject", (long long)s->index,
                             VDNI_STORE_MAX_ID_BYTES);
    VDN_CHECK(vdni_store_check_slice(ctx, VDN_ERR_ARGUMENT, s->case_id, s));
    VDN_CHECK(vdni_store_check_labels(ctx, VDN_ERR_ARGUMENT, s, w->header.classes));
    for (int64_t i = 0; i < values; i++)
        if (!isfinite(s->pixels[i]))
            return vdni_fail(
                ctx, VDN_ERR_NUMERIC,
                "%s, slice %lld: the pixel at row %lld, column %lld is %s, needed a finite number",
                s->case_id, (long long)s->index,
                (long long)(i / w->header.image_channels / s->width),
                (long long)(i / w->header.image_channels % s->width),
                isnan(s->pixels[i]) ? "NaN" : "infinite");
    return VDN_OK;
}

/* Room for one more entry and its strings, so that nothing can fail once the record is written. */
static vdn_status make_room(vdn_ctx *ctx, vdn_store_writer *w, int64_t string_bytes)
{
    if (w->count == w->entry_room) {
        const int64_t room = w->entry_room ? 2 * w->entry_room : 64;
        VDN_CHECK(vdni_resize(ctx, (void **)&w->entries, room, VDNI_STORE_ENTRY_BYTES));
        w->entry_room = room;
    }
    if (w->string_bytes + string_bytes > w->string_room) {
        const int64_t room = 2 * (w->string_bytes + string_bytes) + 2048;
        VDN_CHECK(VDNI_RESIZE(ctx, w->strings, room));
        w->string_room = room;
    }
    return VDN_OK;
}

/* Append one block and its padding and carry on the record's checksum. */
static vdn_status append_block(vdn_ctx *ctx, vdn_store_writer *w, uint32_t *crc, const void *data,
                               int64_t bytes)
{
    static const uint8_t zeros[VDNI_STORE_ALIGNMENT];
    const int64_t padding = vdni_store_align(bytes) - bytes;

    *crc = vdni_crc32(vdni_crc32(*crc, data, bytes), zeros, padding);
    VDN_CHECK(vdni_file_append(ctx, w->file, data, bytes));
    return vdni_file_append(ctx, w->file, zeros, padding);
}

static void put_entry(uint8_t *entry, const vdn_store_slice *s, uint64_t offset, uint64_t bytes)
{
    memset(entry, 0, VDNI_STORE_ENTRY_BYTES);
    vdni_store_put_u64(entry, offset);
    vdni_store_put_u64(entry + 8, bytes);
    vdni_store_put_u64(entry + 16, (uint64_t)s->index);
    vdni_store_put_u32(entry + 24, (uint32_t)s->height);
    vdni_store_put_u32(entry + 28, (uint32_t)s->width);
    vdni_store_put_u32(entry + 32, (uint32_t)s->native_height);
    vdni_store_put_u32(entry + 36, (uint32_t)s->native_width);
    vdni_store_put_f32(entry + 40, s->native_spacing_mm[0]);
    vdni_store_put_f32(entry + 44, s->native_spacing_mm[1]);
    vdni_store_put_u32(entry + 48, (uint32_t)s->modality);
}

vdn_status vdni_store_add(vdn_ctx *ctx, vdn_store_writer *w, const vdn_store_slice *s)
{
    if (w->broken)
        return vdni_fail(ctx, VDN_ERR_IO, "%s: an earlier write failed, nothing can be added",
                         w->path);
    VDN_CHECK(check_added(ctx, w, s));
    const int64_t pixels = s->height * s->width;
    const int64_t case_bytes = (int64_t)strlen(s->case_id);
    const int64_t subject_bytes = (int64_t)strlen(s->subject);
    const vdni_store_layout l = vdni_store_layout_of(s, w->header.image_channels);
    uint32_t crc = 0;

    VDN_CHECK(make_room(ctx, w, case_bytes + subject_bytes + 2));
    uint8_t *const entry = w->entries + w->count * VDNI_STORE_ENTRY_BYTES;
    put_entry(entry, s, (uint64_t)vdni_file_position(w->file), (uint64_t)l.bytes);
    w->broken = 1;
    VDN_CHECK(append_block(ctx, w, &crc, s->pixels,
                           pixels * w->header.image_channels * (int64_t)sizeof(float)));
    VDN_CHECK(append_block(ctx, w, &crc, s->labels, pixels));
    VDN_CHECK(append_block(ctx, w, &crc, s->native_labels, s->native_height * s->native_width));
    w->broken = 0;
    vdni_store_put_u32(entry + 52, crc);
    vdni_store_put_u32(entry + 56, (uint32_t)case_bytes);
    vdni_store_put_u32(entry + 60, (uint32_t)subject_bytes);
    vdni_store_put_u64(entry + 64, (uint64_t)w->string_bytes);
    memcpy(w->strings + w->string_bytes, s->case_id, (size_t)case_bytes + 1);
    memcpy(w->strings + w->string_bytes + case_bytes + 1, s->subject, (size_t)subject_bytes + 1);
    w->string_bytes += case_bytes + subject_bytes + 2;
    w->count++;
    return VDN_OK;
}

static void put_header(uint8_t *to, const vdn_store_writer *w, int64_t index_offset,
                       uint32_t index_crc)
{
    const vdn_store_header *const h = &w->header;
    const int64_t index_bytes = w->count * VDNI_STORE_ENTRY_BYTES + w->string_bytes;

    memset(to, 0, VDNI_STORE_HEADER_BYTES);
    memcpy(to, VDNI_STORE_MAGIC, 8);
    vdni_store_put_u32(to + 8, vdni_store_version_of(h));
    vdni_store_put_u32(to + 12, VDNI_STORE_HEADER_BYTES);
    vdni_store_put_u64(to + 16, (uint64_t)(index_offset + index_bytes));
    vdni_store_put_u64(to + 24, (uint64_t)index_offset);
    vdni_store_put_u64(to + 32, (uint64_t)w->count);
    vdni_store_put_u64(to + 40, (uint64_t)index_bytes);
    vdni_store_put_u32(to + 48, index_crc);
    vdni_store_put_u32(to + 52, (uint32_t)h->image_channels);
    vdni_store_put_u32(to + 56, (uint32_t)h->classes);
    vdni_store_put_f32(to + 60, h->pixel_spacing_mm);
    vdni_store_put_f32(to + 64, h->assumed_spacing_mm);
    vdni_store_put_u32(to + 68, (uint32_t)h->modality);
    if (vdni_store_version_of(h) > 1) {
        vdni_store_put_u32(to + 72, (uint32_t)h->plane);
        vdni_store_put_u32(to + 76, (uint32_t)(h->neighbours > 0 ? h->neighbours : 1));
    }
    for (int32_t i = 0; i < h->classes; i++) {
        uint8_t *const name = to + VDNI_STORE_NAMES_AT + i * VDN_NAME_BYTES;
        vdni_store_put_u32(to + VDNI_STORE_LABELS_AT + 4 * i, (uint32_t)h->class_label[i]);
        memcpy(name, h->class_name[i], strlen(h->class_name[i]));
    }
    vdni_store_put_u32(to + VDNI_STORE_HEADER_CRC_AT, vdni_crc32(0, to, VDNI_STORE_HEADER_CRC_AT));
}

vdn_status vdni_store_finish(vdn_ctx *ctx, vdn_store_writer *w)
{
    vdn_status status = VDN_OK;
    uint8_t header[VDNI_STORE_HEADER_BYTES];

    if (w->broken) VDN_TRY(vdni_fail(ctx, VDN_ERR_IO, "%s: an earlier write failed", w->path));
    if (w->count == 0)
        VDN_TRY(vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s: a slice store of no slices, needed 1 or more",
                          w->path));
    const int64_t index_offset = vdni_file_position(w->file);
    uint32_t crc = vdni_crc32(0, w->entries, w->count * VDNI_STORE_ENTRY_BYTES);
    crc = vdni_crc32(crc, w->strings, w->string_bytes);
    put_header(header, w, index_offset, crc);
    VDN_TRY(vdni_file_append(ctx, w->file, w->entries, w->count * VDNI_STORE_ENTRY_BYTES));
    VDN_TRY(vdni_file_append(ctx, w->file, w->strings, w->string_bytes));
    VDN_TRY(vdni_file_patch(ctx, w->file, 0, header, VDNI_STORE_HEADER_BYTES));
    vdni_file_writer *const file = w->file;
    w->file = NULL;
    VDN_TRY(vdni_file_commit(ctx, file));
done:
    vdni_store_discard(ctx, w);
    return status;
}

void vdni_store_discard(vdn_ctx *ctx, vdn_store_writer *w)
{
    if (!w) return;
    vdni_file_discard(ctx, w->file);
    vdni_free(ctx, w->strings);
    vdni_free(ctx, w->entries);
    vdni_free(ctx, w->path);
    vdni_free(ctx, w);
}

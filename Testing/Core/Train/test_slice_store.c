#define _XOPEN_SOURCE 700 /* truncate */
/* The reader: what was written comes back; a file that is cut or changed anywhere does not. */
#include "Train/slice_store.h"

#include "Base/checksum.h"

#include "store_fixture.h"

#include <unistd.h>

static const char path[] = "test_slice_store.vdnslices";

enum { ROOM = 16384, HEADER = 4544 };

static uint8_t whole[ROOM];
static int64_t whole_bytes;

static vdn_status read_all(vdn_ctx *ctx);
static void put_u32(int64_t at, uint32_t value);

static void write_whole(store_fixture *f)
{
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    fixture_init(f);
    EXPECT(fixture_write(&ctx, path, f) == VDN_OK);
    EXPECT(ctx.now_bytes == 0);
    whole_bytes = fixture_file(whole, ROOM, path);
    EXPECT(whole_bytes > HEADER && whole_bytes < ROOM);
}

static void what_was_written_comes_back(void)
{
    store_fixture f;
    vdni_store *store = NULL;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    write_whole(&f);
    EXPECT(vdni_store_open(&ctx, &store, path) == VDN_OK);
    if (!store) return;
    EXPECT(memcmp(vdni_store_get_header(store), &f.header, sizeof f.header) == 0);
    EXPECT(vdni_store_get_count(store) == FIXTURE_SLICES);
    for (int i = 0; i < FIXTURE_SLICES; i++) {
        const vdn_store_slice *const in = &f.slice[i];
        const size_t pixels = (size_t)(in->height * in->width);
        vdn_store_slice entry, out;
        vdni_store_get_entry(&entry, store, i);
        EXPECT(entry.pixels == NULL && entry.labels == NULL && entry.native_labels == NULL);
        EXPECT(strcmp(entry.subject, in->subject) == 0);
        EXPECT(vdni_store_get_slice(&ctx, &out, store, i) == VDN_OK);
        EXPECT(strcmp(out.case_id, in->case_id) == 0 && strcmp(out.subject, in->subject) == 0);
        EXPECT(out.index == in->index && out.modality == in->modality);
        EXPECT(out.height == in->height && out.width == in->width);
        EXPECT(out.native_height == in->native_height && out.native_width == in->native_width);
        EXPECT(out.native_spacing_mm[0] == in->native_spacing_mm[0] &&
               out.native_spacing_mm[1] == in->native_spacing_mm[1]);
        EXPECT((uintptr_t)out.pixels % 64 == 0 && (uintptr_t)out.labels % 64 == 0);
        EXPECT(memcmp(out.pixels, in->pixels, pixels * FIXTURE_CHANNELS * sizeof(float)) == 0);
        EXPECT(memcmp(out.labels, in->labels, pixels) == 0);
        EXPECT(memcmp(out.native_labels, in->native_labels,
                      (size_t)(in->native_height * in->native_width)) == 0);
    }
    vdn_store_slice out;
    EXPECT(vdni_store_get_slice(&ctx, &out, store, FIXTURE_SLICES) == VDN_ERR_ARGUMENT);
    vdni_store_close(&ctx, store);
    EXPECT(ctx.now_bytes == 0);
}

/* Only what an old reader would misread has the new version, and only then are the fields there. */
static void plane_and_neighbours_come_back(void)
{
    static const struct {
        vdn_plane plane;
        int32_t neighbours;
        uint8_t version;
    } cases[] = { { VDN_PLANE_SAGITTAL, 0, 1 },
                  { VDN_PLANE_SAGITTAL, 1, 1 },
                  { VDN_PLANE_AXIAL, 0, 2 },
                  { VDN_PLANE_SAGITTAL, 3, 2 },
                  { VDN_PLANE_CORONAL, 3, 2 } };
    store_fixture f;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vdni_store *store = NULL;
        fixture_init(&f);
        f.header.image_channels = cases[i].neighbours == 3 ? 3 : FIXTURE_CHANNELS;
        for (int k = 0; k < FIXTURE_SLICES; k++) f.slice[k].height = f.slice[k].width = 1;
        f.header.plane = cases[i].plane;
        f.header.neighbours = cases[i].neighbours;
        EXPECT(fixture_write(&ctx, path, &f) == VDN_OK);
        EXPECT(fixture_file(whole, ROOM, path) > HEADER && whole[8] == cases[i].version);
        EXPECT(vdni_store_open(&ctx, &store, path) == VDN_OK);
        if (!store) continue;
        EXPECT(vdni_store_get_header(store)->plane == cases[i].plane);
        EXPECT(vdni_store_get_header(store)->neighbours ==
               (cases[i].neighbours > 0 ? cases[i].neighbours : 1));
        vdni_store_close(&ctx, store);
    }
    write_whole(&f);
    put_u32(8, 2);
    put_u32(72, 3);
    put_u32(76, 1);
    put_u32(HEADER - 4, vdni_crc32(0, whole, HEADER - 4));
    fixture_put_file(path, whole, whole_bytes);
    EXPECT(read_all(&ctx) == VDN_ERR_FORMAT && strstr(ctx.error, "plane is 3") != NULL);
    write_whole(&f);
    EXPECT(ctx.now_bytes == 0);
}

/* Worst status of opening the file and reading every slice. */
static vdn_status read_all(vdn_ctx *ctx)
{
    vdni_store *store = NULL;
    vdn_status status = vdni_store_open(ctx, &store, path);
    EXPECT((status == VDN_OK) == (store != NULL));
    for (int64_t i = 0; status == VDN_OK && i < vdni_store_get_count(store); i++) {
        vdn_store_slice out;
        status = vdni_store_get_slice(ctx, &out, store, i);
    }
    vdni_store_close(ctx, store);
    return status;
}

static void a_file_cut_anywhere_is_refused(void)
{
    for (int64_t cut = whole_bytes - 1; cut >= 0; cut--) {
        vdn_ctx ctx;
        vdni_ctx_init(&ctx);
        EXPECT(truncate(path, cut) == 0);
        EXPECT(read_all(&ctx) == VDN_ERR_FORMAT);
        EXPECT(strstr(ctx.error, path) != NULL);
        EXPECT(ctx.now_bytes == 0);
    }
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    whole[whole_bytes] = 0;
    fixture_put_file(path, whole, whole_bytes + 1);
    EXPECT(read_all(&ctx) == VDN_ERR_FORMAT);
    fixture_put_file(path, whole, whole_bytes);
    vdni_clear_error(&ctx);
    EXPECT(read_all(&ctx) == VDN_OK);
}

static void put_byte(int64_t at, uint8_t value)
{
    FILE *const file = fopen(path, "r+b");
    EXPECT(file && fseek(file, (long)at, SEEK_SET) == 0 && fputc(value, file) == value);
    if (file) (void)fclose(file);
}

static void a_byte_changed_anywhere_is_refused(void)
{
    uint64_t random = 23;
    for (int64_t at = 0; at < whole_bytes; at++) {
        vdn_ctx ctx;
        vdni_ctx_init(&ctx);
        put_byte(at, (uint8_t)(whole[at] ^ 1u << (test_random_bits(&random) % 8)));
        EXPECT(read_all(&ctx) == VDN_ERR_FORMAT);
        EXPECT(ctx.now_bytes == 0);
        put_byte(at, whole[at]);
    }
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    EXPECT(read_all(&ctx) == VDN_OK);
}

static void put_u32(int64_t at, uint32_t value)
{
    for (int i = 0; i < 4; i++) whole[at + i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get_u32(int64_t at)
{
    return whole[at] | (uint32_t)whole[at + 1] << 8 | (uint32_t)whole[at + 2] << 16 |
           (uint32_t)whole[at + 3] << 24;
}

/* Make every checksum right again, so that only the rules behind them can refuse. */
static void seal(void)
{
    const int64_t index = get_u32(24);
    for (int64_t i = 0, at = index; i < FIXTURE_SLICES; i++, at += 80)
        if (get_u32(at) < (uint32_t)whole_bytes && get_u32(at + 8) <= whole_bytes - get_u32(at))
            put_u32(at + 52, vdni_crc32(0, whole + get_u32(at), get_u32(at + 8)));
    put_u32(48, vdni_crc32(0, whole + index, whole_bytes - index));
    put_u32(HEADER - 4, vdni_crc32(0, whole, HEADER - 4));
}

static void numbers_that_lie_are_refused_behind_good_checksums(void)
{
    const int64_t index = get_u32(24), strings = index + 80 * FIXTURE_SLICES;
    const struct {
        int64_t at;
        uint32_t value;
        const char *said;
    } lies[] = {
        { 8, 0, "version is 0" },
        { 8, 3, "version is 3" },
        { 8, 2, "neighbours is 0" },
        { 12, 4545, "header_bytes" },
        { 16, 99, "file_bytes" },
        { 24, 64, "index_offset" },
        { 24, 0xffffffc0u, "index_offset" },
        { 32, 0, "count is 0" },
        { 32, 1, "names of slice 0" },
        { 32, 1000, "count is 1000" },
        { 36, 0x80000000u, "count" },
        { 40, 1, "index_bytes" },
        { 52, 0, "image_channels is 0" },
        { 52, 65, "image_channels is 65" },
        { 52, 1, "record_bytes" },
        { 56, 1, "classes is 1" },
        { 56, 65, "classes is 65" },
        { 56, 4, "class 3" },
        { 60, 0x7fc00000u, "spacings" },
        { 64, 0xbf800000u, "spacings" },
        { 68, 3, "modality is 3" },
        { 128, 5, "class 0 is 5" },
        { 132, 7, "same label 7" },
        { 132, 0x80000000u, "class 1" },
        { 384, 0, "name of class 0" },
        { 384 + 64, 0x41414101u, "name of class 1" },
        { index + 0, 0, "record offset is 0" },
        { index + 4, 1, "record offset" },
        { index + 8, 1, "record_bytes is 1" },
        { index + 12, 1, "record_bytes" },
        { index + 20, 0x80000000u, "slice index is -1" },
        { index + 24, 0, "slice height is 0" },
        { index + 24, 0xffffffffu, "slice height" },
        { index + 28, 65537, "slice width is 65537" },
        { index + 32, 65536, "record_bytes" },
        { index + 36, 0, "native width is 0" },
        { index + 40, 0x7f800000u, "native spacing" },
        { index + 48, 3, "slice modality is 3" },
        { index + 56, 0, "names of slice 0" },
        { index + 56, 5, "names of slice 0" },
        { index + 60, 0xffffffffu, "bytes left for names" },
        { index + 64, 1, "string_offset is 1" },
        { strings, 0xff5f5f61u, "names of slice 0" },
    };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        uint8_t kept[ROOM];
        vdn_ctx ctx;
        vdni_ctx_init(&ctx);
        memcpy(kept, whole, sizeof kept);
        put_u32(lies[i].at, lies[i].value);
        if (lies[i].at != 24) seal();
        put_u32(HEADER - 4, vdni_crc32(0, whole, HEADER - 4));
        fixture_put_file(path, whole, whole_bytes);
        memcpy(whole, kept, sizeof kept);
        EXPECT(read_all(&ctx) == VDN_ERR_FORMAT);
        if (!strstr(ctx.error, lies[i].said)) printf("%s: %s\n", lies[i].said, ctx.error);
        EXPECT(strstr(ctx.error, lies[i].said) != NULL);
    }
}

static void put_u64(int64_t at, uint64_t value)
{
    put_u32(at, (uint32_t)value);
    put_u32(at + 4, (uint32_t)(value >> 32));
}

/* Refused with a message that holds @p said; the file in memory is as before afterwards. */
static void expect_refused(const char *said, const uint8_t *kept, int64_t kept_bytes)
{
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    seal();
    fixture_put_file(path, whole, whole_bytes);
    EXPECT(read_all(&ctx) == VDN_ERR_FORMAT);
    EXPECT(strstr(ctx.error, said) != NULL);
    memcpy(whole, kept, ROOM);
    whole_bytes = kept_bytes;
}

static void a_record_larger_than_the_file_is_refused(void)
{
    static uint8_t kept[ROOM];
    const int64_t index = get_u32(24), bytes = whole_bytes;
    memcpy(kept, whole, ROOM);
    put_u32(index + 24, 65536);
    put_u32(index + 28, 65536);
    put_u64(index + 8, ((uint64_t)1 << 35) + ((uint64_t)1 << 32) + 64);
    expect_refused("bytes left for a record", kept, bytes);
}

static void a_gap_between_records_and_index_is_refused(void)
{
    static uint8_t kept[ROOM];
    const int64_t index = get_u32(24), bytes = whole_bytes;
    memcpy(kept, whole, ROOM);
    memmove(whole + index + 64, whole + index, (size_t)(bytes - index));
    memset(whole + index, 0, 64);
    whole_bytes = bytes + 64;
    put_u64(16, (uint64_t)whole_bytes);
    put_u64(24, (uint64_t)(index + 64));
    expect_refused("index_offset", kept, bytes);
}

static void bytes_after_the_last_name_are_refused(void)
{
    static uint8_t kept[ROOM];
    const int64_t index = get_u32(24), bytes = whole_bytes;
    memcpy(kept, whole, ROOM);
    whole[whole_bytes++] = 'x';
    put_u64(16, (uint64_t)whole_bytes);
    put_u64(40, (uint64_t)(whole_bytes - index));
    expect_refused("index_bytes", kept, bytes);
}

static void a_label_beyond_the_classes_is_refused_when_the_slice_is_read(void)
{
    store_fixture f;
    vdni_store *store = NULL;
    vdn_store_slice out;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    write_whole(&f);
    whole[HEADER + 320 + 8] = 3; /* labels of slice 0 follow 280 bytes of pixels */
    seal();
    fixture_put_file(path, whole, whole_bytes);
    EXPECT(vdni_store_open(&ctx, &store, path) == VDN_OK);
    EXPECT(vdni_store_get_slice(&ctx, &out, store, 1) == VDN_OK);
    EXPECT(vdni_store_get_slice(&ctx, &out, store, 0) == VDN_ERR_FORMAT);
    EXPECT(strstr(ctx.error, "labels at row 1, column 1 is 3") != NULL);
    vdni_store_close(&ctx, store);
}

static void survives_every_refused_allocation(void)
{
    store_fixture f;
    write_whole(&f);
    for (int64_t refuse = 0;; refuse++) {
        vdn_ctx ctx;
        vdni_ctx_init(&ctx);
        ctx.refuse_after = refuse;
        const vdn_status status = read_all(&ctx);
        EXPECT(status == VDN_OK || status == VDN_ERR_MEMORY);
        EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
        EXPECT(ctx.now_bytes == 0);
        if (status == VDN_OK) {
            EXPECT(refuse == 6);
            break;
        }
    }
}

static void a_missing_file_is_an_io_error(void)
{
    vdni_store *store = NULL;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    EXPECT(vdni_store_open(&ctx, &store, "no_such.vdnslices") == VDN_ERR_IO);
    EXPECT(strstr(ctx.error, "no_such.vdnslices") != NULL);
    vdni_store_close(&ctx, NULL);
}

int main(void)
{
    RUN(what_was_written_comes_back);
    RUN(plane_and_neighbours_come_back);
    RUN(a_file_cut_anywhere_is_refused);
    RUN(a_byte_changed_anywhere_is_refused);
    RUN(numbers_that_lie_are_refused_behind_good_checksums);
    RUN(a_record_larger_than_the_file_is_refused);
    RUN(a_gap_between_records_and_index_is_refused);
    RUN(bytes_after_the_last_name_are_refused);
    RUN(a_label_beyond_the_classes_is_refused_when_the_slice_is_read);
    RUN(survives_every_refused_allocation);
    RUN(a_missing_file_is_an_io_error);
    (void)remove(path);
    return test_result();
}

/* The writer: nothing half-written, refusals name what is wrong and change nothing. */
#include "Train/slice_store.h"

#include "store_fixture.h"

static const char path[] = "test_slice_store_writer.vdnslices";

static int exists(void)
{
    FILE *const file = fopen(path, "rb");
    if (file) (void)fclose(file);
    return file != NULL;
}

static void the_file_appears_only_when_finished(void)
{
    store_fixture f;
    vdn_store_writer *writer = NULL;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    fixture_init(&f);
    (void)remove(path);
    EXPECT(vdni_store_create(&ctx, &writer, path, &f.header) == VDN_OK);
    EXPECT(vdni_store_add(&ctx, writer, &f.slice[0]) == VDN_OK);
    EXPECT(!exists());
    vdni_store_discard(&ctx, writer);
    EXPECT(!exists());
    EXPECT(vdni_store_create(&ctx, &writer, path, &f.header) == VDN_OK);
    EXPECT(vdni_store_finish(&ctx, writer) == VDN_ERR_ARGUMENT); /* no slices */
    EXPECT(!exists());
    vdni_clear_error(&ctx);
    EXPECT(fixture_write(&ctx, path, &f) == VDN_OK);
    EXPECT(exists());
    EXPECT(ctx.now_bytes == 0);
    vdni_store_discard(&ctx, NULL);
}

static void the_same_slices_make_the_same_bytes(void)
{
    static uint8_t first[16384], second[16384];
    store_fixture f;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    fixture_init(&f);
    EXPECT(fixture_write(&ctx, path, &f) == VDN_OK);
    const int64_t bytes = fixture_file(first, sizeof first, path);
    EXPECT(fixture_write(&ctx, path, &f) == VDN_OK);
    EXPECT(fixture_file(second, sizeof second, path) == bytes);
    EXPECT(memcmp(first, second, (size_t)bytes) == 0);
    EXPECT(memcmp(first, "VDNSLICE\1\0\0\0\xc0\x11\0\0", 16) == 0);
}

static void a_bad_header_is_refused(void)
{
    for (int kind = 0; kind < 9; kind++) {
        store_fixture f;
        vdn_store_writer *writer = NULL;
        vdn_ctx ctx;
        vdni_ctx_init(&ctx);
        fixture_init(&f);
        switch (kind) {
        case 0:
            f.header.image_channels = 0;
            break;
        case 1:
            f.header.classes = 1;
            break;
        case 2:
            f.header.classes = VDN_MAX_CLASSES + 1;
            break;
        case 3:
            f.header.class_name[1][0] = '\0';
            break;
        case 4:
            memset(f.header.class_name[2], 'x', VDN_NAME_BYTES);
            break;
        case 5:
            f.header.class_label[2] = 20;
            break;
        case 6:
            f.header.class_label[0] = 1;
            break;
        case 7:
            f.header.pixel_spacing_mm = NAN;
            break;
        default:
            f.header.modality = (vdn_modality)7;
            break;
        }
        EXPECT(vdni_store_create(&ctx, &writer, path, &f.header) == VDN_ERR_ARGUMENT);
        EXPECT(writer == NULL && ctx.error[0] != '\0' && ctx.now_bytes == 0);
    }
}

/* Spoil slice 0 in one of several ways; returns the status it deserves. */
static vdn_status spoil(store_fixture *f, int kind, const char **said)
{
    static char long_name[300];
    memset(long_name, 'n', sizeof long_name - 1);
    switch (kind) {
    case 0:
        f->slice[0].case_id = "";
        *said = "case name";
        break;
    case 1:
        f->slice[0].subject = NULL;
        *said = "subject name";
        break;
    case 2:
        f->slice[0].subject = long_name;
        *said = "subject name";
        break;
    case 3:
        f->slice[0].case_id = "two\nlines";
        *said = "case name";
        break;
    case 4:
        f->slice[0].height = 0;
        *said = "slice height is 0";
        break;
    case 5:
        f->slice[0].native_width = 1 << 17;
        *said = "native width is 131072";
        break;
    case 6:
        f->slice[0].native_spacing_mm[1] = -1.0f;
        *said = "native spacing";
        break;
    case 7:
        f->slice[0].index = -1;
        *said = "slice index is -1";
        break;
    case 8:
        f->slice[0].modality = (vdn_modality)-1;
        *said = "modality";
        break;
    case 9:
        f->labels[0][9] = 3;
        *said = "labels at row 1, column 2 is 3";
        break;
    case 10:
        f->native[0][10] = 254;
        *said = "native labels at row 1, column 1 is 254";
        break;
    default:
        f->pixels[0][2 * (2 * 7 + 4) + 1] = NAN;
        *said = "row 2, column 4 is NaN";
        return VDN_ERR_NUMERIC;
    }
    return VDN_ERR_ARGUMENT;
}

static void a_bad_slice_is_refused_and_the_writer_goes_on(void)
{
    static uint8_t needed[16384], found[16384];
    store_fixture good;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    fixture_init(&good);
    EXPECT(fixture_write(&ctx, path, &good) == VDN_OK);
    const int64_t bytes = fixture_file(needed, sizeof needed, path);
    for (int kind = 0; kind < 12; kind++) {
        store_fixture f;
        vdn_store_writer *writer = NULL;
        const char *said = "";
        vdni_clear_error(&ctx);
        EXPECT(vdni_store_create(&ctx, &writer, path, &good.header) == VDN_OK);
        fixture_init(&f);
        const vdn_status deserved = spoil(&f, kind, &said);
        EXPECT(vdni_store_add(&ctx, writer, &f.slice[0]) == deserved);
        EXPECT(strstr(ctx.error, said) != NULL);
        vdni_clear_error(&ctx);
        for (int i = 0; i < FIXTURE_SLICES; i++)
            EXPECT(vdni_store_add(&ctx, writer, &good.slice[i]) == VDN_OK);
        EXPECT(vdni_store_finish(&ctx, writer) == VDN_OK);
        EXPECT(fixture_file(found, sizeof found, path) == bytes);
        EXPECT(memcmp(needed, found, (size_t)bytes) == 0);
    }
    EXPECT(ctx.now_bytes == 0);
}

static void an_unwritable_folder_is_an_io_error(void)
{
    store_fixture f;
    vdn_store_writer *writer = NULL;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    fixture_init(&f);
    EXPECT(vdni_store_create(&ctx, &writer, "no_such_folder/x", &f.header) == VDN_ERR_IO);
    EXPECT(writer == NULL && ctx.now_bytes == 0);
}

static void survives_every_refused_allocation(void)
{
    store_fixture f;
    fixture_init(&f);
    for (int64_t refuse = 0;; refuse++) {
        vdn_ctx ctx;
        vdni_ctx_init(&ctx);
        (void)remove(path);
        ctx.refuse_after = refuse;
        const vdn_status status = fixture_write(&ctx, path, &f);
        EXPECT(status == VDN_OK || status == VDN_ERR_MEMORY);
        EXPECT((status == VDN_OK) == exists());
        EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
        EXPECT(ctx.now_bytes == 0);
        if (status == VDN_OK) {
            EXPECT(refuse >= 5);
            break;
        }
    }
}

/* Many slices: the index has to grow. */
static void holds_more_slices_than_its_first_room(void)
{
    store_fixture f;
    vdn_store_writer *writer = NULL;
    vdni_store *store = NULL;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    fixture_init(&f);
    EXPECT(vdni_store_create(&ctx, &writer, path, &f.header) == VDN_OK);
    for (int i = 0; i < 300; i++) {
        char name[48];
        (void)snprintf(name, sizeof name, "case_with_a_long_name_%d", i);
        f.slice[1].case_id = f.slice[1].subject = name;
        EXPECT(vdni_store_add(&ctx, writer, &f.slice[1]) == VDN_OK);
    }
    EXPECT(vdni_store_finish(&ctx, writer) == VDN_OK);
    EXPECT(vdni_store_open(&ctx, &store, path) == VDN_OK);
    EXPECT(vdni_store_get_count(store) == 300);
    vdn_store_slice out;
    EXPECT(vdni_store_get_slice(&ctx, &out, store, 299) == VDN_OK);
    EXPECT(strcmp(out.subject, "case_with_a_long_name_299") == 0);
    vdni_store_close(&ctx, store);
    EXPECT(ctx.now_bytes == 0);
}

int main(void)
{
    RUN(the_file_appears_only_when_finished);
    RUN(the_same_slices_make_the_same_bytes);
    RUN(a_bad_header_is_refused);
    RUN(a_bad_slice_is_refused_and_the_writer_goes_on);
    RUN(an_unwritable_folder_is_an_io_error);
    RUN(survives_every_refused_allocation);
    RUN(holds_more_slices_than_its_first_room);
    (void)remove(path);
    return test_result();
}

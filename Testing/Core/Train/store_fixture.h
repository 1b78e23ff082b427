/* A tiny store for the tests of its writer and reader: two subjects, three slices of odd sizes. */
#ifndef VERDIFF_STORE_FIXTURE_H
#define VERDIFF_STORE_FIXTURE_H

#include "Train/slice_store.h"

#include "test.h"

enum { FIXTURE_SLICES = 3, FIXTURE_CHANNELS = 2 };

typedef struct {
    vdn_store_header header;
    vdn_store_slice slice[FIXTURE_SLICES];
    float pixels[FIXTURE_SLICES][5 * 7 * FIXTURE_CHANNELS];
    uint8_t labels[FIXTURE_SLICES][5 * 7], native[FIXTURE_SLICES][6 * 9];
} store_fixture;

static inline void fixture_init(store_fixture *f)
{
    static const char *const cases[FIXTURE_SLICES] = { "a_s001", "a_s002", "caf\xc3\xa9" };
    static const char *const subjects[FIXTURE_SLICES] = { "a", "a", "b" };
    static const int64_t sizes[FIXTURE_SLICES][4] = { { 5, 7, 6, 9 },
                                                      { 1, 1, 1, 3 },
                                                      { 4, 4, 4, 4 } };
    uint64_t random = 11;

    memset(f, 0, sizeof *f);
    f->header = (vdn_store_header){ .image_channels = FIXTURE_CHANNELS,
                                    .classes = 3,
                                    .class_name = { "background", "vertebra", "disc" },
                                    .class_label = { 0, 20, 7 },
                                    .pixel_spacing_mm = 0.75f,
                                    .assumed_spacing_mm = 0.5f,
                                    .modality = VDN_MODALITY_CT,
                                    .neighbours = 1 };
    for (int i = 0; i < FIXTURE_SLICES; i++) {
        for (int k = 0; k < 5 * 7 * FIXTURE_CHANNELS; k++)
            f->pixels[i][k] = (float)(1000.0 * test_random(&random));
        for (int k = 0; k < 5 * 7; k++) f->labels[i][k] = (uint8_t)(k % 4 == 3 ? 255 : k % 4);
        for (int k = 0; k < 6 * 9; k++) f->native[i][k] = (uint8_t)(k % 3);
        f->slice[i] = (vdn_store_slice){ .case_id = cases[i],
                                         .subject = subjects[i],
                                         .index = 10 * i,
                                         .modality = (vdn_modality)i,
                                         .height = sizes[i][0],
                                         .width = sizes[i][1],
                                         .pixels = f->pixels[i],
                                         .labels = f->labels[i],
                                         .native_height = sizes[i][2],
                                         .native_width = sizes[i][3],
                                         .native_labels = f->native[i],
                                         .native_spacing_mm = { 0.5f, (float)i } };
    }
}

/* The whole life of a writer; stops at the first failure and leaves nothing behind. */
static inline vdn_status fixture_write(vdn_ctx *ctx, const char *path, const store_fixture *f)
{
    vdn_store_writer *writer = NULL;
    vdn_status status = vdni_store_create(ctx, &writer, path, &f->header);
    if (status != VDN_OK) return status;
    for (int i = 0; i < FIXTURE_SLICES; i++) {
        status = vdni_store_add(ctx, writer, &f->slice[i]);
        if (status != VDN_OK) {
            vdni_store_discard(ctx, writer);
            return status;
        }
    }
    return vdni_store_finish(ctx, writer);
}

static inline int64_t fixture_file(uint8_t *bytes, int64_t room, const char *path)
{
    FILE *const file = fopen(path, "rb");
    if (!file) return -1;
    const size_t n = fread(bytes, 1, (size_t)room, file);
    (void)fclose(file);
    return (int64_t)n;
}

static inline void fixture_put_file(const char *path, const uint8_t *bytes, int64_t count)
{
    FILE *const file = fopen(path, "wb");
    EXPECT(file && fwrite(bytes, 1, (size_t)count, file) == (size_t)count);
    if (file) (void)fclose(file);
}

#endif

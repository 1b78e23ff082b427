/* A store of synthetic subjects, a folder, and a training on them. */
#ifndef VERDIFF_TRAIN_FIXTURE_H
#define VERDIFF_TRAIN_FIXTURE_H

#include "net_test.h"

#include "Net/weights.h"
#include "Train/slice_store.h"
#include "Train/trainer.h"
#include "Train/trainer_setup.h"

#include <sys/stat.h>
#include <unistd.h>

enum { FIX_H = 24, FIX_W = 16, FIX_SUBJECTS = 6, FIX_SLICES = 3 };

static char fix_folder[64], fix_store[96];

/* Bright ellipses on a slope with some noise; with more classes every second one is class 2. */
static inline void fix_draw(float *pixels, uint8_t *labels, int subject, int slice, int32_t classes)
{
    uint64_t seed = (uint64_t)(1000 * subject + slice);
    for (int i = 0; i < FIX_H * FIX_W; i++) {
        pixels[i] = (float)(100.0 + 40.0 * test_random(&seed) + i % FIX_W);
        labels[i] = 0;
    }
    for (int k = 0; k < 3; k++) {
        const double cy = 4.0 + 7.5 * k + test_random(&seed);
        const double cx = 8.0 + 2.0 * test_random(&seed), ry = 2.5 + 0.5 * test_random(&seed);
        for (int y = 0; y < FIX_H; y++)
            for (int x = 0; x < FIX_W; x++) {
                const double d = pow((y - cy) / ry, 2.0) + pow((x - cx) / 4.0, 2.0);
                if (d > 1.0) continue;
                pixels[y * FIX_W + x] += 300.0f;
                labels[y * FIX_W + x] = (uint8_t)(classes > 2 && k == 1 ? 2 : 1);
            }
    }
}

static inline vdn_store_header fix_header(int32_t classes)
{
    vdn_store_header h = { .image_channels = 1,
                           .classes = classes,
                           .class_name = { "background", "vertebra", "disc" },
                           .class_label = { 0, 20, 30 },
                           .modality = VDN_MODALITY_MR };
    return h;
}

/* Native grid = working grid, but in the last slice of a subject, whose native grid is twice. */
static inline void fix_write_store(vdn_ctx *ctx, int32_t classes, int subjects)
{
    static float pixels[FIX_H * FIX_W];
    static uint8_t labels[FIX_H * FIX_W], twice[4 * FIX_H * FIX_W];
    const vdn_store_header header = fix_header(classes);
    vdn_store_writer *writer = NULL;
    EXPECT_OK(ctx, vdni_store_create(ctx, &writer, fix_store, &header));
    if (!writer) exit(1);
    for (int i = 0; i < subjects * FIX_SLICES; i++) {
        char name[32], subject[32];
        const int large = i % FIX_SLICES == FIX_SLICES - 1 ? 2 : 1;
        fix_draw(pixels, labels, i / FIX_SLICES, i % FIX_SLICES, classes);
        for (int k = 0; k < 4 * FIX_H * FIX_W; k++)
            twice[k] = labels[k / (2 * FIX_W) / 2 * FIX_W + k % (2 * FIX_W) / 2];
        (void)snprintf(name, sizeof name, "case%02d", i);
        (void)snprintf(subject, sizeof subject, "subject%d", i / FIX_SLICES);
        const vdn_store_slice s = { .case_id = name,
                                    .subject = subject,
                                    .index = i % FIX_SLICES,
                                    .modality = VDN_MODALITY_MR,
                                    .height = FIX_H,
                                    .width = FIX_W,
                                    .pixels = pixels,
                                    .labels = labels,
                                    .native_height = large * FIX_H,
                                    .native_width = large * FIX_W,
                                    .native_labels = large == 2 ? twice : labels,
                                    .native_spacing_mm = { 1.0f, 1.0f } };
        EXPECT_OK(ctx, vdni_store_add(ctx, writer, &s));
    }
    EXPECT_OK(ctx, vdni_store_finish(ctx, writer));
}

static inline const char *fix_path(const char *name)
{
    static char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", fix_folder, name);
    return path;
}

static inline void fix_clean(void)
{
    static const char *const names[] = { "model.safetensors", "checkpoint.safetensors", "log.csv",
                                         "validation.csv", "test.json" };
    for (int i = 0; i < 5; i++) (void)unlink(fix_path(names[i]));
}

/* An empty folder and a store of six subjects. */
static inline void fix_begin(const char *program, int32_t classes)
{
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    (void)snprintf(fix_folder, sizeof fix_folder, "%s.%d", program, (int)getpid());
    (void)snprintf(fix_store, sizeof fix_store, "%s.store", fix_folder);
    EXPECT(mkdir(fix_folder, 0755) == 0);
    fix_write_store(&ctx, classes, FIX_SUBJECTS);
    EXPECT(ctx.now_bytes == 0);
}

static inline void fix_end(void)
{
    fix_clean();
    (void)unlink(fix_store);
    EXPECT(rmdir(fix_folder) == 0); /* nothing else was left in it */
}

/* Options of a short f32 training of the unit net. */
static inline vdn_train_options fix_options(int64_t steps)
{
    vdn_train_options o = { .config = "unit",
                            .recipe = "recommended",
                            .steps = steps,
                            .seed = 35,
                            .precision = 1,
                            .param = "x0",
                            .msfm = 1,
                            .nsa = 1 };
    return o;
}

static inline vdn_status fix_train(vdn_ctx *ctx, const vdn_train_options *o)
{
    vdni_clear_error(ctx);
    ctx->last_report_ns = 0;
    return vdni_train(ctx, fix_folder, fix_store, o);
}

/* A trainer as vdn_train makes it, or exit. */
static inline vdni_trainer *fix_trainer(vdn_ctx *ctx, const vdn_train_options *o)
{
    vdni_trainer *t = NULL;
    vdni_clear_error(ctx);
    EXPECT_OK(ctx, vdni_trainer_create(ctx, &t, fix_folder, fix_store, o));
    if (!t) exit(1);
    return t;
}

/* The whole file as text; free() it. NULL when it is not there. */
static inline char *fix_read(const char *name, int64_t *bytes)
{
    FILE *file = fopen(fix_path(name), "rb");
    if (!file) return NULL;
    char *text = calloc(1, 1 << 26);
    const size_t n = fread(text, 1, (1 << 26) - 1, file);
    (void)fclose(file);
    if (bytes) *bytes = (int64_t)n;
    return text;
}

static inline int fix_is_there(const char *name)
{
    struct stat s;
    return stat(fix_path(name), &s) == 0;
}

/* Rows of a table without its title. */
static inline int fix_rows(const char *name)
{
    char *text = fix_read(name, NULL);
    int rows = -1;
    for (const char *p = text; p && *p; p++) rows += *p == '\n';
    free(text);
    return rows;
}

/* All tensors of a weights file, one behind the other; free() them. */
static inline char *fix_tensors(vdn_ctx *ctx, const char *name, int64_t *bytes)
{
    vdni_weights *w = NULL;
    char *all = calloc(1, 1 << 26);
    *bytes = 0;
    EXPECT_OK(ctx, vdni_weights_open(ctx, &w, fix_path(name)));
    for (int64_t i = 0; w && i < vdni_weights_count(w); i++) {
        const vdni_weights_entry *e = vdni_weights_at(w, i);
        memcpy(all + *bytes, e->data, (size_t)e->bytes);
        *bytes += e->bytes;
    }
    vdni_weights_close(ctx, w);
    return all;
}

#endif

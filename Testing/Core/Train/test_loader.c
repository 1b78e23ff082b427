/* Images made ahead, on other threads. */
#include "Train/loader.h"

#include "train_fixture.h"

static vdni_trainer *make(vdn_ctx *ctx, int32_t threads, int64_t steps)
{
    const vdn_train_options o = fix_options(steps);
    net_open(ctx, threads, VDNI_PREPARE_PLAIN);
    return fix_trainer(ctx, &o);
}

static void end(vdn_ctx *ctx, vdni_trainer *t)
{
    vdni_trainer_free(ctx, t);
    net_close(ctx);
}

static void a_quarter_of_the_threads_load(void)
{
    EXPECT(vdni_loader_threads(1, 8) == 0);
    EXPECT(vdni_loader_threads(2, 8) == 1 && vdni_loader_threads(7, 8) == 1);
    EXPECT(vdni_loader_threads(16, 8) == 4 && vdni_loader_threads(16, 1) == 1);
    EXPECT(vdni_loader_threads(256, 64) == 8);
}

/* Any number of threads; steps in order, again, and out of order. */
static void images_are_those_of_the_serial_order(void)
{
    static const int64_t steps[] = { 1, 2, 3, 4, 5, 6, 6, 2, 3, 11, 12, 12, 1 };
    static const int32_t threads[] = { 1, 2, 16 };
    for (size_t k = 0; k < 3; k++) {
        vdn_ctx serial, many;
        vdni_trainer *a = make(&serial, 1, 12), *b = make(&many, threads[k], 12);
        const size_t pixels = (size_t)(a->recipe.batch * a->height * a->width);
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
            double waited = -1.0;
            EXPECT_OK(&serial, vdni_batch_load(&serial, a, steps[i]));
            EXPECT_OK(&many, vdni_loader_get(&many, b->loader, steps[i], &waited));
            EXPECT(waited >= 0.0);
            EXPECT(memcmp(a->images, b->images, 4 * pixels) == 0);
            EXPECT(memcmp(a->targets, b->targets, pixels) == 0);
            EXPECT(memcmp(a->valid, b->valid, 16 * (size_t)a->recipe.batch) == 0);
        }
        end(&serial, a);
        end(&many, b);
    }
}

static void a_whole_training_is_the_same_with_loader_threads(void)
{
    int64_t bytes[2] = { 0, 0 };
    char *values[2];
    for (int k = 0; k < 2; k++) {
        vdn_ctx ctx;
        const vdn_train_options o = fix_options(5);
        net_open(&ctx, k == 0 ? 1 : 8, VDNI_PREPARE_PLAIN);
        fix_clean();
        EXPECT_OK(&ctx, fix_train(&ctx, &o));
        values[k] = fix_tensors(&ctx, "checkpoint.safetensors", &bytes[k]);
        net_close(&ctx);
    }
    EXPECT(bytes[0] == bytes[1] && bytes[0] > 100000);
    EXPECT(memcmp(values[0], values[1], (size_t)bytes[0]) == 0);
    free(values[0]);
    free(values[1]);
}

static void asking_allocates_nothing(void)
{
    vdn_ctx ctx;
    vdni_trainer *t = make(&ctx, 8, 12);
    double waited = 0.0;
    const int64_t allocations = ctx.allocations;
    for (int64_t step = 1; step <= 12; step++)
        EXPECT_OK(&ctx, vdni_loader_get(&ctx, t->loader, step, &waited));
    EXPECT(ctx.allocations == allocations);
    end(&ctx, t);
}

/* An abort frees the trainer in the middle of an image. */
static void a_loader_can_be_freed_at_any_moment(void)
{
    for (int i = 0; i < 40; i++) {
        vdn_ctx ctx;
        double waited = 0.0;
        vdni_trainer *t = make(&ctx, 2 + i % 9, 12);
        if (i % 4) EXPECT_OK(&ctx, vdni_loader_get(&ctx, t->loader, 1 + i % 12, &waited));
        if (i % 3 == 0) usleep((useconds_t)(37 * i));
        end(&ctx, t);
    }
}

/* One damaged slice: the step that needs it fails with its name, those before do not. */
static void a_damaged_slice_fails_its_own_step(void)
{
    vdn_ctx ctx;
    vdni_trainer *t = make(&ctx, 8, 12);
    double waited = 0.0;
    int64_t bad = -1;
    vdn_store_slice s;
    float pixels[32];
    EXPECT_OK(&ctx, vdni_loader_get(&ctx, t->loader, 1, &waited)); /* checks eight of twelve */
    EXPECT_OK(&ctx, vdni_loader_get(&ctx, t->loader, 2, &waited)); /* and the rest */
    bad = t->order[0];
    EXPECT_OK(&ctx, vdni_store_get_slice(&ctx, &s, t->store, bad));
    memcpy(pixels, s.pixels, sizeof pixels);
    end(&ctx, t);

    FILE *file = fopen(fix_store, "r+b");
    EXPECT(file != NULL);
    static char text[1 << 20];
    const size_t n = file ? fread(text, 1, sizeof text, file) : 0;
    size_t at = 0;
    while (at + sizeof pixels < n && memcmp(text + at, pixels, sizeof pixels) != 0) at++;
    EXPECT(at + sizeof pixels < n);
    text[at] ^= 1;
    if (file) {
        rewind(file);
        EXPECT(fwrite(text, 1, n, file) == n);
        (void)fclose(file);
    }
    t = make(&ctx, 8, 12);
    vdn_status status = VDN_OK;
    for (int64_t step = 1; step <= 3 && status == VDN_OK; step++)
        status = vdni_loader_get(&ctx, t->loader, step, &waited);
    EXPECT(status == VDN_ERR_FORMAT && strstr(ctx.error, "damaged") != NULL);
    end(&ctx, t);
    vdni_ctx_init(&ctx);
    fix_write_store(&ctx, 2, FIX_SUBJECTS);
}

static void survives_every_refused_allocation(void)
{
    vdn_ctx ctx;
    vdni_trainer *t = make(&ctx, 16, 12);
    int64_t refuse = 0;
    const int64_t held = ctx.now_bytes;
    for (; refuse < 50; refuse++) {
        vdni_loader *l = NULL;
        vdni_clear_error(&ctx);
        ctx.refuse_after = ctx.allocations + refuse;
        const vdn_status status = vdni_loader_create(&ctx, &l, t, 12);
        ctx.refuse_after = -1;
        EXPECT((status == VDN_OK) == (l != NULL));
        vdni_loader_free(&ctx, l);
        EXPECT(ctx.now_bytes == held);
        if (status == VDN_OK) break;
        EXPECT(status == VDN_ERR_MEMORY);
    }
    EXPECT(refuse == 1 + 3 + 4 * 2); /* itself, the spare images, two for each of four threads */
    end(&ctx, t);
}

int main(void)
{
    fix_begin("test_loader", 2);
    RUN(a_quarter_of_the_threads_load);
    RUN(images_are_those_of_the_serial_order);
    RUN(a_whole_training_is_the_same_with_loader_threads);
    RUN(asking_allocates_nothing);
    RUN(a_loader_can_be_freed_at_any_moment);
    RUN(a_damaged_slice_fails_its_own_step);
    RUN(survives_every_refused_allocation);
    fix_end();
    return test_result();
}

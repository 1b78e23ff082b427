/* The images of a training step. */
#include "Train/trainer_state.h"

#include "Tensor/pad.h"
#include "train_fixture.h"

static vdni_trainer *make(vdn_ctx *ctx, int32_t threads, const vdn_train_options *o)
{
    net_open(ctx, threads, VDNI_PREPARE_PLAIN);
    return fix_trainer(ctx, o);
}

static void end(vdn_ctx *ctx, vdni_trainer *t)
{
    vdni_trainer_free(ctx, t);
    net_close(ctx);
}

static int64_t image_floats(const vdni_trainer *t)
{
    return t->recipe.batch * t->height * t->width;
}

/* Images and labels of step @p step, one behind the other; free() them. */
static char *load(vdn_ctx *ctx, vdni_trainer *t, int64_t step, size_t *bytes)
{
    const size_t images = 4 * (size_t)image_floats(t), labels = (size_t)image_floats(t);
    EXPECT_OK(ctx, vdni_batch_load(ctx, t, step));
    char *all = malloc(images + labels);
    memcpy(all, t->images, images);
    memcpy(all + images, t->targets, labels);
    *bytes = images + labels;
    return all;
}

/* Neither the thread count nor what was loaded before matters. */
static void a_step_has_its_own_images(void)
{
    vdn_ctx one, two;
    const vdn_train_options o = fix_options(12);
    vdni_trainer *a = make(&one, 1, &o), *b = make(&two, 2, &o);
    size_t bytes = 0;
    char *first = load(&one, a, 1, &bytes), *fifth = load(&one, a, 5, &bytes);
    char *other_fifth = load(&two, b, 5, &bytes), *other_first = load(&two, b, 1, &bytes);
    EXPECT(memcmp(first, other_first, bytes) == 0);
    EXPECT(memcmp(fifth, other_fifth, bytes) == 0);
    EXPECT(memcmp(first, fifth, bytes) != 0);
    free(first);
    free(fifth);
    free(other_first);
    free(other_fifth);
    end(&one, a);
    end(&two, b);
}

static void another_seed_gives_other_images(void)
{
    vdn_ctx one, two;
    vdn_train_options o = fix_options(12);
    vdni_trainer *a = make(&one, 1, &o);
    size_t bytes = 0;
    o.seed = 36;
    vdni_trainer *b = make(&two, 1, &o);
    char *first = load(&one, a, 1, &bytes), *second = load(&two, b, 1, &bytes);
    EXPECT(memcmp(first, second, bytes) != 0);
    free(first);
    free(second);
    end(&one, a);
    end(&two, b);
}

/* 12 training slices in batches of 8: steps 1-3 are two epochs, each a permutation. */
static void every_epoch_shows_every_training_slice_once(void)
{
    vdn_ctx ctx;
    const vdn_train_options o = fix_options(12);
    vdni_trainer *t = make(&ctx, 1, &o);
    const vdni_slice_list *list = &t->parts[VDNI_PART_TRAIN];
    int64_t before[12] = { 0 };
    EXPECT(list->count == 12 && t->recipe.batch == 8);
    for (int64_t step = 1; step <= 6; step++) {
        int seen[FIX_SUBJECTS * FIX_SLICES] = { 0 };
        EXPECT_OK(&ctx, vdni_batch_load(&ctx, t, step));
        EXPECT(t->epoch == (8 * step - 1) / 12);
        for (int i = 0; i < 12; i++) seen[t->order[i]]++;
        for (int i = 0; i < 12; i++) EXPECT(seen[list->ids[i]] == 1);
        if (step == 1) memcpy(before, t->order, sizeof before);
    }
    EXPECT(memcmp(before, t->order, sizeof before) != 0);
    end(&ctx, t);
}

/* Steps 1 and 4 begin the first and the third epoch; with one order they show the same slices. */
static void a_slice_looks_different_in_every_epoch(void)
{
    vdn_ctx ctx;
    const vdn_train_options o = fix_options(12);
    vdni_trainer *t = make(&ctx, 1, &o);
    const int64_t pixels = t->height * t->width;
    float *kept = net_floats(image_floats(t));
    EXPECT_OK(&ctx, vdni_batch_load(&ctx, t, 1));
    memcpy(kept, t->images, 4 * (size_t)image_floats(t));
    EXPECT_OK(&ctx, vdni_batch_load(&ctx, t, 1));
    EXPECT(memcmp(kept, t->images, 4 * (size_t)image_floats(t)) == 0);
    t->epoch = 2;
    EXPECT_OK(&ctx, vdni_batch_load(&ctx, t, 4));
    for (int j = 0; j < t->recipe.batch; j++)
        EXPECT_LE(0.05, net_distance(t->images + j * pixels, kept + j * pixels, pixels));
    free(kept);
    end(&ctx, t);
}

static void images_are_normalised_and_labels_are_classes(void)
{
    vdn_ctx ctx;
    const vdn_train_options o = fix_options(12);
    vdni_trainer *t = make(&ctx, 1, &o);
    int64_t found[3] = { 0 };
    double sum = 0.0, square = 0.0;
    for (int64_t step = 1; step <= 4; step++) {
        EXPECT_OK(&ctx, vdni_batch_load(&ctx, t, step));
        for (int64_t i = 0; i < image_floats(t); i++) {
            const uint8_t y = t->targets[i];
            EXPECT(y <= 1 || y == VDNI_LABEL_IGNORE);
            found[y > 1 ? 2 : y]++;
            EXPECT(isfinite(t->images[i]));
            sum += t->images[i];
            square += (double)t->images[i] * t->images[i];
        }
        for (int j = 0; j < t->recipe.batch; j++)
            EXPECT(t->valid[2 * j] == FIX_H && t->valid[2 * j + 1] == FIX_W);
    }
    const double n = 4.0 * (double)image_floats(t);
    EXPECT_LE(fabs(sum / n), 0.5);
    EXPECT_LE(fabs(square / n - 1.0), 0.7);
    EXPECT(found[0] > found[1] && found[1] > found[0] / 20);
    end(&ctx, t);
}

static void crops_fill_their_canvas(void)
{
    vdn_ctx ctx;
    vdn_train_options o = fix_options(12);
    o.crop = 13; /* padded to 14 */
    vdni_trainer *t = make(&ctx, 1, &o);
    EXPECT(t->height == 14 && t->width == 14);
    for (int64_t step = 1; step <= 3; step++) {
        EXPECT_OK(&ctx, vdni_batch_load(&ctx, t, step));
        for (int j = 0; j < t->recipe.batch; j++) {
            EXPECT(t->valid[2 * j] == 13 && t->valid[2 * j + 1] == 13);
            for (int i = 0; i < 14; i++) /* the last row and column are padding */
                EXPECT(t->targets[(j * 14 + 13) * 14 + i] == VDNI_LABEL_IGNORE &&
                       t->targets[(j * 14 + i) * 14 + 13] == VDNI_LABEL_IGNORE);
        }
    }
    end(&ctx, t);
}

static void a_batch_allocates_nothing(void)
{
    vdn_ctx ctx;
    const vdn_train_options o = fix_options(12);
    vdni_trainer *t = make(&ctx, 2, &o);
    const int64_t allocations = ctx.allocations;
    for (int64_t step = 1; step <= 4; step++) EXPECT_OK(&ctx, vdni_batch_load(&ctx, t, step));
    EXPECT(ctx.allocations == allocations);
    end(&ctx, t);
}

static void an_impossible_batch_is_refused(void)
{
    vdn_ctx ctx;
    const vdn_train_options o = fix_options(12);
    vdni_trainer *t = make(&ctx, 1, &o);
    vdni_batch_job *kept = t->job;
    const int32_t sizes[3] = { 0, -1, 65 };
    for (int i = 0; i < 3; i++) {
        vdni_clear_error(&ctx);
        t->recipe.batch = sizes[i];
        EXPECT(vdni_batch_create(&ctx, t) == VDN_ERR_ARGUMENT && t->job == kept);
        EXPECT(strstr(ctx.error, "a batch of") != NULL);
    }
    end(&ctx, t);
}

int main(void)
{
    fix_begin("test_batch", 2);
    RUN(a_step_has_its_own_images);
    RUN(another_seed_gives_other_images);
    RUN(every_epoch_shows_every_training_slice_once);
    RUN(a_slice_looks_different_in_every_epoch);
    RUN(images_are_normalised_and_labels_are_classes);
    RUN(crops_fill_their_canvas);
    RUN(a_batch_allocates_nothing);
    RUN(an_impossible_batch_is_refused);
    fix_end();
    return test_result();
}

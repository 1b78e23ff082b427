/* A checkpoint holds everything the next step depends on. */
#include "Train/trainer_state.h"

#include "train_fixture.h"

static vdn_ctx ctx;

static vdni_trainer *make(const vdn_train_options *o) { return fix_trainer(&ctx, o); }

static void fill(float *x, int64_t count, uint64_t seed) { net_random(x, count, seed); }

/* State and blocks that no start value equals. */
static void change_everything(vdni_trainer *t)
{
    const int64_t count = t->model->parameters.total_floats;
    float *const blocks[5] = { t->blocks.values, t->blocks.moment1, t->blocks.moment2,
                               t->blocks.average, t->blocks.best };
    for (uint64_t i = 0; i < 5; i++) fill(blocks[i], count, 50 + i);
    t->state = (vdni_progress_state){
        .step = 7, .best_loss = 0.1, .best_step = 5, .stale = 2, .seconds = 1.0 / 3.0
    };
}

static int same_state(const vdni_trainer *a, const vdni_trainer *b)
{
    const size_t bytes = 4 * (size_t)a->model->parameters.total_floats;
    return memcmp(a->blocks.values, b->blocks.values, bytes) == 0 &&
           memcmp(a->blocks.moment1, b->blocks.moment1, bytes) == 0 &&
           memcmp(a->blocks.moment2, b->blocks.moment2, bytes) == 0 &&
           memcmp(a->blocks.average, b->blocks.average, bytes) == 0 &&
           memcmp(a->blocks.best, b->blocks.best, bytes) == 0 && a->state.step == b->state.step &&
           a->state.best_loss == b->state.best_loss && a->state.best_step == b->state.best_step &&
           a->state.stale == b->state.stale && a->state.seconds == b->state.seconds;
}

static void what_was_saved_is_loaded_bit_for_bit(void)
{
    const vdn_train_options o = fix_options(12);
    vdni_trainer *a = make(&o), *b = make(&o);
    change_everything(a);
    EXPECT(!same_state(a, b));
    const uint64_t version = b->blocks.version, average = b->blocks.average_version;
    EXPECT_OK(&ctx, vdni_checkpoint_save(&ctx, a));
    EXPECT_OK(&ctx, vdni_checkpoint_load(&ctx, b));
    EXPECT(same_state(a, b));
    EXPECT(b->blocks.version != version && b->blocks.average_version != average);
    vdni_trainer_free(&ctx, a);
    vdni_trainer_free(&ctx, b);
}

static void a_run_that_was_never_validated_stays_so(void)
{
    const vdn_train_options o = fix_options(12);
    vdni_trainer *a = make(&o), *b = make(&o);
    b->state.best_loss = 0.0;
    EXPECT(isinf(a->state.best_loss));
    EXPECT_OK(&ctx, vdni_checkpoint_save(&ctx, a));
    EXPECT_OK(&ctx, vdni_checkpoint_load(&ctx, b));
    EXPECT(isinf(b->state.best_loss) && b->state.best_loss > 0.0);
    vdni_trainer_free(&ctx, a);
    vdni_trainer_free(&ctx, b);
}

/* The same run needs the same configuration, recipe, length, seed, crop and data. */
static void another_run_is_refused_with_both_signatures(void)
{
    const vdn_train_options o = fix_options(12);
    vdni_trainer *a = make(&o);
    EXPECT_OK(&ctx, vdni_checkpoint_save(&ctx, a));
    vdni_trainer_free(&ctx, a);
    for (int i = 0; i < 7; i++) {
        vdn_train_options other = o;
        vdni_trainer *b = NULL;
        if (i == 0) other.seed = 36;
        if (i == 1) other.steps = 13;
        if (i == 2) other.crop = 16;
        if (i == 3) other.nsa = 0;
        if (i == 4) other.msfm = 0;
        if (i == 5) other.param = "paper_literal";
        if (i == 6) other.precision = 2;
        other.resume = 1;
        vdni_clear_error(&ctx);
        EXPECT(vdni_trainer_create(&ctx, &b, fix_folder, fix_store, &other) == VDN_ERR_ARGUMENT);
        EXPECT(b == NULL && strstr(ctx.error, "belongs to another run") != NULL);
        EXPECT(strstr(ctx.error, fix_folder) != NULL);
        if (!strstr(ctx.error, "belongs to another run")) printf("  %d: %s\n", i, ctx.error);
    }
    vdni_trainer *same = NULL;
    vdn_train_options again = o;
    again.resume = 1;
    again.checkpoint_steps = 3; /* not part of the run's numbers */
    EXPECT_OK(&ctx, vdni_trainer_create(&ctx, &same, fix_folder, fix_store, &again));
    vdni_trainer_free(&ctx, same);
}

static void damaged_checkpoints_are_refused(void)
{
    const vdn_train_options o = fix_options(12);
    vdni_trainer *t = make(&o);
    int64_t bytes = 0;
    uint64_t seed = 8;
    EXPECT_OK(&ctx, vdni_checkpoint_save(&ctx, t));
    char *data = fix_read("checkpoint.safetensors", &bytes);
    for (int i = 0; i < 120; i++) {
        const int cut = i < 30;
        const int64_t at = (int64_t)(test_random_bits(&seed) % (uint64_t)(cut ? bytes : 1500));
        const char kept = data[at];
        data[at] = (char)(kept ^ (1 + test_random_bits(&seed) % 255));
        FILE *file = fopen(fix_path("checkpoint.safetensors"), "wb");
        EXPECT(file && fwrite(data, 1, (size_t)(cut ? at : bytes), file) > 0);
        if (file) (void)fclose(file);
        data[at] = kept;
        vdni_clear_error(&ctx);
        const vdn_status status = vdni_checkpoint_load(&ctx, t);
        EXPECT(status == VDN_OK || status == VDN_ERR_FORMAT || status == VDN_ERR_ARGUMENT);
        if (cut) EXPECT(status == VDN_ERR_FORMAT);
        EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
    }
    free(data);
    vdni_trainer_free(&ctx, t);
}

static void a_missing_checkpoint_is_named(void)
{
    const vdn_train_options o = fix_options(12);
    vdni_trainer *t = make(&o);
    (void)unlink(fix_path("checkpoint.safetensors"));
    vdni_clear_error(&ctx);
    EXPECT(vdni_checkpoint_load(&ctx, t) == VDN_ERR_IO);
    EXPECT(strstr(ctx.error, "checkpoint.safetensors") != NULL);
    vdni_trainer_free(&ctx, t);
}

static void a_failed_save_leaves_the_last_good_one(void)
{
    const vdn_train_options o = fix_options(12);
    vdni_trainer *a = make(&o), *b = make(&o);
    change_everything(a);
    EXPECT_OK(&ctx, vdni_checkpoint_save(&ctx, a));
    for (int64_t refuse = 0; refuse < 100; refuse++) {
        vdni_clear_error(&ctx);
        a->state.step = 8;
        ctx.refuse_after = ctx.allocations + refuse;
        const vdn_status status = vdni_checkpoint_save(&ctx, a);
        ctx.refuse_after = -1;
        EXPECT_OK(&ctx, vdni_checkpoint_load(&ctx, b));
        EXPECT(b->state.step == (status == VDN_OK ? 8 : 7));
        if (status == VDN_OK) break;
        EXPECT(status == VDN_ERR_MEMORY && refuse < 99);
    }
    vdni_trainer_free(&ctx, a);
    vdni_trainer_free(&ctx, b);
}

int main(void)
{
    net_open(&ctx, 1, VDNI_PREPARE_PLAIN);
    fix_begin("test_checkpoint", 2);
    RUN(what_was_saved_is_loaded_bit_for_bit);
    RUN(a_run_that_was_never_validated_stays_so);
    RUN(another_run_is_refused_with_both_signatures);
    RUN(damaged_checkpoints_are_refused);
    RUN(a_missing_checkpoint_is_named);
    RUN(a_failed_save_leaves_the_last_good_one);
    fix_end();
    net_close(&ctx);
    return test_result();
}

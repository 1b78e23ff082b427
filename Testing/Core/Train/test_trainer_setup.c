/* What a training has before its first step. */
#include "Train/trainer_setup.h"

#include "train_fixture.h"

static vdn_ctx ctx;

static void the_parts_hold_whole_subjects(void)
{
    const vdn_train_options o = fix_options(12);
    vdni_trainer *t = fix_trainer(&ctx, &o);
    int part_of[FIX_SUBJECTS] = { -1, -1, -1, -1, -1, -1 };
    const int64_t counts[3] = { 12, 3, 3 };
    for (int p = 0; p < VDNI_PARTS; p++) {
        EXPECT(t->parts[p].count == counts[p]);
        EXPECT(t->parts[p].height == FIX_H && t->parts[p].width == FIX_W);
        for (int64_t i = 0; i < t->parts[p].count; i++) {
            int *part = &part_of[t->parts[p].ids[i] / FIX_SLICES];
            EXPECT(*part == -1 || *part == p);
            *part = p;
        }
    }
    vdni_trainer_free(&ctx, t);
}

/* The split keeps its own seed: the test subjects of two trainings are the same. */
static void the_seed_of_the_training_does_not_move_subjects(void)
{
    vdn_train_options o = fix_options(12);
    vdni_trainer *a = fix_trainer(&ctx, &o);
    o.seed = 1234;
    vdni_trainer *b = fix_trainer(&ctx, &o);
    for (int p = 0; p < VDNI_PARTS; p++)
        EXPECT(memcmp(a->parts[p].ids, b->parts[p].ids, 8 * (size_t)a->parts[p].count) == 0);
    EXPECT(memcmp(a->blocks.values, b->blocks.values,
                  4 * (size_t)a->model->parameters.total_floats) != 0);
    vdni_trainer_free(&ctx, a);
    vdni_trainer_free(&ctx, b);
}

static void the_model_is_that_of_options_and_store(void)
{
    vdn_train_options o = fix_options(12);
    o.nsa = 0;
    vdni_trainer *t = fix_trainer(&ctx, &o);
    EXPECT(strcmp(t->model->config.name, "unit") == 0 && t->model->config.nsa == 0);
    EXPECT(t->model->config.mask_channels == 1 && t->model->domain.classes == 2);
    EXPECT(strcmp(t->model->domain.class_name[1], "vertebra") == 0);
    EXPECT(t->model->domain.class_label[1] == 20 && t->steps == 12);
    EXPECT(t->activation == VDNI_F32);
    vdni_trainer_free(&ctx, t);
    o.precision = 2;
    t = fix_trainer(&ctx, &o);
    EXPECT(t->activation == VDNI_BF16);
    vdni_trainer_free(&ctx, t);
    vdni_trainer_free(&ctx, NULL);
}

/* As large as a crop or, where they are smaller, as the slices; multiples of M. */
static void the_canvas_is_no_larger_than_needed(void)
{
    static const int64_t cases[][3] = {
        { 0, 24, 16 }, { 13, 14, 14 }, { 20, 20, 16 }, { 99, 24, 16 }
    };
    for (int i = 0; i < 4; i++) {
        vdn_train_options o = fix_options(12);
        o.crop = (int32_t)cases[i][0];
        vdni_trainer *t = fix_trainer(&ctx, &o);
        EXPECT(t->height == cases[i][1] && t->width == cases[i][2]);
        vdni_trainer_free(&ctx, t);
    }
}

static void data_sets_are_the_first_part_of_a_subject(void)
{
    EXPECT(vdni_group_length("spider/12") == 6 && vdni_group_length("12") == 0);
    EXPECT(vdni_group_length("a/b/c") == 3 && vdni_group_length("") == 0);
}

static void expect_refused(const vdn_train_options *o, vdn_status wanted, const char *word)
{
    vdni_trainer *t = NULL;
    vdni_clear_error(&ctx);
    const int64_t held = ctx.now_bytes;
    EXPECT(vdni_trainer_create(&ctx, &t, fix_folder, fix_store, o) == wanted);
    EXPECT(t == NULL && strstr(ctx.error, word) != NULL && ctx.now_bytes == held);
    if (!strstr(ctx.error, word)) printf("  %s: %s\n", word, ctx.error);
}

static void impossible_options_are_refused(void)
{
    vdn_train_options o = fix_options(12);
    o.config = "huge";
    expect_refused(&o, VDN_ERR_ARGUMENT, "huge");
    o = fix_options(12);
    o.recipe = "best";
    expect_refused(&o, VDN_ERR_ARGUMENT, "best");
    o = fix_options(12);
    o.param = "noise";
    expect_refused(&o, VDN_ERR_ARGUMENT, "\"noise\": there are x0");
    o = fix_options(-1);
    expect_refused(&o, VDN_ERR_ARGUMENT, "steps -1");
    o = fix_options(12);
    o.crop = -3;
    expect_refused(&o, VDN_ERR_ARGUMENT, "crop -3");
    o = fix_options(12);
    o.precision = 3;
    expect_refused(&o, VDN_ERR_ARGUMENT, "precision 3");
    o = fix_options(12);
    o.minutes = NAN;
    expect_refused(&o, VDN_ERR_ARGUMENT, "minutes nan");
    o = fix_options(12);
    o.msfm = 2;
    expect_refused(&o, VDN_ERR_ARGUMENT, "msfm");
    o = fix_options(12);
    o.resume = 1;
    expect_refused(&o, VDN_ERR_IO, "checkpoint.safetensors");
}

static void a_store_that_is_not_there_is_named(void)
{
    vdni_trainer *t = NULL;
    const vdn_train_options o = fix_options(12);
    vdni_clear_error(&ctx);
    EXPECT(vdni_trainer_create(&ctx, &t, fix_folder, "/no/such/store", &o) == VDN_ERR_IO);
    EXPECT(t == NULL && strstr(ctx.error, "/no/such/store") != NULL);
}

static void survives_every_refused_allocation(void)
{
    const vdn_train_options o = fix_options(12);
    const int64_t held = ctx.now_bytes;
    int64_t refuse = 0;
    for (; refuse < 2000; refuse++) {
        vdni_trainer *t = NULL;
        vdni_clear_error(&ctx);
        ctx.refuse_after = ctx.allocations + refuse;
        const vdn_status status = vdni_trainer_create(&ctx, &t, fix_folder, fix_store, &o);
        ctx.refuse_after = -1;
        EXPECT((status == VDN_OK) == (t != NULL));
        EXPECT(status == VDN_OK || status == VDN_ERR_MEMORY);
        vdni_trainer_free(&ctx, t);
        EXPECT(ctx.now_bytes == held);
        if (status == VDN_OK) break;
    }
    EXPECT(refuse > 50 && refuse < 2000);
}

int main(void)
{
    net_open(&ctx, 1, VDNI_PREPARE_PLAIN);
    fix_begin("test_trainer_setup", 2);
    RUN(the_parts_hold_whole_subjects);
    RUN(the_seed_of_the_training_does_not_move_subjects);
    RUN(the_model_is_that_of_options_and_store);
    RUN(the_canvas_is_no_larger_than_needed);
    RUN(data_sets_are_the_first_part_of_a_subject);
    RUN(impossible_options_are_refused);
    RUN(a_store_that_is_not_there_is_named);
    RUN(survives_every_refused_allocation);
    fix_end();
    net_close(&ctx);
    return test_result();
}

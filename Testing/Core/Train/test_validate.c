/* Validation: the same numbers for the same weights, whatever happened before. */
#include "Train/trainer_state.h"

#include "train_fixture.h"

static void make(vdn_ctx *ctx, vdni_trainer **t, int32_t threads, const vdn_train_options *o)
{
    net_open(ctx, threads, VDNI_PREPARE_PLAIN);
    *t = fix_trainer(ctx, o);
}

static void end(vdn_ctx *ctx, vdni_trainer *t)
{
    vdni_trainer_free(ctx, t);
    net_close(ctx);
}

static vdni_validation validate(vdn_ctx *ctx, vdni_trainer *t)
{
    vdni_validation v = { NAN, NAN, NAN };
    EXPECT_OK(ctx, vdni_validate(ctx, &v, t));
    return v;
}

/* Weights that no layer leaves at zero. */
static void scramble(vdni_trainer *t)
{
    const int64_t count = t->model->parameters.total_floats;
    net_random(t->blocks.average, count, 4);
    for (int64_t i = 0; i < count; i++) t->blocks.average[i] *= 0.4f;
    t->blocks.average_version++;
}

static int same(const vdni_validation *a, const vdni_validation *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void the_numbers_depend_on_the_averaged_weights_only(void)
{
    vdn_ctx one, two;
    vdni_trainer *a, *b;
    vdn_train_options o = fix_options(12);
    make(&one, &a, 1, &o);
    o.seed = 77; /* other start values, order and noise of training */
    make(&two, &b, 2, &o);
    scramble(a);
    scramble(b);
    const vdni_validation first = validate(&one, a);
    a->state.step = 7;
    const vdni_validation again = validate(&one, a);
    const vdni_validation other = validate(&two, b);
    EXPECT(same(&first, &again) && same(&first, &other));
    EXPECT(isfinite(first.loss) && first.loss > 0.0);
    b->blocks.average[0] += 1.0f;
    b->blocks.average_version++;
    const vdni_validation moved = validate(&two, b);
    EXPECT(moved.loss != first.loss);
    end(&one, a);
    end(&two, b);
}

/* A new refiner gives the prior back, so one pass has the Dice of the prior. */
static void a_new_refiner_scores_as_its_prior(void)
{
    vdn_ctx ctx;
    vdni_trainer *t;
    const vdn_train_options o = fix_options(12);
    make(&ctx, &t, 1, &o);
    const vdni_validation v = validate(&ctx, t);
    EXPECT(v.prior_dice == v.onepass_dice && v.prior_dice >= 0.0 && v.prior_dice <= 1.0);
    end(&ctx, t);
}

/* A prior head that says foreground everywhere: Dice = 2 n / (n + pixels), by hand. */
static void dice_of_a_constant_prior_is_that_of_the_masks(void)
{
    vdn_ctx ctx;
    vdni_trainer *t;
    const vdn_train_options o = fix_options(12);
    double wanted = 0.0;
    make(&ctx, &t, 1, &o);
    const int64_t head = vdni_parameters_find(&t->model->parameters, "cond.head.bias");
    t->blocks.average[t->model->parameters.items[head].offset] = 100.0f;
    t->blocks.average_version++;
    const vdni_slice_list *list = &t->parts[VDNI_PART_VALIDATION];
    for (int64_t i = 0; i < list->count; i++) {
        vdn_store_slice s;
        int64_t n = 0;
        EXPECT_OK(&ctx, vdni_store_get_slice(&ctx, &s, t->store, list->ids[i]));
        for (int64_t k = 0; k < s.height * s.width; k++) n += s.labels[k] == 1;
        wanted += 2.0 * (double)n / (double)(n + s.height * s.width) / (double)list->count;
    }
    EXPECT_LE(fabs(validate(&ctx, t).prior_dice - wanted), 1e-12);
    end(&ctx, t);
}

static void fewer_slices_and_all_times_are_possible(void)
{
    vdn_ctx ctx;
    vdni_trainer *t;
    const vdn_train_options o = fix_options(12);
    make(&ctx, &t, 1, &o);
    scramble(t);
    EXPECT(t->parts[VDNI_PART_VALIDATION].count == 3);
    const vdni_validation all = validate(&ctx, t);
    t->recipe.validation_slices = 1;
    const vdni_validation one = validate(&ctx, t);
    t->recipe.validation_slices = 100;
    const vdni_validation more = validate(&ctx, t);
    t->recipe.all_times = 1;
    const vdni_validation times = validate(&ctx, t);
    EXPECT(one.loss != all.loss && same(&all, &more) && times.loss != all.loss);
    EXPECT(times.prior_dice == all.prior_dice && isfinite(times.loss));
    end(&ctx, t);
}

/* ---- the times, seen at the back end ---- */

static struct {
    const vdni_backend *real;
    vdni_backend table;
    float times[64];
    int count;
} met;

static vdn_status met_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    if (op->kind == VDNI_OP_TIME_EMBEDDING && met.count < 64)
        met.times[met.count++] = *(const float *)op->in[0]->data;
    return met.real->run(ctx, device, op, workspace);
}

/* The middles of ten parts of the times that are trained, then one pass from the sampler's start. */
static void the_times_are_those_that_are_trained(void)
{
    static const char *const settings[2] = { "{\"all_times\":1}",
                                             "{\"all_times\":1,\"train_t0\":600}" };
    for (int i = 0; i < 2; i++) {
        vdn_ctx ctx;
        vdn_train_options o = fix_options(12);
        o.settings = settings[i];
        memset(&met, 0, sizeof met);
        net_open(&ctx, 1, VDNI_PREPARE_PLAIN);
        met.real = ctx.backend;
        met.table = *ctx.backend;
        met.table.run = met_run;
        ctx.backend = &met.table;
        vdni_trainer *t = fix_trainer(&ctx, &o);
        met.count = 0;
        (void)validate(&ctx, t);
        EXPECT(met.count == 3 * 11); /* three slices */
        for (int k = 0; k < met.count; k++)
            EXPECT(met.times[k] ==
                   (k % 11 == 10 ? 500.0f : (float)((i ? 30 : 50) * (2 * (k % 11) + 1))));
        end(&ctx, t);
    }
}

static void the_literal_mode_has_no_single_pass(void)
{
    vdn_ctx ctx;
    vdni_trainer *t;
    vdn_train_options o = fix_options(12);
    o.param = "paper_literal";
    make(&ctx, &t, 1, &o);
    const vdni_validation v = validate(&ctx, t);
    EXPECT(isfinite(v.loss) && v.onepass_dice == 0.0);
    end(&ctx, t);
}

static void nothing_is_left_behind(void)
{
    vdn_ctx ctx;
    vdni_trainer *t;
    const vdn_train_options o = fix_options(12);
    make(&ctx, &t, 1, &o);
    (void)validate(&ctx, t);
    const int64_t held = ctx.now_bytes;
    for (int64_t refuse = 0; refuse < 1000; refuse++) {
        vdni_validation v;
        vdni_clear_error(&ctx);
        ctx.refuse_after = ctx.allocations + refuse;
        const vdn_status status = vdni_validate(&ctx, &v, t);
        ctx.refuse_after = -1;
        EXPECT(status == VDN_OK || status == VDN_ERR_MEMORY);
        EXPECT(ctx.now_bytes == held);
        if (status == VDN_OK) break;
        EXPECT(refuse < 999);
    }
    end(&ctx, t);
}

/* ---- examples ---- */

static struct {
    int calls, with_refined;
    char cases[8][32];
    int64_t bone;
    double dice;
} seen;

static void remember_example(void *user, const vdn_train_example *e)
{
    int64_t wanted = 0, prior = 0;
    EXPECT(user == &seen && e->number == seen.calls && e->count == 2 && e->step == 9);
    EXPECT(e->height == FIX_H && e->width == FIX_W && e->image_channels == 1);
    (void)snprintf(seen.cases[seen.calls++ % 8], 32, "%s", e->case_id);
    for (int64_t i = 0; i < e->height * e->width; i++) {
        wanted += e->labels[i] == 1;
        prior += e->prior[i];
        EXPECT(isfinite(e->pixels[i]) && fabs(e->pixels[i]) < 10.0);
    }
    EXPECT(wanted > 20 && prior == e->height * e->width); /* the head says bone everywhere */
    seen.bone += wanted;
    seen.with_refined += e->refined != NULL;
    seen.dice = e->dice;
    EXPECT_LE(fabs(e->dice - 2.0 * (double)wanted / (double)(wanted + prior)), 1e-9);
}

/* Two of three validation slices, the same ones every time, with what each net says of them. */
static void examples_are_shown_of_every_validation(void)
{
    vdn_ctx ctx;
    vdn_train_options o = fix_options(12);
    vdni_validation v;
    net_open(&ctx, 1, VDNI_PREPARE_PLAIN);
    o.example = remember_example;
    o.example_user = &seen;
    o.examples = 2;
    for (int k = 0; k < 2; k++) {
        if (k == 1) o.settings = "{\"network\": \"condition\"}";
        vdni_trainer *t = fix_trainer(&ctx, &o);
        const int64_t head = vdni_parameters_find(&t->model->parameters, "cond.head.bias");
        t->blocks.average[t->model->parameters.items[head].offset] = 1000.0f;
        t->blocks.average_version++;
        t->state.step = 9;
        memset(&seen, 0, sizeof seen);
        EXPECT_OK(&ctx, vdni_validate(&ctx, &v, t));
        EXPECT(seen.calls == 2 && seen.with_refined == (k == 0 ? 2 : 0));
        EXPECT(strcmp(seen.cases[0], seen.cases[1]) != 0);
        char first[32];
        (void)snprintf(first, sizeof first, "%s", seen.cases[0]);
        seen.calls = 0;
        EXPECT_OK(&ctx, vdni_validate(&ctx, &v, t));
        EXPECT(strcmp(first, seen.cases[0]) == 0);
        vdni_trainer_free(&ctx, t);
    }
    net_close(&ctx);
}

int main(void)
{
    fix_begin("test_validate", 2);
    RUN(the_numbers_depend_on_the_averaged_weights_only);
    RUN(a_new_refiner_scores_as_its_prior);
    RUN(dice_of_a_constant_prior_is_that_of_the_masks);
    RUN(fewer_slices_and_all_times_are_possible);
    RUN(the_times_are_those_that_are_trained);
    RUN(the_literal_mode_has_no_single_pass);
    RUN(nothing_is_left_behind);
    RUN(examples_are_shown_of_every_validation);
    fix_end();
    return test_result();
}

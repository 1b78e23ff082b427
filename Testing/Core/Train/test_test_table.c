/* The table on the test split: prior, one pass and ensemble side by side. */
#include "Train/trainer_state.h"

#include "Base/json.h"
#include "Base/philox.h"
#include "Diffusion/sampler.h"
#include "Eval/calibration.h"
#include "Eval/overlap.h"
#include "Tensor/normalize.h"
#include "Tensor/resample.h"
#include "train_fixture.h"

static vdn_ctx ctx;

static vdni_trainer *make(void)
{
    const vdn_train_options o = fix_options(12);
    vdni_trainer *t = fix_trainer(&ctx, &o);
    t->model->config.sample_steps = t->model->config.samples = 2; /* fast */
    return t;
}

static vdni_json *table_of(vdni_trainer *t)
{
    char *text = NULL;
    vdni_json *json = NULL;
    EXPECT_OK(&ctx, vdni_test_table(&ctx, &text, t));
    if (!text) exit(1);
    EXPECT_OK(&ctx, vdni_json_parse(&ctx, &json, text, (int64_t)strlen(text), "table"));
    char *file = fix_read("test.json", NULL);
    EXPECT(file && strcmp(file, text) == 0);
    free(file);
    vdni_free(&ctx, text);
    if (!json) exit(1);
    return json;
}

/* mean or n of a score; NaN when the table lacks it. */
static double number(const vdni_json *json, const char *method, const char *class_name,
                     const char *score, const char *field)
{
    const vdni_json_value *v = vdni_json_find(vdni_json_root(json), method);
    v = vdni_json_find(vdni_json_find(vdni_json_find(v, class_name), score), field);
    return v ? v->number : NAN;
}

/* A new refiner is its prior, and so is the mean of its samples. */
static void a_new_refiner_scores_as_its_prior_in_every_column(void)
{
    static const char *const classes[2] = { "vertebra", "disc" };
    static const char *const scores[4] = { "dice_per_slice", "iou_per_slice", "dice_per_subject",
                                           "iou_per_subject" };
    vdni_trainer *t = make();
    vdni_json *json = table_of(t);
    for (int c = 0; c < 2; c++)
        for (int s = 0; s < 4; s++) {
            const double prior = number(json, "prior", classes[c], scores[s], "mean");
            EXPECT(prior >= 0.0 && prior <= 1.0);
            EXPECT(number(json, "one_pass", classes[c], scores[s], "mean") == prior);
            EXPECT(number(json, "ensemble", classes[c], scores[s], "mean") == prior);
            EXPECT(number(json, "prior", classes[c], scores[s], "n") == (s < 2 ? 3.0 : 1.0));
        }
    EXPECT(vdni_json_find(vdni_json_root(json), "slices")->integer == 3);
    vdni_json_free(&ctx, json);
    vdni_trainer_free(&ctx, t);
}

/* A head that says vertebra everywhere: the counts are those of the native masks, pooled per
 * subject. */
static void scores_are_counted_on_the_grid_of_the_files(void)
{
    vdni_trainer *t = make();
    const vdni_slice_list *list = &t->parts[VDNI_PART_TEST];
    double dice = 0.0, inside = 0.0, all = 0.0;
    const int64_t head = vdni_parameters_find(&t->model->parameters, "cond.head.bias");
    t->blocks.best[t->model->parameters.items[head].offset + 1] = 1000.0f;
    for (int64_t i = 0; i < list->count; i++) {
        vdn_store_slice s;
        double n = 0.0;
        EXPECT_OK(&ctx, vdni_store_get_slice(&ctx, &s, t->store, list->ids[i]));
        const double pixels = (double)(s.native_height * s.native_width);
        for (int64_t k = 0; k < s.native_height * s.native_width; k++) n += s.native_labels[k] == 1;
        dice += 2.0 * n / (n + pixels) / (double)list->count;
        inside += n;
        all += pixels;
    }
    EXPECT(all == 6.0 * FIX_H * FIX_W); /* one of the three is four times as large */
    vdni_json *json = table_of(t);
    EXPECT_LE(fabs(number(json, "prior", "vertebra", "dice_per_slice", "mean") - dice), 1e-9);
    EXPECT_LE(fabs(number(json, "prior", "vertebra", "dice_per_subject", "mean") -
                   2.0 * inside / (inside + all)),
              1e-9);
    EXPECT_LE(fabs(number(json, "prior", "vertebra", "iou_per_subject", "mean") - inside / all),
              1e-9);
    EXPECT(number(json, "prior", "disc", "dice_per_subject", "mean") == 0.0);
    vdni_json_free(&ctx, json);
    vdni_trainer_free(&ctx, t);
}

static void the_table_is_the_same_every_time_and_leaves_nothing(void)
{
    vdni_trainer *t = make();
    char *first = NULL, *second = NULL;
    const int64_t count = t->model->parameters.total_floats;
    net_random(t->blocks.best, count, 4);
    for (int64_t i = 0; i < count; i++) t->blocks.best[i] *= 0.4f;
    const int64_t held = ctx.now_bytes;
    EXPECT_OK(&ctx, vdni_test_table(&ctx, &first, t));
    EXPECT_OK(&ctx, vdni_test_table(&ctx, &second, t));
    EXPECT(first && second && strcmp(first, second) == 0);
    vdni_free(&ctx, first);
    vdni_free(&ctx, second);
    EXPECT(ctx.now_bytes == held);
    vdni_trainer_free(&ctx, t);
}

/* The samples are those that the model will give: with its eta. */
static void the_ensemble_is_drawn_with_the_models_eta(void)
{
    double dice[2];
    for (int i = 0; i < 2; i++) {
        vdni_trainer *t = make();
        const int64_t count = t->model->parameters.total_floats;
        net_random(t->blocks.best, count, 4);
        for (int64_t k = 0; k < count; k++) t->blocks.best[k] *= 0.4f;
        t->model->config.eta = i;
        vdni_json *json = table_of(t);
        dice[i] = number(json, "ensemble", "vertebra", "dice_per_slice", "mean");
        vdni_json_free(&ctx, json);
        vdni_trainer_free(&ctx, t);
    }
    EXPECT(isfinite(dice[0]) && dice[0] != dice[1]);
}

/* Entropy of the prior's probabilities around the predicted boundary of one slice, and 1 - Dice. */
static int judge(vdni_trainer *t, vdni_sampler *sampler, int64_t id, double out[2])
{
    static float image[FIX_H * FIX_W], p[3 * FIX_H * FIX_W], native[12 * FIX_H * FIX_W];
    static uint8_t found[4 * FIX_H * FIX_W], band[4 * FIX_H * FIX_W];
    static const double reach[3] = { 5, 5, 5 };
    vdn_store_slice s;
    double sum = 0.0;
    int64_t near = 0;
    EXPECT_OK(&ctx, vdni_store_get_slice(&ctx, &s, t->store, id));
    const int64_t size[3] = { FIX_H, FIX_W, 1 }, three[3] = { FIX_H, FIX_W, 3 };
    const int64_t grid[3] = { 1, s.native_height, s.native_width }, n = grid[1] * grid[2];
    EXPECT_OK(&ctx, vdni_normalize_slice(&ctx, image, s.pixels, size, s.modality, s.index));
    EXPECT_OK(&ctx, vdni_sampler_condition(&ctx, sampler, p, image));
    EXPECT_OK(&ctx, vdni_resample_plane(&ctx, native, grid + 1, p, three));
    vdni_argmax(found, native, n, 3);
    near = vdni_band(band, found, grid, reach);
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < 3 && band[i]; c++)
            sum -= (double)native[3 * i + c] * log((double)native[3 * i + c] + 1e-30);
    out[0] = sum / (double)near;
    out[1] = 1.0 - vdni_mean_dice(native, s.native_labels, n, 3);
    return near > 0 && near < n; /* or the region would not matter */
}

/* Pearson's correlation of three slices, by hand, against the table's. */
static void the_uncertainty_is_that_around_the_predicted_boundary(void)
{
    vdni_trainer *t = make();
    vdni_sampler *sampler = NULL;
    uint64_t version = 1;
    double x[3][2], mean[2] = { 0, 0 }, xx[3] = { 0, 0, 0 };
    int matters = 0;
    const int64_t count = t->model->parameters.total_floats;
    const vdni_sampler_weights weights = { &t->model->parameters, t->blocks.best, &version };
    const vdni_sampler_options options = { FIX_H, FIX_W, VDNI_F32, 1, 500, 0.0, 1 };
    EXPECT_OK(&ctx, vdni_sampler_create(&ctx, &sampler, &t->model->config, &weights, &options));
    for (uint64_t seed = 1; seed < 400 && matters < 3; seed++) { /* until masks have a boundary */
        net_random(t->blocks.best, count, seed);
        for (int64_t i = 0; i < count; i++) t->blocks.best[i] *= 0.3f + 0.01f * (float)(seed % 40);
        version++;
        matters = 0;
        for (int i = 0; i < 3; i++)
            matters += judge(t, sampler, t->parts[VDNI_PART_TEST].ids[i], x[i]);
        if (fabs(x[0][1] - x[1][1]) < 1e-3) matters = 0; /* or there is nothing to correlate */
    }
    EXPECT(matters == 3);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++) mean[k] += x[i][k] / 3.0;
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            xx[k] += (x[i][k == 1] - mean[k == 1]) * (x[i][k > 0] - mean[k > 0]); /* k 2: of both */
    vdni_sampler_free(&ctx, sampler);
    vdni_json *json = table_of(t);
    const double found = number(json, "calibration", "prior", "entropy", "pearson");
    EXPECT_LE(fabs(found - xx[2] / sqrt(xx[0] * xx[1])), 1e-4);
    vdni_json_free(&ctx, json);
    vdni_trainer_free(&ctx, t);
}

/* ---- noise of the samples ---- */

static struct {
    const vdni_backend *real;
    vdni_backend table;
    int64_t draws[2], others;
    int64_t cases[FIX_SUBJECTS * FIX_SLICES];
} spy;

static vdn_status spy_run(vdn_ctx *c, vdni_device *device, const vdni_op *op, void *workspace)
{
    if (op->kind == VDNI_OP_NOISE) {
        const vdni_noise_key key = vdni_noise_key_unpack(op->in[0]->data);
        if (key.sample < 2 && key.case_key < FIX_SUBJECTS * FIX_SLICES) {
            spy.draws[key.sample]++;
            spy.cases[key.case_key]++;
        } else
            spy.others++;
    }
    return spy.real->run(c, device, op, workspace);
}

/* One pass has sample 0; the ensemble samples 0 and 1, of every test slice. */
static void every_sample_of_every_slice_has_its_own_noise(void)
{
    vdni_trainer *t = make();
    memset(&spy, 0, sizeof spy);
    spy.real = ctx.backend;
    spy.table = *ctx.backend;
    spy.table.run = spy_run;
    ctx.backend = &spy.table;
    vdni_json_free(&ctx, table_of(t));
    EXPECT(spy.draws[0] == 6 && spy.draws[1] == 3 && spy.others == 0);
    for (int i = 0; i < FIX_SUBJECTS * FIX_SLICES; i++) {
        int tested = 0;
        for (int64_t k = 0; k < 3; k++) tested |= t->parts[VDNI_PART_TEST].ids[k] == i;
        EXPECT(spy.cases[i] == (tested ? 3 : 0));
    }
    ctx.backend = spy.real;
    vdni_trainer_free(&ctx, t);
}

static void survives_every_refused_allocation(void)
{
    vdni_trainer *t = make();
    const int64_t held = ctx.now_bytes;
    int64_t refuse = 0;
    t->model->config.sample_steps = t->model->config.samples = 1;
    for (; refuse < 1000; refuse += refuse < 20 ? 1 : 7) {
        char *text = NULL;
        vdni_clear_error(&ctx);
        ctx.refuse_after = ctx.allocations + refuse;
        const vdn_status status = vdni_test_table(&ctx, &text, t);
        ctx.refuse_after = -1;
        EXPECT(status == VDN_OK || status == VDN_ERR_MEMORY);
        vdni_free(&ctx, text);
        EXPECT(ctx.now_bytes == held);
        if (status == VDN_OK) break;
    }
    EXPECT(refuse > 50 && refuse < 1000);
    vdni_trainer_free(&ctx, t);
}

int main(void)
{
    net_open(&ctx, 1, VDNI_PREPARE_PLAIN);
    fix_begin("test_test_table", 3);
    RUN(a_new_refiner_scores_as_its_prior_in_every_column);
    RUN(scores_are_counted_on_the_grid_of_the_files);
    RUN(the_ensemble_is_drawn_with_the_models_eta);
    RUN(the_table_is_the_same_every_time_and_leaves_nothing);
    RUN(the_uncertainty_is_that_around_the_predicted_boundary);
    RUN(every_sample_of_every_slice_has_its_own_noise);
    RUN(survives_every_refused_allocation);
    fix_end();
    net_close(&ctx);
    return test_result();
}

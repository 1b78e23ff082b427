#include "Segment/segment.h"

#include "net_test.h"

enum { N = 3, H = 15, W = 11, PIXELS = H * W };

typedef struct {
    vdn_ctx ctx;
    vdn_model *model;
    float pixels[N * PIXELS];
    vdn_slices slices;
    vdn_segment_options options;
    float p[3 * N * PIXELS], u[N * PIXELS];
} world;

static const char *network = "verdiff";

static vdn_model *make_model(vdn_ctx *ctx, int32_t k, uint64_t seed)
{
    vdn_model *model = NULL;
    vdni_config config;
    vdni_domain domain;
    EXPECT(vdni_config_get(ctx, &config, "unit") == VDN_OK);
    EXPECT(vdni_config_set_network(ctx, &config, network) == VDN_OK);
    config.mask_channels = k;
    config.sample_steps = 3;
    config.samples = 2;
    vdni_domain_binary(&domain, "vertebra", 1);
    if (k > 1) domain.classes = k;
    EXPECT_OK(ctx, vdni_model_create(ctx, &model, &config, &domain, seed));
    if (!model) exit(1);
    net_random(model->values, model->parameters.total_floats, seed);
    for (int64_t i = 0; i < model->parameters.total_floats; i++) model->values[i] *= 0.4f;
    return model;
}

static void open_world(world *v, int32_t threads, uint32_t flags, int32_t k)
{
    memset(v, 0, sizeof *v);
    net_open(&v->ctx, threads, flags);
    v->model = make_model(&v->ctx, k, 1);
    net_random(v->pixels, N * PIXELS, 3);
    for (int i = 0; i < N * PIXELS; i++) v->pixels[i] = 500.0f + 200.0f * v->pixels[i];
    v->slices = (vdn_slices){ .count = N,
                              .height = H,
                              .width = W,
                              .image_channels = 1,
                              .pixels = v->pixels,
                              .modality = VDN_MODALITY_MR,
                              .case_key = 9,
                              .first_index = 20 };
    v->options = (vdn_segment_options){ .seed = 35, .precision = 1 };
}

static void close_world(world *v)
{
    vdn_model_free(v->model); /* before the plans that borrow from it: they touch it no more */
    net_close(&v->ctx);
}

static void segment(world *v)
{
    EXPECT_OK(&v->ctx, vdni_segment(&v->ctx, v->p, v->u, &v->slices, v->model, &v->options));
}

static void probabilities_sum_to_one_and_uncertainty_is_not_negative(void)
{
    for (int32_t k = 1; k <= 3; k += 2) {
        const int32_t classes = k == 1 ? 2 : k;
        world v;
        double information = 0.0;
        open_world(&v, 1, VDNI_PREPARE_PLAIN, k);
        segment(&v);
        for (int i = 0; i < N * PIXELS; i++) {
            double sum = 0.0;
            for (int c = 0; c < classes; c++) {
                const float p = v.p[i * classes + c];
                EXPECT(p >= 0.0f && p <= 1.0f);
                sum += p;
            }
            EXPECT_LE(fabs(sum - 1.0), 1e-6);
            EXPECT(v.u[i] >= 0.0f && v.u[i] <= (float)log(classes) + 1e-6f);
            information += v.u[i];
        }
        EXPECT_LE(1e-6, information); /* two samples differ somewhere */
        close_world(&v);
    }
}

static void eta_is_the_models_unless_it_is_given(void)
{
    static const struct {
        double own;
        float given, same_as; /* an option on a model of eta 0 */
    } cases[] = { { 0.0, 1.0f, 1.0f }, { 1.0, 0.0f, 1.0f }, { 1.0, 0.5f, 0.5f }, { 0.5, 1.0f, 1.0f } };
    for (int i = 0; i < 4; i++) {
        static float wanted[2 * N * PIXELS], plain[2 * N * PIXELS];
        world v;
        open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
        segment(&v);
        memcpy(plain, v.p, sizeof plain);
        v.options.eta = cases[i].same_as;
        segment(&v);
        memcpy(wanted, v.p, sizeof wanted);
        v.model->config.eta = cases[i].own;
        v.options.eta = cases[i].given;
        segment(&v);
        EXPECT(memcmp(v.p, wanted, sizeof wanted) == 0);
        EXPECT(memcmp(v.p, plain, sizeof plain) != 0);
        close_world(&v);
    }
}

/* A slice's result depends on its pixels, seed, case_key, index and options: not on the other
 * slices, the batch or the threads. */
static void a_slice_depends_on_itself_only(void)
{
    for (int fast = 0; fast < 2; fast++) {
        world all, one;
        open_world(&all, 1, fast ? 0 : VDNI_PREPARE_PLAIN, 1);
        segment(&all);
        open_world(&one, 2, fast ? 0 : VDNI_PREPARE_PLAIN, 1);
        for (int i = N - 1; i >= 0; i--) {
            one.slices.count = 1;
            one.slices.pixels = one.pixels + i * PIXELS;
            one.slices.first_index = 20 + i;
            segment(&one);
            EXPECT(memcmp(one.p, all.p + 2 * i * PIXELS, 2 * PIXELS * sizeof(float)) == 0);
            EXPECT(memcmp(one.u, all.u + i * PIXELS, PIXELS * sizeof(float)) == 0);
        }
        close_world(&all);
        close_world(&one);
    }
}

/* Neither on how many rows run together: groups with a tail, several samples of a slice at once, rows
 * that nobody reads. */
static void the_batch_changes_no_bit_on_the_cpu(void)
{
    world one, prior;
    open_world(&one, 1, 0, 1);
    one.options.samples = 3;
    segment(&one);
    open_world(&prior, 1, 0, 1);
    prior.options.prior_only = 1;
    segment(&prior);
    for (int32_t batch = 2; batch <= 11; batch++) {
        world many;
        open_world(&many, 1, 0, 1);
        many.options.samples = 3;
        many.options.batch = batch;
        segment(&many);
        EXPECT(memcmp(many.p, one.p, 2 * N * PIXELS * sizeof(float)) == 0);
        EXPECT(memcmp(many.u, one.u, N * PIXELS * sizeof(float)) == 0);
        many.options.prior_only = 1; /* on the kept plans */
        segment(&many);
        EXPECT(memcmp(many.p, prior.p, 2 * N * PIXELS * sizeof(float)) == 0);
        close_world(&many);
    }
    close_world(&one);
    close_world(&prior);
}

static void seed_case_and_index_make_the_noise_differ(void)
{
    float before[2 * N * PIXELS];
    world v;
    open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
    segment(&v);
    memcpy(before, v.p, sizeof before);
    v.options.seed++;
    segment(&v);
    EXPECT(memcmp(before, v.p, sizeof before) != 0);
    v.options.seed--;
    v.slices.case_key++;
    segment(&v);
    EXPECT(memcmp(before, v.p, sizeof before) != 0);
    v.slices.case_key--;
    v.slices.first_index++;
    segment(&v);
    EXPECT(memcmp(before, v.p, sizeof before) != 0);
    v.slices.first_index--;
    segment(&v);
    EXPECT(memcmp(before, v.p, sizeof before) == 0);
    close_world(&v);
}

/* The mean of N samples is the mean of the N single ones: an ensemble can be extended. */
static void an_ensemble_is_the_mean_of_its_samples(void)
{
    world v;
    open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
    float one[2 * N * PIXELS], two[2 * N * PIXELS];
    v.options.samples = 1;
    segment(&v);
    memcpy(one, v.p, sizeof one);
    for (int i = 0; i < N * PIXELS; i++) EXPECT_LE(fabsf(v.u[i]), 1e-6); /* no disagreement */
    v.options.samples = 2;
    segment(&v);
    memcpy(two, v.p, sizeof two);
    double largest = 0.0;
    for (int i = 0; i < 2 * N * PIXELS; i++) {
        const double second = 2.0 * two[i] - one[i]; /* the other sample, a probability too */
        EXPECT(second >= -1e-5 && second <= 1.0 + 1e-5);
        if (fabs(second - one[i]) > largest) largest = fabs(second - one[i]);
    }
    EXPECT_LE(1e-3, largest);
    close_world(&v);
}

/* Contrast and brightness of MR do not matter, those of CT do. */
static void slices_are_normalised_by_modality(void)
{
    static const vdn_modality modality[2] = { VDN_MODALITY_MR, VDN_MODALITY_CT };
    for (int m = 0; m < 2; m++) {
        float before[2 * N * PIXELS];
        world v;
        open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
        v.slices.modality = modality[m];
        segment(&v);
        memcpy(before, v.p, sizeof before);
        for (int i = 0; i < N * PIXELS; i++) v.pixels[i] = 0.5f * v.pixels[i] + 32.0f;
        segment(&v);
        const double moved = net_distance(v.p, before, 2 * N * PIXELS);
        if (m == 0)
            EXPECT_LE(moved, 1e-3);
        else
            EXPECT_LE(1e-3, moved);
        close_world(&v);
    }
}

static void prior_only_runs_no_sampler(void)
{
    float prior[2 * N * PIXELS];
    world v;
    open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
    v.options.prior_only = 1;
    segment(&v);
    memcpy(prior, v.p, sizeof prior);
    for (int i = 0; i < N * PIXELS; i++) EXPECT(v.u[i] == 0.0f);
    v.options.seed = 77;
    segment(&v);
    EXPECT(memcmp(prior, v.p, sizeof prior) == 0);
    v.options.prior_only = 0;
    segment(&v);
    EXPECT(memcmp(prior, v.p, sizeof prior) != 0);
    close_world(&v);
}

/* A network without a refiner: its prior is the result, whatever the sampler is told. */
static void a_network_without_a_refiner_gives_its_prior(void)
{
    static const char *const names[] = { "condition", "msff" };
    for (int i = 0; i < 4; i++) {
        const int32_t k = i / 2 ? 3 : 1, classes = k == 1 ? 2 : k;
        world v, other;
        network = names[i % 2];
        open_world(&v, 1, VDNI_PREPARE_PLAIN, k);
        open_world(&other, 1, VDNI_PREPARE_PLAIN, k);
        EXPECT(vdni_parameters_count(&v.model->parameters, "diff.") == 0);
        memset(v.u, 1, sizeof v.u);
        segment(&v);
        other.options = (vdn_segment_options){ .seed = 36, .precision = 1, .steps = 5, .start = 9,
                                               .samples = 4, .batch = 3 };
        segment(&other);
        EXPECT(memcmp(v.p, other.p, sizeof v.p) == 0);
        for (int n = 0; n < N * PIXELS; n++) {
            double sum = 0.0;
            for (int c = 0; c < classes; c++) sum += v.p[n * classes + c];
            EXPECT_LE(fabs(sum - 1.0), 1e-6);
            EXPECT(v.u[n] == 0.0f);
        }
        EXPECT(v.p[0] != v.p[classes]); /* pixels differ */
        close_world(&v);
        close_world(&other);
        network = "verdiff";
    }
}

static void uncertainty_may_be_left_out(void)
{
    float before[2 * N * PIXELS];
    world v;
    open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
    segment(&v);
    memcpy(before, v.p, sizeof before);
    EXPECT_OK(&v.ctx, vdni_segment(&v.ctx, v.p, NULL, &v.slices, v.model, &v.options));
    EXPECT(memcmp(before, v.p, sizeof before) == 0);
    close_world(&v);
}

/* ---- plans are kept ---- */

static void a_second_call_of_the_same_size_allocates_nothing(void)
{
    world v;
    open_world(&v, 1, 0, 1);
    segment(&v);
    const int64_t allocations = v.ctx.allocations;
    segment(&v);
    v.options.samples = 4;
    v.options.seed = 5;
    segment(&v);
    EXPECT(v.ctx.allocations == allocations);
    v.options.steps = 2; /* another plan */
    segment(&v);
    EXPECT(v.ctx.allocations > allocations);
    close_world(&v);
}

/* Also when the new model lies where the freed one lay. */
static void another_model_never_meets_the_plans_of_the_last(void)
{
    world v, fresh;
    open_world(&v, 1, 0, 1);
    segment(&v);
    vdn_model_free(v.model);
    v.model = make_model(&v.ctx, 1, 2);
    segment(&v);
    open_world(&fresh, 1, 0, 1);
    vdn_model_free(fresh.model);
    fresh.model = make_model(&fresh.ctx, 1, 2);
    segment(&fresh);
    EXPECT(memcmp(v.p, fresh.p, 2 * N * PIXELS * sizeof(float)) == 0);
    close_world(&v);
    close_world(&fresh);
}

static void two_models_can_take_turns(void)
{
    float first[2][2 * N * PIXELS];
    world v;
    open_world(&v, 1, 0, 1);
    vdn_model *const models[2] = { v.model, make_model(&v.ctx, 1, 2) };
    for (int i = 0; i < 4; i++) {
        v.model = models[i % 2];
        segment(&v);
        if (i < 2)
            memcpy(first[i], v.p, sizeof first[i]);
        else
            EXPECT(memcmp(first[i % 2], v.p, sizeof first[0]) == 0);
    }
    EXPECT(memcmp(first[0], first[1], sizeof first[0]) != 0);
    vdn_model_free(models[1]);
    v.model = models[0];
    close_world(&v);
}

/* ---- progress ---- */

static struct {
    int calls, stop_at, falls;
    double last;
} watch;

static int progress(void *user, double fraction, const char *comment)
{
    vdn_ctx *ctx = user;
    ctx->last_report_ns = 0;
    EXPECT(comment[0] != '\0');
    if (!(fraction >= watch.last && fraction <= 1.0)) watch.falls++;
    watch.last = fraction;
    return watch.calls++ == watch.stop_at;
}

static void progress_never_falls_and_ends_at_one(void)
{
    world v;
    open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
    v.ctx.progress = progress;
    v.ctx.user = &v.ctx;
    memset(&watch, 0, sizeof watch);
    watch.stop_at = -1;
    segment(&v);
    EXPECT(watch.falls == 0 && watch.last == 1.0 && watch.calls >= N * 2 * 3);
    close_world(&v);
}

static void a_call_can_be_stopped_at_any_report(void)
{
    for (int stop = 0; stop < 22; stop += 3) {
        world v;
        open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
        v.ctx.progress = progress;
        v.ctx.user = &v.ctx;
        memset(&watch, 0, sizeof watch);
        watch.stop_at = stop;
        EXPECT(vdni_segment(&v.ctx, v.p, v.u, &v.slices, v.model, &v.options) == VDN_ERR_ABORTED);
        EXPECT(watch.calls == stop + 1 && v.ctx.error[0] != '\0');
        v.ctx.progress = NULL;
        vdni_clear_error(&v.ctx);
        segment(&v); /* the context goes on */
        close_world(&v);
    }
}

/* ---- refusals ---- */

static void expect_refused(world *v, vdn_status status, const char *word)
{
    vdni_clear_error(&v->ctx);
    EXPECT(vdni_segment(&v->ctx, v->p, v->u, &v->slices, v->model, &v->options) == status);
    EXPECT(strstr(v->ctx.error, word) != NULL);
    if (!strstr(v->ctx.error, word)) printf("  %s: %s\n", word, v->ctx.error);
    close_world(v);
}

static void impossible_calls_are_refused(void)
{
    static const int cases = 13;
    for (int i = 0; i < cases; i++) {
        world v;
        open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
        switch (i) {
        case 0:
            v.slices.count = 0;
            expect_refused(&v, VDN_ERR_ARGUMENT, "0 slices");
            break;
        case 1:
            v.slices.height = 0;
            expect_refused(&v, VDN_ERR_ARGUMENT, "0 x 11");
            break;
        case 2:
            v.slices.width = -1;
            expect_refused(&v, VDN_ERR_ARGUMENT, "15 x -1");
            break;
        case 3:
            v.slices.pixels = NULL;
            expect_refused(&v, VDN_ERR_ARGUMENT, "pixels");
            break;
        case 4:
            v.slices.image_channels = 2;
            expect_refused(&v, VDN_ERR_ARGUMENT, "2 channels");
            break;
        case 5:
            v.slices.first_index = -1;
            expect_refused(&v, VDN_ERR_ARGUMENT, "-1 to 1");
            break;
        case 6:
            v.slices.first_index = 65534;
            expect_refused(&v, VDN_ERR_ARGUMENT, "65536");
            break;
        case 7:
            v.options.samples = -1;
            expect_refused(&v, VDN_ERR_ARGUMENT, "samples -1");
            break;
        case 8:
            v.options.steps = 600;
            expect_refused(&v, VDN_ERR_ARGUMENT, "600 steps");
            break;
        case 9:
            v.options.start = 1001;
            expect_refused(&v, VDN_ERR_ARGUMENT, "1001");
            break;
        case 10:
            v.options.eta = -0.5f;
            expect_refused(&v, VDN_ERR_ARGUMENT, "eta is -0.5");
            break;
        case 11:
            v.options.precision = 3;
            expect_refused(&v, VDN_ERR_ARGUMENT, "precision 3");
            break;
        default:
            v.slices.modality = (vdn_modality)3;
            expect_refused(&v, VDN_ERR_ARGUMENT, "modality");
        }
    }
}

static void a_pixel_that_is_no_number_is_named(void)
{
    world v;
    open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
    v.pixels[2 * PIXELS + 3 * W + 5] = NAN;
    vdni_clear_error(&v.ctx);
    EXPECT(vdni_segment(&v.ctx, v.p, v.u, &v.slices, v.model, &v.options) == VDN_ERR_NUMERIC);
    EXPECT(strstr(v.ctx.error, "22") && strstr(v.ctx.error, "3") && strstr(v.ctx.error, "5"));
    close_world(&v);
}

static void survives_every_refused_allocation(void)
{
    world v;
    int64_t refuse = 0;
    open_world(&v, 1, 0, 1);
    const int64_t held = v.ctx.now_bytes;
    for (; refuse < 1000; refuse++) {
        vdni_clear_error(&v.ctx);
        v.ctx.refuse_after = v.ctx.allocations + refuse;
        const vdn_status status = vdni_segment(&v.ctx, v.p, v.u, &v.slices, v.model, &v.options);
        v.ctx.refuse_after = -1;
        EXPECT(status == VDN_OK || status == VDN_ERR_MEMORY);
        if (status == VDN_OK) break;
        EXPECT(v.ctx.now_bytes == held);
    }
    EXPECT(refuse > 30 && refuse < 1000);
    close_world(&v);
}

static void the_memory_limit_is_kept(void)
{
    world v;
    open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
    const int64_t held = v.ctx.now_bytes;
    v.ctx.max_memory_bytes = held + 50000;
    EXPECT(vdni_segment(&v.ctx, v.p, v.u, &v.slices, v.model, &v.options) == VDN_ERR_MEMORY);
    EXPECT(v.ctx.now_bytes == held && v.ctx.peak_bytes <= held + 50000);
    v.ctx.max_memory_bytes = 0;
    vdni_clear_error(&v.ctx);
    segment(&v);
    close_world(&v);
}

int main(void)
{
    RUN(probabilities_sum_to_one_and_uncertainty_is_not_negative);
    RUN(eta_is_the_models_unless_it_is_given);
    RUN(a_slice_depends_on_itself_only);
    RUN(the_batch_changes_no_bit_on_the_cpu);
    RUN(seed_case_and_index_make_the_noise_differ);
    RUN(an_ensemble_is_the_mean_of_its_samples);
    RUN(slices_are_normalised_by_modality);
    RUN(prior_only_runs_no_sampler);
    RUN(a_network_without_a_refiner_gives_its_prior);
    RUN(uncertainty_may_be_left_out);
    RUN(a_second_call_of_the_same_size_allocates_nothing);
    RUN(another_model_never_meets_the_plans_of_the_last);
    RUN(two_models_can_take_turns);
    RUN(progress_never_falls_and_ends_at_one);
    RUN(a_call_can_be_stopped_at_any_report);
    RUN(impossible_calls_are_refused);
    RUN(a_pixel_that_is_no_number_is_named);
    RUN(survives_every_refused_allocation);
    RUN(the_memory_limit_is_kept);
    return test_result();
}

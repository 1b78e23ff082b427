/* vdn.h as a program calls it. Only the model file comes from inside: training makes it otherwise. */
#include "Net/model.h"
#include "test.h"
#include "vdn.h"

#include <unistd.h>

static vdn_ctx *ctx;

static int64_t held(void)
{
    int64_t now = -1;
    vdn_ctx_get_memory(ctx, &now, NULL);
    return now;
}

/* The call failed with @p status and a reason of one line that contains @p why. */
static void expect_reason(vdn_status found, vdn_status status, const char *why)
{
    const char *const error = vdn_ctx_error(ctx);
    EXPECT(found == status);
    EXPECT(strstr(error, why) != NULL && strchr(error, '\n') == NULL);
    if (found != status || !strstr(error, why)) printf("  %s: %s\n", vdn_status_name(found), error);
}

/* ---- context ---- */

static void defaults_are_those_of_the_header(void)
{
    vdn_ctx_options c;
    vdn_segment_options s;
    vdn_train_options t;
    memset(&c, 0xff, sizeof c);
    memset(&s, 0xff, sizeof s);
    memset(&t, 0xff, sizeof t);
    vdn_ctx_options_init(&c);
    vdn_segment_options_init(&s);
    vdn_train_options_init(&t);
    EXPECT(c.threads == 0 && c.max_memory_bytes == 0 && !c.device && !c.progress && !c.log &&
           !c.user && !c.cuda_library && !c.why && c.why_bytes == 0);
    EXPECT(s.steps == 0 && s.samples == 0 && s.start == 0 && s.eta == 0.0f && s.seed == 35);
    EXPECT(s.prior_only == 0 && s.precision == 0);
    EXPECT(strcmp(t.config, "tiny") == 0 && strcmp(t.recipe, "recommended") == 0);
    EXPECT(t.param == NULL && t.preset == NULL && t.example == NULL && t.seed == 35 && t.msfm == 1 && t.nsa == 1);
    EXPECT(t.steps == 0 && t.minutes == 0.0 && !t.resume && t.precision == 0 && t.crop == 0);
    EXPECT(t.checkpoint_steps == 0 && t.validate_steps == 0 && !t.licence && !t.data_name);
}

static vdn_status create(int32_t threads, int64_t memory, const char *device)
{
    vdn_ctx_options options;
    int there = 0;
    vdn_ctx *made = (vdn_ctx *)&there;
    vdn_ctx_options_init(&options);
    options.threads = threads;
    options.max_memory_bytes = memory;
    options.device = device;
    const vdn_status status = vdn_ctx_create(&made, &options);
    EXPECT((status == VDN_OK) == (made != NULL));
    vdn_ctx_free(made);
    return status;
}

static void a_context_is_refused_by_code(void)
{
    EXPECT(vdn_ctx_create(NULL, NULL) == VDN_ERR_ARGUMENT);
    EXPECT(create(-1, 0, NULL) == VDN_ERR_ARGUMENT);
    EXPECT(create(1, -1, NULL) == VDN_ERR_ARGUMENT);
    EXPECT(create(1, 1, NULL) == VDN_ERR_MEMORY);
    static const char *const unknown[] = { "",        "CPU",    "tpu",      "cpu ",
                                           "cudax",   "cuda:",  "cuda:x",   "cuda:1x",
                                           "cuda:-1", "cuda 0", "auto,cpu", "cuda:1234" };
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        EXPECT(create(1, 0, unknown[i]) == VDN_ERR_ARGUMENT);
    EXPECT(create(1, 0, "cuda:999") == VDN_ERR_DEVICE); /* there, or no CUDA: not this one */
    const vdn_status cuda = create(1, 0, "cuda");
    EXPECT(cuda == VDN_ERR_DEVICE || cuda == VDN_OK);
}

static void a_context_is_made_with_and_without_options(void)
{
    static const char *const names[] = { NULL, "auto", "cpu" };
    vdn_ctx *made = NULL;
    int64_t now = -1, peak = -1;
    for (int i = 0; i < 3; i++) EXPECT(create(i, 0, names[i]) == VDN_OK);
    EXPECT(create(1, INT64_C(1) << 30, "cpu") == VDN_OK);
    EXPECT(vdn_ctx_create(&made, NULL) == VDN_OK);
    if (!made) return;
    EXPECT(vdn_ctx_error(made)[0] == '\0');
    EXPECT(strlen(vdn_ctx_get_device(made)) > 4);
    vdn_ctx_get_memory(made, &now, &peak);
    EXPECT(now >= 0 && peak >= now);
    vdn_ctx_get_memory(made, NULL, NULL);
    vdn_ctx_get_device_memory(made, &now, &peak);
    EXPECT(now == 0 && peak == 0); /* the host's is not the device's */
    vdn_ctx_get_device_memory(made, NULL, NULL);
    vdn_ctx_free(made);
    vdn_ctx_free(NULL);
}

/* ---- arguments ---- */

static void a_missing_context_is_refused(void)
{
    const int64_t size[3] = { 1, 1, 1 };
    const double spacing[3] = { 1, 1, 1 };
    const uint16_t label = 1;
    const float in = 0.0f;
    float out = 0.0f;
    vdn_score score;
    vdn_model *model = NULL;
    vdn_store_writer *writer = NULL;
    const vdn_store_header header = { .classes = 2 };
    const vdn_slices slices = { .count = 1 };
    EXPECT(strcmp(vdn_ctx_error(NULL), "no context") == 0);
    EXPECT(vdn_model_load(NULL, &model, "m") == VDN_ERR_ARGUMENT && !model);
    EXPECT(vdn_segment(NULL, &out, NULL, &slices, NULL, NULL) == VDN_ERR_ARGUMENT);
    EXPECT(vdn_resample(NULL, &out, 1, 1, &in, 1, 1, 1) == VDN_ERR_ARGUMENT);
    EXPECT(vdn_store_create(NULL, &writer, "s", &header) == VDN_ERR_ARGUMENT && !writer);
    EXPECT(vdn_store_finish(NULL, NULL) == VDN_ERR_ARGUMENT);
    EXPECT(vdn_train(NULL, "f", "s", NULL) == VDN_ERR_ARGUMENT);
    EXPECT(vdn_score_labels(NULL, &score, &label, &label, size, spacing, 1) == VDN_ERR_ARGUMENT);
}

static void a_missing_argument_is_refused_by_name(void)
{
    const int64_t size[3] = { 1, 1, 1 };
    const double spacing[3] = { 1, 1, 1 };
    const uint16_t one = 1;
    const float in = 0.0f;
    float out = 0.0f;
    vdn_score score;
    vdn_model *model = NULL;
    vdn_store_writer *writer = NULL;
    const vdn_store_header header = { .classes = 2 };
    const vdn_slices slices = { .count = 1 };
    const vdn_status bad = VDN_ERR_ARGUMENT;
    expect_reason(vdn_model_load(ctx, NULL, "m"), bad, "out is NULL");
    expect_reason(vdn_model_load(ctx, &model, NULL), bad, "path is NULL");
    expect_reason(vdn_segment(ctx, NULL, NULL, &slices, NULL, NULL), bad, "probability is NULL");
    expect_reason(vdn_segment(ctx, &out, NULL, NULL, NULL, NULL), bad, "slices is NULL");
    expect_reason(vdn_segment(ctx, &out, NULL, &slices, NULL, NULL), bad, "model is NULL");
    expect_reason(vdn_resample(ctx, NULL, 1, 1, &in, 1, 1, 1), bad, "out is NULL");
    expect_reason(vdn_resample(ctx, &out, 1, 1, NULL, 1, 1, 1), bad, "in is NULL");
    expect_reason(vdn_store_create(ctx, NULL, "s", &header), bad, "out is NULL");
    expect_reason(vdn_store_create(ctx, &writer, NULL, &header), bad, "path is NULL");
    expect_reason(vdn_store_create(ctx, &writer, "s", NULL), bad, "header is NULL");
    expect_reason(vdn_store_add(ctx, NULL, NULL), bad, "writer is NULL");
    expect_reason(vdn_store_finish(ctx, NULL), bad, "writer is NULL");
    vdn_store_discard(ctx, NULL);
    expect_reason(vdn_train(ctx, NULL, "s", NULL), bad, "folder is NULL");
    expect_reason(vdn_train(ctx, "f", NULL, NULL), bad, "store_path is NULL");
    expect_reason(vdn_score_labels(ctx, NULL, &one, &one, size, spacing, 1), bad, "out is NULL");
    expect_reason(vdn_score_labels(ctx, &score, NULL, &one, size, spacing, 1), bad, "reference");
    expect_reason(vdn_score_labels(ctx, &score, &one, NULL, size, spacing, 1), bad, "prediction");
    expect_reason(vdn_score_labels(ctx, &score, &one, &one, NULL, spacing, 1), bad, "size");
    expect_reason(vdn_score_labels(ctx, &score, &one, &one, size, NULL, 1), bad, "spacing_mm");
    vdn_model_free(NULL);
    vdn_string_free(NULL);
    EXPECT(!model && !writer);
}

static void a_success_clears_the_reason_and_contexts_share_none(void)
{
    const float in[4] = { 1, 2, 3, 4 };
    float out[1] = { 0 };
    vdn_ctx *other = NULL;
    vdn_model *model = NULL;
    EXPECT(vdn_ctx_create(&other, NULL) == VDN_OK);
    expect_reason(vdn_model_load(ctx, &model, "absent\nfile"), VDN_ERR_IO, "absent file");
    EXPECT(vdn_ctx_error(other)[0] == '\0');
    expect_reason(vdn_resample(ctx, out, 0, 1, in, 2, 2, 1), VDN_ERR_ARGUMENT, "0");
    EXPECT(strstr(vdn_ctx_error(ctx), "absent") == NULL && out[0] == 0.0f);
    EXPECT(vdn_resample(ctx, out, 1, 1, in, 2, 2, 1) == VDN_OK);
    EXPECT(vdn_ctx_error(ctx)[0] == '\0');
    EXPECT_LE(fabs(out[0] - 2.5), 1e-6);
    vdn_ctx_free(other);
}

static void sizes_are_rounded_and_at_least_one(void)
{
    EXPECT(vdn_resampled_size(100, 0.5, 1.0) == 50);
    EXPECT(vdn_resampled_size(5, 0.5, 1.0) == 3); /* halves go up */
    EXPECT(vdn_resampled_size(3, 0.1, 1.0) == 1);
    EXPECT(vdn_resampled_size(100, 0.7, 0.0) == 100); /* a target of 0: native */
}

/* ---- a model ---- */

static char path[64];

static void write_model(void)
{
    vdni_config config;
    vdni_domain domain;
    vdn_model *model = NULL;
    EXPECT(vdni_config_get(ctx, &config, "unit") == VDN_OK);
    vdni_domain_binary(&domain, "vertebra", 7);
    EXPECT(vdni_model_create(ctx, &model, &config, &domain, 1) == VDN_OK);
    EXPECT(vdni_model_save(ctx, path, model, model->values) == VDN_OK);
    vdn_model_free(model);
}

static void a_model_says_what_it_is(void)
{
    vdn_model *model = NULL;
    vdn_model_info info;
    const int64_t before = held();
    EXPECT(vdn_model_load(ctx, &model, path) == VDN_OK);
    if (!model) return;
    vdn_model_get_info(&info, model);
    EXPECT(strcmp(info.config, "unit") == 0 && info.image_channels == 1 && info.classes == 2);
    EXPECT(strcmp(info.class_name[0], "background") == 0 && info.class_label[0] == 0);
    EXPECT(strcmp(info.class_name[1], "vertebra") == 0 && info.class_label[1] == 7);
    EXPECT(info.parameters == 48670 && info.pad_multiple == 2);
    EXPECT(info.metadata_json && info.metadata_json[0] == '{');
    vdn_model_free(model);
    EXPECT(held() == before);
}

static double last_fraction;
static int falls, reports, stop_at;

static int watch(void *user, double fraction, const char *comment)
{
    EXPECT(user == &last_fraction && comment != NULL);
    falls += !(fraction >= last_fraction) || !(fraction <= 1.0);
    last_fraction = fraction;
    return ++reports == stop_at;
}

enum { SLICES = 2, H = 9, W = 14 };

static void slices_become_probabilities(void)
{
    float pixels[SLICES * H * W], p[SLICES * H * W * 2], u[SLICES * H * W];
    const vdn_slices slices = { SLICES, H, W, 1, pixels, VDN_MODALITY_MR, 1, 0 };
    vdn_ctx_options options = { .threads = 1, .progress = watch, .user = &last_fraction };
    vdn_segment_options wanted;
    vdn_model *model = NULL;
    vdn_ctx *own = NULL;
    uint64_t seed = 5;
    for (int i = 0; i < SLICES * H * W; i++) pixels[i] = (float)(100 * test_random(&seed));
    vdn_segment_options_init(&wanted);
    wanted.steps = 2;
    wanted.samples = 2;
    EXPECT(vdn_ctx_create(&own, &options) == VDN_OK);
    EXPECT(vdn_model_load(own, &model, path) == VDN_OK);
    if (!model) return;
    EXPECT(vdn_segment(own, p, u, &slices, model, &wanted) == VDN_OK);
    for (int i = 0; i < SLICES * H * W; i++) {
        EXPECT_LE(fabs(p[2 * i] + (double)p[2 * i + 1] - 1.0), 1e-5);
        EXPECT(p[2 * i] >= 0.0f && p[2 * i + 1] >= 0.0f && u[i] >= 0.0f);
    }
    EXPECT(reports >= 2 && falls == 0 && last_fraction == 1.0);
    reports = 0;
    stop_at = 1;
    EXPECT(vdn_segment(own, p, u, &slices, model, &wanted) == VDN_ERR_ABORTED);
    EXPECT(strstr(vdn_ctx_error(own), "stopped by the caller") != NULL);
    vdn_model_free(model);
    vdn_ctx_free(own);
}

static void a_damaged_model_is_refused_by_path(void)
{
    vdn_model *model = NULL;
    const int64_t before = held();
    FILE *file = fopen(path, "wb");
    EXPECT(file && fputs("no model at all", file) >= 0 && fclose(file) == 0);
    expect_reason(vdn_model_load(ctx, &model, path), VDN_ERR_FORMAT, path);
    EXPECT(model == NULL && held() == before);
    EXPECT(unlink(path) == 0);
    expect_reason(vdn_model_load(ctx, &model, path), VDN_ERR_IO, path);
}

/* ---- scores ---- */

enum { MOST = 256 };

typedef struct {
    int64_t count, at[MOST][3];
} points;

static int belongs(const uint16_t *mask, const int64_t size[3], const int64_t at[3], uint16_t label)
{
    for (int a = 0; a < 3; a++)
        if (at[a] < 0 || at[a] >= size[a]) return 0;
    return mask[(at[0] * size[1] + at[1]) * size[2] + at[2]] == label;
}

static int on_surface(const uint16_t *mask, const int64_t size[3], const int64_t at[3],
                      uint16_t label)
{
    if (!belongs(mask, size, at, label)) return 0;
    if (size[0] * size[1] * size[2] == 1) return 1;
    for (int a = 0; a < 3; a++)
        for (int step = -1; step <= 1; step += 2) {
            int64_t next[3] = { at[0], at[1], at[2] };
            next[a] += step;
            if (size[a] > 1 && !belongs(mask, size, next, label)) return 1;
        }
    return 0;
}

static void find_surface(points *p, const uint16_t *mask, const int64_t size[3], uint16_t label)
{
    p->count = 0;
    for (int64_t z = 0; z < size[0]; z++)
        for (int64_t y = 0; y < size[1]; y++)
            for (int64_t x = 0; x < size[2]; x++) {
                const int64_t at[3] = { z, y, x };
                if (on_surface(mask, size, at, label)) memcpy(p->at[p->count++], at, sizeof at);
            }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Distances from each point of @p from to the nearest of @p to; their sum and 95th percentile. */
static void directed(double *sum, double *p95, const points *from, const points *to,
                     const double mm[3])
{
    static double distance[MOST];
    *sum = 0.0;
    for (int64_t i = 0; i < from->count; i++) {
        double best = (double)INFINITY;
        for (int64_t j = 0; j < to->count; j++) {
            double square = 0.0;
            for (int a = 0; a < 3; a++) {
                const double d = (double)(from->at[i][a] - to->at[j][a]) * mm[a];
                square += d * d;
            }
            if (square < best) best = square;
        }
        distance[i] = sqrt(best);
        *sum += distance[i];
    }
    qsort(distance, (size_t)from->count, sizeof distance[0], by_value);
    const double rank = 0.95 * (double)(from->count - 1);
    const int64_t low = (int64_t)rank, high = low + 1 < from->count ? low + 1 : low;
    *p95 = distance[low] + (rank - (double)low) * (distance[high] - distance[low]);
}

static void expect_counts(const vdn_score *s, const uint16_t *r, const uint16_t *p, int64_t n,
                          uint16_t label)
{
    int64_t both = 0, only_p = 0, only_r = 0;
    for (int64_t i = 0; i < n; i++) {
        if (r[i] == label && p[i] == label) both++;
        if (r[i] != label && p[i] == label) only_p++;
        if (r[i] == label && p[i] != label) only_r++;
    }
    const double all = (double)(both + only_p + only_r);
    EXPECT(s->true_positive == both && s->false_positive == only_p && s->false_negative == only_r);
    EXPECT_LE(fabs(s->dice - (all > 0 ? 2.0 * (double)both / (all + (double)both) : 1.0)), 1e-12);
    EXPECT_LE(fabs(s->iou - (all > 0 ? (double)both / all : 1.0)), 1e-12);
}

static void scores_agree_with_brute_force(void)
{
    static const int64_t sizes[][3] = { { 1, 1, 1 }, { 1, 7, 9 }, { 3, 5, 4 },  { 2, 1, 6 },
                                        { 5, 6, 7 }, { 7, 1, 1 }, { 1, 13, 11 } };
    const double mm[3] = { 3.3, 0.7, 1.1 };
    static points r, p;
    uint64_t seed = 11;
    for (int trial = 0; trial < 140; trial++) {
        const int64_t *const size = sizes[trial % 7];
        const int64_t n = size[0] * size[1] * size[2], one_in = 1 + trial % 5;
        uint16_t reference[MOST], prediction[MOST];
        vdn_score s;
        double sum[2] = { 0, 0 }, p95[2] = { 0, 0 };
        for (int64_t i = 0; i < n; i++) {
            reference[i] = (uint16_t)(test_random_bits(&seed) % 8 < (uint64_t)one_in ? 300 : 2);
            prediction[i] = (uint16_t)(test_random_bits(&seed) % 8 < 4 ? reference[i] : 300);
            if (trial % 3 == 0) prediction[i] = (uint16_t)(test_random_bits(&seed) % 9 ? 0 : 300);
        }
        EXPECT(vdn_score_labels(ctx, &s, reference, prediction, size, mm, 300) == VDN_OK);
        expect_counts(&s, reference, prediction, n, 300);
        find_surface(&r, reference, size, 300);
        find_surface(&p, prediction, size, 300);
        if (r.count == 0 || p.count == 0) {
            EXPECT(isnan(s.hd95_mm) && isnan(s.mean_distance_mm));
            continue;
        }
        directed(&sum[0], &p95[0], &r, &p, mm);
        directed(&sum[1], &p95[1], &p, &r, mm);
        EXPECT_LE(fabs(s.hd95_mm - (p95[0] > p95[1] ? p95[0] : p95[1])), 1e-5);
        EXPECT_LE(fabs(s.mean_distance_mm - (sum[0] + sum[1]) / (double)(r.count + p.count)), 1e-5);
    }
}

static void impossible_grids_are_refused(void)
{
    static const double bad[] = { 0.0, -1.0, NAN, INFINITY };
    const uint16_t one = 1;
    vdn_score s = { .dice = 42.0 };
    for (int a = 0; a < 3; a++) {
        int64_t size[3] = { 1, 1, 1 };
        size[a] = 0;
        expect_reason(vdn_score_labels(ctx, &s, &one, &one, size, (double[3]){ 1, 1, 1 }, 1),
                      VDN_ERR_ARGUMENT, "0 voxels");
        size[a] = 1;
        for (int i = 0; i < 4; i++) {
            double mm[3] = { 1, 1, 1 };
            mm[a] = bad[i];
            expect_reason(vdn_score_labels(ctx, &s, &one, &one, size, mm, 1), VDN_ERR_ARGUMENT,
                          "mm");
        }
    }
    EXPECT(s.dice == 42.0);
}

int main(void)
{
    const vdn_ctx_options options = { .threads = 1, .device = "cpu" };
    (void)snprintf(path, sizeof path, "test_api.%ld.safetensors", (long)getpid());
    RUN(defaults_are_those_of_the_header);
    RUN(a_context_is_refused_by_code);
    RUN(a_context_is_made_with_and_without_options);
    if (vdn_ctx_create(&ctx, &options) != VDN_OK) return 1;
    RUN(a_missing_context_is_refused);
    RUN(a_missing_argument_is_refused_by_name);
    RUN(a_success_clears_the_reason_and_contexts_share_none);
    RUN(sizes_are_rounded_and_at_least_one);
    RUN(write_model);
    RUN(a_model_says_what_it_is);
    RUN(slices_become_probabilities);
    RUN(a_damaged_model_is_refused_by_path);
    RUN(scores_agree_with_brute_force);
    RUN(impossible_grids_are_refused);
    vdn_ctx_free(ctx);
    return test_result();
}

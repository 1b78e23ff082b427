/* The test table's JSON from known counts: two data sets, three subjects, seven slices. */
#include "Train/test_report.h"

#include "Base/json.h"
#include "Base/memory.h"
#include "test.h"

enum { SLICES = 7, CLASSES = 2 };

static vdn_ctx ctx;
static vdni_overlap overlaps[VDNI_METHODS * CLASSES * SLICES];
static vdni_slice_trust trust[VDNI_METHODS * SLICES];
static const char *subjects[SLICES] = { "a/one", "a/two", "a/one", "b/one",
                                        "a/two", "b/one", "b/one" };
static const char names[CLASSES + 1][VDN_NAME_BYTES] = { "background", "vertebra", "disc" };

static vdni_overlap *at(int m, int c, int i) { return &overlaps[(m * CLASSES + c) * SLICES + i]; }

static double dice(const vdni_overlap *o)
{
    return 2.0 * (double)o->true_positive /
           (double)(2 * o->true_positive + o->false_positive + o->false_negative);
}

static vdni_test_results results(void)
{
    uint64_t seed = 6;
    memset(trust, 0, sizeof trust);
    for (int k = 0; k < VDNI_METHODS * CLASSES * SLICES; k++)
        overlaps[k] = (vdni_overlap){ 50 + (int64_t)(test_random_bits(&seed) % 50),
                                      (int64_t)(test_random_bits(&seed) % 30),
                                      (int64_t)(test_random_bits(&seed) % 30) };
    for (int k = 0; k < VDNI_METHODS * SLICES; k++) {
        trust[k].all.pixels[14] = 10;
        trust[k].all.confidence[14] = 9.5;
        trust[k].all.correct[14] = k % 5;
        trust[k].all.squares = 0.25 * k;
        trust[k].band.pixels[3] = k % SLICES == 6;
        trust[k].band.confidence[3] = k % SLICES == 6 ? 0.25 : 0.0;
        for (int u = 0; u < VDNI_UNCERTAINTIES; u++) trust[k].uncertainty[u] = test_random(&seed);
    }
    return (vdni_test_results){ VDNI_METHODS, CLASSES, SLICES, overlaps, trust, subjects, names };
}

static vdni_json *report_of(const vdni_test_results *r)
{
    char *text = NULL;
    vdni_json *json = NULL;
    EXPECT(vdni_test_report(&ctx, &text, r) == VDN_OK);
    EXPECT(text && vdni_json_parse(&ctx, &json, text, (int64_t)strlen(text), "report") == VDN_OK);
    if (!json) exit(1);
    vdni_free(&ctx, text);
    return json;
}

/* The value at a path of names split by '/'; NULL when there is none. */
static const vdni_json_value *find(const vdni_json *json, const char *path)
{
    const vdni_json_value *v = vdni_json_root(json);
    char name[64];
    while (*path && v) {
        const size_t n = strcspn(path, "/");
        (void)snprintf(name, sizeof name, "%.*s", (int)n, path);
        v = vdni_json_find(v, name);
        path += n + (path[n] == '/');
    }
    return v;
}

static double number(const vdni_json *json, const char *path)
{
    const vdni_json_value *v = find(json, path);
    return v && v->kind == VDNI_JSON_NUMBER ? v->number : NAN;
}

static void scores_are_means_over_slices_and_subjects(void)
{
    const vdni_test_results r = results();
    vdni_json *json = report_of(&r);
    double mean = 0.0, second = 0.0;
    vdni_overlap one = { 0, 0, 0 };
    for (int i = 0; i < SLICES; i++) mean += dice(at(1, 1, i)) / SLICES;
    EXPECT_LE(fabs(number(json, "one_pass/disc/dice_per_slice/mean") - mean), 1e-12);
    EXPECT(number(json, "one_pass/disc/dice_per_slice/n") == SLICES);
    EXPECT(number(json, "one_pass/disc/dice_per_subject/n") == 3.0);
    for (int i = 3; i < SLICES; i++)
        if (i != 4) vdni_overlap_add(&one, at(2, 0, i));
    second = dice(&one);
    EXPECT_LE(fabs(number(json, "data_sets/b/ensemble/vertebra/dice_per_subject/mean") - second),
              1e-12);
    EXPECT(number(json, "data_sets/a/prior/vertebra/iou_per_slice/n") == 4.0);
    const vdni_json_value *each = find(json, "ensemble/vertebra/dice_per_subject/values");
    EXPECT(each && each->count == 3);
    if (each && each->count == 3)
        EXPECT_LE(fabs(vdni_json_next(vdni_json_next(vdni_json_first(each)))->number - second),
                  1e-12);
    EXPECT(find(json, "ensemble/vertebra/dice_per_slice/values") == NULL);
    EXPECT(find(json, "data_sets/c") == NULL && number(json, "slices") == SLICES);
    vdni_json_free(&ctx, json);
}

static void differences_are_paired_with_the_prior(void)
{
    const vdni_test_results r = results();
    vdni_json *json = report_of(&r);
    double mean = 0.0, low = 0.0, high = 0.0;
    for (int i = 0; i < SLICES; i++) mean += (dice(at(2, 0, i)) - dice(at(0, 0, i))) / SLICES;
    EXPECT_LE(
        fabs(number(json, "differences/ensemble_minus_prior/vertebra/dice_per_slice/mean") - mean),
        1e-12);
    low = number(json, "differences/ensemble_minus_prior/vertebra/dice_per_slice/low");
    high = number(json, "differences/ensemble_minus_prior/vertebra/dice_per_slice/high");
    EXPECT(low < mean && mean < high);
    vdni_overlap a[2] = { { 0, 0, 0 }, { 0, 0, 0 } }, b[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
    for (int i = 0; i < 5; i++) {
        if (i == 3) continue;
        vdni_overlap_add(&a[i == 1 || i == 4], at(1, 1, i));
        vdni_overlap_add(&b[i == 1 || i == 4], at(0, 1, i));
    }
    mean = 0.5 * (dice(&a[0]) - dice(&b[0]) + dice(&a[1]) - dice(&b[1]));
    EXPECT_LE(fabs(number(json, "data_sets/a/differences/one_pass_minus_prior/disc/"
                                "dice_per_subject/mean") -
                   mean),
              1e-12);
    /* one subject gives no interval */
    const vdni_json_value *none =
        find(json, "data_sets/b/differences/one_pass_minus_prior/disc/dice_per_slice/low");
    EXPECT(none && none->kind == VDNI_JSON_NULL);
    EXPECT(number(json, "differences/one_pass_minus_prior/disc/dice_per_slice/subjects") == 3.0);
    vdni_json_free(&ctx, json);
}

static void calibration_is_pooled_over_slices(void)
{
    const vdni_test_results r = results();
    vdni_json *json = report_of(&r);
    double right = 0.0, squares = 0.0, risk = 0.0;
    for (int i = 0; i < SLICES; i++) {
        right += (SLICES + i) % 5; /* of one_pass */
        squares += 0.25 * (SLICES + i);
        risk += 1.0 - 0.5 * (dice(at(2, 0, i)) + dice(at(2, 1, i)));
    }
    EXPECT_LE(fabs(number(json, "calibration/one_pass/ece") - (66.5 - right) / 70.0), 1e-12);
    EXPECT_LE(fabs(number(json, "calibration/one_pass/brier") - squares / 70.0), 1e-12);
    EXPECT_LE(fabs(number(json, "calibration/prior/ece_band") - 0.25), 1e-12);
    const vdni_json_value *empty = find(json, "data_sets/a/calibration/prior/ece_band");
    EXPECT(empty && empty->kind == VDNI_JSON_NULL); /* its slices have no band */
    EXPECT(find(json, "calibration/prior/mutual_information") == NULL);
    const vdni_json_value *curve =
        find(json, "calibration/ensemble/mutual_information/risk_at_coverage");
    EXPECT(curve && curve->count == 10);
    const vdni_json_value *v = vdni_json_first(curve);
    for (int i = 0; i < 9; i++) v = vdni_json_next(v);
    EXPECT_LE(fabs(v->number - risk / SLICES), 1e-12);
    EXPECT(number(json, "calibration/ensemble/entropy/aurc") >=
           number(json, "calibration/ensemble/entropy/best_aurc"));
    vdni_json_free(&ctx, json);
}

static void without_a_refiner_there_is_the_prior_only(void)
{
    vdni_test_results r = results();
    r.methods = 1;
    vdni_json *json = report_of(&r);
    EXPECT(find(json, "prior") && !find(json, "one_pass") && !find(json, "ensemble"));
    EXPECT(find(json, "differences")->count == 0 && find(json, "calibration")->count == 1);
    vdni_json_free(&ctx, json);
}

static void survives_every_refused_allocation(void)
{
    const vdni_test_results r = results();
    int64_t refuse = 0;
    for (; refuse < 400; refuse++) {
        char *text = NULL;
        vdni_clear_error(&ctx);
        ctx.refuse_after = ctx.allocations + refuse;
        const vdn_status status = vdni_test_report(&ctx, &text, &r);
        ctx.refuse_after = -1;
        EXPECT(status == VDN_OK || (status == VDN_ERR_MEMORY && !text));
        vdni_free(&ctx, text);
        EXPECT(ctx.now_bytes == 0);
        if (status == VDN_OK) break;
    }
    EXPECT(refuse > 20 && refuse < 400);
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(scores_are_means_over_slices_and_subjects);
    RUN(differences_are_paired_with_the_prior);
    RUN(calibration_is_pooled_over_slices);
    RUN(without_a_refiner_there_is_the_prior_only);
    RUN(survives_every_refused_allocation);
    EXPECT(ctx.now_bytes == 0);
    return test_result();
}

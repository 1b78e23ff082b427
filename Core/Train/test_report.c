#include "Train/test_report.h"

#include "Base/json.h"
#include "Base/memory.h"
#include "Eval/bootstrap.h"
#include "Eval/calibration.h"
#include "Train/slice_store.h"
#include "Train/trainer_setup.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const method_names[VDNI_METHODS] = { "prior", "one_pass", "ensemble" };
static const char *const uncertainty_names[VDNI_UNCERTAINTIES] = { "entropy",
                                                                   "mutual_information" };

/* The slices of one group and their subjects, with room for numbers of each. */
typedef struct {
    const vdni_test_results *r;
    vdni_json_writer w;
    int64_t *slices, *owner; /* slice number and subject number of each slice of the group */
    int64_t *first;          /* slice where each subject appears first */
    vdni_overlap *pooled;    /* of each subject */
    double *values[2];
    int64_t slice_count, subject_count;
} report;

/* ---- groups ---- */

static int in_group(const vdni_test_results *r, int64_t slice, const char *group)
{
    const char *subject = r->subjects[slice];
    if (!group) return 1;
    const int64_t length = vdni_group_length(subject);
    return length == (int64_t)strlen(group) && strncmp(subject, group, (size_t)length) == 0;
}

/* The slices of @p group (NULL: all) in their order, and whose they are. */
static void choose(report *o, const char *group)
{
    const vdni_test_results *r = o->r;
    o->slice_count = o->subject_count = 0;
    for (int64_t i = 0; i < r->count; i++) {
        int64_t s = 0;
        if (!in_group(r, i, group)) continue;
        while (s < o->subject_count && strcmp(r->subjects[o->first[s]], r->subjects[i]) != 0) s++;
        if (s == o->subject_count) o->first[o->subject_count++] = i;
        o->owner[o->slice_count] = s;
        o->slices[o->slice_count++] = i;
    }
}

static const vdni_overlap *overlap_of(const report *o, int m, int32_t c, int64_t k)
{
    return &o->r->overlaps[((int64_t)m * o->r->classes + c) * o->r->count + o->slices[k]];
}

static void pool_subjects(report *o, int m, int32_t c)
{
    memset(o->pooled, 0, (size_t)o->subject_count * sizeof *o->pooled);
    for (int64_t k = 0; k < o->slice_count; k++)
        vdni_overlap_add(&o->pooled[o->owner[k]], overlap_of(o, m, c, k));
}

/* ---- scores ---- */

static void put_number(vdni_json_writer *w, const char *name, double value)
{
    if (isfinite(value))
        vdni_json_put_double(w, name, value);
    else
        vdni_json_put_null(w, name);
}

static void put_mean_sd(vdni_json_writer *w, const char *name, const double *values, int64_t count,
                        int each)
{
    double mean = 0.0, sd = 0.0;
    vdni_mean_sd(&mean, &sd, values, count);
    vdni_json_open_object(w, name);
    vdni_json_put_double(w, "mean", mean);
    vdni_json_put_double(w, "sd", sd);
    vdni_json_put_int(w, "n", count);
    if (each) {
        vdni_json_open_array(w, "values");
        for (int64_t i = 0; i < count; i++) vdni_json_put_double(w, NULL, values[i]);
        vdni_json_close(w);
    }
    vdni_json_close(w);
}

static void put_class(report *o, int m, int32_t c)
{
    double *dice = o->values[0], *iou = o->values[1];
    vdni_json_open_object(&o->w, o->r->class_name[c + 1]);
    for (int64_t k = 0; k < o->slice_count; k++) {
        dice[k] = vdni_dice(overlap_of(o, m, c, k));
        iou[k] = vdni_iou(overlap_of(o, m, c, k));
    }
    put_mean_sd(&o->w, "dice_per_slice", dice, o->slice_count, 0);
    put_mean_sd(&o->w, "iou_per_slice", iou, o->slice_count, 0);
    pool_subjects(o, m, c);
    for (int64_t s = 0; s < o->subject_count; s++) {
        dice[s] = vdni_dice(&o->pooled[s]);
        iou[s] = vdni_iou(&o->pooled[s]);
    }
    put_mean_sd(&o->w, "dice_per_subject", dice, o->subject_count, 1);
    put_mean_sd(&o->w, "iou_per_subject", iou, o->subject_count, 1);
    vdni_json_close(&o->w);
}

/* ---- differences ---- */

static vdn_status put_interval(vdn_ctx *ctx, report *o, const char *name, const double *difference,
                               const int64_t *owner, int64_t count)
{
    vdni_interval i;
    VDN_CHECK(vdni_bootstrap(ctx, &i, difference, owner, count, o->subject_count));
    vdni_json_open_object(&o->w, name);
    vdni_json_put_double(&o->w, "mean", i.mean);
    put_number(&o->w, "low", i.low);
    put_number(&o->w, "high", i.high);
    vdni_json_put_int(&o->w, "subjects", i.subjects);
    vdni_json_close(&o->w);
    return VDN_OK;
}

/* Dice of method @p m minus that of the prior. */
static vdn_status put_difference(vdn_ctx *ctx, report *o, int m, int32_t c)
{
    double *difference = o->values[0];
    vdni_json_open_object(&o->w, o->r->class_name[c + 1]);
    for (int64_t k = 0; k < o->slice_count; k++)
        difference[k] =
            vdni_dice(overlap_of(o, m, c, k)) - vdni_dice(overlap_of(o, VDNI_PRIOR, c, k));
    VDN_CHECK(put_interval(ctx, o, "dice_per_slice", difference, o->owner, o->slice_count));
    pool_subjects(o, m, c);
    for (int64_t s = 0; s < o->subject_count; s++) difference[s] = vdni_dice(&o->pooled[s]);
    pool_subjects(o, VDNI_PRIOR, c);
    for (int64_t s = 0; s < o->subject_count; s++) {
        difference[s] -= vdni_dice(&o->pooled[s]);
        o->first[s] = s; /* from here on only a list of all subjects */
    }
    VDN_CHECK(put_interval(ctx, o, "dice_per_subject", difference, o->first, o->subject_count));
    vdni_json_close(&o->w);
    return VDN_OK;
}

static vdn_status put_differences(vdn_ctx *ctx, report *o)
{
    char name[64];
    vdni_json_open_object(&o->w, "differences");
    for (int m = 1; m < o->r->methods; m++) {
        (void)snprintf(name, sizeof name, "%s_minus_prior", method_names[m]);
        vdni_json_open_object(&o->w, name);
        for (int32_t c = 0; c < o->r->classes; c++) VDN_CHECK(put_difference(ctx, o, m, c));
        vdni_json_close(&o->w);
    }
    vdni_json_close(&o->w);
    return VDN_OK;
}

/* ---- calibration ---- */

static vdn_status put_selection(vdn_ctx *ctx, report *o, int m, int which)
{
    double *score = o->values[0], *risk = o->values[1];
    vdn_selection s;
    for (int64_t k = 0; k < o->slice_count; k++) {
        score[k] = o->r->trust[m * o->r->count + o->slices[k]].uncertainty[which];
        risk[k] = 1.0;
        for (int32_t c = 0; c < o->r->classes; c++)
            risk[k] -= vdni_dice(overlap_of(o, m, c, k)) / o->r->classes;
    }
    VDN_CHECK(vdni_selection(ctx, &s, score, risk, o->slice_count));
    vdni_json_open_object(&o->w, uncertainty_names[which]);
    put_number(&o->w, "pearson", s.pearson);
    put_number(&o->w, "spearman", s.spearman);
    vdni_json_put_double(&o->w, "aurc", s.aurc);
    vdni_json_put_double(&o->w, "best_aurc", s.best_aurc);
    vdni_json_open_array(&o->w, "risk_at_coverage");
    for (int i = 0; i < VDN_COVERAGES; i++) vdni_json_put_double(&o->w, NULL, s.risk[i]);
    vdni_json_close(&o->w);
    vdni_json_close(&o->w);
    return VDN_OK;
}

static vdn_status put_calibration(vdn_ctx *ctx, report *o, int m)
{
    vdn_calibration all = { .squares = 0.0 }, band = { .squares = 0.0 };
    for (int64_t k = 0; k < o->slice_count; k++) {
        vdni_calibration_pool(&all, &o->r->trust[m * o->r->count + o->slices[k]].all);
        vdni_calibration_pool(&band, &o->r->trust[m * o->r->count + o->slices[k]].band);
    }
    vdni_json_open_object(&o->w, method_names[m]);
    put_number(&o->w, "ece", vdni_calibration_ece(&all));
    put_number(&o->w, "brier", vdni_calibration_brier(&all));
    put_number(&o->w, "ece_band", vdni_calibration_ece(&band));
    put_number(&o->w, "brier_band", vdni_calibration_brier(&band));
    VDN_CHECK(put_selection(ctx, o, m, VDNI_BY_ENTROPY));
    if (m == VDNI_ENSEMBLE) VDN_CHECK(put_selection(ctx, o, m, VDNI_BY_INFORMATION));
    vdni_json_close(&o->w);
    return VDN_OK;
}

/* ---- all of it ---- */

static vdn_status put_group(vdn_ctx *ctx, report *o, const char *group)
{
    choose(o, group);
    for (int m = 0; m < o->r->methods; m++) {
        vdni_json_open_object(&o->w, method_names[m]);
        for (int32_t c = 0; c < o->r->classes; c++) put_class(o, m, c);
        vdni_json_close(&o->w);
    }
    vdni_json_open_object(&o->w, "calibration");
    for (int m = 0; m < o->r->methods; m++) VDN_CHECK(put_calibration(ctx, o, m));
    vdni_json_close(&o->w);
    return put_differences(ctx, o);
}

/* One object per data set, in the order of first appearance. */
static vdn_status put_groups(vdn_ctx *ctx, report *o)
{
    char group[VDNI_STORE_MAX_ID_BYTES + 1];
    vdni_json_open_object(&o->w, "data_sets");
    for (int64_t i = 0; i < o->r->count; i++) {
        const int64_t length = vdni_group_length(o->r->subjects[i]);
        int seen = length == 0;
        memcpy(group, o->r->subjects[i], (size_t)length);
        group[length] = '\0';
        for (int64_t k = 0; k < i && !seen; k++) seen = in_group(o->r, k, group);
        if (seen) continue;
        vdni_json_open_object(&o->w, group);
        VDN_CHECK(put_group(ctx, o, group));
        vdni_json_close(&o->w);
    }
    vdni_json_close(&o->w);
    return VDN_OK;
}

static vdn_status put_all(vdn_ctx *ctx, report *o)
{
    const int64_t count = o->r->count;
    VDN_CHECK(VDNI_NEW(ctx, o->slices, count));
    VDN_CHECK(VDNI_NEW(ctx, o->owner, count));
    VDN_CHECK(VDNI_NEW(ctx, o->first, count));
    VDN_CHECK(VDNI_NEW(ctx, o->pooled, count));
    VDN_CHECK(VDNI_NEW(ctx, o->values[0], count));
    VDN_CHECK(VDNI_NEW(ctx, o->values[1], count));
    vdni_json_open_object(&o->w, NULL);
    vdni_json_put_int(&o->w, "slices", count);
    VDN_CHECK(put_group(ctx, o, NULL));
    VDN_CHECK(put_groups(ctx, o));
    vdni_json_close(&o->w);
    return VDN_OK;
}

vdn_status vdni_test_report(vdn_ctx *ctx, char **out, const vdni_test_results *r)
{
    report o = { .r = r };
    vdni_json_begin(&o.w, ctx, 1);
    vdn_status status = put_all(ctx, &o);
    if (status == VDN_OK)
        status = vdni_json_finish(&o.w, out, NULL);
    else
        vdni_json_drop(&o.w);
    vdni_free(ctx, o.slices);
    vdni_free(ctx, o.owner);
    vdni_free(ctx, o.first);
    vdni_free(ctx, o.pooled);
    vdni_free(ctx, o.values[0]);
    vdni_free(ctx, o.values[1]);
    return status;
}

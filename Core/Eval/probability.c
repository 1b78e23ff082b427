#include "Eval/probability.h"

#include "Base/memory.h"
#include "Diffusion/ensemble.h"
#include "Eval/calibration.h"
#include "Eval/overlap.h"

#include <math.h>
#include <string.h>

static vdn_status check_grid(vdn_ctx *ctx, const vdni_probability_volume *v)
{
    for (int a = 0; a < 3; a++)
        if (v->size[a] < 1 || v->size[a] > INT32_MAX || !(v->spacing_mm[a] > 0.0) ||
            !isfinite(v->spacing_mm[a]))
            return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                             "axis %d has %lld voxels of %g mm; needed 1 or more, above 0", a,
                             (long long)v->size[a], v->spacing_mm[a]);
    return VDN_OK;
}

static vdn_status check_values(vdn_ctx *ctx, const vdni_probability_volume *v, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (!(v->probability[i] >= 0.0f && v->probability[i] <= 1.0f))
            return vdni_fail(ctx, VDN_ERR_NUMERIC, "voxel %lld has probability %g, needed 0 to 1",
                             (long long)i, (double)v->probability[i]);
        if (v->uncertainty && !isfinite(v->uncertainty[i]))
            return vdni_fail(ctx, VDN_ERR_NUMERIC, "voxel %lld has uncertainty %g, needed a number",
                             (long long)i, (double)v->uncertainty[i]);
    }
    return VDN_OK;
}

/* As many voxels along each axis as five of the finest are long. */
static void reach_of(double reach[3], const double spacing_mm[3])
{
    double least = spacing_mm[0];
    for (int a = 1; a < 3; a++) least = spacing_mm[a] < least ? spacing_mm[a] : least;
    for (int a = 0; a < 3; a++) reach[a] = VDNI_BAND_PIXELS * least / spacing_mm[a];
}

typedef struct {
    uint8_t *reference, *predicted, *band;
    float *entropy;
} masks;

static void measure(vdn_probability_score *out, const vdni_probability_volume *v, masks *m)
{
    const int64_t count = v->size[0] * v->size[1] * v->size[2];
    vdni_overlap overlap;
    double reach[3];

    reach_of(reach, v->spacing_mm);
    for (int64_t i = 0; i < count; i++) {
        m->reference[i] = v->reference[i] != 0;
        m->predicted[i] = v->probability[i] > 0.5f;
        if (m->entropy) m->entropy[i] = (float)vdni_entropy(v->probability + i, 1);
    }
    memset(out, 0, sizeof *out);
    vdni_overlap_labels(&overlap, m->reference, m->predicted, count, 1);
    out->dice = vdni_dice(&overlap);
    vdni_calibration_add(&out->all, v->probability, 1, m->reference, NULL, count);
    (void)vdni_band(m->band, m->reference, v->size, reach);
    vdni_calibration_add(&out->band, v->probability, 1, m->reference, m->band, count);
    (void)vdni_band(m->band, m->predicted, v->size, reach);
    out->uncertainty = vdni_mean_in(v->uncertainty ? v->uncertainty : m->entropy, m->band, count);
}

vdn_status vdni_probability_score(vdn_ctx *ctx, vdn_probability_score *out,
                                  const vdni_probability_volume *v)
{
    vdn_status status = VDN_OK;
    masks m = { NULL, NULL, NULL, NULL };

    VDN_CHECK(check_grid(ctx, v));
    if (v->size[0] * v->size[1] > INT64_MAX / 16 / v->size[2])
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%lld x %lld x %lld voxels are too many",
                         (long long)v->size[0], (long long)v->size[1], (long long)v->size[2]);
    const int64_t count = v->size[0] * v->size[1] * v->size[2];
    VDN_CHECK(check_values(ctx, v, count));
    VDN_TRY(VDNI_NEW(ctx, m.reference, count));
    VDN_TRY(VDNI_NEW(ctx, m.predicted, count));
    VDN_TRY(VDNI_NEW(ctx, m.band, count));
    if (!v->uncertainty) VDN_TRY(VDNI_NEW(ctx, m.entropy, count));
    measure(out, v, &m);
done:
    vdni_free(ctx, m.reference);
    vdni_free(ctx, m.predicted);
    vdni_free(ctx, m.band);
    vdni_free(ctx, m.entropy);
    return status;
}

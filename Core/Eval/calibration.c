#include "Eval/calibration.h"

#include "Base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- reliability ---- */

typedef struct {
    double confidence, squares;
    int32_t predicted;
} judgement;

static judgement judge(const float *p, int32_t k, int32_t reference)
{
    judgement j = { 0.0, 0.0, 0 };
    if (k == 1) {
        const double distance = (double)p[0] - (reference != 0);
        j.predicted = p[0] > 0.5f;
        j.confidence = j.predicted ? (double)p[0] : 1.0 - (double)p[0];
        j.squares = distance * distance;
        return j;
    }
    for (int32_t c = 0; c < k; c++) {
        const double distance = (double)p[c] - (c == reference);
        j.squares += 0.5 * distance * distance;
        if (p[c] > p[j.predicted]) j.predicted = c;
    }
    j.confidence = p[j.predicted];
    return j;
}

static int bin_of(double confidence)
{
    const int bin = (int)ceil(confidence * VDN_CALIBRATION_BINS) - 1;
    if (bin < 0) return 0;
    return bin < VDN_CALIBRATION_BINS ? bin : VDN_CALIBRATION_BINS - 1;
}

void vdni_calibration_add(vdn_calibration *sum, const float *p, int32_t k, const uint8_t *reference,
                          const uint8_t *region, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (reference[i] == 255 || (region && !region[i])) continue;
        const int32_t wanted = k == 1 ? reference[i] != 0 : reference[i];
        const judgement j = judge(p + i * k, k, wanted);
        const int bin = bin_of(j.confidence);
        sum->pixels[bin]++;
        sum->confidence[bin] += j.confidence;
        sum->correct[bin] += j.predicted == wanted;
        sum->squares += j.squares;
    }
}

void vdni_calibration_pool(vdn_calibration *sum, const vdn_calibration *part)
{
    for (int m = 0; m < VDN_CALIBRATION_BINS; m++) {
        sum->pixels[m] += part->pixels[m];
        sum->confidence[m] += part->confidence[m];
        sum->correct[m] += part->correct[m];
    }
    sum->squares += part->squares;
}

static double pixels_of(const vdn_calibration *c)
{
    int64_t n = 0;
    for (int m = 0; m < VDN_CALIBRATION_BINS; m++) n += c->pixels[m];
    return n > 0 ? (double)n : NAN;
}

double vdni_calibration_ece(const vdn_calibration *c)
{
    double gap = 0.0;
    for (int m = 0; m < VDN_CALIBRATION_BINS; m++) gap += fabs(c->correct[m] - c->confidence[m]);
    return gap / pixels_of(c);
}

double vdni_calibration_brier(const vdn_calibration *c) { return c->squares / pixels_of(c); }

/* ---- band ---- */

static int differ(uint8_t a, uint8_t b) { return a != b && a != 255 && b != 255; }

static int on_boundary(const uint8_t *classes, const int64_t size[3], const int64_t at[3])
{
    const int64_t stride[3] = { size[1] * size[2], size[2], 1 };
    const uint8_t *here = classes + at[0] * stride[0] + at[1] * stride[1] + at[2];
    for (int a = 0; a < 3; a++) {
        if (at[a] > 0 && differ(*here, *(here - stride[a]))) return 1;
        if (at[a] < size[a] - 1 && differ(*here, *(here + stride[a]))) return 1;
    }
    return 0;
}

/* Steps along an axis whose share of the ellipsoid's radius is still free: left = 1 - the others'. */
static int64_t half_width(double reach, double left)
{
    return left > 0.0 ? (int64_t)floor(reach * sqrt(left) + 1e-9) : 0;
}

static int64_t low(int64_t at, int64_t half) { return at > half ? at - half : 0; }
static int64_t high(int64_t at, int64_t half, int64_t size)
{
    return at + half < size ? at + half : size - 1;
}

static double square(double x) { return x * x; }

static void mark_around(uint8_t *out, const int64_t size[3], const double reach[3],
                        const int64_t at[3])
{
    const int64_t deep = half_width(reach[0], 1.0);
    for (int64_t z = low(at[0], deep); z <= high(at[0], deep, size[0]); z++) {
        const double left = 1.0 - (z == at[0] ? 0.0 : square((double)(z - at[0]) / reach[0]));
        const int64_t tall = half_width(reach[1], left);
        for (int64_t y = low(at[1], tall); y <= high(at[1], tall, size[1]); y++) {
            const double rest = left - (y == at[1] ? 0.0 : square((double)(y - at[1]) / reach[1]));
            const int64_t wide = half_width(reach[2], rest);
            const int64_t first = low(at[2], wide), last = high(at[2], wide, size[2]);
            memset(out + (z * size[1] + y) * size[2] + first, 1, (size_t)(last - first + 1));
        }
    }
}

int64_t vdni_band(uint8_t *out, const uint8_t *classes, const int64_t size[3],
                  const double reach[3])
{
    const int64_t count = size[0] * size[1] * size[2];
    int64_t at[3], inside = 0;
    memset(out, 0, (size_t)count);
    for (at[0] = 0; at[0] < size[0]; at[0]++)
        for (at[1] = 0; at[1] < size[1]; at[1]++)
            for (at[2] = 0; at[2] < size[2]; at[2]++)
                if (on_boundary(classes, size, at)) mark_around(out, size, reach, at);
    for (int64_t i = 0; i < count; i++) inside += out[i];
    return inside;
}

double vdni_mean_in(const float *values, const uint8_t *region, int64_t count)
{
    double sum = 0.0, all = 0.0;
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++) {
        all += (double)values[i];
        if (!region[i]) continue;
        sum += (double)values[i];
        n++;
    }
    return n > 0 ? sum / (double)n : all / (double)count;
}

/* ---- selection ---- */

typedef struct {
    double key, value;
    int64_t index;
} item;

static int by_key(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static void sort_by(item *items, const double *key, const double *value, int64_t count)
{
    for (int64_t i = 0; i < count; i++) items[i] = (item){ key[i], value[i], i };
    qsort(items, (size_t)count, sizeof *items, by_key);
}

/* One behind the last item that has the key of item @p first. */
static int64_t tie_end(const item *items, int64_t first, int64_t count)
{
    int64_t end = first + 1;
    while (end < count && items[end].key == items[first].key) end++;
    return end;
}

static void to_ranks(double *out, item *items, const double *values, int64_t count)
{
    sort_by(items, values, values, count);
    for (int64_t first = 0, end = 0; first < count; first = end) {
        end = tie_end(items, first, count);
        for (int64_t i = first; i < end; i++) out[items[i].index] = 0.5 * (double)(first + end - 1);
    }
}

static double pearson(const double *x, const double *y, int64_t count)
{
    double mean_x = 0.0, mean_y = 0.0, xx = 0.0, yy = 0.0, xy = 0.0;
    for (int64_t i = 0; i < count; i++) {
        mean_x += x[i] / (double)count;
        mean_y += y[i] / (double)count;
    }
    for (int64_t i = 0; i < count; i++) {
        xx += square(x[i] - mean_x);
        yy += square(y[i] - mean_y);
        xy += (x[i] - mean_x) * (y[i] - mean_y);
    }
    /* What is left of a constant is rounding: no variance, no correlation. */
    const double least = 1e-24 * (double)count;
    if (!(xx > least * square(mean_x) && yy > least * square(mean_y))) return NAN;
    return xy / sqrt(xx * yy);
}

static void share_ties(item *items, int64_t count)
{
    for (int64_t first = 0, end = 0; first < count; first = end) {
        double sum = 0.0;
        end = tie_end(items, first, count);
        for (int64_t i = first; i < end; i++) sum += items[i].value;
        for (int64_t i = first; i < end; i++) items[i].value = sum / (double)(end - first);
    }
}

/* AURC of the order of @p items, and, where wanted, the risk at each tenth of coverage. */
static double area(double risk[VDN_COVERAGES], const item *items, int64_t count)
{
    double sum = 0.0, total = 0.0;
    int64_t next = 0;
    for (int64_t n = 1; n <= count; n++) {
        sum += items[n - 1].value;
        total += sum / (double)n;
        for (; risk && next < VDN_COVERAGES && n * VDN_COVERAGES >= (next + 1) * count; next++)
            risk[next] = sum / (double)n;
    }
    return total / (double)count;
}

static vdn_status check_numbers(vdn_ctx *ctx, const double *a, const double *b, int64_t count)
{
    if (count < 1) return vdni_fail(ctx, VDN_ERR_ARGUMENT, "a selection among no images");
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(a[i]) || !isfinite(b[i]))
            return vdni_fail(ctx, VDN_ERR_NUMERIC,
                             "image %lld has uncertainty %g and risk %g, needed numbers",
                             (long long)i, a[i], b[i]);
    return VDN_OK;
}

vdn_status vdni_selection(vdn_ctx *ctx, vdn_selection *out, const double *uncertainty,
                          const double *risk, int64_t count)
{
    vdn_status status = VDN_OK;
    item *items = NULL;
    double *ranks = NULL;

    VDN_CHECK(check_numbers(ctx, uncertainty, risk, count));
    VDN_TRY(VDNI_NEW(ctx, items, count));
    VDN_TRY(VDNI_NEW(ctx, ranks, 2 * count));
    out->images = count;
    out->pearson = pearson(uncertainty, risk, count);
    to_ranks(ranks, items, uncertainty, count);
    to_ranks(ranks + count, items, risk, count);
    out->spearman = pearson(ranks, ranks + count, count);
    sort_by(items, uncertainty, risk, count);
    share_ties(items, count);
    out->aurc = area(out->risk, items, count);
    sort_by(items, risk, risk, count);
    out->best_aurc = area(NULL, items, count);
done:
    vdni_free(ctx, items);
    vdni_free(ctx, ranks);
    return status;
}

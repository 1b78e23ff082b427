#include "Eval/surface.h"

#include "Base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { REFERENCE = 1, PREDICTION = 2 };

/* The whole image, and the box of it that holds both masks: nothing outside matters. */
typedef struct {
    const uint16_t *mask[2];
    uint16_t label;
    const int64_t *size;
    int64_t low[3], extent[3];
    uint8_t *surface;    /* (box) bits REFERENCE, PREDICTION */
    float *square;       /* (box) squared distance to the nearest site, mm^2 */
    double *distance;    /* of the surface voxels of one mask */
    double *line, *edge; /* one line and its parabolas' meeting points */
    int64_t *site;
} space;

static int belongs(const space *s, int mask, int64_t z, int64_t y, int64_t x)
{
    return s->mask[mask][(z * s->size[1] + y) * s->size[2] + x] == s->label;
}

/* Box around both masks; 0 when one of them is empty. */
static int find_box(space *s)
{
    int64_t high[3] = { -1, -1, -1 };
    int found[2] = { 0, 0 };
    for (int a = 0; a < 3; a++) s->low[a] = s->size[a];
    for (int64_t z = 0; z < s->size[0]; z++)
        for (int64_t y = 0; y < s->size[1]; y++)
            for (int64_t x = 0; x < s->size[2]; x++) {
                const int in[2] = { belongs(s, 0, z, y, x), belongs(s, 1, z, y, x) };
                const int64_t at[3] = { z, y, x };
                if (!in[0] && !in[1]) continue;
                for (int m = 0; m < 2; m++) found[m] |= in[m];
                for (int a = 0; a < 3; a++) {
                    if (at[a] < s->low[a]) s->low[a] = at[a];
                    if (at[a] > high[a]) high[a] = at[a];
                }
            }
    for (int a = 0; a < 3; a++) s->extent[a] = high[a] - s->low[a] + 1;
    return found[0] && found[1];
}

static int on_surface(const space *s, int mask, int64_t z, int64_t y, int64_t x)
{
    const int64_t at[3] = { z, y, x };
    if (!belongs(s, mask, z, y, x)) return 0;
    for (int a = 0; a < 3; a++) {
        if (s->size[a] == 1) continue;
        if (at[a] == 0 || at[a] == s->size[a] - 1) return 1;
        for (int64_t step = -1; step <= 1; step += 2)
            if (!belongs(s, mask, z + (a == 0) * step, y + (a == 1) * step, x + (a == 2) * step))
                return 1;
    }
    return s->size[0] * s->size[1] * s->size[2] == 1;
}

static void mark_surfaces(space *s, int64_t count[2])
{
    uint8_t *mark = s->surface;
    count[0] = count[1] = 0;
    for (int64_t z = 0; z < s->extent[0]; z++)
        for (int64_t y = 0; y < s->extent[1]; y++)
            for (int64_t x = 0; x < s->extent[2]; x++, mark++)
                for (int m = 0; m < 2; m++)
                    if (on_surface(s, m, s->low[0] + z, s->low[1] + y, s->low[2] + x)) {
                        *mark |= (uint8_t)(m == 0 ? REFERENCE : PREDICTION);
                        count[m]++;
                    }
}

/* Replace the line f[0], f[step], .. of @p n values by min over p of f[p] + (spacing (q - p))^2: the
 * lower envelope of the parabolas, left to right. */
static void transform_line(const space *s, float *f, int64_t step, int64_t n, double spacing)
{
    const double square = spacing * spacing;
    int64_t last = -1;
    for (int64_t q = 0; q < n; q++) {
        double meet = -INFINITY;
        s->line[q] = (double)f[q * step];
        if (isinf(s->line[q])) continue;
        for (; last >= 0; last--) {
            const int64_t p = s->site[last];
            meet = (s->line[q] - s->line[p]) / (2.0 * square * (double)(q - p)) +
                   0.5 * (double)(q + p);
            if (meet > s->edge[last]) break;
            meet = -INFINITY;
        }
        s->site[++last] = q;
        s->edge[last] = meet;
    }
    if (last < 0) return; /* No site on this line: all stays infinite. */
    for (int64_t q = 0, k = 0; q < n; q++) {
        while (k < last && s->edge[k + 1] < (double)q) k++;
        const double d = (double)(q - s->site[k]);
        f[q * step] = (float)(s->line[s->site[k]] + square * d * d);
    }
}

static void transform(const space *s, const double spacing_mm[3], uint8_t sites)
{
    const int64_t *e = s->extent, voxels = e[0] * e[1] * e[2];
    for (int64_t i = 0; i < voxels; i++) s->square[i] = s->surface[i] & sites ? 0.0f : INFINITY;
    for (int64_t i = 0; i < e[0] * e[1]; i++)
        transform_line(s, s->square + i * e[2], 1, e[2], spacing_mm[2]);
    for (int64_t z = 0; z < e[0]; z++)
        for (int64_t x = 0; x < e[2]; x++)
            transform_line(s, s->square + z * e[1] * e[2] + x, e[2], e[1], spacing_mm[1]);
    for (int64_t i = 0; i < e[1] * e[2]; i++)
        transform_line(s, s->square + i, e[1] * e[2], e[0], spacing_mm[0]);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Distances from the surface voxels of @p from to the sites last transformed: their sum, and the 95th
 * percentile with linear interpolation between ranks. */
static double percentile_of(const space *s, uint8_t from, double *sum)
{
    const int64_t voxels = s->extent[0] * s->extent[1] * s->extent[2];
    int64_t n = 0;
    for (int64_t i = 0; i < voxels; i++)
        if (s->surface[i] & from) *sum += s->distance[n++] = sqrt((double)s->square[i]);
    qsort(s->distance, (size_t)n, sizeof s->distance[0], by_value);
    const double rank = 0.95 * (double)(n - 1), below = floor(rank);
    const int64_t k = (int64_t)below;
    const double next = s->distance[k + 1 < n ? k + 1 : k];
    return s->distance[k] + (rank - below) * (next - s->distance[k]);
}

static vdn_status measure(vdn_ctx *ctx, space *s, vdni_surface_score *out,
                          const double spacing_mm[3])
{
    const int64_t *e = s->extent;
    int64_t count[2], longest = e[0];
    double sum = 0.0;

    for (int a = 1; a < 3; a++) longest = e[a] > longest ? e[a] : longest;
    VDN_CHECK(VDNI_NEW(ctx, s->surface, e[0] * e[1] * e[2]));
    mark_surfaces(s, count);
    VDN_CHECK(VDNI_NEW(ctx, s->square, e[0] * e[1] * e[2]));
    VDN_CHECK(VDNI_NEW(ctx, s->distance, count[0] > count[1] ? count[0] : count[1]));
    VDN_CHECK(VDNI_NEW(ctx, s->line, 2 * longest));
    VDN_CHECK(VDNI_NEW(ctx, s->site, longest));
    s->edge = s->line + longest;

    transform(s, spacing_mm, PREDICTION);
    const double forth = percentile_of(s, REFERENCE, &sum);
    transform(s, spacing_mm, REFERENCE);
    const double back = percentile_of(s, PREDICTION, &sum);
    out->hd95_mm = forth > back ? forth : back;
    out->mean_mm = sum / (double)(count[0] + count[1]);
    out->reference_voxels = count[0];
    out->prediction_voxels = count[1];
    return VDN_OK;
}

vdn_status vdni_surface_labels(vdn_ctx *ctx, vdni_surface_score *out, const uint16_t *reference,
                               const uint16_t *prediction, const int64_t size[3],
                               const double spacing_mm[3], uint16_t label)
{
    space s = { .mask = { reference, prediction }, .label = label, .size = size };
    for (int a = 0; a < 3; a++)
        if (size[a] < 1 || !(spacing_mm[a] > 0.0) || !isfinite(spacing_mm[a]))
            return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                             "axis %d has %lld voxels of %g mm; needed 1 or more, above 0", a,
                             (long long)size[a], spacing_mm[a]);
    if (!find_box(&s)) {
        *out = (vdni_surface_score){ .hd95_mm = NAN, .mean_mm = NAN };
        return VDN_OK;
    }
    const vdn_status status = measure(ctx, &s, out, spacing_mm);
    vdni_free(ctx, s.surface);
    vdni_free(ctx, s.square);
    vdni_free(ctx, s.distance);
    vdni_free(ctx, s.line);
    vdni_free(ctx, s.site);
    return status;
}

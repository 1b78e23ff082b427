#include "Eval/surface.h"

#include "test.h"

static vdn_ctx ctx;

enum { MAX_VOXELS = 4096 };

typedef struct {
    int64_t size[3];
    double spacing[3];
    uint16_t a[MAX_VOXELS], b[MAX_VOXELS];
} pair;

static int64_t index_of(const pair *p, const int64_t at[3])
{
    return (at[0] * p->size[1] + at[1]) * p->size[2] + at[2];
}

/* All surface voxels of label 7, by looking at the six neighbours. */
static int64_t surface_of(const pair *p, const uint16_t *mask, int64_t (*out)[3])
{
    int64_t n = 0, at[3];
    for (at[0] = 0; at[0] < p->size[0]; at[0]++)
        for (at[1] = 0; at[1] < p->size[1]; at[1]++)
            for (at[2] = 0; at[2] < p->size[2]; at[2]++) {
                int open = p->size[0] * p->size[1] * p->size[2] == 1;
                if (mask[index_of(p, at)] != 7) continue;
                for (int k = 0; k < 6; k++) {
                    int64_t to[3] = { at[0], at[1], at[2] };
                    to[k / 2] += k % 2 ? 1 : -1;
                    if (p->size[k / 2] == 1) continue;
                    const int inside = to[k / 2] >= 0 && to[k / 2] < p->size[k / 2];
                    open |= !inside || mask[index_of(p, to)] != 7;
                }
                if (open) memcpy(out[n++], at, sizeof at);
            }
    return n;
}

static int ascending(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* Every pair of surface voxels; sorted distances from the first surface to the second. */
static void directed(const pair *p, int64_t (*from)[3], int64_t n, int64_t (*to)[3], int64_t m,
                     double *out)
{
    for (int64_t i = 0; i < n; i++) {
        out[i] = INFINITY;
        for (int64_t j = 0; j < m; j++) {
            double square = 0;
            for (int k = 0; k < 3; k++)
                square += pow(p->spacing[k] * (double)(from[i][k] - to[j][k]), 2);
            out[i] = fmin(out[i], sqrt(square));
        }
    }
    qsort(out, (size_t)n, sizeof *out, ascending);
}

static double percentile95(const double *x, int64_t n)
{
    const double rank = 0.95 * (double)(n - 1);
    const int64_t k = (int64_t)rank;
    return k + 1 < n ? x[k] * ((double)k + 1 - rank) + x[k + 1] * (rank - (double)k) : x[k];
}

static void compare(const pair *p)
{
    static int64_t a[MAX_VOXELS][3], b[MAX_VOXELS][3];
    static double ab[MAX_VOXELS], ba[MAX_VOXELS];
    vdni_surface_score s = { 0, 0, 0, 0 };
    const int64_t n = surface_of(p, p->a, a), m = surface_of(p, p->b, b);
    EXPECT(vdni_surface_labels(&ctx, &s, p->a, p->b, p->size, p->spacing, 7) == VDN_OK);
    if (n == 0 || m == 0) {
        EXPECT(isnan(s.hd95_mm) && isnan(s.mean_mm));
        return;
    }
    double sum = 0;
    directed(p, a, n, b, m, ab);
    directed(p, b, m, a, n, ba);
    for (int64_t i = 0; i < n; i++) sum += ab[i];
    for (int64_t i = 0; i < m; i++) sum += ba[i];
    EXPECT(s.reference_voxels == n && s.prediction_voxels == m);
    /* squares are kept in float: half of 6e-8 each, some of them added */
    EXPECT_LE(fabs(s.hd95_mm - fmax(percentile95(ab, n), percentile95(ba, m))),
              3e-7 * (1 + s.hd95_mm));
    EXPECT_LE(fabs(s.mean_mm - sum / (double)(n + m)), 3e-7 * (1 + s.mean_mm));
}

/* A ball or, when radius is negative, salt; labels other than 7 elsewhere. */
static void draw(uint16_t *mask, const pair *p, const double centre[3], double radius,
                 uint64_t *seed)
{
    int64_t at[3];
    for (at[0] = 0; at[0] < p->size[0]; at[0]++)
        for (at[1] = 0; at[1] < p->size[1]; at[1]++)
            for (at[2] = 0; at[2] < p->size[2]; at[2]++) {
                double square = 0;
                for (int k = 0; k < 3; k++)
                    square += pow(((double)at[k] - centre[k]) * p->spacing[k], 2);
                const int inside = radius < 0 ? test_random(seed) > 0.9 : square <= radius * radius;
                mask[index_of(p, at)] = inside ? 7 : (uint16_t)(test_random_bits(seed) % 3);
            }
}

static void distances_are_those_of_all_pairs(void)
{
    static const struct {
        int64_t size[3];
        double spacing[3];
    } grid[] = { { { 1, 1, 1 }, { 1, 1, 1 } },        { { 1, 37, 23 }, { 9, 0.7, 1.3 } },
                 { { 13, 11, 17 }, { 4, 0.5, 0.5 } }, { { 7, 19, 5 }, { 0.3, 1, 2.5 } },
                 { { 16, 16, 16 }, { 1, 1, 1 } },     { { 40, 1, 1 }, { 2, 1, 1 } } };
    static pair p;
    uint64_t seed = 1;
    for (size_t g = 0; g < sizeof grid / sizeof grid[0]; g++) {
        memcpy(p.size, grid[g].size, sizeof p.size);
        memcpy(p.spacing, grid[g].spacing, sizeof p.spacing);
        for (int trial = 0; trial < 12; trial++) {
            double centre[2][3];
            for (int k = 0; k < 3; k++)
                for (int m = 0; m < 2; m++)
                    centre[m][k] = (0.5 + 0.3 * test_random(&seed)) * (double)(p.size[k] - 1);
            const double reach = p.spacing[2] * (double)p.size[2] / 3;
            draw(p.a, &p, centre[0], trial % 4 == 3 ? -1 : reach, &seed);
            draw(p.b, &p, centre[1], trial % 3 == 2 ? -1 : 0.8 * reach, &seed);
            compare(&p);
        }
    }
}

static void equal_masks_have_no_distance(void)
{
    static pair p = { { 9, 8, 7 }, { 2, 1, 0.5 }, { 0 }, { 0 } };
    const double centre[3] = { 4, 4, 3 };
    vdni_surface_score s = { -1, -1, 0, 0 };
    uint64_t seed = 2;
    draw(p.a, &p, centre, 3, &seed);
    memcpy(p.b, p.a, sizeof p.b);
    EXPECT(vdni_surface_labels(&ctx, &s, p.a, p.b, p.size, p.spacing, 7) == VDN_OK);
    EXPECT(s.hd95_mm == 0 && s.mean_mm == 0 && s.reference_voxels == s.prediction_voxels);
}

/* Two single voxels: the distance is known by hand. */
static void one_voxel_each_gives_their_distance(void)
{
    static pair p = { { 5, 6, 7 }, { 4, 0.5, 0.25 }, { 0 }, { 0 } };
    vdni_surface_score s = { 0, 0, 0, 0 };
    p.a[(1 * 6 + 2) * 7 + 3] = 7;
    p.b[(3 * 6 + 5) * 7 + 1] = 7;
    EXPECT(vdni_surface_labels(&ctx, &s, p.a, p.b, p.size, p.spacing, 7) == VDN_OK);
    const double d = sqrt(8 * 8 + 1.5 * 1.5 + 0.5 * 0.5);
    EXPECT_LE(fabs(s.hd95_mm - d), 1e-6);
    EXPECT_LE(fabs(s.mean_mm - d), 1e-6);
}

static void an_empty_mask_has_no_distance(void)
{
    static pair p = { { 2, 3, 4 }, { 1, 1, 1 }, { 0 }, { 0 } };
    compare(&p);
    p.a[5] = 7;
    compare(&p);
    p.a[5] = 0, p.b[5] = 7;
    compare(&p);
}

static void impossible_grids_are_refused(void)
{
    static const struct {
        int64_t size;
        double spacing;
    } bad[] = { { 0, 1 }, { -1, 1 }, { 2, 0 }, { 2, -1 }, { 2, NAN }, { 2, INFINITY } };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pair p = { { 2, bad[i].size, 2 }, { 1, bad[i].spacing, 1 }, { 7 }, { 7 } };
        vdni_surface_score s;
        vdni_clear_error(&ctx);
        EXPECT(vdni_surface_labels(&ctx, &s, p.a, p.b, p.size, p.spacing, 7) == VDN_ERR_ARGUMENT);
        EXPECT(strstr(ctx.error, "axis 1") != NULL);
    }
    vdni_clear_error(&ctx);
}

static void every_refused_allocation_is_survived(void)
{
    static pair p = { { 1, 2, 2 }, { 1, 1, 1 }, { 7 }, { 0, 7 } };
    for (int64_t refusals = 0;; refusals++) {
        vdni_surface_score s;
        vdni_ctx_init(&ctx);
        ctx.refuse_after = refusals;
        const vdn_status status = vdni_surface_labels(&ctx, &s, p.a, p.b, p.size, p.spacing, 7);
        EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
        EXPECT(ctx.now_bytes == 0);
        if (status == VDN_OK) {
            EXPECT(refusals == 5);
            break;
        }
    }
    vdni_ctx_init(&ctx);
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(distances_are_those_of_all_pairs);
    RUN(equal_masks_have_no_distance);
    RUN(one_voxel_each_gives_their_distance);
    RUN(an_empty_mask_has_no_distance);
    RUN(impossible_grids_are_refused);
    RUN(every_refused_allocation_is_survived);
    return test_result();
}

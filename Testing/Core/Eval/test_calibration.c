#include "Eval/calibration.h"

#include "test.h"

static vdn_ctx ctx;

/* ---- reliability ---- */

/* The definition once more, bin by bin: every bin looks at every pixel. */
static double slow_ece(const float *p, int32_t k, const uint8_t *y, const uint8_t *region, int n)
{
    double ece = 0.0;
    int all = 0;
    for (int i = 0; i < n; i++) all += y[i] != 255 && (!region || region[i]);
    for (int m = 1; m <= 15; m++) {
        double sure = 0.0, right = 0.0;
        for (int i = 0; i < n; i++) {
            double most = -1.0;
            int which = 0;
            for (int c = 0; c < (k == 1 ? 2 : k); c++) {
                const double pc =
                    k > 1 ? (double)p[i * k + c] : (c == 1 ? (double)p[i] : 1.0 - (double)p[i]);
                if (pc > most) most = pc, which = c;
            }
            if (y[i] == 255 || (region && !region[i])) continue;
            if (!(most * 15.0 > m - 1 && most * 15.0 <= m)) continue;
            sure += most;
            right += which == y[i];
        }
        ece += fabs(right - sure) / all;
    }
    return ece;
}

static void the_calibration_error_is_the_gap_in_each_bin(void)
{
    enum { COUNT = 3000 };
    static float p[COUNT * 5];
    static uint8_t y[COUNT], region[COUNT];
    for (int32_t k = 1; k <= 5; k++) {
        uint64_t seed = (uint64_t)k;
        vdn_calibration all = { .squares = 0.0 }, some = all;
        double squares = 0.0;
        int counted = 0;
        for (int i = 0; i < COUNT; i++) {
            double sum = 0.0;
            for (int c = 0; c < k; c++) sum += p[i * k + c] = (float)(1.0 + test_random(&seed));
            for (int c = 0; c < k; c++) p[i * k + c] /= k == 1 ? 2.0f : (float)sum;
            y[i] = test_random_bits(&seed) % 9 == 0
                       ? 255
                       : (uint8_t)(test_random_bits(&seed) % (uint64_t)(k == 1 ? 2 : k));
            region[i] = test_random_bits(&seed) % 3 != 0;
            for (int c = 0; y[i] != 255 && c < (k == 1 ? 2 : k); c++) {
                const double pc =
                    k > 1 ? (double)p[i * k + c] : (c ? (double)p[i] : 1.0 - (double)p[i]);
                squares += 0.5 * (pc - (y[i] == c)) * (pc - (y[i] == c));
            }
            counted += y[i] != 255;
        }
        vdni_calibration_add(&all, p, k, y, NULL, COUNT);
        vdni_calibration_add(&some, p, k, y, region, COUNT);
        EXPECT_LE(fabs(vdni_calibration_ece(&all) - slow_ece(p, k, y, NULL, COUNT)), 1e-12);
        EXPECT_LE(fabs(vdni_calibration_ece(&some) - slow_ece(p, k, y, region, COUNT)), 1e-12);
        EXPECT_LE(fabs(vdni_calibration_brier(&all) - squares / counted), 1e-12);
        EXPECT(vdni_calibration_ece(&all) > 0.01);
    }
}

/* 0.75 sure and three of four right: no error. Sure and always wrong: 1. Half and half of both. */
static void closed_forms_of_the_calibration_error(void)
{
    static const float mild[4] = { 0.75f, 0.75f, 0.75f, 0.75f }, bold[4] = { 1, 1, 1, 1 };
    static const uint8_t right[4] = { 1, 1, 0, 1 }, wrong[4] = { 0, 0, 0, 0 };
    vdn_calibration c = { .squares = 0.0 }, d = c;
    EXPECT(isnan(vdni_calibration_ece(&c)) && isnan(vdni_calibration_brier(&c)));
    vdni_calibration_add(&c, mild, 1, right, NULL, 4);
    EXPECT_LE(vdni_calibration_ece(&c), 1e-15);
    EXPECT_LE(fabs(vdni_calibration_brier(&c) - (3 * 0.0625 + 0.5625) / 4), 1e-15);
    vdni_calibration_add(&d, bold, 1, wrong, NULL, 4);
    EXPECT(vdni_calibration_ece(&d) == 1.0 && vdni_calibration_brier(&d) == 1.0);
    vdni_calibration_pool(&c, &d);
    EXPECT_LE(fabs(vdni_calibration_ece(&c) - 0.5), 1e-15);
    EXPECT(c.pixels[11] == 4 && c.pixels[14] == 4);
}

/* p = 1/2 is background with confidence 1/2; 2/5 exactly is the upper end of its bin. */
static void edges_of_bins_belong_to_the_lower_one(void)
{
    static const float half = 0.5f, three[3] = { 0.4f, 0.35f, 0.25f };
    static const uint8_t background = 0, first = 0;
    vdn_calibration c = { .squares = 0.0 }, d = c;
    vdni_calibration_add(&c, &half, 1, &background, NULL, 1);
    EXPECT(c.pixels[7] == 1 && c.correct[7] == 1.0 && c.confidence[7] == 0.5);
    vdni_calibration_add(&d, three, 3, &first, NULL, 1);
    EXPECT(d.pixels[6] == 1 || d.pixels[5] == 1); /* 0.4f is a little more than 2/5 */
    EXPECT(d.pixels[((double)0.4f * 15.0 > 6.0) + 5] == 1);
}

/* One number or two: the same. */
static void two_classes_are_the_same_as_one_number_or_two(void)
{
    float one[200], two[400];
    uint8_t y[200];
    uint64_t seed = 9;
    vdn_calibration a = { .squares = 0.0 }, b = a;
    for (int i = 0; i < 200; i++) {
        one[i] = (float)((double)(test_random_bits(&seed) % 1025) / 1024.0);
        if (one[i] == 0.5f) one[i] = 0.25f;
        two[2 * i] = 1.0f - one[i];
        two[2 * i + 1] = one[i];
        y[i] = test_random_bits(&seed) % 2;
    }
    vdni_calibration_add(&a, one, 1, y, NULL, 200);
    vdni_calibration_add(&b, two, 2, y, NULL, 200);
    EXPECT_LE(fabs(vdni_calibration_ece(&a) - vdni_calibration_ece(&b)), 1e-12);
    EXPECT_LE(fabs(vdni_calibration_brier(&a) - vdni_calibration_brier(&b)), 1e-12);
}

/* References drawn with the stated probability: the error is that of 10^6 draws. */
static void honest_probabilities_have_almost_no_error(void)
{
    enum { COUNT = 1000000 };
    static float p[COUNT];
    static uint8_t y[COUNT];
    uint64_t seed = 3;
    vdn_calibration c = { .squares = 0.0 };
    for (int i = 0; i < COUNT; i++) {
        p[i] = (float)(0.5 + 0.5 * test_random(&seed));
        y[i] = 0.5 + 0.5 * test_random(&seed) < (double)p[i];
    }
    vdni_calibration_add(&c, p, 1, y, NULL, COUNT);
    EXPECT_LE(vdni_calibration_ece(&c), 0.003);
    EXPECT_LE(fabs(vdni_calibration_brier(&c) - 1.0 / 6.0), 0.002); /* mean of p (1 - p) */
}

/* ---- band ---- */

static int in(const int64_t size[3], const int64_t at[3], int axis, int step)
{
    return at[axis] + step >= 0 && at[axis] + step < size[axis];
}

static void the_band_is_what_lies_near_a_boundary(void)
{
    static const int64_t sizes[][3] = { { 1, 1, 1 }, { 1, 13, 17 }, { 5, 7, 11 }, { 3, 1, 19 } };
    static const double reaches[][3] = { { 5, 5, 5 }, { 0.4, 5, 5 }, { 1.5, 2.5, 3 }, { 1, 1, 1 } };
    uint64_t seed = 5;
    for (int k = 0; k < 16; k++) {
        const int64_t *s = sizes[k % 4];
        const double *r = reaches[k / 4];
        const int64_t n = s[0] * s[1] * s[2];
        uint8_t y[400], edge[400] = { 0 }, found[400], wanted[400] = { 0 };
        int64_t count = 0;
        for (int64_t i = 0; i < n; i++) {
            const uint64_t draw = test_random_bits(&seed) % 40;
            y[i] = draw == 0 ? 255 : draw < 38 ? 0 : (uint8_t)(draw - 37);
        }
        for (int64_t i = 0; i < n; i++) {
            const int64_t at[3] = { i / (s[1] * s[2]), i / s[2] % s[1], i % s[2] };
            const int64_t stride[3] = { s[1] * s[2], s[2], 1 };
            for (int a = 0; a < 3; a++)
                for (int step = -1; step <= 1; step += 2)
                    if (in(s, at, a, step) && y[i] != 255 && y[i + step * stride[a]] != 255)
                        edge[i] |= y[i] != y[i + step * stride[a]];
        }
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) {
                const double d[3] = { (double)(i / (s[1] * s[2]) - j / (s[1] * s[2])) / r[0],
                                      (double)(i / s[2] % s[1] - j / s[2] % s[1]) / r[1],
                                      (double)(i % s[2] - j % s[2]) / r[2] };
                if (edge[j] && d[0] * d[0] + d[1] * d[1] + d[2] * d[2] <= 1.0 + 1e-9) wanted[i] = 1;
            }
        for (int64_t i = 0; i < n; i++) count += wanted[i];
        EXPECT(vdni_band(found, y, s, r) == count);
        EXPECT(memcmp(found, wanted, (size_t)n) == 0);
    }
}

static void a_straight_edge_has_a_band_of_six_on_each_side(void)
{
    static const int64_t size[3] = { 1, 1, 40 };
    static const double reach[3] = { 5, 5, 5 };
    uint8_t y[40] = { 0 }, band[40];
    for (int i = 20; i < 40; i++) y[i] = 1;
    EXPECT(vdni_band(band, y, size, reach) == 12);
    for (int i = 0; i < 40; i++) EXPECT(band[i] == (i >= 14 && i < 26));
}

static void the_mean_is_that_of_the_region_or_of_all(void)
{
    static const float values[4] = { 1, 2, 3, 6 };
    static const uint8_t some[4] = { 0, 1, 0, 1 }, none[4] = { 0, 0, 0, 0 };
    EXPECT(vdni_mean_in(values, some, 4) == 4.0);
    EXPECT(vdni_mean_in(values, none, 4) == 3.0);
}

/* ---- selection ---- */

static vdn_selection select_of(const double *score, const double *risk, int64_t n)
{
    vdn_selection s;
    memset(&s, 0xff, sizeof s);
    EXPECT(vdni_selection(&ctx, &s, score, risk, n) == VDN_OK);
    EXPECT(ctx.now_bytes == 0 && s.images == n);
    return s;
}

static void correlations_of_known_pairs(void)
{
    static const double x[5] = { 1, 2, 3, 4, 5 }, y[5] = { 2, 1, 4, 3, 5 };
    static const double cubes[5] = { 1, 8, 27, 64, 125 }, falling[5] = { -1, -8, -27, -64, -125 };
    static const double a[4] = { 1, 2, 2, 3 }, b[4] = { 1, 3, 2, 4 };
    static const double same[5] = { 0.3, 0.3, 0.3, 0.3, 0.3 };
    vdn_selection s = select_of(x, y, 5);
    EXPECT_LE(fabs(s.pearson - 0.8), 1e-14);
    EXPECT_LE(fabs(s.spearman - 0.8), 1e-14);
    s = select_of(x, cubes, 5);
    EXPECT_LE(fabs(s.spearman - 1.0), 1e-14);
    EXPECT_LE(fabs(s.pearson - 304.0 / sqrt(10.0 * 10390.0)), 1e-14); /* centred sums by hand */
    s = select_of(x, falling, 5);
    EXPECT_LE(fabs(s.spearman + 1.0), 1e-14);
    s = select_of(a, b, 4); /* ranks 1 2.5 2.5 4 and 1 3 2 4 */
    EXPECT_LE(fabs(s.spearman - 4.5 / sqrt(4.5 * 5.0)), 1e-14);
    s = select_of(x, same, 5);
    EXPECT(isnan(s.pearson) && isnan(s.spearman));
    s = select_of(x, y, 1);
    EXPECT(isnan(s.pearson) && s.aurc == 2.0 && s.risk[0] == 2.0 && s.risk[9] == 2.0);
}

/* Risks 0, 0.1 .. 0.9: the mean of the first n of rising ones is (n - 1) / 20. */
static void closed_forms_of_the_curve(void)
{
    double risk[10], up[10], down[10], flat[10];
    for (int i = 0; i < 10; i++) {
        risk[i] = i / 10.0;
        up[i] = 0.01 * i * i;
        down[i] = -i;
        flat[i] = 7.0;
    }
    const vdn_selection good = select_of(up, risk, 10), bad = select_of(down, risk, 10),
                        blind = select_of(flat, risk, 10);
    for (int n = 1; n <= 10; n++) {
        EXPECT_LE(fabs(good.risk[n - 1] - (n - 1) / 20.0), 1e-14);
        EXPECT_LE(fabs(bad.risk[n - 1] - (0.9 - (n - 1) / 20.0)), 1e-14);
        EXPECT_LE(fabs(blind.risk[n - 1] - 0.45), 1e-14);
    }
    EXPECT_LE(fabs(good.aurc - 0.225), 1e-14);
    EXPECT_LE(fabs(bad.aurc - 0.675), 1e-14);
    EXPECT_LE(fabs(blind.aurc - 0.45), 1e-14);
    EXPECT_LE(fabs(bad.best_aurc - 0.225), 1e-14);
}

/* Seven images: 10 % is the first one, 50 % the first four. */
static void coverage_is_rounded_up(void)
{
    static const double score[7] = { 1, 2, 3, 4, 5, 6, 7 }, risk[7] = { 1, 0, 0, 0, 0, 0, 6 };
    const vdn_selection s = select_of(score, risk, 7);
    EXPECT(s.risk[0] == 1.0 && s.risk[1] == 0.5 && s.risk[4] == 0.25 && s.risk[9] == 1.0);
}

/* With ties the curve is the mean over all orders of the tied images. */
static void the_order_of_equal_scores_does_not_matter(void)
{
    static const double score[6] = { 1, 2, 2, 2, 3, 3 }, risk[6] = { 0.5, 0.1, 0.9, 0.2, 0, 0.4 };
    static const int order[6] = { 3, 5, 2, 0, 4, 1 };
    double other_score[6], other_risk[6];
    for (int i = 0; i < 6; i++) {
        other_score[i] = score[order[i]];
        other_risk[i] = risk[order[i]];
    }
    const vdn_selection a = select_of(score, risk, 6), b = select_of(other_score, other_risk, 6);
    EXPECT_LE(fabs(a.aurc - b.aurc), 1e-15);
    for (int i = 0; i < 10; i++) EXPECT_LE(fabs(a.risk[i] - b.risk[i]), 1e-15);
    EXPECT_LE(fabs(a.risk[2] - (0.5 + 0.4) / 2),
              1e-15); /* the first and one of three of mean 0.4 */
}

static void what_is_no_number_is_refused(void)
{
    static const double x[2] = { 1, 2 }, y[2] = { 1, NAN };
    vdn_selection s;
    EXPECT(vdni_selection(&ctx, &s, x, y, 2) == VDN_ERR_NUMERIC && strstr(ctx.error, "image 1"));
    vdni_clear_error(&ctx);
    EXPECT(vdni_selection(&ctx, &s, x, x, 0) == VDN_ERR_ARGUMENT);
    vdni_clear_error(&ctx);
    for (int64_t refuse = 0; refuse < 2; refuse++) {
        ctx.refuse_after = ctx.allocations + refuse;
        EXPECT(vdni_selection(&ctx, &s, x, x, 2) == VDN_ERR_MEMORY && ctx.now_bytes == 0);
        vdni_clear_error(&ctx);
    }
    ctx.refuse_after = -1;
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(the_calibration_error_is_the_gap_in_each_bin);
    RUN(closed_forms_of_the_calibration_error);
    RUN(edges_of_bins_belong_to_the_lower_one);
    RUN(two_classes_are_the_same_as_one_number_or_two);
    RUN(honest_probabilities_have_almost_no_error);
    RUN(the_band_is_what_lies_near_a_boundary);
    RUN(a_straight_edge_has_a_band_of_six_on_each_side);
    RUN(the_mean_is_that_of_the_region_or_of_all);
    RUN(correlations_of_known_pairs);
    RUN(closed_forms_of_the_curve);
    RUN(coverage_is_rounded_up);
    RUN(the_order_of_equal_scores_does_not_matter);
    RUN(what_is_no_number_is_refused);
    return test_result();
}

/* Probability volumes, through the public interface. */
#include "vdn.h"

#include "test.h"

static vdn_ctx *ctx;

enum { D = 4, H = 20, W = 24, COUNT = D * H * W };
static const int64_t size[3] = { D, H, W };
static const double spacing[3] = { 4.0, 1.0, 0.5 };

static uint16_t reference[COUNT];
static float probability[COUNT], uncertainty[COUNT];

/* A block with soft sides that is one column too wide. */
static void draw(void)
{
    uint64_t seed = 2;
    for (int i = 0; i < COUNT; i++) {
        const int y = i / W % H, x = i % W;
        reference[i] = y >= 5 && y < 15 && x >= 8 && x < 16 ? 20 : 0;
        probability[i] = y >= 5 && y < 15 && x >= 8 && x < 17 ? 0.9f : 0.05f;
        uncertainty[i] = (float)(1.0 + test_random(&seed));
    }
}

static double entropy(double p) { return -p * log(p) - (1.0 - p) * log(1.0 - p); }

/* 5 voxels of 0.5 mm reach 2.5 mm: 5 columns, 2 rows (2.5), no slice. */
static int near_block(int i, int first, int last)
{
    for (int j = 0; j < H * W; j++) {
        const int y = j / W, x = j % W;
        const int in = y >= 5 && y < 15 && x >= first && x < last;
        int edge = 0;
        for (int a = 0; a < 4; a++) {
            const int u = y + (a == 0) - (a == 1), v = x + (a == 2) - (a == 3);
            if (u < 0 || v < 0 || u >= H || v >= W) continue;
            edge |= in != (u >= 5 && u < 15 && v >= first && v < last);
        }
        const double dy = (i / W % H - y) * 1.0, dx = (i % W - x) * 0.5;
        if (edge && dy * dy + dx * dx <= 6.25) return 1;
    }
    return 0;
}

static void a_volume_is_scored_as_its_definition_says(void)
{
    vdn_probability_score s;
    double all = 0.0, band = 0.0, unsure = 0.0, sum_entropy = 0.0;
    int64_t n = 0, near = 0;
    draw();
    for (int i = 0; i < COUNT; i++) {
        const double miss = (double)probability[i] - (reference[i] != 0);
        all += miss * miss;
        if (near_block(i, 8, 16)) {
            band += miss * miss;
            n++;
        }
        if (!near_block(i, 8, 17)) continue;
        unsure += (double)uncertainty[i];
        sum_entropy += entropy((double)probability[i]);
        near++;
    }
    EXPECT(vdn_score_probability(ctx, &s, reference, probability, uncertainty, size, spacing) ==
           VDN_OK);
    EXPECT_LE(fabs(vdn_calibration_brier(&s.all) - all / COUNT), 1e-9);
    EXPECT_LE(fabs(vdn_calibration_brier(&s.band) - band / (double)n), 1e-9);
    EXPECT_LE(fabs(s.uncertainty - unsure / (double)near), 1e-9);
    EXPECT_LE(fabs(s.dice - 2.0 * 80 / (80 + 90)), 1e-12);
    /* 90 sure of 0.9, 80 right; the rest sure of 0.95 and right */
    EXPECT_LE(
        fabs(vdn_calibration_ece(&s.all) - (90 * fabs(0.9 - 80.0 / 90.0) + 390 * 0.05) / 480.0),
        1e-6);
    EXPECT(vdn_score_probability(ctx, &s, reference, probability, NULL, size, spacing) == VDN_OK);
    EXPECT_LE(fabs(s.uncertainty - sum_entropy / (double)near), 1e-6);
}

static void bad_values_are_named(void)
{
    vdn_probability_score s;
    const double flat[3] = { 1.0, 0.0, 1.0 };
    draw();
    probability[7] = 1.5f;
    EXPECT(vdn_score_probability(ctx, &s, reference, probability, NULL, size, spacing) ==
           VDN_ERR_NUMERIC);
    EXPECT(strstr(vdn_ctx_error(ctx), "voxel 7 has probability 1.5") != NULL);
    probability[7] = NAN;
    EXPECT(vdn_score_probability(ctx, &s, reference, probability, NULL, size, spacing) ==
           VDN_ERR_NUMERIC);
    draw();
    uncertainty[9] = INFINITY;
    EXPECT(vdn_score_probability(ctx, &s, reference, probability, uncertainty, size, spacing) ==
           VDN_ERR_NUMERIC);
    EXPECT(vdn_score_probability(ctx, &s, reference, probability, NULL, size, flat) ==
           VDN_ERR_ARGUMENT);
    EXPECT(vdn_score_probability(ctx, &s, NULL, probability, NULL, size, spacing) ==
           VDN_ERR_ARGUMENT);
}

static void selections_and_pools_are_public(void)
{
    static const double x[3] = { 1, 2, 3 };
    vdn_selection s;
    vdn_probability_score a;
    vdn_calibration sum = { .squares = 0.0 };
    EXPECT(vdn_score_selection(ctx, &s, x, x, 3) == VDN_OK);
    EXPECT_LE(fabs(s.spearman - 1.0), 1e-14);
    draw();
    EXPECT(vdn_score_probability(ctx, &a, reference, probability, NULL, size, spacing) == VDN_OK);
    vdn_calibration_pool(&sum, &a.all);
    vdn_calibration_pool(&sum, &a.all);
    EXPECT_LE(fabs(vdn_calibration_ece(&sum) - vdn_calibration_ece(&a.all)), 1e-12);
}

int main(void)
{
    EXPECT(vdn_ctx_create(&ctx, NULL) == VDN_OK);
    RUN(a_volume_is_scored_as_its_definition_says);
    RUN(bad_values_are_named);
    RUN(selections_and_pools_are_public);
    vdn_ctx_free(ctx);
    return test_result();
}

#include "Eval/bootstrap.h"

#include "test.h"

static vdn_ctx ctx;

static vdni_interval interval_of(const double *difference, const int64_t *subject, int64_t count,
                                 int64_t subjects)
{
    vdni_interval out = { -1, -1, -1, -1 };
    EXPECT(vdni_bootstrap(&ctx, &out, difference, subject, count, subjects) == VDN_OK);
    EXPECT(ctx.now_bytes == 0 && out.subjects == subjects);
    return out;
}

/* Two subjects, 0 and 1: a quarter of the draws is 0, a quarter 1. */
static void small_cases_are_those_of_all_draws(void)
{
    static const double two[2] = { 0, 1 }, one[2] = { 2, 4 }, same[4] = { 0.25, 0.25, 0.25, 0.25 };
    static const int64_t own[4] = { 0, 1, 2, 3 }, both[2] = { 0, 0 };
    vdni_interval i = interval_of(two, own, 2, 2);
    EXPECT(i.mean == 0.5 && i.low == 0.0 && i.high == 1.0);
    i = interval_of(same, own, 4, 4);
    EXPECT(i.mean == 0.25 && i.low == 0.25 && i.high == 0.25);
    i = interval_of(one, both, 2, 1);
    EXPECT(i.mean == 3.0 && isnan(i.low) && isnan(i.high));
}

/* Five subjects: all 3125 draws, each equally likely, give the exact distribution function. */
static void draws_follow_the_exact_distribution(void)
{
    static const double value[5] = { 0.0, 0.01, 0.04, 0.09, 0.16 };
    static const int64_t own[5] = { 0, 1, 2, 3, 4 };
    const vdni_interval i = interval_of(value, own, 5, 5);
    int below_low = 0, above_high = 0;
    for (int k = 0; k < 3125; k++) {
        double sum = 0.0;
        for (int j = 0, rest = k; j < 5; j++, rest /= 5) sum += value[rest % 5];
        below_low += sum / 5.0 < i.low - 1e-12;
        above_high += sum / 5.0 > i.high + 1e-12;
    }
    EXPECT_LE(fabs(i.mean - 0.06), 1e-15);
    EXPECT_LE(fabs(below_low / 3125.0 - 0.025), 0.015);
    EXPECT_LE(fabs(above_high / 3125.0 - 0.025), 0.015);
}

/* Independent normal-like differences: the interval of the textbook, 1.96 standard errors. */
static void the_width_is_that_of_the_mean(void)
{
    enum { COUNT = 200 };
    double x[COUNT], mean = 0.0, square = 0.0;
    int64_t own[COUNT];
    uint64_t seed = 8;
    for (int i = 0; i < COUNT; i++) {
        x[i] = test_random(&seed) + test_random(&seed) + test_random(&seed);
        own[i] = i;
        mean += x[i] / COUNT;
    }
    for (int i = 0; i < COUNT; i++) square += (x[i] - mean) * (x[i] - mean);
    const double error = sqrt(square / (COUNT - 1) / COUNT);
    const vdni_interval i = interval_of(x, own, COUNT, COUNT);
    EXPECT_LE(fabs(i.high - mean - 1.96 * error), 0.15 * error);
    EXPECT_LE(fabs(mean - i.low - 1.96 * error), 0.15 * error);
}

/* Ten slices that say the same are one witness, not ten. */
static void repeated_slices_of_a_subject_prove_nothing(void)
{
    double once[12], often[120];
    int64_t own[12], owner[120];
    uint64_t seed = 4;
    for (int i = 0; i < 12; i++) {
        once[i] = test_random(&seed);
        own[i] = i;
        for (int k = 0; k < 10; k++) {
            often[10 * i + k] = once[i];
            owner[10 * i + k] = i;
        }
    }
    const vdni_interval a = interval_of(once, own, 12, 12), b = interval_of(often, owner, 120, 12);
    EXPECT_LE(fabs(a.low - b.low), 1e-12);
    EXPECT_LE(fabs(a.high - b.high), 1e-12);
    const vdni_interval again = interval_of(once, own, 12, 12);
    EXPECT(memcmp(&a, &again, sizeof a) == 0);
}

/* Subjects count by their images: the mean is over images. */
static void the_mean_is_over_images(void)
{
    static const double x[4] = { 1, 1, 1, 5 };
    static const int64_t owner[4] = { 0, 0, 0, 1 };
    const vdni_interval i = interval_of(x, owner, 4, 2);
    EXPECT(i.mean == 2.0 && i.low == 1.0 && i.high == 5.0);
}

static void what_makes_no_sense_is_refused(void)
{
    static const double x[2] = { 0, NAN };
    static const int64_t own[2] = { 0, 1 }, far_off[2] = { 0, 2 }, both[2] = { 0, 0 };
    vdni_interval i;
    EXPECT(vdni_bootstrap(&ctx, &i, x, own, 0, 0) == VDN_ERR_ARGUMENT);
    vdni_clear_error(&ctx);
    EXPECT(vdni_bootstrap(&ctx, &i, x, own, 2, 2) == VDN_ERR_ARGUMENT);
    EXPECT(strstr(ctx.error, "image 1") != NULL);
    vdni_clear_error(&ctx);
    EXPECT(vdni_bootstrap(&ctx, &i, x, far_off, 2, 2) == VDN_ERR_ARGUMENT);
    vdni_clear_error(&ctx);
    EXPECT(vdni_bootstrap(&ctx, &i, (const double[]){ 1, 2 }, both, 2, 2) == VDN_ERR_ARGUMENT);
    EXPECT(strstr(ctx.error, "subject 1 has no image") != NULL);
    vdni_clear_error(&ctx);
    for (int64_t refuse = 0; refuse < 3; refuse++) {
        ctx.refuse_after = ctx.allocations + refuse;
        EXPECT(vdni_bootstrap(&ctx, &i, x, own, 1, 1) == VDN_ERR_MEMORY && ctx.now_bytes == 0);
        vdni_clear_error(&ctx);
    }
    ctx.refuse_after = -1;
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(small_cases_are_those_of_all_draws);
    RUN(draws_follow_the_exact_distribution);
    RUN(the_width_is_that_of_the_mean);
    RUN(repeated_slices_of_a_subject_prove_nothing);
    RUN(the_mean_is_over_images);
    RUN(what_makes_no_sense_is_refused);
    return test_result();
}

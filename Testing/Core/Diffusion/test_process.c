#include "Diffusion/process.h"
#include "test.h"

static vdn_ctx ctx;
static vdni_schedule *linear, *cosine;

static double combine(const float row[4], double x0, double x, double f, double noise)
{
    return row[0] * x0 + row[1] * x + row[2] * f + row[3] * noise;
}

/* One pixel, t = 500 of the linear schedule; figures computed with another program. Coefficients are
 * rounded to float: 1e-7 of the largest term, 2 for Algorithm 2. */
static void one_update_gives_the_golden_numbers(void)
{
    const double x0 = 0.8, x = 0.3, f = -0.2, e = 0.228841829;
    float row[4];
    vdni_process_ddpm(row, linear, 500);
    EXPECT_LE(fabs(combine(row, x0, x, f, 0) - 0.300123406), 1e-7);
    vdni_process_ddim(row, linear, 500, 250, 0);
    EXPECT_LE(fabs(combine(row, x0, x, f, 0) - 0.681807529), 1e-7);
    EXPECT(row[3] == 0);
    vdni_process_literal(row, linear, 500);
    EXPECT_LE(fabs(combine(row, e, x, f, 0) - 0.299111778), 1e-7);
    EXPECT_LE(fabs(row[3] * (double)row[3] - 1.0031355415e-02), 1e-8);
    vdni_process_noise(row, linear, 500);
    EXPECT_LE(fabs(combine(row, x0, 99, f, e) - x), 1e-7); /* e is the noise that leads to x */
    vdni_process_start(row, linear, 500);
    EXPECT_LE(fabs(combine(row, 99, 99, f, 1) - (f + sqrt(1 - 7.8587242882e-02))), 1e-7);
}

static void ddim_with_the_true_mask_ends_at_it(void)
{
    const int64_t steps[] = { 1, 4, 10, 50, 333 };
    const double x0 = 0.3, f = -0.11;
    for (int which = 0; which < 2; which++) {
        const vdni_schedule *s = which ? cosine : linear;
        for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
            int64_t grid[400];
            double x = 1.7;
            float row[4];
            EXPECT(vdni_process_grid(&ctx, grid, s, steps[k], 500) == VDN_OK);
            for (int64_t i = steps[k]; i > 0; i--) {
                vdni_process_ddim(row, s, grid[i], grid[i - 1], 0);
                x = combine(row, x0, x, f, 0);
            }
            EXPECT_LE(fabs(x - x0), 0); /* the last row is exactly (1, 0, 0, 0) */
            EXPECT(row[0] == 1 && row[1] == 0 && row[2] == 0 && row[3] == 0);
        }
    }
}

/* With the true x0, each step maps the law q(x_t | x0, f) to q(x_s | x0, f): mean and variance. */
static void ddim_reproduces_the_marginals_for_every_eta(void)
{
    const double x0 = 0.8, f = -0.2;
    for (int64_t t = 2; t <= 1000; t += 7) {
        for (int64_t s = t - 1; s >= 1; s -= 41) {
            for (double eta = 0; eta <= 1; eta += 0.25) {
                float row[4], to[4], from[4];
                vdni_process_ddim(row, linear, t, s, eta);
                vdni_process_noise(from, linear, t);
                vdni_process_noise(to, linear, s);
                const double mean = combine(row, x0, combine(from, x0, 0, f, 0), f, 0);
                EXPECT_LE(fabs(mean - combine(to, x0, 0, f, 0)), 5e-7);
                const double variance =
                    row[1] * row[1] * (1 - linear->abar[t]) + (double)row[3] * row[3];
                EXPECT_LE(fabs(variance - (1 - linear->abar[s])), 5e-7);
            }
        }
    }
}

static void ddim_with_eta_one_and_single_steps_is_ddpm(void)
{
    for (int which = 0; which < 2; which++) {
        const vdni_schedule *s = which ? cosine : linear;
        for (int64_t t = 1; t <= 1000; t++) {
            float a[4], b[4];
            vdni_process_ddim(a, s, t, t - 1, 1);
            vdni_process_ddpm(b, s, t);
            for (int k = 0; k < 4; k++) EXPECT_LE(fabs((double)a[k] - b[k]), 2e-7);
        }
    }
}

/* DDPM of Ho et al. on y = x - f with residual r = x0 - f, noise and all, and f added at the end. */
static void the_shifted_sampler_is_ddpm_on_the_residual(void)
{
    const double x0 = 0.8, f = -0.2;
    uint64_t seed = 1;
    double x = f + 0.9, y = 0.9;
    for (int64_t t = 1000; t >= 1; t--) {
        const double noise = test_random(&seed);
        float row[4];
        vdni_process_ddpm(row, linear, t);
        x = combine(row, x0, x, f, noise);

        const double at = linear->abar[t], before = linear->abar[t - 1], alpha = linear->alpha[t];
        const double mean = sqrt(before) * (1 - alpha) / (1 - at) * (x0 - f) +
                            sqrt(alpha) * (1 - before) / (1 - at) * y;
        y = mean + sqrt((1 - alpha) * (1 - before) / (1 - at)) * noise;
        EXPECT_LE(fabs(x - (y + f)), 2e-5); /* 1000 steps of float coefficients */
    }
    EXPECT_LE(fabs(x - x0), 1e-12);
}

static void the_weights_of_every_exact_step_sum_to_one(void)
{
    for (int64_t t = 1; t <= 1000; t++) {
        float row[4];
        vdni_process_ddpm(row, linear, t);
        EXPECT_LE(fabs((double)row[0] + row[1] + row[2] - 1), 2e-7);
        vdni_process_ddim(row, cosine, t, t / 2, 0.5);
        EXPECT_LE(fabs((double)row[0] + row[1] + row[2] - 1), 2e-7);
        vdni_process_noise(row, cosine, t);
        EXPECT_LE(fabs((double)row[0] + row[1] + row[2] - 1), 2e-7);
    }
}

static void the_snr_weight_is_clipped(void)
{
    const double s500 = 0.09 * 7.8587242882e-02 / (1 - 7.8587242882e-02);
    EXPECT_LE(fabs(vdni_process_snr_weight(linear, 500, 0.3, 5) - s500), 1e-8);
    EXPECT(vdni_process_snr_weight(linear, 1, 0.3, 5) == 5.0f);
    EXPECT_LE(fabs(vdni_process_snr_weight(linear, 1, 1, INFINITY) - 9999), 1e-3);
}

static void the_grid_is_rounded_and_ends_at_the_start(void)
{
    int64_t grid[11];
    static const int64_t expected[11] = { 0, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500 };
    EXPECT(vdni_process_grid(&ctx, grid, linear, 10, 500) == VDN_OK);
    EXPECT(memcmp(grid, expected, sizeof grid) == 0);
    EXPECT(vdni_process_grid(&ctx, grid, linear, 3, 10) == VDN_OK);
    EXPECT(grid[1] == 3 && grid[2] == 7 && grid[3] == 10);
    EXPECT(vdni_process_grid(&ctx, grid, linear, 4, 10) == VDN_OK);
    EXPECT(grid[1] == 3 && grid[2] == 5 && grid[3] == 8); /* halves go up */
    static const int64_t bad[][2] = { { 0, 10 }, { 11, 10 }, { 1, 1001 }, { -1, 5 }, { 1, 0 } };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        vdni_clear_error(&ctx);
        EXPECT(vdni_process_grid(&ctx, grid, linear, bad[i][0], bad[i][1]) == VDN_ERR_ARGUMENT);
    }
}

int main(void)
{
    vdni_ctx_init(&ctx);
    EXPECT(vdni_schedule_create(&ctx, &linear, VDNI_SCHEDULE_LINEAR, 1000) == VDN_OK);
    EXPECT(vdni_schedule_create(&ctx, &cosine, VDNI_SCHEDULE_COSINE, 1000) == VDN_OK);
    if (!linear || !cosine) return 1;
    RUN(one_update_gives_the_golden_numbers);
    RUN(ddim_with_the_true_mask_ends_at_it);
    RUN(ddim_reproduces_the_marginals_for_every_eta);
    RUN(ddim_with_eta_one_and_single_steps_is_ddpm);
    RUN(the_shifted_sampler_is_ddpm_on_the_residual);
    RUN(the_weights_of_every_exact_step_sum_to_one);
    RUN(the_snr_weight_is_clipped);
    RUN(the_grid_is_rounded_and_ends_at_the_start);
    vdni_schedule_free(&ctx, linear);
    vdni_schedule_free(&ctx, cosine);
    return test_result();
}

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

/* model.md 1.5: x over sqrt(rho^2 + 1 - abar); a mask of +-rho alone at t = 1, noise alone at t = T. */
static void the_input_is_scaled_to_one_size(void)
{
    static const double rho[3] = { 0.3, 1.0, 0.05 };
    for (int i = 0; i < 3; i++)
        for (int64_t t = 1; t <= 1000; t += 37) {
            float row[4];
            vdni_process_input(row, linear, t, rho[i]);
            EXPECT_LE(fabs(row[0] * sqrt(rho[i] * rho[i] + 1 - linear->abar[t]) - 1), 1e-6);
            EXPECT(row[1] == 0.0f && row[2] == 0.0f && row[3] == 0.0f);
        }
    float first[4], last[4];
    vdni_process_input(first, linear, 1, 0.3);
    vdni_process_input(last, linear, 1000, 0.3);
    EXPECT_LE(fabs(first[0] * 0.3 - 1), 1e-3);
    EXPECT_LE(fabs(last[0] * sqrt(1.09) - 1), 1e-4);
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

/* The noise that made x leads back to the mask, shifted and not. */
static void decoding_undoes_noising(void)
{
    const double x0 = 0.3, f = -0.11, e = 0.7;
    for (int64_t t = 1; t <= 1000; t += 37)
        for (int shifted = 0; shifted < 2; shifted++) {
            float there[4], back[4];
            vdni_process_noise(there, linear, t);
            vdni_process_decode(back, linear, t);
            if (!shifted) vdni_process_unshift(there);
            if (!shifted) vdni_process_unshift(back);
            const double x = combine(there, x0, 99, f, e);
            EXPECT_LE(fabs(combine(back, e, x, f, 99) - x0), 1e-6 / sqrt(linear->abar[t]));
            EXPECT(shifted || (there[VDNI_TERM_F] == 0 && back[VDNI_TERM_F] == 0));
        }
}

/* Without the shift a step is that of f = 0, and the start is the prior noised as a mask. */
static void without_the_shift_the_prior_drops_out(void)
{
    for (int64_t t = 2; t <= 1000; t += 101) {
        float shifted[4], plain[4];
        vdni_process_ddim(shifted, linear, t, t / 2, 0.5);
        vdni_process_ddim(plain, linear, t, t / 2, 0.5);
        vdni_process_unshift(plain);
        EXPECT(combine(plain, 0.3, 0.7, 5, 0.2) == combine(shifted, 0.3, 0.7, 0, 0.2));
        vdni_process_start_unshifted(plain, linear, t);
        vdni_process_noise(shifted, linear, t);
        EXPECT(plain[VDNI_TERM_F] == shifted[VDNI_TERM_X0] && plain[VDNI_TERM_X0] == 0);
        EXPECT(plain[VDNI_TERM_NOISE] == shifted[VDNI_TERM_NOISE]);
    }
}

/* v = -1 is the posterior's deviation, v = 1 the forward process's; the last step has none. */
static void the_learned_variance_lies_between_its_ends(void)
{
    for (int64_t t = 2; t <= 1000; t += 41) {
        float row[4];
        vdni_process_sigma(row, linear, t, t - 1);
        EXPECT_LE(fabs(exp(row[1] - row[0]) / linear->sigma[t] - 1), 1e-6);
        EXPECT_LE(fabs(exp(row[1] + row[0]) / sqrt(1 - linear->alpha[t]) - 1), 1e-6);
        vdni_process_ddim(row, linear, t, t / 2, 1);
        const double posterior = row[VDNI_TERM_NOISE];
        vdni_process_sigma(row, linear, t, t / 2);
        if (t / 2 > 0) EXPECT_LE(fabs(exp(row[1] - row[0]) / posterior - 1), 1e-6);
        vdni_process_sigma(row, linear, t, 0);
        EXPECT(exp(row[1]) == 0 && row[0] == 0);
    }
}

/* A chain of flips has the process's marginals: E x_s = abar_s x0 + (1 - abar_s) f. */
static void flips_keep_the_marginals(void)
{
    const double x0 = 1, f = 0.3;
    for (int64_t t = 2; t <= 1000; t += 31)
        for (int64_t s = 0; s < t; s += 13) {
            float from[4], to[4], step[4];
            vdni_process_flip_noise(from, linear, t);
            vdni_process_flip_step(step, linear, t, s);
            const double p = combine(from, x0, 99, f, 99);
            vdni_process_flip_noise(to, linear, s > 0 ? s : 1);
            const double wanted = s > 0 ? combine(to, x0, 99, f, 99) : x0;
            EXPECT_LE(fabs(combine(step, x0, p, 99, 99) - wanted), 1e-6);
            EXPECT(step[0] >= 0 && step[1] >= 0 && fabs(step[0] + step[1] - 1.0) < 1e-6);
        }
}

static void the_weights_of_the_noise_losses_follow_the_time(void)
{
    const double rho = 0.3;
    for (int64_t t = 1; t <= 1000; t += 27) {
        const double a = linear->abar[t], snr = rho * rho * a / (1 - a);
        const double x0 = 0.3, e = 0.4, z = 0.55;
        float w[8], row[4], back[4];
        vdni_process_epsilon_weights(w, linear, t, rho, 5.0);
        EXPECT_LE(fabs(w[0] - fmin(1, 5 / snr)), 1e-6);
        /* a wrong estimate moves the mask it means, and the mean of the step, by what w says */
        vdni_process_noise(row, linear, t);
        vdni_process_decode(back, linear, t);
        const double x = combine(row, x0, 99, 0, e), found = combine(back, z, x, 0, 99);
        const double gain = 1e-5 / sqrt(a);
        EXPECT_LE(fabs((found - x0) / (2 * rho) - w[2] * (e - z)), gain);
        EXPECT_LE(fabs(linear->gamma0[t] * (found - x0) - w[6] * (e - z)), gain);
        EXPECT_LE(fabs(w[3] - a), 1e-6);
        EXPECT_LE(fabs(exp(w[4]) / (1 - linear->alpha[t]) - 1), 1e-5);
        const double sigma = linear->sigma[t > 1 ? t : 2];
        EXPECT_LE(fabs(exp(w[5]) / (sigma * sigma) - 1), 1e-5);
        EXPECT(w[7] == (t == 1));
        vdni_process_epsilon_weights(w, linear, t, rho, INFINITY);
        EXPECT(w[0] == 1);
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
    RUN(the_input_is_scaled_to_one_size);
    RUN(the_snr_weight_is_clipped);
    RUN(the_grid_is_rounded_and_ends_at_the_start);
    RUN(decoding_undoes_noising);
    RUN(without_the_shift_the_prior_drops_out);
    RUN(the_learned_variance_lies_between_its_ends);
    RUN(flips_keep_the_marginals);
    RUN(the_weights_of_the_noise_losses_follow_the_time);
    vdni_schedule_free(&ctx, linear);
    vdni_schedule_free(&ctx, cosine);
    return test_result();
}

#include "Diffusion/process.h"

#include <math.h>

/* Signal left at both ends of a step. */
typedef struct {
    double from, to;
} schedule_step;

static void set(float row[VDNI_TERMS], double x0, double x, double f, double noise)
{
    row[VDNI_TERM_X0] = (float)x0;
    row[VDNI_TERM_X] = (float)x;
    row[VDNI_TERM_F] = (float)f;
    row[VDNI_TERM_NOISE] = (float)noise;
}

void vdni_process_noise(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t)
{
    const double signal = sqrt(schedule->abar[t]);
    set(row, signal, 0.0, 1.0 - signal, sqrt(1.0 - schedule->abar[t]));
}

void vdni_process_start(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t)
{
    set(row, 0.0, 0.0, 1.0, sqrt(1.0 - schedule->abar[t]));
}

void vdni_process_ddpm(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t)
{
    set(row, schedule->gamma0[t], schedule->gamma1[t], schedule->gamma2[t], schedule->sigma[t]);
}

void vdni_process_ddim(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t, int64_t s,
                       double eta)
{
    const double at = schedule->abar[t], as = schedule->abar[s];
    const double sigma = eta * sqrt((1.0 - as) / (1.0 - at)) * sqrt(1.0 - at / as);
    const double rest = fmax(0.0, 1.0 - as - sigma * sigma); /* rounding may end below 0 */
    const double e = sqrt(rest) / sqrt(1.0 - at);
    set(row, sqrt(as) - e * sqrt(at), e, (1.0 - sqrt(as)) - e * (1.0 - sqrt(at)), sigma);
}

void vdni_process_literal(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t)
{
    const double root = sqrt(schedule->alpha[t]);
    set(row, -(1.0 - schedule->alpha[t]) / sqrt(1.0 - schedule->abar[t]) / root, 1.0 / root, 0.0,
        schedule->sigma[t]);
}

void vdni_process_decode(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t)
{
    const double root = sqrt(schedule->abar[t]);
    set(row, -sqrt(1.0 - schedule->abar[t]) / root, 1.0 / root, 1.0 - 1.0 / root, 0.0);
}

void vdni_process_input(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t, double rho)
{
    set(row, 1.0 / sqrt(rho * rho + 1.0 - schedule->abar[t]), 0.0, 0.0, 0.0);
}

void vdni_process_unshift(float row[VDNI_TERMS]) { row[VDNI_TERM_F] = 0.0f; }

void vdni_process_start_unshifted(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t)
{
    set(row, 0.0, 0.0, sqrt(schedule->abar[t]), sqrt(1.0 - schedule->abar[t]));
}

/* Logarithms of both ends of a step's variance. */
static void variance_ends(double *high, double *low, const schedule_step *step)
{
    const double beta = 1.0 - step->from / step->to;
    *high = log(beta);
    *low = log(beta * (1.0 - step->to) / (1.0 - step->from));
}

void vdni_process_sigma(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t, int64_t s)
{
    const schedule_step step = { schedule->abar[t], schedule->abar[s] };
    double high = 0.0, low = 0.0;
    set(row, 0.0, -1e4, 0.0, 0.0);
    if (s == 0) return;
    variance_ends(&high, &low, &step);
    set(row, 0.25 * (high - low), 0.25 * (high + low), 0.0, 0.0);
}

void vdni_process_flip_noise(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t)
{
    set(row, schedule->abar[t], 0.0, 1.0 - schedule->abar[t], 0.0);
}

void vdni_process_flip_step(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t,
                            int64_t s)
{
    const double at = schedule->abar[t], as = schedule->abar[s];
    const double kappa = (1.0 - as) / (1.0 - at);
    set(row, as - kappa * at, kappa, 0.0, 0.0);
}

void vdni_process_epsilon_weights(float weights[8], const vdni_schedule *schedule, int64_t t,
                                  double rho, double clip)
{
    const double a = schedule->abar[t], snr = rho * rho * a / (1.0 - a), gain = sqrt((1.0 - a) / a);
    const int64_t at = t > 1 ? t : 2; /* the posterior of t = 1 is a point */
    const schedule_step step = { schedule->abar[at], schedule->abar[at - 1] };
    double high = 0.0, low = 0.0;
    variance_ends(&high, &low, &step);
    const double values[8] = { fmin(snr, clip) / snr,
                               1.0,
                               gain / (2.0 * rho),
                               a,
                               log(1.0 - schedule->alpha[t]),
                               low,
                               schedule->gamma0[t] * gain,
                               t == 1 };
    for (int i = 0; i < 8; i++) weights[i] = (float)values[i];
}

float vdni_process_snr_weight(const vdni_schedule *schedule, int64_t t, double rho, double clip)
{
    const double snr = rho * rho * schedule->abar[t] / (1.0 - schedule->abar[t]);
    return (float)fmin(snr, clip);
}

vdn_status vdni_process_grid(vdn_ctx *ctx, int64_t *grid, const vdni_schedule *schedule, int64_t S,
                             int64_t t0)
{
    if (S < 1 || t0 < S || t0 > schedule->T)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "%lld sampler steps from t = %lld of %lld; needed 1 <= steps <= t <= %lld",
                         (long long)S, (long long)t0, (long long)schedule->T,
                         (long long)schedule->T);
    for (int64_t i = 0; i <= S; i++) grid[i] = (2 * i * t0 + S) / (2 * S);
    return VDN_OK;
}

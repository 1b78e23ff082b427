#include "Diffusion/prior.h"

#include "Base/parallel.h"

#include <math.h>

enum { SOME_PIXELS = 4096 };

typedef struct {
    const vdni_prior_planes *out;
    const vdni_config *config;
    const float *p;
    float *logits;
    int64_t pixels;
    int32_t k;
} prior_task;

static int64_t task_count(int64_t pixels) { return (pixels + SOME_PIXELS - 1) / SOME_PIXELS; }

static int64_t task_end(const prior_task *t, int64_t index)
{
    const int64_t end = (index + 1) * SOME_PIXELS;
    return end < t->pixels ? end : t->pixels;
}

/* 1 for the likelier side or class (the first of equal ones), 0 otherwise. */
static void harden(float *out, const float *p, int32_t k)
{
    int32_t top = 0;
    for (int32_t c = 1; c < k; c++)
        if (p[c] > p[top]) top = c;
    for (int32_t c = 0; c < k; c++) out[c] = k == 1 ? p[0] > 0.5f : c == top;
}

/* A sum of weights that should be 1 may make a probability pass 0 or 1 by a unit of rounding, where
 * its logarithm is not a number. */
static double within(double p) { return p < 0.0 ? 0.0 : p > 1.0 ? 1.0 : p; }

static float clipped(double value)
{
    return (float)(value < -4.0 ? -4.0 : value > 4.0 ? 4.0 : value);
}

static void prior_some(void *user, int64_t index)
{
    const prior_task *t = user;
    const int32_t k = t->config->mask_channels;
    const double rho = t->config->signal_scale;
    const int zero_one = vdni_codes_zero_one(t->config);
    float hard[VDN_MAX_CLASSES];
    for (int64_t i = index * SOME_PIXELS; i < task_end(t, index); i++) {
        const float *p = t->p + i * k;
        if (t->config->prior_hard) {
            harden(hard, p, k);
            p = hard;
        }
        for (int32_t c = 0; c < k; c++) {
            const double q = within(p[c]);
            t->out->code[i * k + c] = zero_one ? p[c] : (float)(rho * (2.0 * q - 1.0));
            t->out->skip[i * k + c] = clipped(k == 1 ? log(q) - log1p(-q) : log(q));
        }
        t->out->foreground[i] = k == 1 ? p[0] : 1.0f - p[0];
    }
}

void vdni_prior_inputs(const vdni_prior_planes *out, const float *p, int64_t pixels,
                       const vdni_config *config, int32_t threads)
{
    prior_task t = { .out = out, .config = config, .p = p, .pixels = pixels };
    vdni_parallel_for(threads, task_count(pixels), prior_some, &t);
}

static void probabilities_some(void *user, int64_t index)
{
    const prior_task *t = user;
    const int32_t k = t->k;
    for (int64_t i = index * SOME_PIXELS; i < task_end(t, index); i++) {
        float *s = t->logits + i * k;
        double sum = 0.0, top = s[0];
        if (k == 1) {
            s[0] = (float)(1.0 / (1.0 + exp(-(double)s[0])));
            continue;
        }
        for (int32_t c = 1; c < k; c++)
            if (s[c] > top) top = s[c];
        for (int32_t c = 0; c < k; c++) sum += exp(s[c] - top);
        for (int32_t c = 0; c < k; c++) s[c] = (float)(exp(s[c] - top) / sum);
    }
}

void vdni_logits_to_probabilities(float *p, int64_t pixels, int32_t k, int32_t threads)
{
    prior_task t = { .logits = p, .pixels = pixels, .k = k };
    vdni_parallel_for(threads, task_count(pixels), probabilities_some, &t);
}

void vdni_codes_to_probabilities(float *p, int64_t pixels, const vdni_config *config)
{
    const int32_t k = config->mask_channels;
    const float rho = (float)config->signal_scale;
    for (int64_t i = 0; i < pixels; i++, p += k) {
        float sum = 0.0f;
        for (int32_t c = 0; c < k; c++) {
            const float x = vdni_codes_zero_one(config) ? p[c] : 0.5f * (p[c] / rho + 1.0f);
            p[c] = x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x;
            sum += p[c];
        }
        for (int32_t c = 0; k > 1 && c < k; c++) p[c] = sum > 0.0f ? p[c] / sum : 1.0f / (float)k;
    }
}

/* Time of one denoising step and of one training step (condition and refiner, forward and backward,
 * Adam), batch 1; one JSON line that stands beside peer_pytorch.py's.
 *
 *     bench_network [--config small] [--size 320x320] [--mode step|train] [--dtype f32|bf16]
 *                   [--repeats 9] [--threads 2] [--profile 1] */
#define _GNU_SOURCE
#include "Base/clock.h"
#include "Base/memory.h"
#include "Diffusion/sampler.h"
#include "Net/model.h"
#include "Ops/optimizer.h"
#include "Train/network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* A sampler run also draws its start: spread over the steps as in real use. */
enum { STEPS_PER_RUN = 10 };

typedef struct {
    const char *config, *mode, *dtype;
    long height, width, repeats, threads, profile;
} arguments;

static arguments parse(int argc, char **argv)
{
    arguments a = { "small", "step", "bf16", 320, 320, 9, 0, 0 };
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--config") == 0) a.config = argv[i + 1];
        if (strcmp(argv[i], "--mode") == 0) a.mode = argv[i + 1];
        if (strcmp(argv[i], "--dtype") == 0) a.dtype = argv[i + 1];
        if (strcmp(argv[i], "--repeats") == 0) a.repeats = atol(argv[i + 1]);
        if (strcmp(argv[i], "--profile") == 0) a.profile = atol(argv[i + 1]);
        if (strcmp(argv[i], "--threads") == 0) a.threads = atol(argv[i + 1]);
        if (strcmp(argv[i], "--size") == 0) {
            a.height = atol(argv[i + 1]);
            a.width = atol(strchr(argv[i + 1], 'x') + 1);
        }
    }
    return a;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* ---- where the time goes: the back-end table with a clock around run ---- */

static const vdni_backend *real_backend;
static double kind_ms[VDNI_OP_COUNT];
static long kind_calls[VDNI_OP_COUNT];

static vdn_status timed_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const int64_t t0 = vdni_clock_ns();
    const vdn_status status = real_backend->run(ctx, device, op, workspace);
    const double ms = (double)(vdni_clock_ns() - t0) * 1e-6;
    kind_ms[op->kind] += ms;
    kind_calls[op->kind]++;
    if (getenv("VERDIFF_BENCH_OPS")) {
        const vdni_tensor *x = op->in[0], *y = op->out[0];
        printf("%-22s (%lld,%lld,%lld) %s -> (%lld,%lld,%lld) k%d %s %8.3f ms\n",
               vdni_op_name(op->kind), (long long)x->h, (long long)x->w, (long long)x->c,
               vdni_dtype_name(x->dtype), (long long)y->h, (long long)y->w, (long long)y->c,
               op->a.kernel, op->prepared ? "lib" : "own", ms);
    }
    return status;
}

static void profile_begin(vdn_ctx *ctx)
{
    static vdni_backend table;
    real_backend = ctx->backend;
    table = *ctx->backend;
    table.run = timed_run;
    ctx->backend = &table;
}

static void profile_end(void)
{
    double sum = 0.0;
    for (int k = 0; k < VDNI_OP_COUNT; k++) sum += kind_ms[k];
    for (int k = 0; k < VDNI_OP_COUNT; k++)
        if (kind_calls[k])
            printf("%-24s %5ld calls %9.2f ms %5.1f %%\n", vdni_op_name((vdni_op_kind)k),
                   kind_calls[k], kind_ms[k], 100.0 * kind_ms[k] / sum);
}

static void fill(float *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++) p[i] = (float)(i * 7919 % 1000) / 500.0f - 1.0f;
}

static double long_rss_mib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024.0;
}

static vdn_status time_steps(vdn_ctx *ctx, double *ms, const arguments *a, vdn_model *model)
{
    const int64_t m = model->config.pad_multiple;
    const vdni_sampler_options options = { (a->height + m - 1) / m * m, (a->width + m - 1) / m * m,
                                           strcmp(a->dtype, "f32") ? VDNI_BF16 : VDNI_F32,
                                           STEPS_PER_RUN, 500, 0.0 };
    const int64_t pixels = options.height * options.width;
    const uint64_t version = 1;
    const vdni_sampler_weights weights = { &model->parameters, model->values, &version };
    const vdni_noise_key key = { .seed = 1 };
    vdni_sampler *s = NULL;
    float *image = NULL, *prior = NULL;
    VDN_CHECK(vdni_sampler_create(ctx, &s, &model->config, &weights, &options));
    VDN_CHECK(VDNI_NEW(ctx, image, pixels));
    VDN_CHECK(VDNI_NEW(ctx, prior, pixels));
    fill(image, pixels);
    VDN_CHECK(vdni_sampler_condition(ctx, s, prior, image));
    VDN_CHECK(vdni_sampler_run(ctx, s, prior, &key));
    for (long i = 0; i < a->repeats; i++) {
        const int64_t t0 = vdni_clock_ns();
        VDN_CHECK(vdni_sampler_run(ctx, s, prior, &key));
        ms[i] = (double)(vdni_clock_ns() - t0) * 1e-6 / STEPS_PER_RUN;
    }
    vdni_free(ctx, image);
    vdni_free(ctx, prior);
    vdni_sampler_free(ctx, s);
    return VDN_OK;
}

static vdn_status time_training(vdn_ctx *ctx, double *ms, const arguments *a, vdn_model *model)
{
    const int64_t m = model->config.pad_multiple, count = model->parameters.total_floats;
    const vdni_network_options options = { (a->height + m - 1) / m * m, (a->width + m - 1) / m * m,
                                           strcmp(a->dtype, "f32") ? VDNI_BF16 : VDNI_F32, 1 };
    const int64_t pixels = options.height * options.width;
    uint64_t version = 1;
    float *gradients = NULL, *m1 = NULL, *m2 = NULL, *image = NULL, *prior = NULL;
    uint8_t *target = NULL;
    vdni_network *n = NULL;
    vdni_schedule *schedule = NULL;
    vdni_recipe recipe;
    int64_t steps = 1000;
    VDN_CHECK(vdni_recipe_get(ctx, &recipe, &model->config, &steps, "recommended"));
    VDN_CHECK(vdni_schedule_create(ctx, &schedule, model->config.schedule, 1000));
    VDN_CHECK(VDNI_NEW(ctx, gradients, count));
    VDN_CHECK(VDNI_NEW(ctx, m1, count));
    VDN_CHECK(VDNI_NEW(ctx, m2, count));
    VDN_CHECK(VDNI_NEW(ctx, image, pixels));
    VDN_CHECK(VDNI_NEW(ctx, prior, pixels));
    VDN_CHECK(VDNI_NEW(ctx, target, pixels));
    fill(image, pixels);
    for (int64_t i = 0; i < pixels; i++) target[i] = i / 40 % 3 == 0;
    const vdni_network_weights weights = { &model->parameters, model->values, gradients, &version };
    VDN_CHECK(vdni_network_create(ctx, &n, &model->config, &recipe, schedule, &weights, &options));
    for (long i = -1; i < a->repeats; i++) {
        vdni_terms terms;
        double norm = 0.0;
        const vdni_refine_call call = { .prior = prior, .target = target, .t = 300, .scale = 1.0f };
        const vdni_optimizer_step step = { .count = count, .parameters = model->values,
                                           .moment1 = m1, .moment2 = m2, .gradient = gradients,
                                           .step = i + 2, .lr = 1e-4, .beta1 = 0.9, .beta2 = 0.999,
                                           .eps = 1e-8, .gradient_norm = &norm };
        const int64_t t0 = vdni_clock_ns();
        VDN_CHECK(vdni_network_condition(ctx, n, prior, &terms, image, target, 1.0f));
        VDN_CHECK(vdni_network_refine(ctx, n, &terms, &call));
        VDN_CHECK(ctx->backend->optimize(ctx, ctx->device, &step));
        version++;
        if (i >= 0) ms[i] = (double)(vdni_clock_ns() - t0) * 1e-6;
    }
    vdni_network_free(ctx, n);
    return VDN_OK;
}

int main(int argc, char **argv)
{
    const arguments a = parse(argc, argv);
    vdn_ctx_options options;
    vdn_ctx *ctx = NULL;
    vdn_model *model = NULL;
    vdni_config config;
    vdni_domain domain;
    int64_t condition = 0, step = 0, peak = 0;
    double *ms = calloc((size_t)a.repeats, sizeof *ms);

    vdn_ctx_options_init(&options);
    options.threads = (int32_t)a.threads;
    if (!ms || vdn_ctx_create(&ctx, &options) != VDN_OK) return 1;
    vdni_domain_binary(&domain, "vertebra", 1);
    if (a.profile) profile_begin(ctx);
    const int train = strcmp(a.mode, "train") == 0;
    if (vdni_config_get(ctx, &config, a.config) != VDN_OK ||
        vdni_model_create(ctx, &model, &config, &domain, 35) != VDN_OK ||
        vdni_model_macs(ctx, &condition, &step, &config, a.height, a.width) != VDN_OK ||
        (train ? time_training(ctx, ms, &a, model) : time_steps(ctx, ms, &a, model)) != VDN_OK) {
        fprintf(stderr, "%s\n", vdn_ctx_error(ctx));
        return 1;
    }
    qsort(ms, (size_t)a.repeats, sizeof *ms, by_value);
    if (a.profile) profile_end();
    vdn_ctx_get_memory(ctx, NULL, &peak);
    const double median = ms[a.repeats / 2];
    const double gflop = train ? 6e-9 * (double)(condition + step) : 2e-9 * (double)step;
    printf("{\"who\": \"verdiff\", \"config\": \"%s\", \"size\": \"%ldx%ld\", \"mode\": \"%s\", "
           "\"dtype\": \"%s\", \"median_ms\": %.2f, \"min_ms\": %.2f, \"gflop\": %.2f, "
           "\"gflop_per_s\": %.0f, \"peak_alloc_mib\": %.1f, \"peak_rss_mib\": %.1f}\n",
           a.config, a.height, a.width, a.mode, a.dtype, median, ms[0], gflop,
           gflop / median * 1e3, (double)peak / 1048576.0, long_rss_mib());
    return 0;
}

/* Time of one denoising step of a batch, and of one training step (condition and refiner, forward and
 * backward, Adam; the batch's images in passes as the trainer runs them: one after the other on the CPU, on
 * a device as many at once as fit); one JSON line that stands beside peer_pytorch.py's and peer_pytorch_cuda.py's.
 *
 *     bench_network [--config small] [--size 320x320] [--mode step|train] [--dtype f32|bf16|f16]
 *                   [--batch 1] [--steps 10] [--repeats 9] [--profile 1] [--threads 0]
 *                   [--device cpu|cuda|cuda:N] [--cuda-library FILE]
 *
 * A step is a run of the sampler divided by its steps, so that the run's start and the way of the
 * result to the host are spread over them as in real use. --profile puts a clock around every
 * operator, which on a device takes away what overlaps. */
#define _GNU_SOURCE
#include "bench_device.h"

#include "Diffusion/sampler.h"
#include "Net/model.h"
#include "Ops/optimizer.h"
#include "Train/network.h"

#include <sys/resource.h>

typedef struct {
    const char *config, *mode, *dtype;
    long size[2], repeats, profile, batch, steps;
    bench_place place;
} arguments;

static int number_option(arguments *a, const char *name, const char *value)
{
    long *const to = strcmp(name, "--repeats") == 0   ? &a->repeats
                     : strcmp(name, "--profile") == 0 ? &a->profile
                     : strcmp(name, "--batch") == 0   ? &a->batch
                     : strcmp(name, "--steps") == 0   ? &a->steps
                                                      : NULL;
    if (to) *to = strtol(value, NULL, 10);
    return to != NULL;
}

static arguments parse(int argc, char **argv)
{
    arguments a = { "small", "step", "bf16", { 320, 320 }, 9, 0, 1, 10, { "cpu", NULL, 0 } };
    for (int i = 1; i + 1 < argc; i += 2) {
        if (bench_place_option(&a.place, argv[i], argv[i + 1])) continue;
        if (number_option(&a, argv[i], argv[i + 1])) continue;
        if (strcmp(argv[i], "--config") == 0) a.config = argv[i + 1];
        if (strcmp(argv[i], "--mode") == 0) a.mode = argv[i + 1];
        if (strcmp(argv[i], "--dtype") == 0) a.dtype = argv[i + 1];
        if (strcmp(argv[i], "--size") == 0) bench_size(a.size, argv[i + 1]);
    }
    if (a.repeats < 1) a.repeats = 1;
    return a;
}

static vdni_dtype dtype_of(const arguments *a)
{
    return strcmp(a->dtype, "f32") == 0 ? VDNI_F32 : strcmp(a->dtype, "f16") ? VDNI_BF16 : VDNI_F16;
}

/* Height or width, padded. */
static int64_t padded(const arguments *a, int axis, int64_t multiple)
{
    return (a->size[axis] + multiple - 1) / multiple * multiple;
}

/* ---- where the time goes: the back-end table with a clock around run ---- */

static const vdni_backend *real_backend;
static double kind_ms[VDNI_OP_COUNT];
static long kind_calls[VDNI_OP_COUNT];

static vdn_status timed_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const int64_t t0 = bench_now(ctx);
    const vdn_status status = real_backend->run(ctx, device, op, workspace);
    const double ms = (double)(bench_now(ctx) - t0) * 1e-6;
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
    table.record_begin = NULL;
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

static double long_rss_mib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024.0;
}

static float *placed(vdn_ctx *ctx, const vdn_model *model)
{
    if (ctx->backend->shares_host_memory) return model->values;
    return bench_place_floats(ctx, model->values, model->parameters.total_floats);
}

static vdn_status time_steps(vdn_ctx *ctx, double *ms, const arguments *a, vdn_model *model)
{
    const int64_t m = model->config.pad_multiple;
    const vdni_sampler_options options = { .height = padded(a, 0, m),
                                           .width = padded(a, 1, m),
                                           .activation = dtype_of(a),
                                           .steps = (int32_t)a->steps,
                                           .start = 500,
                                           .batch = a->batch };
    const int64_t values = a->batch * options.height * options.width;
    const uint64_t version = 1;
    float *weights = placed(ctx, model);
    const vdni_sampler_weights w = { &model->parameters, weights, &version };
    vdni_noise_key *keys = NULL;
    vdni_sampler *s = NULL;
    float *image = NULL, *prior = NULL;
    VDN_CHECK(vdni_sampler_create(ctx, &s, &model->config, &w, &options));
    VDN_CHECK(VDNI_NEW(ctx, image, values));
    VDN_CHECK(VDNI_NEW(ctx, prior, values));
    VDN_CHECK(VDNI_NEW(ctx, keys, a->batch));
    for (long i = 0; i < a->batch; i++) keys[i] = (vdni_noise_key){ .seed = 1 + (uint64_t)i };
    bench_random(image, values);
    VDN_CHECK(vdni_sampler_condition(ctx, s, prior, image));
    for (long i = -2; i < a->repeats; i++) { /* the first run prepares, the second records */
        const int64_t t0 = bench_now(ctx);
        VDN_CHECK(vdni_sampler_run(ctx, s, prior, keys));
        if (i >= 0) ms[i] = (double)(bench_now(ctx) - t0) * 1e-6 / (double)a->steps;
    }
    vdni_sampler_free(ctx, s);
    return VDN_OK;
}

/* What a training step needs besides the network. */
typedef struct {
    float *values, *gradients, *moment1, *moment2; /* on the device */
    float *image, *prior;
    uint8_t *target;
    uint64_t version;
    int64_t steps;
    double loss; /* of the last image of the last step */
    int32_t images; /* of a pass */
} trainee;

static vdn_status make_trainee(vdn_ctx *ctx, trainee *t, const vdn_model *model, int64_t pixels)
{
    const int64_t count = model->parameters.total_floats, all = t->images * pixels;
    t->values = placed(ctx, model);
    t->gradients = bench_place_floats(ctx, NULL, count);
    t->moment1 = bench_place_floats(ctx, NULL, count);
    t->moment2 = bench_place_floats(ctx, NULL, count);
    t->version = 1;
    VDN_CHECK(VDNI_NEW(ctx, t->image, all));
    VDN_CHECK(VDNI_NEW(ctx, t->prior, all));
    VDN_CHECK(VDNI_NEW(ctx, t->target, all));
    bench_random(t->image, all);
    for (int64_t i = 0; i < all; i++) t->target[i] = t->image[i] > 0.0f;
    return VDN_OK;
}

static vdn_status train_once(vdn_ctx *ctx, trainee *t, vdni_network *n, const vdn_model *model,
                             const arguments *a)
{
    const int64_t m = model->config.pad_multiple, pixels = padded(a, 0, m) * padded(a, 1, m);
    const float scale = 1.0f / (float)a->batch;
    vdni_refine_call calls[VDNI_NETWORK_MAX_IMAGES];
    vdni_terms terms[VDNI_NETWORK_MAX_IMAGES];
    double norm = 0.0;
    const vdni_optimizer_step step = { .count = model->parameters.total_floats,
                                       .parameters = t->values,
                                       .moment1 = t->moment1,
                                       .moment2 = t->moment2,
                                       .gradient = t->gradients,
                                       .step = ++t->steps,
                                       .lr = 1e-4,
                                       .beta1 = 0.9,
                                       .beta2 = 0.999,
                                       .eps = 1e-8,
                                       .gradient_norm = &norm };
    for (int32_t i = 0; i < t->images; i++)
        calls[i] = (vdni_refine_call){ .prior = t->prior + i * pixels,
                                       .target = t->target + i * pixels,
                                       .t = 300,
                                       .noise = { .sample = (uint32_t)i },
                                       .scale = scale };
    for (long i = 0; i < a->batch; i += t->images) {
        VDN_CHECK(vdni_network_condition(ctx, n, t->prior, terms, t->image, t->target, scale));
        t->loss = terms[t->images - 1].total;
        VDN_CHECK(vdni_network_refine(ctx, n, terms, calls));
        t->loss += terms[t->images - 1].total;
    }
    VDN_CHECK(ctx->backend->optimize(ctx, ctx->device, &step));
    t->version++;
    return VDN_OK;
}

/* With as many images in a pass as fit, a divisor of the batch. */
static vdn_status make_network(vdn_ctx *ctx, vdni_network **out, trainee *t, vdn_model *model,
                               const vdni_recipe *recipe, const vdni_schedule *schedule,
                               const arguments *a)
{
    const int64_t m = model->config.pad_multiple;
    const vdni_network_weights weights = { &model->parameters, t->values, t->gradients, &t->version };
    vdn_status status = VDN_ERR_MEMORY;
    for (; t->images >= 1 && status == VDN_ERR_MEMORY; t->images--) {
        const vdni_network_options options = { padded(a, 0, m), padded(a, 1, m), dtype_of(a), 1, 0,
                                               t->images };
        if (a->batch % t->images) continue;
        vdni_clear_error(ctx);
        status = vdni_network_create(ctx, out, &model->config, recipe, schedule, &weights, &options);
        if (status == VDN_OK) break;
    }
    return status;
}

/* @p losses: before the first and after the last step. */
static vdn_status time_training(vdn_ctx *ctx, double *ms, double losses[2], const arguments *a,
                                vdn_model *model)
{
    const int64_t m = model->config.pad_multiple;
    const long limit = VDNI_NETWORK_MAX_IMAGES;
    const int32_t most = (int32_t)(a->batch < limit ? a->batch : limit);
    trainee t = { .images = ctx->backend->shares_host_memory ? 1 : most };
    vdni_network *n = NULL;
    vdni_schedule *schedule = NULL;
    vdni_recipe recipe;
    int64_t steps = 1000;
    VDN_CHECK(vdni_recipe_get(ctx, &recipe, &model->config, &steps, "recommended"));
    VDN_CHECK(vdni_schedule_create(ctx, &schedule, model->config.schedule, 1000));
    VDN_CHECK(make_trainee(ctx, &t, model, padded(a, 0, m) * padded(a, 1, m)));
    VDN_CHECK(make_network(ctx, &n, &t, model, &recipe, schedule, a));
    for (long i = -2; i < a->repeats; i++) {
        const int64_t t0 = bench_now(ctx);
        VDN_CHECK(train_once(ctx, &t, n, model, a));
        if (i >= 0) ms[i] = (double)(bench_now(ctx) - t0) * 1e-6;
        losses[i > -2] = t.loss;
    }
    vdni_network_free(ctx, n);
    return VDN_OK;
}

static void report(vdn_ctx *ctx, const arguments *a, double *ms, double gflop,
                   const double losses[2])
{
    const double median = bench_median(ms, a->repeats);
    printf("{\"who\": \"verdiff\", \"device\": \"%s\", \"config\": \"%s\", \"size\": \"%ldx%ld\", "
           "\"batch\": %ld, \"mode\": \"%s\", \"dtype\": \"%s\", \"median_ms\": %.4f, "
           "\"min_ms\": %.4f, \"gflop\": %.2f, \"gflop_per_s\": %.0f, \"peak_alloc_mib\": %.1f, "
           "\"peak_rss_mib\": %.1f",
           vdn_ctx_get_device(ctx), a->config, a->size[0], a->size[1], a->batch, a->mode, a->dtype,
           median, ms[0], gflop, gflop / median * 1e3, (double)bench_peak_bytes(ctx) / 1048576.0,
           long_rss_mib());
    if (strcmp(a->mode, "train") == 0)
        printf(", \"loss_first\": %.6g, \"loss_last\": %.6g", losses[0], losses[1]);
    printf("}\n");
}

int main(int argc, char **argv)
{
    const arguments a = parse(argc, argv);
    const int train = strcmp(a.mode, "train") == 0;
    vdn_model *model = NULL;
    vdni_config config;
    vdni_domain domain;
    int64_t condition = 0, step = 0;
    double *ms = calloc((size_t)a.repeats, sizeof *ms), losses[2] = { 0.0, 0.0 };

    vdn_ctx *ctx = bench_open(&a.place);
    if (!ms || !ctx) return 1;
    vdni_domain_binary(&domain, "vertebra", 1);
    if (a.profile) profile_begin(ctx);
    if (vdni_config_get(ctx, &config, a.config) != VDN_OK ||
        vdni_model_create(ctx, &model, &config, &domain, 35) != VDN_OK ||
        vdni_model_macs(ctx, &condition, &step, &config, a.size[0], a.size[1]) != VDN_OK ||
        (train ? time_training(ctx, ms, losses, &a, model) : time_steps(ctx, ms, &a, model)) !=
            VDN_OK) {
        fprintf(stderr, "%s\n", vdn_ctx_error(ctx));
        return 1;
    }
    if (a.profile) profile_end();
    report(ctx, &a, ms,
           (double)a.batch * (train ? 6e-9 * (double)(condition + step) : 2e-9 * (double)step),
           losses);
    return 0;
}

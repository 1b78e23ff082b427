/* A study from pixels to mean masks and uncertainty through the public API: seconds of the first call,
 * which plans everything, and of the calls after it; one JSON line. Random weights: the time does not
 * depend on them.
 *
 *     bench_study [--config base] [--size 880x880] [--slices 15] [--steps 10] [--samples 5]
 *                 [--repeats 3] [--device cpu|cuda|cuda:N] [--cuda-library FILE] [--threads 0] */
#include "bench_device.h"

#include "Net/model.h"

typedef struct {
    const char *config;
    long size[2], slices, steps, samples, repeats;
    bench_place place;
} arguments;

static int number_option(arguments *a, const char *name, const char *value)
{
    long *const to = strcmp(name, "--slices") == 0    ? &a->slices
                     : strcmp(name, "--steps") == 0   ? &a->steps
                     : strcmp(name, "--samples") == 0 ? &a->samples
                     : strcmp(name, "--repeats") == 0 ? &a->repeats
                                                      : NULL;
    if (to) *to = strtol(value, NULL, 10);
    return to != NULL;
}

static arguments parse(int argc, char **argv)
{
    arguments a = { "base", { 880, 880 }, 15, 10, 5, 3, { "cpu", NULL, 0 } };
    for (int i = 1; i + 1 < argc; i += 2) {
        if (bench_place_option(&a.place, argv[i], argv[i + 1])) continue;
        if (number_option(&a, argv[i], argv[i + 1])) continue;
        if (strcmp(argv[i], "--config") == 0) a.config = argv[i + 1];
        if (strcmp(argv[i], "--size") == 0) bench_size(a.size, argv[i + 1]);
    }
    if (a.repeats < 1) a.repeats = 1;
    return a;
}

typedef struct {
    float *pixels, *probability, *uncertainty;
    vdn_model *model;
} study;

static vdn_status make_study(vdn_ctx *ctx, study *s, const arguments *a)
{
    const int64_t count = (int64_t)a->slices * a->size[0] * a->size[1];
    vdni_config config;
    vdni_domain domain;
    vdni_domain_binary(&domain, "vertebra", 1);
    VDN_CHECK(vdni_config_get(ctx, &config, a->config));
    VDN_CHECK(vdni_model_create(ctx, &s->model, &config, &domain, 35));
    VDN_CHECK(VDNI_NEW(ctx, s->pixels, count));
    VDN_CHECK(VDNI_NEW(ctx, s->probability, 2 * count));
    VDN_CHECK(VDNI_NEW(ctx, s->uncertainty, count));
    bench_random(s->pixels, count);
    for (int64_t i = 0; i < count; i++) s->pixels[i] = 100.0f + 50.0f * s->pixels[i];
    return VDN_OK;
}

/* Seconds of each call into @p seconds; the first into @p first. */
static vdn_status time_study(vdn_ctx *ctx, double *first, double *seconds, const arguments *a,
                             const study *s)
{
    const vdn_slices slices = { .count = a->slices,
                                .height = a->size[0],
                                .width = a->size[1],
                                .image_channels = 1,
                                .pixels = s->pixels,
                                .modality = VDN_MODALITY_MR };
    vdn_segment_options options;
    vdn_segment_options_init(&options);
    options.steps = (int32_t)a->steps;
    options.samples = (int32_t)a->samples;
    for (long i = -1; i < a->repeats; i++) {
        const int64_t t0 = vdni_clock_ns();
        VDN_CHECK(vdn_segment(ctx, s->probability, s->uncertainty, &slices, s->model, &options));
        *(i < 0 ? first : seconds + i) = (double)(vdni_clock_ns() - t0) * 1e-9;
    }
    return VDN_OK;
}

/* Probabilities are numbers that sum to 1. */
static int is_sound(const study *s, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const float sum = s->probability[2 * i] + s->probability[2 * i + 1];
        if (!(sum > 0.999f && sum < 1.001f && s->uncertainty[i] >= -1e-4f)) return 0;
    }
    return 1;
}

int main(int argc, char **argv)
{
    const arguments a = parse(argc, argv);
    double *seconds = calloc((size_t)a.repeats, sizeof *seconds), first = 0.0;
    study s = { .model = NULL };

    const int64_t t0 = vdni_clock_ns();
    vdn_ctx *ctx = bench_open(&a.place);
    if (!ctx || !seconds) return 1;
    const double opening = (double)(vdni_clock_ns() - t0) * 1e-9;
    if (make_study(ctx, &s, &a) != VDN_OK || time_study(ctx, &first, seconds, &a, &s) != VDN_OK) {
        fprintf(stderr, "%s\n", vdn_ctx_error(ctx));
        return 1;
    }
    const int sound = is_sound(&s, (int64_t)a.slices * a.size[0] * a.size[1]);
    printf("{\"who\": \"verdiff\", \"bench\": \"study\", \"device\": \"%s\", \"config\": \"%s\", "
           "\"size\": \"%ldx%ld\", \"slices\": %ld, \"steps\": %ld, \"samples\": %ld, "
           "\"open_s\": %.3f, \"first_s\": %.3f, \"median_s\": %.3f, \"peak_alloc_mib\": %.1f, "
           "\"sound\": %s}\n",
           vdn_ctx_get_device(ctx), a.config, a.size[0], a.size[1], a.slices, a.steps, a.samples,
           opening, first, bench_median(seconds, a.repeats),
           (double)bench_peak_bytes(ctx) / 1048576.0, sound ? "true" : "false");
    return !sound;
}

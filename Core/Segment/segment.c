#include "Segment/segment.h"

#include "Base/memory.h"
#include "Diffusion/ensemble.h"
#include "Diffusion/sampler.h"
#include "Tensor/normalize.h"
#include "Tensor/pad.h"

#include <string.h>

enum { MAX_ROWS = 32, WORKSPACE_BYTES = 256 << 20 };

/* Everything needed for slices of one size, kept between calls. The sampler's batch has rows: one
 * for each slice of a group, or several that draw different samples of it. */
typedef struct {
    int64_t serial; /* of the model */
    vdni_sampler_options options;
    int64_t asked_rows;    /* before they were made fewer */
    vdni_parameters table; /* borrowed blocks */
    float *weights;        /* device memory; the model's own on the host */
    int32_t owns_weights;
    uint64_t version;
    vdni_sampler *sampler;
    vdni_ensemble *ensembles;     /* (rows) */
    vdni_noise_key *keys;         /* (rows) */
    float *raw;                   /* one slice, normalised, before padding */
    float *mean, *information;    /* one slice, padded */
} engine;

static void engine_free(vdn_ctx *ctx, void *kept)
{
    engine *e = kept;
    if (!e) return;
    vdni_sampler_free(ctx, e->sampler);
    for (int64_t i = 0; e->ensembles && i < e->options.batch; i++)
        vdni_ensemble_free(ctx, &e->ensembles[i]);
    vdni_free(ctx, e->ensembles);
    vdni_free(ctx, e->keys);
    if (e->owns_weights) ctx->backend->release(ctx, ctx->device, e->weights);
    vdni_free(ctx, e->raw);
    vdni_free(ctx, e->mean);
    vdni_free(ctx, e->information);
    vdni_free(ctx, e);
}

static vdn_status put_weights(vdn_ctx *ctx, engine *e, const vdn_model *model)
{
    const int64_t bytes = model->parameters.total_floats * (int64_t)sizeof *e->weights;
    e->table = model->parameters;
    if (ctx->backend->shares_host_memory) {
        e->weights = model->values;
        return VDN_OK;
    }
    VDN_CHECK(ctx->backend->allocate(ctx, ctx->device, (void **)&e->weights, bytes));
    e->owns_weights = 1;
    return ctx->backend->put(ctx, ctx->device, e->weights, model->values, bytes);
}

static vdn_status allocate_planes(vdn_ctx *ctx, engine *e, const vdni_config *config)
{
    const int64_t pixels = e->options.height * e->options.width, rows = e->options.batch;
    const int64_t k = config->mask_channels;
    VDN_CHECK(VDNI_NEW(ctx, e->ensembles, rows));
    for (int64_t i = 0; i < rows; i++)
        VDN_CHECK(vdni_ensemble_create(ctx, &e->ensembles[i], pixels, (int32_t)k));
    VDN_CHECK(VDNI_NEW(ctx, e->keys, rows));
    VDN_CHECK(VDNI_NEW(ctx, e->raw, pixels * config->image_channels));
    VDN_CHECK(VDNI_NEW(ctx, e->mean, pixels * k));
    return VDNI_NEW(ctx, e->information, pixels);
}

static vdn_status engine_create(vdn_ctx *ctx, engine **out, const vdn_model *model,
                                const vdni_sampler_options *options)
{
    vdn_status status = VDN_OK;
    engine *e = NULL;

    *out = NULL;
    VDN_TRY(VDNI_NEW(ctx, e, 1));
    e->serial = model->serial;
    e->options = *options;
    VDN_TRY(put_weights(ctx, e, model));
    const vdni_sampler_weights weights = { &e->table, e->weights, &e->version };
    VDN_TRY(vdni_sampler_create(ctx, &e->sampler, &model->config, &weights, options));
    VDN_TRY(allocate_planes(ctx, e, &model->config));
    *out = e;
    e = NULL;
done:
    engine_free(ctx, e);
    return status;
}

/* A batch that does not fit is halved until it does. */
static vdn_status engine_create_fitting(vdn_ctx *ctx, engine **out, const vdn_model *model,
                                        const vdni_sampler_options *wanted)
{
    vdni_sampler_options options = *wanted;
    vdn_status status = engine_create(ctx, out, model, &options);
    while (status == VDN_ERR_MEMORY && options.batch > 1) {
        vdni_note(ctx, "%lld slices at once do not fit (%s): trying %lld",
                  (long long)options.batch, ctx->error, (long long)(options.batch / 2));
        options.batch /= 2;
        vdni_clear_error(ctx);
        status = engine_create(ctx, out, model, &options);
    }
    return status;
}

static int same_options(const vdni_sampler_options *a, const vdni_sampler_options *b)
{
    return a->height == b->height && a->width == b->width && a->activation == b->activation &&
           a->steps == b->steps && a->start == b->start && a->eta == b->eta;
}

/* Rows that fit into what the device may still give out. */
static vdn_status fitting_rows(vdn_ctx *ctx, int64_t *rows, const vdn_model *model,
                               const vdni_sampler_options *options)
{
    vdni_sampler_options some = *options;
    vdni_device_info info;
    int64_t one = 0, two = 0;
    const int64_t weights = model->parameters.total_floats * (int64_t)sizeof(float);

    ctx->backend->describe(ctx->device, &info);
    if (info.limit_bytes == 0) return VDN_OK;
    const int64_t room = info.limit_bytes - info.now_bytes - weights - WORKSPACE_BYTES;
    some.batch = 1;
    VDN_CHECK(vdni_sampler_estimate(ctx, &one, &model->config, &some));
    some.batch = 2;
    VDN_CHECK(vdni_sampler_estimate(ctx, &two, &model->config, &some));
    const int64_t most = two > one ? (room - one) / (two - one) + 1 : *rows;
    if (*rows > most) *rows = most;
    if (*rows < 1) *rows = 1;
    return VDN_OK;
}

/* A batch somewhat larger than asked runs with rows that nobody reads. */
static int serves(const engine *e, const vdn_model *model, const vdni_sampler_options *wanted)
{
    return e && e->serial == model->serial && same_options(&e->options, wanted) &&
           (e->asked_rows == wanted->batch ||
            (e->options.batch >= wanted->batch && e->options.batch < 2 * wanted->batch));
}

/* Room is measured when the kept plans are gone: they must not count against their successor.
 * @p fit: make the batch of @p options fit; otherwise the caller has said it. */
static vdn_status get_engine(vdn_ctx *ctx, engine **out, const vdn_model *model,
                             const vdni_sampler_options *options, int fit)
{
    vdni_sampler_options fitting = *options;
    engine *e = ctx->kept;
    *out = e;
    if (serves(e, model, options)) return VDN_OK;
    if (e) ctx->kept_free(ctx, e);
    ctx->kept = NULL;
    if (fit) VDN_CHECK(fitting_rows(ctx, &fitting.batch, model, options));
    VDN_CHECK(engine_create_fitting(ctx, &e, model, &fitting));
    e->asked_rows = options->batch;
    ctx->kept = e;
    ctx->kept_free = engine_free;
    *out = e;
    return VDN_OK;
}

static int32_t sample_count(const vdn_model *model, const vdn_segment_options *o)
{
    if (o->prior_only) return 1;
    return o->samples > 0 ? o->samples : model->config.samples;
}

/* One on the CPU, where more gain nothing; on a device every slice and sample, up to what it holds. */
static int64_t rows_asked(const vdn_ctx *ctx, const vdn_slices *slices, const vdn_model *model,
                          const vdn_segment_options *o)
{
    const int64_t work = slices->count * sample_count(model, o);
    const int64_t rows =
        o->batch > 0 ? o->batch : ctx->backend->shares_host_memory ? 1 : MAX_ROWS;
    return rows < work ? rows : work;
}

/* The 16-bit type of the device. */
static vdni_dtype half_type(const vdni_device_info *info)
{
    return info->f16_is_fast && !info->bf16_is_fast ? VDNI_F16 : VDNI_BF16;
}

/* What the caller left at 0 comes from the model. */
static vdni_sampler_options sampler_options(const vdn_ctx *ctx, const vdn_slices *slices,
                                            const vdn_model *model, const vdn_segment_options *o)
{
    const int64_t m = model->config.pad_multiple;
    vdni_device_info info;
    ctx->backend->describe(ctx->device, &info);
    const int half = o->precision == 2 ||
                     (o->precision == 0 && (info.bf16_is_fast || info.f16_is_fast));
    return (vdni_sampler_options){
        .height = (slices->height + m - 1) / m * m,
        .width = (slices->width + m - 1) / m * m,
        .activation = half ? half_type(&info) : VDNI_F32,
        .steps = o->steps > 0 ? o->steps : model->config.sample_steps,
        .start = o->start > 0 ? o->start : model->config.sample_start,
        .eta = o->eta != 0.0f ? o->eta : model->config.eta,
    };
}

/* Binary models keep one channel inside; the caller gets background and foreground. */
static void crop_out(float *out, const float *padded, int64_t padded_width,
                     const vdn_slices *slices, int32_t k)
{
    for (int64_t y = 0; y < slices->height; y++)
        for (int64_t x = 0; x < slices->width; x++) {
            const float *from = padded + (y * padded_width + x) * k;
            if (k == 1) {
                *out++ = 1.0f - from[0];
                *out++ = from[0];
                continue;
            }
            memcpy(out, from, (size_t)k * sizeof *out);
            out += k;
        }
}

/* Groups of slices follow each other through the device. While one is sampled the host prepares and sends
 * the next; while the next one's condition pass runs it gives out the results of the one before:
 *
 *     host    load 0 |     prior 0 | load 1 |      | give 0 | prior 1 | ...
 *     device         | condition 0 | samples 0 | condition 1  | samples 1
 *
 * The host waits twice a group: for the prior, and for the last samples. */

/* Slices that run together: row r belongs to slice r / copies and draws its sample r % copies of a
 * round. Rows behind the last slice repeat it; nobody reads them. */
typedef struct {
    engine *e;
    const vdn_slices *slices;
    const vdn_model *model;
    const vdn_segment_options *o;
    int64_t first, count; /* slices of the group */
    int64_t copies;
    int32_t samples;
    double begin, end;  /* of the call's progress */
    const float *prior; /* of the rows, once it is there */
} group;

static int64_t slice_of_row(const group *g, int64_t row)
{
    const int64_t i = row / g->copies;
    return g->first + (i < g->count ? i : g->count - 1);
}

/* The group's images on their way to the device. */
static vdn_status load(vdn_ctx *ctx, const group *g)
{
    engine *e = g->e;
    float *images = NULL;
    const vdn_slices *slices = g->slices;
    const int64_t size[3] = { slices->height, slices->width, slices->image_channels };
    const int64_t padded[2] = { e->options.height, e->options.width };
    const int64_t plane = padded[0] * padded[1] * size[2], values = size[0] * size[1] * size[2];
    VDN_CHECK(vdni_sampler_get_image(ctx, e->sampler, &images));
    for (int64_t row = 0; row < e->options.batch; row++) {
        const int64_t index = slice_of_row(g, row);
        float *image = images + row * plane;
        if (row > 0 && index == slice_of_row(g, row - 1)) {
            memcpy(image, image - plane, (size_t)plane * sizeof *image);
            continue;
        }
        VDN_CHECK(vdni_normalize_slice(ctx, e->raw, slices->pixels + index * values, size,
                                       slices->modality, slices->first_index + index));
        vdni_pad_plane(image, padded, e->raw, size);
    }
    return vdni_sampler_send_image(ctx, e->sampler);
}

static void name_noise(const group *g, int64_t first_sample)
{
    for (int64_t row = 0; row < g->e->options.batch; row++)
        g->e->keys[row] = (vdni_noise_key){
            .seed = g->o->seed,
            .case_key = g->slices->case_key,
            .slice = (uint32_t)(g->slices->first_index + slice_of_row(g, row)),
            .sample = (uint32_t)(first_sample + row % g->copies),
        };
}

/* Samples of every slice in this round that are wanted. */
static int64_t drawn(const group *g, int64_t first)
{
    const int64_t left = g->samples - first;
    return left < g->copies ? left : g->copies;
}

static vdn_status begin_round(vdn_ctx *ctx, const group *g, int64_t first)
{
    const double share = (g->end - g->begin) / g->samples;
    ctx->progress_floor = g->begin + share * (double)first;
    ctx->progress_scale = share * (double)drawn(g, first);
    name_noise(g, first);
    return vdni_sampler_run_begin(ctx, g->e->sampler, g->e->keys);
}

static vdn_status end_round(vdn_ctx *ctx, const group *g, int64_t first)
{
    engine *e = g->e;
    const int64_t plane = e->ensembles->pixels * e->ensembles->channels;
    const float *sample = NULL;
    VDN_CHECK(vdni_sampler_run_end(ctx, e->sampler, &sample));
    for (int64_t i = 0; i < g->count; i++)
        for (int64_t j = 0; j < drawn(g, first); j++)
            vdni_ensemble_add(&e->ensembles[i], sample + (i * g->copies + j) * plane);
    return VDN_OK;
}

/* The caller's arrays. */
typedef struct {
    float *probability, *uncertainty; /* uncertainty may be NULL */
} output;

/* Slice @p i of the group. */
static void give(const group *g, const output *to, int64_t i)
{
    engine *e = g->e;
    const vdn_slices *slices = g->slices;
    const int64_t pixels = slices->height * slices->width, width = e->options.width;
    const int64_t plane = e->ensembles->pixels * e->ensembles->channels;
    const vdni_ensemble_maps maps = { .mean = e->mean, .information = e->information };

    if (g->o->prior_only) {
        memcpy(e->mean, g->prior + i * g->copies * plane, (size_t)plane * sizeof *e->mean);
        memset(e->information, 0, (size_t)e->ensembles->pixels * sizeof *e->information);
    } else {
        vdni_ensemble_get(&maps, &e->ensembles[i]);
    }
    crop_out(to->probability + (g->first + i) * pixels * g->model->domain.classes, e->mean, width,
             slices, g->model->config.mask_channels);
    for (int64_t y = 0; to->uncertainty && y < slices->height; y++)
        memcpy(to->uncertainty + ((g->first + i) * slices->height + y) * slices->width,
               e->information + y * width, (size_t)slices->width * sizeof *to->uncertainty);
}

/* The group of slices from @p first on; none when there are no more. */
static void choose(group *g, int64_t first)
{
    const int64_t all = g->slices->count, left = all - first;
    const int64_t most = g->e->options.batch / g->copies;
    g->first = first;
    g->count = left < most ? left : most;
    g->begin = (double)first / (double)all;
    g->end = (double)(first + g->count) / (double)all;
}

/* Enqueue the condition pass of the images that were loaded. */
static vdn_status begin_group(vdn_ctx *ctx, const group *g)
{
    const long long number = (long long)(g->slices->first_index + g->first) + 1;
    if (g->count > 1)
        vdni_ctx_stage(ctx, g->begin, g->end, "slices %lld to %lld", number, number + g->count - 1);
    else
        vdni_ctx_stage(ctx, g->begin, g->end, "slice %lld", number);
    VDN_CHECK(vdni_report(ctx, 0.0));
    return vdni_sampler_condition_begin(ctx, g->e->sampler);
}

/* All rounds of a group whose condition pass is done, two of them on their way at any time. The images of
 * @p next are sent meanwhile, and it begins before the last round is waited for. */
static vdn_status sample_all(vdn_ctx *ctx, const group *g, const group *next)
{
    int64_t first = 0, ahead = g->copies;
    VDN_CHECK(vdni_sampler_set_prior(ctx, g->e->sampler, g->prior));
    for (int64_t i = 0; i < g->count; i++) vdni_ensemble_clear(&g->e->ensembles[i]);
    VDN_CHECK(begin_round(ctx, g, 0));
    if (ahead < g->samples) VDN_CHECK(begin_round(ctx, g, ahead));
    if (next->count > 0) VDN_CHECK(load(ctx, next));
    for (; first + g->copies < g->samples; first += g->copies) {
        VDN_CHECK(end_round(ctx, g, first));
        ahead += g->copies;
        if (ahead < g->samples) VDN_CHECK(begin_round(ctx, g, ahead));
    }
    if (next->count > 0) VDN_CHECK(begin_group(ctx, next));
    return end_round(ctx, g, first);
}

static vdn_status load_and_begin(vdn_ctx *ctx, const group *g)
{
    if (g->count == 0) return VDN_OK;
    VDN_CHECK(load(ctx, g));
    return begin_group(ctx, g);
}

static vdn_status segment_all(vdn_ctx *ctx, group *g, const output *to)
{
    group next = *g;
    vdni_sampler_restart(g->e->sampler);
    choose(&next, 0);
    VDN_CHECK(load_and_begin(ctx, &next));
    while (next.count > 0) {
        *g = next;
        choose(&next, g->first + g->count);
        VDN_CHECK(vdni_sampler_condition_end(ctx, g->e->sampler, &g->prior));
        VDN_CHECK(g->o->prior_only ? load_and_begin(ctx, &next) : sample_all(ctx, g, &next));
        for (int64_t i = 0; i < g->count; i++) give(g, to, i);
    }
    return VDN_OK;
}

static vdn_status check(vdn_ctx *ctx, const vdn_slices *s, const vdn_model *model,
                        const vdn_segment_options *o)
{
    if (s->count < 1 || s->height < 1 || s->width < 1 || s->count > INT32_MAX ||
        s->height > 65536 || s->width > 65536 || !s->pixels)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%lld slices of %lld x %lld pixels",
                         (long long)s->count, (long long)s->height, (long long)s->width);
    if (s->image_channels != model->config.image_channels)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "image has %d channels, the model needs %d",
                         s->image_channels, model->config.image_channels);
    if (s->first_index < 0 || s->first_index + s->count > 65536)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "slice numbers %lld to %lld, needed 0 to 65535",
                         (long long)s->first_index, (long long)(s->first_index + s->count - 1));
    if (o->samples < 0 || o->samples > 65535 || o->steps < 0 || o->start < 0 || o->precision < 0 ||
        o->precision > 2)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "samples %d, steps %d, start %d, precision %d: none is negative, samples "
                         "is at most 65535 and precision at most 2",
                         o->samples, o->steps, o->start, o->precision);
    if (o->batch < 0 || o->batch > 65535)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "batch %d, needed 0 to 65535", o->batch);
    return VDN_OK;
}

vdn_status vdni_segment(vdn_ctx *ctx, float *probability, float *uncertainty,
                        const vdn_slices *slices, const vdn_model *model,
                        const vdn_segment_options *options)
{
    vdn_segment_options own = *options;
    group g = { .slices = slices, .model = model, .o = &own };

    VDN_CHECK(check(ctx, slices, model, options));
    if (!vdni_has_refiner(&model->config)) own.prior_only = 1;
    options = &own;
    vdni_sampler_options wanted = sampler_options(ctx, slices, model, options);
    wanted.batch = rows_asked(ctx, slices, model, options);
    VDN_CHECK(get_engine(ctx, &g.e, model, &wanted, options->batch == 0));
    const int64_t rows = g.e->options.batch, least = rows < slices->count ? rows : slices->count;
    g.samples = sample_count(model, options);
    g.copies = rows / least < g.samples ? rows / least : g.samples;
    VDN_CHECK(segment_all(ctx, &g, &(output){ probability, uncertainty }));
    ctx->progress_floor = 0.0;
    ctx->progress_scale = 1.0;
    return vdni_report(ctx, 1.0);
}

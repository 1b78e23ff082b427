/* The public functions of vdn.h: clear the last reason, check, one call down. The only place that
 * sees every layer and chooses a back end. */
#include "Api/cuda_library.h"
#include "Base/memory.h"
#include "Base/parallel.h"
#include "Eval/calibration.h"
#include "Eval/overlap.h"
#include "Eval/probability.h"
#include "Eval/surface.h"

#include "Net/model.h"
#include "Ops/backend.h"
#include "Tensor/resample.h"
#include "Segment/segment.h"
#include "Train/slice_store.h"
#include "Train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- context ---- */

void vdn_ctx_options_init(vdn_ctx_options *options) { memset(options, 0, sizeof *options); }

/* "cuda" or "cuda:" and a number of at most three digits. */
static int is_cuda(const char *name)
{
    if (strncmp(name, "cuda", 4) != 0) return 0;
    if (name[4] == '\0') return 1;
    const size_t digits = strspn(name + 5, "0123456789");
    return name[4] == ':' && digits >= 1 && digits <= 3 && name[5 + digits] == '\0';
}

static vdn_status open_on(vdn_ctx *ctx, const vdni_backend *backend, int32_t index)
{
    vdni_device_info info;
    ctx->backend = backend;
    VDN_CHECK(backend->open(ctx, &ctx->device, index, ctx->threads, VDNI_PREPARE_VERIFY));
    backend->describe(ctx->device, &info);
    (void)snprintf(ctx->device_name, sizeof ctx->device_name, "%s", info.name);
    return VDN_OK;
}

static vdn_status open_cuda(vdn_ctx *ctx, const char *library, int32_t index)
{
    const vdni_backend *backend = NULL;
    VDN_CHECK(vdni_cuda_library_open(ctx, &backend, library));
    return open_on(ctx, backend, index);
}

static vdn_status open_device(vdn_ctx *ctx, const vdn_ctx_options *options)
{
    const char *name = options->device ? options->device : "auto";
    const int any = strcmp(name, "auto") == 0;

    if (strcmp(name, "cpu") == 0) return open_on(ctx, vdni_cpu_backend(), 0);
    if (!any && !is_cuda(name))
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "device \"%s\": there are auto, cpu, cuda, cuda:N",
                         name);
    const int32_t index = !any && name[4] == ':' ? (int32_t)strtol(name + 5, NULL, 10) : 0;
    const vdn_status status = open_cuda(ctx, options->cuda_library, index);
    if (status == VDN_OK || !any) return status;
    vdni_note(ctx, "cuda: %s; running on the CPU", ctx->error);
    vdni_clear_error(ctx);
    return open_on(ctx, vdni_cpu_backend(), 0);
}

static vdn_status set_up(vdn_ctx *ctx, const vdn_ctx_options *options)
{
    if (options->threads < 0 || options->max_memory_bytes < 0)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%d threads, %lld bytes: neither is negative",
                         (int)options->threads, (long long)options->max_memory_bytes);
    ctx->threads = options->threads > 0 ? options->threads : vdni_processor_count();
    ctx->max_memory_bytes = options->max_memory_bytes;
    ctx->progress = options->progress;
    ctx->log = options->log;
    ctx->user = options->user;
    return open_device(ctx, options);
}

vdn_status vdn_ctx_create(vdn_ctx **out, const vdn_ctx_options *options)
{
    vdn_ctx_options defaults;
    vdn_ctx_options_init(&defaults);
    if (!out) return VDN_ERR_ARGUMENT;
    *out = NULL;
    if (!options) options = &defaults;
    const int tell = options->why && options->why_bytes > 0;
    if (tell) (void)snprintf(options->why, options->why_bytes, "no memory for a context");
    vdn_ctx *ctx = malloc(sizeof *ctx); /* The counted allocator begins to exist with it. */
    if (!ctx) return VDN_ERR_MEMORY;
    vdni_ctx_init(ctx);
    const vdn_status status = set_up(ctx, options);
    if (tell) (void)snprintf(options->why, options->why_bytes, "%s", ctx->error);
    if (status != VDN_OK) {
        vdn_ctx_free(ctx);
        return status;
    }
    *out = ctx;
    return VDN_OK;
}

void vdn_ctx_free(vdn_ctx *ctx)
{
    if (!ctx) return;
    if (ctx->kept) ctx->kept_free(ctx, ctx->kept);
    if (ctx->device) ctx->backend->close(ctx, ctx->device);
    free(ctx);
}

const char *vdn_ctx_error(const vdn_ctx *ctx) { return ctx ? ctx->error : "no context"; }

const char *vdn_ctx_get_device(const vdn_ctx *ctx) { return ctx->device_name; }

void vdn_ctx_get_memory(const vdn_ctx *ctx, int64_t *now_bytes, int64_t *peak_bytes)
{
    if (now_bytes) *now_bytes = ctx->now_bytes;
    if (peak_bytes) *peak_bytes = ctx->peak_bytes;
}

void vdn_ctx_get_device_memory(const vdn_ctx *ctx, int64_t *now_bytes, int64_t *peak_bytes)
{
    vdni_device_info info;
    ctx->backend->describe(ctx->device, &info);
    if (now_bytes) *now_bytes = info.now_bytes;
    if (peak_bytes) *peak_bytes = info.peak_bytes;
}

/* Every public call begins its own reason and its own progress. */
static vdn_status begin(vdn_ctx *ctx)
{
    if (!ctx) return VDN_ERR_ARGUMENT; /* vdn_ctx_create failed and nobody looked */
    vdni_clear_error(ctx);
    ctx->last_report_ns = 0;
    ctx->progress_floor = 0.0;
    ctx->progress_scale = 1.0;
    return VDN_OK;
}

static vdn_status need(vdn_ctx *ctx, const void *pointer, const char *name)
{
    if (pointer) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s is NULL", name);
}

/* ---- slices ---- */

void vdn_segment_options_init(vdn_segment_options *options)
{
    memset(options, 0, sizeof *options);
    options->seed = 35;
}

vdn_status vdn_segment(vdn_ctx *ctx, float *probability, float *uncertainty,
                       const vdn_slices *slices, const vdn_model *model,
                       const vdn_segment_options *options)
{
    vdn_segment_options defaults;
    vdn_segment_options_init(&defaults);
    VDN_CHECK(begin(ctx));
    VDN_CHECK(need(ctx, probability, "probability"));
    VDN_CHECK(need(ctx, slices, "slices"));
    VDN_CHECK(need(ctx, model, "model"));
    return vdni_segment(ctx, probability, uncertainty, slices, model, options ? options : &defaults);
}

vdn_status vdn_resample(vdn_ctx *ctx, float *out, int64_t out_height, int64_t out_width,
                        const float *in, int64_t height, int64_t width, int64_t channels)
{
    const int64_t out_size[2] = { out_height, out_width }, size[3] = { height, width, channels };
    VDN_CHECK(begin(ctx));
    VDN_CHECK(need(ctx, out, "out"));
    VDN_CHECK(need(ctx, in, "in"));
    return vdni_resample_plane(ctx, out, out_size, in, size);
}

int64_t vdn_resampled_size(int64_t count, double spacing_mm, double target_mm)
{
    return vdni_resampled_size(count, spacing_mm, target_mm);
}

/* ---- slice store ---- */

vdn_status vdn_store_create(vdn_ctx *ctx, vdn_store_writer **out, const char *path,
                            const vdn_store_header *header)
{
    VDN_CHECK(begin(ctx));
    VDN_CHECK(need(ctx, out, "out"));
    *out = NULL;
    VDN_CHECK(need(ctx, path, "path"));
    VDN_CHECK(need(ctx, header, "header"));
    return vdni_store_create(ctx, out, path, header);
}

vdn_status vdn_store_add(vdn_ctx *ctx, vdn_store_writer *writer, const vdn_store_slice *slice)
{
    VDN_CHECK(begin(ctx));
    VDN_CHECK(need(ctx, writer, "writer"));
    VDN_CHECK(need(ctx, slice, "slice"));
    return vdni_store_add(ctx, writer, slice);
}

vdn_status vdn_store_finish(vdn_ctx *ctx, vdn_store_writer *writer)
{
    VDN_CHECK(begin(ctx));
    VDN_CHECK(need(ctx, writer, "writer"));
    return vdni_store_finish(ctx, writer);
}

void vdn_store_discard(vdn_ctx *ctx, vdn_store_writer *writer) { vdni_store_discard(ctx, writer); }

/* ---- training ---- */

void vdn_train_options_init(vdn_train_options *options)
{
    memset(options, 0, sizeof *options);
    options->config = "tiny";
    options->recipe = "recommended";
    options->seed = 35;
    options->msfm = options->nsa = 1;
}

vdn_status vdn_train(vdn_ctx *ctx, const char *folder, const char *store_path,
                     const vdn_train_options *options)
{
    vdn_train_options defaults;
    vdn_train_options_init(&defaults);
    VDN_CHECK(begin(ctx));
    VDN_CHECK(need(ctx, folder, "folder"));
    VDN_CHECK(need(ctx, store_path, "store_path"));
    return vdni_train(ctx, folder, store_path, options ? options : &defaults);
}

void vdn_string_free(char *string) { vdni_free(NULL, string); }

/* ---- scores ---- */

static vdn_status score(vdn_ctx *ctx, vdn_score *out, const uint16_t *reference,
                        const uint16_t *prediction, const int64_t size[3],
                        const double spacing_mm[3], uint16_t label)
{
    vdni_surface_score surface;
    vdni_overlap o = { 0, 0, 0 };

    VDN_CHECK(vdni_surface_labels(ctx, &surface, reference, prediction, size, spacing_mm, label));
    for (int64_t i = 0; i < size[0] * size[1] * size[2]; i++) {
        const int wanted = reference[i] == label, found = prediction[i] == label;
        o.true_positive += wanted && found;
        o.false_positive += found > wanted;
        o.false_negative += wanted > found;
    }
    *out = (vdn_score){ o.true_positive, o.false_positive, o.false_negative, vdni_dice(&o),
                        vdni_iou(&o),    surface.hd95_mm,  surface.mean_mm };
    return VDN_OK;
}

vdn_status vdn_score_labels(vdn_ctx *ctx, vdn_score *out, const uint16_t *reference,
                            const uint16_t *prediction, const int64_t size[3],
                            const double spacing_mm[3], uint16_t label)
{
    VDN_CHECK(begin(ctx));
    VDN_CHECK(need(ctx, out, "out"));
    VDN_CHECK(need(ctx, reference, "reference"));
    VDN_CHECK(need(ctx, prediction, "prediction"));
    VDN_CHECK(need(ctx, size, "size"));
    VDN_CHECK(need(ctx, spacing_mm, "spacing_mm"));
    return score(ctx, out, reference, prediction, size, spacing_mm, label);
}

void vdn_calibration_pool(vdn_calibration *sum, const vdn_calibration *part)
{
    vdni_calibration_pool(sum, part);
}

double vdn_calibration_ece(const vdn_calibration *calibration)
{
    return vdni_calibration_ece(calibration);
}

double vdn_calibration_brier(const vdn_calibration *calibration)
{
    return vdni_calibration_brier(calibration);
}

vdn_status vdn_score_probability(vdn_ctx *ctx, vdn_probability_score *out,
                                 const uint16_t *reference, const float *probability,
                                 const float *uncertainty, const int64_t size[3],
                                 const double spacing_mm[3])
{
    VDN_CHECK(begin(ctx));
    VDN_CHECK(need(ctx, out, "out"));
    VDN_CHECK(need(ctx, reference, "reference"));
    VDN_CHECK(need(ctx, probability, "probability"));
    VDN_CHECK(need(ctx, size, "size"));
    VDN_CHECK(need(ctx, spacing_mm, "spacing_mm"));
    const vdni_probability_volume volume = { reference, probability, uncertainty, size,
                                             spacing_mm };
    return vdni_probability_score(ctx, out, &volume);
}

vdn_status vdn_score_selection(vdn_ctx *ctx, vdn_selection *out, const double *uncertainty,
                               const double *risk, int64_t count)
{
    VDN_CHECK(begin(ctx));
    VDN_CHECK(need(ctx, out, "out"));
    VDN_CHECK(need(ctx, uncertainty, "uncertainty"));
    VDN_CHECK(need(ctx, risk, "risk"));
    return vdni_selection(ctx, out, uncertainty, risk, count);
}

#include "Train/memory_plan.h"

#include "Base/memory.h"
#include "Ops/backend.h"
#include "Train/loader.h"

#include <stdio.h>
#include <string.h>

enum { SLACK_BYTES = 2 << 20, SLICE_BYTES = 2048, MEBI = 1 << 20 };

/* ---- a back end that counts ---- */

typedef struct {
    vdni_backend table; /* first: ctx->backend points at it */
    const vdni_backend *real;
    int64_t now, peak;    /* of the device's bytes */
    int64_t host, before; /* of the context: at the peak of both together; when counting began */
    int64_t blocks;       /* host bytes that stand for the device's */
} counter;

typedef struct {
    int64_t bytes;
} counted_block;

static counter *counter_of(vdn_ctx *ctx) { return (counter *)(uintptr_t)ctx->backend; }

static void note_peak(vdn_ctx *ctx, counter *c)
{
    const int64_t host = ctx->now_bytes - c->before - c->blocks;
    if (c->now + host < c->peak + c->host) return;
    c->peak = c->now;
    c->host = host;
}

static vdn_status count_allocate(vdn_ctx *ctx, vdni_device *device, void **out, int64_t bytes)
{
    counter *c = counter_of(ctx);
    counted_block *block = NULL;
    const int64_t before = ctx->now_bytes;
    (void)device;
    VDN_CHECK(VDNI_NEW(ctx, block, 1));
    block->bytes = bytes;
    c->blocks += ctx->now_bytes - before;
    c->now += bytes;
    note_peak(ctx, c);
    *out = block;
    return VDN_OK;
}

static void count_release(vdn_ctx *ctx, vdni_device *device, void *data)
{
    counter *c = counter_of(ctx);
    counted_block *block = data;
    const int64_t before = ctx->now_bytes;
    (void)device;
    if (!block) return;
    c->now -= block->bytes;
    vdni_free(ctx, block);
    c->blocks -= before - ctx->now_bytes;
}

/* Nothing is there to write to: whoever counts only creates. */
static vdn_status count_stage(vdn_ctx *ctx, vdni_device *device, vdni_stage *out, int64_t bytes,
                              int32_t twin)
{
    counter *c = counter_of(ctx);
    (void)device;
    *out = (vdni_stage){ .host = NULL };
    VDN_CHECK(vdni_hold_bytes(ctx, bytes));
    out->bytes = bytes;
    if (twin && !c->real->shares_host_memory) {
        out->own = c;
        c->now += bytes;
    }
    note_peak(ctx, c);
    return VDN_OK;
}

static void count_stage_free(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage)
{
    counter *c = counter_of(ctx);
    (void)device;
    if (stage->own) c->now -= stage->bytes;
    vdni_drop_bytes(ctx, stage->bytes);
    *stage = (vdni_stage){ .host = NULL };
}

static vdn_status ignore_put(vdn_ctx *ctx, vdni_device *device, void *to, const void *from,
                             int64_t bytes)
{
    (void)ctx, (void)device, (void)to, (void)from, (void)bytes;
    return VDN_OK;
}

static vdn_status ignore_zero(vdn_ctx *ctx, vdni_device *device, void *to, int64_t bytes)
{
    (void)ctx, (void)device, (void)to, (void)bytes;
    return VDN_OK;
}

static void begin_counting(vdn_ctx *ctx, counter *c)
{
    memset(c, 0, sizeof *c);
    c->real = ctx->backend;
    c->table = *ctx->backend;
    c->table.allocate = count_allocate;
    c->table.release = count_release;
    c->table.put = c->table.get = c->table.copy = ignore_put;
    c->table.zero = ignore_zero;
    c->table.stage_create = count_stage;
    c->table.stage_free = count_stage_free;
    c->before = ctx->now_bytes;
    ctx->backend = &c->table;
}

static void end_counting(vdn_ctx *ctx, counter *c) { ctx->backend = c->real; }

/* ---- parts ---- */

typedef struct {
    int64_t device, host;
} share;

static void add(share *to, const counter *c)
{
    to->device += c->peak;
    to->host += c->host;
}

/* The training's network, or the one that validates. */
static vdn_status count_network(vdn_ctx *ctx, share *out, vdni_trainer *t, int32_t training,
                                int32_t recompute, int32_t images)
{
    const vdni_slice_list *v = &t->parts[VDNI_PART_VALIDATION];
    const uint64_t version = 1;
    const vdni_network_weights weights = { &t->model->parameters, t->model->values,
                                           training ? t->model->values : NULL, &version };
    const vdni_network_options options = { training ? t->height : v->height,
                                           training ? t->width : v->width, t->activation, training,
                                           recompute, images };
    vdni_network *network = NULL;
    counter c;
    begin_counting(ctx, &c);
    const vdn_status status = vdni_network_create(ctx, &network, &t->model->config, &t->recipe,
                                                  t->schedule, &weights, &options);
    note_peak(ctx, &c);
    vdni_network_free(ctx, network);
    end_counting(ctx, &c);
    add(out, &c);
    return status;
}

/* What a validation and the test table take besides. */
static vdn_status count_run(vdn_ctx *ctx, share *out, vdni_trainer *t,
                            vdn_status (*dry)(vdn_ctx *, vdni_trainer *))
{
    const vdni_blocks kept = t->blocks;
    counter c;
    t->blocks.best = t->blocks.average = t->model->values; /* only their addresses are used */
    begin_counting(ctx, &c);
    const vdn_status status = dry(ctx, t);
    end_counting(ctx, &c);
    t->blocks = kept;
    add(out, &c);
    return status;
}

static int64_t image_bytes(const vdn_ctx *ctx, const vdni_trainer *t, int32_t images)
{
    const vdni_config *c = &t->model->config;
    const vdni_slice_list *train = &t->parts[VDNI_PART_TRAIN];
    const int64_t threads = vdni_loader_threads(ctx->threads, t->recipe.batch);
    const int64_t pixels = t->height * t->width;
    const int64_t batch = t->recipe.batch * (pixels * (4 * (int64_t)c->image_channels + 1) + 16);
    const int64_t scratch =
        4 * train->height * train->width * c->image_channels + vdni_batch_work_bytes(t);
    return batch * (threads > 0 ? 2 : 1) + scratch * (threads + 1) +
           4 * images * pixels * c->mask_channels + 8 * train->count;
}

static int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }

/* What is the same however the images are computed. */
typedef struct {
    share validation, validating, scoring;
} other_parts;

static vdn_status count_others(vdn_ctx *ctx, other_parts *out, vdni_trainer *t)
{
    memset(out, 0, sizeof *out);
    VDN_CHECK(count_network(ctx, &out->validation, t, 0, 0, 1));
    VDN_CHECK(count_run(ctx, &out->validating, t, vdni_validate_dry));
    return count_run(ctx, &out->scoring, t, vdni_test_table_dry);
}

/* The networks are gone when the test slices are scored. */
static vdn_status make(vdn_ctx *ctx, vdni_memory_plan *out, vdni_trainer *t,
                       const other_parts *others, int32_t recompute, int32_t images)
{
    const int64_t floats = t->model->parameters.total_floats;
    const int shared = ctx->backend->shares_host_memory;
    const share blocks = { 5 * 4 * floats, 5 * floats };
    const share validation = others->validation, validating = others->validating,
                scoring = others->scoring;
    share network = { 0, 0 };

    VDN_CHECK(count_network(ctx, &network, t, 1, recompute, images));
    const int64_t saving = shared ? 0 : 4 * 4 * floats; /* blocks pass through the host */
    *out = (vdni_memory_plan){
        .recompute = recompute,
        .images_at_once = images,
        .weights = blocks.device + blocks.host,
        .images = image_bytes(ctx, t, images),
        .network = network.device + network.host,
        .validation = validation.device + validation.host + validating.device + validating.host,
        .scoring = scoring.device + scoring.host,
    };
    const int64_t device =
        blocks.device +
        largest(network.device + validation.device + validating.device, scoring.device);
    const int64_t host =
        ctx->now_bytes + blocks.host + out->images + SLACK_BYTES +
        SLICE_BYTES * t->parts[VDNI_PART_TEST].count +
        largest(network.host + validation.host + largest(validating.host, saving), scoring.host);
    out->peak = shared ? host + device : host;
    out->device_peak = shared ? 0 : device;
    return VDN_OK;
}

/* ---- limits ---- */

static int64_t device_limit(const vdn_ctx *ctx)
{
    vdni_device_info info;
    ctx->backend->describe(ctx->device, &info);
    return info.limit_bytes > 0 ? info.limit_bytes - info.now_bytes : 0;
}

static int fits(const vdn_ctx *ctx, const vdni_memory_plan *p)
{
    const int64_t device = p->device_peak > 0 ? device_limit(ctx) : 0;
    return (ctx->max_memory_bytes == 0 || p->peak <= ctx->max_memory_bytes) &&
           (device == 0 || p->device_peak <= device);
}

static double mebi(int64_t bytes) { return (double)bytes / MEBI; }

static void say(vdn_ctx *ctx, const vdni_memory_plan *p)
{
    char at_once[40] = "";
    if (p->images_at_once > 1)
        (void)snprintf(at_once, sizeof at_once, "; %d images at once", p->images_at_once);
    vdni_note(ctx,
              "memory: at most %.0f MiB%s (weights and moments %.0f, images %.0f, training %.0f, "
              "validation %.0f, test table %.0f)%s%s",
              mebi(p->peak + p->device_peak), p->device_peak > 0 ? " of processor and device" : "",
              mebi(p->weights), mebi(p->images), mebi(p->network), mebi(p->validation),
              mebi(p->scoring), at_once,
              p->recompute ? "; blocks are computed again in the backward pass" : "");
}

/* Images of a pass at most; asking stands above what is best. Batch norm is that of one image on every
 * device. */
static int32_t most_at_once(const vdn_ctx *ctx, const vdni_trainer *t, int32_t asked)
{
    if (t->model->config.condition_norm == VDNI_CONDITION_BATCH) return 1;
    if (asked > 0) return asked;
    return ctx->backend->shares_host_memory ? 1 : t->recipe.batch;
}

/* The largest divisor of the batch whose plan fits; 1 whether it fits or not. */
static vdn_status make_largest(vdn_ctx *ctx, vdni_memory_plan *out, vdni_trainer *t,
                               const other_parts *others, int32_t asked)
{
    for (int32_t images = most_at_once(ctx, t, asked); images >= 1; images--) {
        if (t->recipe.batch % images != 0) continue;
        VDN_CHECK(make(ctx, out, t, others, 0, images));
        if (fits(ctx, out)) break;
    }
    return VDN_OK;
}

vdn_status vdni_memory_plan_make(vdn_ctx *ctx, vdni_memory_plan *out, vdni_trainer *t,
                                 int32_t images)
{
    vdni_memory_plan first;
    other_parts others;
    VDN_CHECK(count_others(ctx, &others, t));
    VDN_CHECK(make_largest(ctx, &first, t, &others, images));
    *out = first;
    if (!fits(ctx, out)) VDN_CHECK(make(ctx, out, t, &others, 1, 1));
    if (fits(ctx, out)) {
        say(ctx, out);
        return VDN_OK;
    }
    return vdni_fail(
        ctx, VDN_ERR_MEMORY,
        "training needs %.0f MiB, %.0f with blocks computed again (training %.0f, "
        "validation %.0f, test table %.0f, weights %.0f, images %.0f); allowed are %.0f: "
        "take a smaller configuration, crops, or a larger pixel spacing",
        mebi(first.peak + first.device_peak), mebi(out->peak + out->device_peak),
        mebi(out->network), mebi(out->validation), mebi(out->scoring), mebi(out->weights),
        mebi(out->images),
        mebi(out->device_peak > 0 && out->peak <= ctx->max_memory_bytes ? device_limit(ctx)
                                                                        : ctx->max_memory_bytes));
}

/* CPU twin of attention, backward; the contract is Core/Ops/attention.h. One image and head is one
 * piece of work, so dk and dv are summed over queries in order; as many pieces run at a time as
 * there are threads, each in its own part of the workspace. */
#include "CPU/attention.h"

#include "CPU/vector_math.h"

#include <math.h>
#include <string.h>

/* Workspace of one piece; all sizes in floats. */
typedef struct {
    float *keys, *values;      /* packed by token */
    float *keys_c, *q_c, *g_c; /* packed by channel; q times 1/sqrt(d) */
    float *dk, *dv;            /* (tokens + slack) rows of blocks * lanes */
    float *q, *g, *dq;         /* one tile of rows: d, d, blocks * lanes */
    float *p, *ds;             /* one tile of rows of VDNI_KEYS */
} space;

/* Cut @p base into its parts; NULL only counts. */
static int64_t layout(space *out, float *base, const vdni_head *h)
{
    const int64_t by_token = vdni_by_token_floats(h), by_channel = vdni_by_channel_floats(h);
    const int64_t width = h->blocks * VDNI_LANES, rows = (h->tokens + VDNI_TILE_SLACK) * width;
    const int64_t tile = VDNI_QUERY_ROWS * VDNI_KEYS;
    float **const field[] = { &out->keys, &out->values, &out->keys_c, &out->q_c,
                              &out->g_c,  &out->dk,     &out->dv,     &out->q,
                              &out->g,    &out->dq,     &out->p,      &out->ds };
    const int64_t size[] = { by_token,
                             by_token,
                             by_channel,
                             by_channel,
                             by_channel,
                             rows,
                             rows,
                             VDNI_QUERY_ROWS * h->d,
                             VDNI_QUERY_ROWS * h->d,
                             VDNI_QUERY_ROWS * width,
                             tile,
                             tile };
    int64_t used = 0;
    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) {
        *field[i] = base ? base + used : NULL;
        used += (size[i] + VDNI_LANES - 1) / VDNI_LANES * VDNI_LANES;
    }
    return used;
}

/* P = exp(S - lse) and dS = P (dP - D), in place. */
static VDNI_VECTOR void differentiate_row(float *p, float *ds, int64_t keys, float lse, float mean)
{
    for (int64_t j = 0; j < keys; j++) {
        p[j] = vdni_exp(p[j] - lse);
        ds[j] = p[j] * (ds[j] - mean);
    }
}

/* out (rows of width) += x^T w or x w for a tile of x; w packed by channel from token @p first. */
static void add_product(float *out, const float *x, int64_t pixel_step, int64_t item_step,
                        int64_t pixels, int64_t length, const float *w, const vdni_head *h)
{
    const vdni_tile_segment segment = { x, w, length };
    const vdni_tile_job job = { .segments = &segment,
                                .segment_count = 1,
                                .pixel_step = pixel_step,
                                .item_step = item_step,
                                .w_block = h->tokens * VDNI_LANES,
                                .out = out,
                                .out_pixel = h->blocks * VDNI_LANES,
                                .out_block = VDNI_LANES,
                                .init = out,
                                .init_pixel = h->blocks * VDNI_LANES,
                                .init_block = VDNI_LANES,
                                .pixels = pixels,
                                .blocks = h->blocks };
    h->simd->tile(&job);
}

typedef struct {
    const vdni_device *device;
    const vdni_op *op;
    float *workspace;
    int64_t items, slots, slot_floats;
} backward_job;

static void pack(const space *w, const vdni_head *h, const vdni_op *op)
{
    const vdni_tensor *const g = op->in[0], *const qkv = op->in[1];
    const int64_t rows = (h->tokens + VDNI_TILE_SLACK) * h->blocks * VDNI_LANES;
    vdni_pack_by_token(w->keys, h, 1);
    vdni_pack_by_token(w->values, h, 2);
    vdni_pack_by_channel(w->keys_c, h, qkv, vdni_head_at(h, 1, 0), qkv->c, 1.0f);
    vdni_pack_by_channel(w->q_c, h, qkv, vdni_head_at(h, 0, 0), qkv->c, 1.0f / sqrtf((float)h->d));
    vdni_pack_by_channel(w->g_c, h, g, vdni_head_out(h, 0), g->c, 1.0f);
    memset(w->dk, 0, (size_t)rows * sizeof(float));
    memset(w->dv, 0, (size_t)rows * sizeof(float));
    memset(w->q, 0, (size_t)(VDNI_QUERY_ROWS * h->d) * sizeof(float));
    memset(w->g, 0, (size_t)(VDNI_QUERY_ROWS * h->d) * sizeof(float));
    memset(w->p, 0, (size_t)(VDNI_QUERY_ROWS * VDNI_KEYS) * sizeof(float));
    memset(w->ds, 0, (size_t)(VDNI_QUERY_ROWS * VDNI_KEYS) * sizeof(float));
}

/* D of one query. */
static float dot_of(const float *g, const vdni_tensor *o, int64_t at, int64_t d)
{
    float row[VDNI_MAX_HEAD];
    double sum = 0.0;
    vdni_cpu_read(row, o, at, d);
    for (int64_t c = 0; c < d; c++) sum += (double)g[c] * row[c];
    return (float)sum;
}

static void run_queries(const space *w, const vdni_head *h, const vdni_op *op, int64_t begin)
{
    const int64_t left = h->tokens - begin, width = h->blocks * VDNI_LANES;
    const int64_t queries = left < VDNI_QUERIES ? left : VDNI_QUERIES;
    const float *const lse =
        (const float *)op->in[3]->data + (h->n * op->a.heads + h->index) * h->tokens + begin;
    const float scale = 1.0f / sqrtf((float)h->d);
    float mean[VDNI_QUERIES];

    for (int64_t i = 0; i < queries; i++) {
        vdni_cpu_read(w->q + i * h->d, h->qkv, vdni_head_at(h, 0, begin + i), h->d);
        vdni_cpu_read(w->g + i * h->d, op->in[0], vdni_head_out(h, begin + i), h->d);
        for (int64_t c = 0; c < h->d; c++) w->q[i * h->d + c] *= scale;
        mean[i] = dot_of(w->g + i * h->d, op->in[2], vdni_head_out(h, begin + i), h->d);
    }
    memset(w->dq, 0, (size_t)(VDNI_QUERY_ROWS * width) * sizeof(float));
    for (int64_t first = 0; first < h->tokens; first += VDNI_KEYS) {
        const int64_t keys = h->tokens - first < VDNI_KEYS ? h->tokens - first : VDNI_KEYS;
        vdni_scores(w->p, w->q, w->keys, h, queries, first, keys);
        vdni_scores(w->ds, w->g, w->values, h, queries, first, keys);
        for (int64_t i = 0; i < queries; i++)
            differentiate_row(w->p + i * VDNI_KEYS, w->ds + i * VDNI_KEYS, keys, lse[i], mean[i]);
        add_product(w->dq, w->ds, VDNI_KEYS, 1, queries, keys, w->keys_c + first * VDNI_LANES, h);
        add_product(w->dk + first * width, w->ds, 1, VDNI_KEYS, keys, queries,
                    w->q_c + begin * VDNI_LANES, h);
        add_product(w->dv + first * width, w->p, 1, VDNI_KEYS, keys, queries,
                    w->g_c + begin * VDNI_LANES, h);
    }
    for (int64_t i = 0; i < queries; i++) {
        for (int64_t c = 0; c < h->d; c++) w->dq[i * width + c] *= scale;
        vdni_cpu_write(op->out[0], vdni_head_at(h, 0, begin + i), w->dq + i * width, h->d);
    }
}

static void run_slot(void *user, int64_t slot)
{
    const backward_job *const job = user;
    const vdni_op *const op = job->op;
    for (int64_t item = slot; item < job->items; item += job->slots) {
        const vdni_head h = vdni_head_get(job->device, op->in[1], op->a.heads, item);
        const int64_t width = h.blocks * VDNI_LANES;
        space w;
        (void)layout(&w, job->workspace + slot * job->slot_floats, &h);
        pack(&w, &h, op);
        for (int64_t begin = 0; begin < h.tokens; begin += VDNI_QUERIES)
            run_queries(&w, &h, op, begin);
        for (int64_t j = 0; j < h.tokens; j++) {
            vdni_cpu_write(op->out[0], vdni_head_at(&h, 1, j), w.dk + j * width, h.d);
            vdni_cpu_write(op->out[0], vdni_head_at(&h, 2, j), w.dv + j * width, h.d);
        }
    }
}

static backward_job job_of(const vdni_device *device, const vdni_op *op, void *workspace)
{
    const vdni_head h = vdni_head_get(device, op->in[1], op->a.heads, 0);
    space w;
    backward_job job = { .device = device,
                         .op = op,
                         .workspace = workspace,
                         .items = op->in[1]->n * op->a.heads };
    job.slots = job.items < device->threads ? job.items : device->threads;
    job.slot_floats = layout(&w, workspace, &h);
    return job;
}

int64_t vdni_cpu_attention_backward_workspace(const vdni_device *device, const vdni_op *op)
{
    const backward_job job = job_of(device, op, NULL);
    return job.slots * job.slot_floats * (int64_t)sizeof(float);
}

vdn_status vdni_cpu_attention_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                       void *workspace)
{
    backward_job job = job_of(device, op, workspace);
    (void)ctx;
    vdni_parallel_for(device->threads, job.slots, run_slot, &job);
    return VDN_OK;
}

/* CPU twin of attention, forward; the contract is Core/Ops/attention.h. Every product is a job of
 * CPU/simd.h; only the packing and the softmax are here. */
#include "CPU/attention.h"

#include "CPU/vector_math.h"

#include <math.h>
#include <string.h>

vdni_head vdni_head_get(const vdni_device *device, const vdni_tensor *qkv, int64_t heads,
                        int64_t item)
{
    const int64_t channels = qkv->c / 3, d = channels / heads;
    return (vdni_head){ .simd = device->simd,
                        .qkv = qkv,
                        .n = item / heads,
                        .index = item % heads,
                        .tokens = qkv->h * qkv->w,
                        .d = d,
                        .blocks = vdni_lane_blocks(d),
                        .channels = channels };
}

int64_t vdni_by_token_floats(const vdni_head *h)
{
    return vdni_lane_blocks(h->tokens) * h->d * VDNI_LANES;
}

int64_t vdni_by_channel_floats(const vdni_head *h) { return h->blocks * h->tokens * VDNI_LANES; }

void vdni_pack_by_token(float *to, const vdni_head *h, int64_t part)
{
    float row[VDNI_MAX_HEAD];
    memset(to, 0, (size_t)vdni_by_token_floats(h) * sizeof *to);
    for (int64_t i = 0; i < h->tokens; i++) {
        float *const lane = to + i / VDNI_LANES * h->d * VDNI_LANES + i % VDNI_LANES;
        vdni_cpu_read(row, h->qkv, vdni_head_at(h, part, i), h->d);
        for (int64_t c = 0; c < h->d; c++) lane[c * VDNI_LANES] = row[c];
    }
}

void vdni_pack_by_channel(float *to, const vdni_head *h, const vdni_tensor *t, int64_t at,
                          int64_t step, float scale)
{
    float row[VDNI_MAX_HEAD + VDNI_LANES] = { 0 };
    for (int64_t i = 0; i < h->tokens; i++) {
        vdni_cpu_read(row, t, at + i * step, h->d);
        for (int64_t b = 0; b < h->blocks; b++) {
            float *const lanes = to + (b * h->tokens + i) * VDNI_LANES;
            for (int l = 0; l < VDNI_LANES; l++) lanes[l] = scale * row[b * VDNI_LANES + l];
        }
    }
}

void vdni_scores(float *s, const float *x, const float *packed, const vdni_head *h, int64_t queries,
                 int64_t first, int64_t keys)
{
    static const float zeros[VDNI_LANES];
    const vdni_tile_segment segment = { x, packed + first * h->d, h->d };
    const vdni_tile_job job = { .segments = &segment,
                                .segment_count = 1,
                                .pixel_step = h->d,
                                .item_step = 1,
                                .w_block = h->d * VDNI_LANES,
                                .out = s,
                                .out_pixel = VDNI_KEYS,
                                .out_block = VDNI_LANES,
                                .init = zeros,
                                .pixels = queries,
                                .blocks = vdni_lane_blocks(keys) };
    h->simd->tile(&job);
}

/* Replace the scores of one row by exp(score - top), top being the larger of @p top and their maximum;
 * add the sum of the new ones to *sum and return top. */
static VDNI_VECTOR float exponentiate(float *s, int64_t keys, float top, float *sum)
{
    float most[VDNI_LANES], total[VDNI_LANES] = { 0 };
    const int64_t whole = keys / VDNI_LANES * VDNI_LANES;
    for (int l = 0; l < VDNI_LANES; l++) most[l] = top;
    for (int64_t j = 0; j < whole; j += VDNI_LANES)
        for (int l = 0; l < VDNI_LANES; l++) most[l] = s[j + l] > most[l] ? s[j + l] : most[l];
    for (int l = 0; l < VDNI_LANES; l++) top = most[l] > top ? most[l] : top;
    for (int64_t j = whole; j < keys; j++) top = s[j] > top ? s[j] : top;

    for (int64_t j = 0; j < whole; j += VDNI_LANES)
        for (int l = 0; l < VDNI_LANES; l++) {
            s[j + l] = vdni_exp(s[j + l] - top);
            total[l] += s[j + l];
        }
    for (int64_t j = whole; j < keys; j++) total[j - whole] += s[j] = vdni_exp(s[j] - top);
    for (int l = 0; l < VDNI_LANES; l++) *sum += total[l];
    return top;
}

typedef struct {
    float q[VDNI_QUERY_ROWS * VDNI_MAX_HEAD];
    float s[VDNI_QUERY_ROWS * VDNI_KEYS];
    float o[VDNI_QUERY_ROWS * VDNI_MAX_HEAD]; /* rows of blocks * VDNI_LANES */
    float top[VDNI_QUERIES], sum[VDNI_QUERIES];
} query_tile;

/* Softmax of a tile of scores against the rows so far; their sums and outputs shrink as the maximum
 * rises. */
static void soften(query_tile *t, int64_t queries, int64_t keys, int64_t width)
{
    for (int64_t i = 0; i < queries; i++) {
        float sum = 0.0f;
        const float before = t->top[i];
        const float top = exponentiate(t->s + i * VDNI_KEYS, keys, before, &sum);
        const float shrink = before == top ? 1.0f : vdni_exp(before - top);
        t->top[i] = top;
        t->sum[i] = t->sum[i] * shrink + sum;
        if (shrink == 1.0f) continue;
        for (int64_t c = 0; c < width; c++) t->o[i * width + c] *= shrink;
    }
}

static void add_values(query_tile *t, const float *values, const vdni_head *h, int64_t queries,
                       int64_t first, int64_t keys)
{
    const vdni_tile_segment segment = { t->s, values + first * VDNI_LANES, keys };
    const vdni_tile_job job = { .segments = &segment,
                                .segment_count = 1,
                                .pixel_step = VDNI_KEYS,
                                .item_step = 1,
                                .w_block = h->tokens * VDNI_LANES,
                                .out = t->o,
                                .out_pixel = h->blocks * VDNI_LANES,
                                .out_block = VDNI_LANES,
                                .init = t->o,
                                .init_pixel = h->blocks * VDNI_LANES,
                                .init_block = VDNI_LANES,
                                .pixels = queries,
                                .blocks = h->blocks };
    h->simd->tile(&job);
}

typedef struct {
    const vdni_device *device;
    const vdni_op *op;
    float *keys, *values; /* packed; one after the other for every image and head */
    int64_t tiles;        /* of queries, per head */
} forward_job;

static void pack_head(void *user, int64_t item)
{
    const forward_job *const job = user;
    const vdni_tensor *const qkv = job->op->in[0];
    const vdni_head h = vdni_head_get(job->device, qkv, job->op->a.heads, item);
    vdni_pack_by_token(job->keys + item * vdni_by_token_floats(&h), &h, 1);
    vdni_pack_by_channel(job->values + item * vdni_by_channel_floats(&h), &h, qkv,
                         vdni_head_at(&h, 2, 0), qkv->c, 1.0f);
}

static void run_tile(void *user, int64_t index)
{
    const forward_job *const job = user;
    const int64_t item = index / job->tiles, begin = index % job->tiles * VDNI_QUERIES;
    const vdni_head h = vdni_head_get(job->device, job->op->in[0], job->op->a.heads, item);
    const float *const packed = job->keys + item * vdni_by_token_floats(&h);
    const float *const values = job->values + item * vdni_by_channel_floats(&h);
    const int64_t width = h.blocks * VDNI_LANES, left = h.tokens - begin;
    const int64_t queries = left < VDNI_QUERIES ? left : VDNI_QUERIES;
    const float scale = 1.0f / sqrtf((float)h.d);
    query_tile t; /* 140 KB */

    memset(t.q, 0, sizeof t.q);
    memset(t.o, 0, sizeof t.o);
    for (int64_t i = 0; i < queries; i++) {
        vdni_cpu_read(t.q + i * h.d, h.qkv, vdni_head_at(&h, 0, begin + i), h.d);
        for (int64_t c = 0; c < h.d; c++) t.q[i * h.d + c] *= scale;
        t.top[i] = -INFINITY;
        t.sum[i] = 0.0f;
    }
    for (int64_t first = 0; first < h.tokens; first += VDNI_KEYS) {
        const int64_t keys = h.tokens - first < VDNI_KEYS ? h.tokens - first : VDNI_KEYS;
        vdni_scores(t.s, t.q, packed, &h, queries, first, keys);
        soften(&t, queries, keys, width);
        add_values(&t, values, &h, queries, first, keys);
    }
    float *const lse = (float *)job->op->out[1]->data + item * h.tokens + begin;
    for (int64_t i = 0; i < queries; i++) {
        lse[i] = t.top[i] + logf(t.sum[i]);
        for (int64_t c = 0; c < h.d; c++) t.o[i * width + c] /= t.sum[i];
        vdni_cpu_write(job->op->out[0], vdni_head_out(&h, begin + i), t.o + i * width, h.d);
    }
}

static vdn_status run_attention(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                void *workspace)
{
    const vdni_tensor *const qkv = op->in[0];
    const int64_t items = qkv->n * op->a.heads;
    const vdni_head h = vdni_head_get(device, qkv, op->a.heads, 0);
    forward_job job = { device, op, workspace, (float *)workspace + items * vdni_by_token_floats(&h),
                        (h.tokens + VDNI_QUERIES - 1) / VDNI_QUERIES };
    (void)ctx;
    vdni_parallel_for(device->threads, items, pack_head, &job);
    vdni_parallel_for(device->threads, items * job.tiles, run_tile, &job);
    return VDN_OK;
}

static int64_t workspace_bytes(const vdni_device *device, const vdni_op *op)
{
    const vdni_tensor *const qkv = op->in[0];
    const vdni_head h = vdni_head_get(device, qkv, op->a.heads, 0);
    return qkv->n * op->a.heads * (vdni_by_token_floats(&h) + vdni_by_channel_floats(&h)) *
           (int64_t)sizeof(float);
}

const vdni_cpu_entry vdni_cpu_attention[2] = { { run_attention, workspace_bytes },
                                               { vdni_cpu_attention_backward,
                                                 vdni_cpu_attention_backward_workspace } };

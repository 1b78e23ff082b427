/* CPU twin of window attention; the contract is Ops/window_attention.h. The five products of a window
 * are jobs of CPU/simd.h; packing and softmax are here. */
#include "Ops/window_attention.h"

#include "CPU/cpu.h"
#include "CPU/simd.h"
#include "CPU/vector_math.h"

#include <math.h>
#include <string.h>

enum {
    L = VDNI_MAX_WINDOW_TOKENS,
    D = VDNI_MAX_HEAD,
    ROWS = L + VDNI_TILE_SLACK,
    BLOCK = ROWS * VDNI_LANES, /* one block of channels of all tokens */
    CHUNKS = 16
};

typedef struct {
    const vdni_simd *simd;
    const vdni_op *op;
    const vdni_tensor *qkv;
    const float *table;
    int64_t k, tokens, side; /* window, its pixels, 2k - 1 */
    int64_t heads, d, blocks;
    int64_t shift_h, shift_w;
    int64_t windows; /* of the batch */
    int64_t lanes;   /* tokens, up to whole blocks */
    float scale;     /* 1 / sqrt(d) */
    double *sums;    /* (CHUNKS, heads, side^2) */
} plan;

/* One window: where its tokens lie and which of them see each other. */
typedef struct {
    int64_t pixel[L];
    int32_t region[L];
    int32_t is_mixed; /* more than one region */
} window;

/* Channels of one head as lanes: [block of 16 channels][token][16], absent channels 0. */
typedef float by_channel[D / VDNI_LANES * BLOCK];
/* Tokens as lanes: [block of 16 tokens][channel, up to whole lanes][16], absent ones 0. */
typedef float by_token[L * D];
/* A row for each token, a column for each it looks at. */
typedef float pairs[ROWS * L];

static plan plan_of(const vdni_device *device, const vdni_op *op, const vdni_tensor *qkv,
                    const vdni_tensor *table)
{
    const int64_t k = op->a.kernel, d = qkv->c / 3 / op->a.heads;
    return (plan){ .simd = device->simd,
                   .op = op,
                   .qkv = qkv,
                   .table = table->data,
                   .k = k,
                   .tokens = k * k,
                   .side = 2 * k - 1,
                   .heads = op->a.heads,
                   .d = d,
                   .blocks = vdni_lane_blocks(d),
                   .shift_h = vdni_window_shift(&op->a, qkv->h),
                   .shift_w = vdni_window_shift(&op->a, qkv->w),
                   .windows = qkv->n * (qkv->h / k) * (qkv->w / k),
                   .lanes = vdni_lane_blocks(k * k) * VDNI_LANES,
                   .scale = 1.0f / sqrtf((float)d) };
}

static void find_window(window *out, const plan *p, int64_t number)
{
    const vdni_tensor *t = p->qkv;
    const int64_t across = t->w / p->k, down = t->h / p->k, n = number / across / down;
    const int64_t top = number / across % down * p->k, left = number % across * p->k;
    out->is_mixed = 0;
    for (int64_t i = 0; i < p->tokens; i++) {
        const int64_t y = top + i / p->k, x = left + i % p->k;
        out->pixel[i] = (n * t->h + (y + p->shift_h) % t->h) * t->w + (x + p->shift_w) % t->w;
        out->region[i] = 2 * (y >= t->h - p->shift_h) + (x >= t->w - p->shift_w);
        out->is_mixed |= out->region[i] != out->region[0];
    }
}

/* Channels [first, first + d) of the window's pixels; what lies beside them in @p to stays. */
static void gather(by_channel to, const plan *p, const window *at, const vdni_tensor *t,
                   int64_t first)
{
    for (int64_t b = 0; b < p->blocks; b++)
        for (int64_t i = 0; i < p->tokens; i++)
            vdni_cpu_read(to + b * BLOCK + i * VDNI_LANES, t,
                          at->pixel[i] * t->c + first + b * VDNI_LANES, vdni_block_lanes(p->d, b));
}

static void scatter(vdni_tensor *t, const plan *p, const window *at, const by_channel from,
                    int64_t first)
{
    for (int64_t b = 0; b < p->blocks; b++)
        for (int64_t i = 0; i < p->tokens; i++)
            vdni_cpu_write(t, at->pixel[i] * t->c + first + b * VDNI_LANES,
                           from + b * BLOCK + i * VDNI_LANES, vdni_block_lanes(p->d, b));
}

/* Absent channels, absent tokens and the rows that whole tiles read beyond the last. */
static void clear(by_channel values, const plan *p)
{ memset(values, 0, (size_t)(p->blocks * BLOCK) * sizeof(float)); }

static void clear_tokens(by_token values, const plan *p)
{ memset(values, 0, (size_t)(p->lanes * p->blocks * VDNI_LANES) * sizeof(float)); }

static VDNI_VECTOR void scale_all(by_channel values, const plan *p)
{
    for (int64_t i = 0; i < p->blocks * BLOCK; i++) values[i] *= p->scale;
}

static void transpose(by_token to, const plan *p, const by_channel from)
{
    const int64_t channels = p->blocks * VDNI_LANES;
    for (int64_t b = 0; b < p->blocks; b++)
        for (int64_t i = 0; i < p->tokens; i++) {
            const float *const row = from + b * BLOCK + i * VDNI_LANES;
            float *const lane = to + i / VDNI_LANES * channels * VDNI_LANES +
                                b * VDNI_LANES * VDNI_LANES + i % VDNI_LANES;
            for (int l = 0; l < VDNI_LANES; l++) lane[l * VDNI_LANES] = row[l];
        }
}

/* Bias of every pair; -INFINITY for columns that are no token. */
static void spread_table(pairs bias, const plan *p, int64_t head)
{
    memset(bias, 0, sizeof(pairs));
    for (int64_t i = 0; i < p->tokens; i++)
        for (int64_t j = 0; j < p->lanes; j++) {
            const int64_t dy = i / p->k - j / p->k + p->k - 1, dx = i % p->k - j % p->k + p->k - 1;
            bias[i * L + j] =
                j < p->tokens ? p->table[(dy * p->side + dx) * p->heads + head] : -INFINITY;
        }
}

/* out[i][j] = sum over channels of x[i] y[j], plus init (rows of L), or 0 when that is NULL. */
static void across_channels(pairs out, const plan *p, const by_channel x, const by_token y,
                            const float *init)
{
    static const float zeros[VDNI_LANES];
    const int64_t channels = p->blocks * VDNI_LANES;
    vdni_tile_segment segments[D / VDNI_LANES];
    for (int64_t b = 0; b < p->blocks; b++)
        segments[b] = (vdni_tile_segment){ x + b * BLOCK, y + b * VDNI_LANES * VDNI_LANES,
                                           vdni_block_lanes(p->d, b) };
    const vdni_tile_job job = { .segments = segments,
                                .segment_count = p->blocks,
                                .pixel_step = VDNI_LANES,
                                .item_step = 1,
                                .w_block = channels * VDNI_LANES,
                                .out = out,
                                .out_pixel = L,
                                .out_block = VDNI_LANES,
                                .init = init ? init : zeros,
                                .init_pixel = init ? L : 0,
                                .init_block = init ? VDNI_LANES : 0,
                                .pixels = p->tokens,
                                .blocks = p->lanes / VDNI_LANES };
    p->simd->tile(&job);
}

/* out[i] = sum over tokens j of x[i][j] y[j]; with @p is_turned of x[j][i] y[j]. */
static void across_tokens(by_channel out, const plan *p, const pairs x, const by_channel y,
                          int is_turned)
{
    static const float zeros[VDNI_LANES];
    const vdni_tile_segment segment = { x, y, p->tokens };
    const vdni_tile_job job = { .segments = &segment,
                                .segment_count = 1,
                                .pixel_step = is_turned ? 1 : L,
                                .item_step = is_turned ? L : 1,
                                .w_block = BLOCK,
                                .out = out,
                                .out_pixel = VDNI_LANES,
                                .out_block = BLOCK,
                                .init = zeros,
                                .pixels = p->tokens,
                                .blocks = p->blocks };
    p->simd->tile(&job);
}

static void hide(pairs s, const plan *p, const window *at)
{
    for (int64_t i = 0; at->is_mixed && i < p->tokens; i++)
        for (int64_t j = 0; j < p->tokens; j++)
            if (at->region[i] != at->region[j]) s[i * L + j] = -INFINITY;
}

/* Scores to weights; returns the log of the sum of their exponentials. */
static VDNI_VECTOR float soften(float *s, int64_t lanes)
{
    float most[VDNI_LANES], total[VDNI_LANES] = { 0 }, top = -INFINITY, sum = 0.0f;
    for (int l = 0; l < VDNI_LANES; l++) most[l] = -INFINITY;
    for (int64_t j = 0; j < lanes; j += VDNI_LANES)
        for (int l = 0; l < VDNI_LANES; l++) most[l] = s[j + l] > most[l] ? s[j + l] : most[l];
    for (int l = 0; l < VDNI_LANES; l++) top = most[l] > top ? most[l] : top;
    for (int64_t j = 0; j < lanes; j += VDNI_LANES)
        for (int l = 0; l < VDNI_LANES; l++) {
            const float weight = vdni_exp(s[j + l] - top); /* never quite 0 */
            s[j + l] = s[j + l] == -INFINITY ? 0.0f : weight;
            total[l] += s[j + l];
        }
    for (int l = 0; l < VDNI_LANES; l++) sum += total[l];
    const float inverse = 1.0f / sum;
    for (int64_t j = 0; j < lanes; j++) s[j] *= inverse;
    return top + logf(sum);
}

/* Scores to weights, dP to dS, which is added to @p sums. */
static VDNI_VECTOR void soften_backward(float *restrict s, float *restrict dp,
                                        double *restrict sums, const float lse_along[2],
                                        int64_t lanes)
{
    for (int64_t j = 0; j < lanes; j++) {
        const float weight = vdni_exp(s[j] - lse_along[0]);
        s[j] = s[j] == -INFINITY ? 0.0f : weight;
        dp[j] = s[j] * (dp[j] - lse_along[1]);
        sums[j] += (double)dp[j];
    }
}

typedef struct {
    by_channel q, k, v, o;
    by_token across;
    pairs s, bias;
} forward_memory;

static void forward_window(const plan *p, forward_memory *m, int64_t number, int64_t head)
{
    const int64_t c = p->qkv->c / 3, first = head * p->d;
    float *lse = p->op->out[1]->data;
    window at;

    find_window(&at, p, number);
    gather(m->q, p, &at, p->qkv, first);
    gather(m->k, p, &at, p->qkv, c + first);
    gather(m->v, p, &at, p->qkv, 2 * c + first);
    scale_all(m->q, p);
    transpose(m->across, p, m->k);
    across_channels(m->s, p, m->q, m->across, m->bias);
    hide(m->s, p, &at);
    for (int64_t i = 0; i < p->tokens; i++)
        lse[at.pixel[i] * p->heads + head] = soften(m->s + i * L, p->lanes);
    across_tokens(m->o, p, m->s, m->v, 0);
    scatter(p->op->out[0], p, &at, m->o, first);
}

static void forward_chunk(void *user, int64_t job)
{
    const plan *p = user;
    const int64_t head = job % p->heads, chunk = job / p->heads;
    const int64_t begin = vdni_chunk_begin(p->windows, CHUNKS, chunk);
    const int64_t end = vdni_chunk_begin(p->windows, CHUNKS, chunk + 1);
    forward_memory m; /* 220 KB */
    if (begin == end) return;
    clear(m.q, p);
    clear(m.k, p);
    clear(m.v, p);
    clear_tokens(m.across, p);
    spread_table(m.bias, p, head);
    for (int64_t w = begin; w < end; w++) forward_window(p, &m, w, head);
}

typedef struct {
    by_channel q, k, v, g, o; /* o becomes each part of the gradient in turn */
    by_token across;
    pairs s, ds, bias;
    double sums[L * L];
} backward_memory;

static float along_row(const plan *p, const backward_memory *m, int64_t i)
{
    float sum = 0.0f;
    for (int64_t b = 0; b < p->blocks; b++)
        for (int l = 0; l < VDNI_LANES; l++)
            sum += m->g[b * BLOCK + i * VDNI_LANES + l] * m->o[b * BLOCK + i * VDNI_LANES + l];
    return sum;
}

static void backward_window(const plan *p, backward_memory *m, int64_t number, int64_t head)
{
    const int64_t c = p->qkv->c / 3, first = head * p->d;
    const float *lse = p->op->in[4]->data;
    vdni_tensor *dqkv = p->op->out[0];
    window at;

    find_window(&at, p, number);
    gather(m->q, p, &at, p->qkv, first);
    gather(m->k, p, &at, p->qkv, c + first);
    gather(m->v, p, &at, p->qkv, 2 * c + first);
    gather(m->g, p, &at, p->op->in[0], first);
    gather(m->o, p, &at, p->op->in[3], first);
    scale_all(m->q, p);
    transpose(m->across, p, m->k);
    across_channels(m->s, p, m->q, m->across, m->bias);
    hide(m->s, p, &at);
    transpose(m->across, p, m->v);
    across_channels(m->ds, p, m->g, m->across, NULL);
    for (int64_t i = 0; i < p->tokens; i++) {
        const float lse_along[2] = { lse[at.pixel[i] * p->heads + head], along_row(p, m, i) };
        soften_backward(m->s + i * L, m->ds + i * L, m->sums + i * L, lse_along, p->lanes);
    }
    across_tokens(m->o, p, m->s, m->g, 1);
    scatter(dqkv, p, &at, m->o, 2 * c + first);
    across_tokens(m->o, p, m->ds, m->q, 1);
    scatter(dqkv, p, &at, m->o, c + first);
    across_tokens(m->o, p, m->ds, m->k, 0);
    scale_all(m->o, p);
    scatter(dqkv, p, &at, m->o, first);
}

static void backward_chunk(void *user, int64_t job)
{
    const plan *p = user;
    const int64_t head = job % p->heads, chunk = job / p->heads, values = p->side * p->side;
    const int64_t begin = vdni_chunk_begin(p->windows, CHUNKS, chunk);
    const int64_t end = vdni_chunk_begin(p->windows, CHUNKS, chunk + 1);
    double *sums = p->sums + job * values;
    backward_memory m; /* 310 KB */
    for (int64_t t = 0; t < values; t++) sums[t] = 0.0;
    if (begin == end) return;
    clear(m.q, p);
    clear(m.k, p);
    clear(m.v, p);
    clear(m.g, p);
    clear(m.o, p);
    clear_tokens(m.across, p);
    memset(m.sums, 0, sizeof m.sums);
    spread_table(m.bias, p, head);
    for (int64_t w = begin; w < end; w++) backward_window(p, &m, w, head);
    for (int64_t i = 0; i < p->tokens; i++)
        for (int64_t j = 0; j < p->tokens; j++) {
            const int64_t dy = i / p->k - j / p->k + p->k - 1, dx = i % p->k - j % p->k + p->k - 1;
            sums[dy * p->side + dx] += m.sums[i * L + j];
        }
}

static vdn_status run_forward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    plan p = plan_of(device, op, op->in[0], op->in[1]);
    (void)ctx;
    (void)workspace;
    vdni_parallel_for(device->threads, CHUNKS * p.heads, forward_chunk, &p);
    return VDN_OK;
}

static int64_t backward_bytes(const vdni_device *device, const vdni_op *op)
{
    (void)device;
    return CHUNKS * vdni_tensor_count(op->out[1]) * (int64_t)sizeof(double);
}

static vdn_status run_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                               void *workspace)
{
    plan p = plan_of(device, op, op->in[1], op->in[2]);
    float *dtable = op->out[1]->data;
    const int64_t values = p.side * p.side;
    (void)ctx;
    p.sums = workspace;
    vdni_parallel_for(device->threads, CHUNKS * p.heads, backward_chunk, &p);
    for (int64_t t = 0; t < values; t++)
        for (int64_t head = 0; head < p.heads; head++) {
            double sum = 0.0;
            for (int64_t k = 0; k < CHUNKS; k++) sum += p.sums[(k * p.heads + head) * values + t];
            dtable[t * p.heads + head] += (float)sum;
        }
    return VDN_OK;
}

const vdni_cpu_entry vdni_cpu_window_attention[2] = {
    { run_forward, NULL },
    { run_backward, backward_bytes },
};

/* CPU twin of window attention; the contract is Ops/window_attention.h. */
#include "Ops/window_attention.h"

#include "CPU/cpu.h"

#include <math.h>
#include <string.h>

enum { L = VDNI_MAX_WINDOW_TOKENS, D = VDNI_MAX_HEAD, CHUNKS = 16 };

typedef struct {
    const vdni_op *op;
    const vdni_tensor *qkv;
    const float *table;
    int64_t k, tokens, side; /* window, its pixels, 2k - 1 */
    int64_t heads, d;
    int64_t shift_h, shift_w;
    int64_t windows; /* of the batch */
    double *sums;    /* (CHUNKS, heads, side^2) */
} plan;

/* One window: where its tokens lie and which of them see each other. */
typedef struct {
    int64_t pixel[L];
    int32_t region[L];
} window;

typedef float block[L][D];

static plan plan_of(const vdni_op *op, const vdni_tensor *qkv, const vdni_tensor *table)
{
    const int64_t k = op->a.kernel;
    return (plan){ .op = op,
                   .qkv = qkv,
                   .table = table->data,
                   .k = k,
                   .tokens = k * k,
                   .side = 2 * k - 1,
                   .heads = op->a.heads,
                   .d = qkv->c / 3 / op->a.heads,
                   .shift_h = vdni_window_shift(&op->a, qkv->h),
                   .shift_w = vdni_window_shift(&op->a, qkv->w),
                   .windows = qkv->n * (qkv->h / k) * (qkv->w / k) };
}

static void find_window(window *out, const plan *p, int64_t number)
{
    const vdni_tensor *t = p->qkv;
    const int64_t across = t->w / p->k, down = t->h / p->k, n = number / across / down;
    const int64_t top = number / across % down * p->k, left = number % across * p->k;
    for (int64_t i = 0; i < p->tokens; i++) {
        const int64_t y = top + i / p->k, x = left + i % p->k;
        out->pixel[i] = (n * t->h + (y + p->shift_h) % t->h) * t->w + (x + p->shift_w) % t->w;
        out->region[i] = 2 * (y >= t->h - p->shift_h) + (x >= t->w - p->shift_w);
    }
}

/* Channels [first, first + d) of the window's pixels. */
static void gather(block to, const plan *p, const window *at, const vdni_tensor *t, int64_t first)
{
    for (int64_t i = 0; i < p->tokens; i++)
        vdni_cpu_read(to[i], t, at->pixel[i] * t->c + first, p->d);
}

static void scatter(vdni_tensor *t, const plan *p, const window *at, block from, int64_t first)
{
    for (int64_t i = 0; i < p->tokens; i++)
        vdni_cpu_write(t, at->pixel[i] * t->c + first, from[i], p->d);
}

static VDNI_VECTOR float dot(const float *a, const float *b, int64_t count)
{
    float sum = 0.0f;
#ifdef _OPENMP
#pragma omp simd reduction(+ : sum)
#endif
    for (int64_t i = 0; i < count; i++) sum += a[i] * b[i];
    return sum;
}

static VDNI_VECTOR void add_scaled(float *restrict to, const float *restrict from, float scale,
                                   int64_t count)
{
    for (int64_t i = 0; i < count; i++) to[i] += scale * from[i];
}

static int64_t relative(const plan *p, int64_t i, int64_t j)
{ return (i / p->k - j / p->k + p->k - 1) * p->side + i % p->k - j % p->k + p->k - 1; }

/* S[i,.] of one head; what is not seen is -INFINITY. */
static void score_row(float s[L], const plan *p, const window *at, int64_t head, const float *q,
                      block keys, int64_t i)
{
    const float scale = 1.0f / sqrtf((float)p->d);
    for (int64_t j = 0; j < p->tokens; j++)
        s[j] = at->region[i] != at->region[j]
                   ? -INFINITY
                   : scale * dot(q, keys[j], p->d) + p->table[relative(p, i, j) * p->heads + head];
}

static void forward_window(void *user, int64_t job)
{
    const plan *p = user;
    const int64_t head = job % p->heads, c = p->qkv->c / 3, first = head * p->d;
    vdni_tensor *o = p->op->out[0];
    float *lse = p->op->out[1]->data;
    block q, k, v, out;
    window at;

    find_window(&at, p, job / p->heads);
    gather(q, p, &at, p->qkv, first);
    gather(k, p, &at, p->qkv, c + first);
    gather(v, p, &at, p->qkv, 2 * c + first);
    for (int64_t i = 0; i < p->tokens; i++) {
        float s[L], top = -INFINITY, sum = 0.0f;
        score_row(s, p, &at, head, q[i], k, i);
        for (int64_t j = 0; j < p->tokens; j++) top = s[j] > top ? s[j] : top;
        memset(out[i], 0, (size_t)p->d * sizeof(float));
        for (int64_t j = 0; j < p->tokens; j++) sum += s[j] = expf(s[j] - top);
        for (int64_t j = 0; j < p->tokens; j++) add_scaled(out[i], v[j], s[j] / sum, p->d);
        lse[at.pixel[i] * p->heads + head] = top + logf(sum);
    }
    scatter(o, p, &at, out, first);
}

typedef struct {
    block q, k, v, g, o, dq, dk, dv;
} blocks;

static void backward_row(const plan *p, const window *at, int64_t head, blocks *b, double *sums,
                         int64_t i)
{
    const float scale = 1.0f / sqrtf((float)p->d), along = dot(b->g[i], b->o[i], p->d);
    const float lse = ((const float *)p->op->in[4]->data)[at->pixel[i] * p->heads + head];
    float s[L];
    score_row(s, p, at, head, b->q[i], b->k, i);
    for (int64_t j = 0; j < p->tokens; j++) {
        if (at->region[i] != at->region[j]) continue;
        const float weight = expf(s[j] - lse);
        const float ds = weight * (dot(b->g[i], b->v[j], p->d) - along);
        add_scaled(b->dv[j], b->g[i], weight, p->d);
        add_scaled(b->dq[i], b->k[j], scale * ds, p->d);
        add_scaled(b->dk[j], b->q[i], scale * ds, p->d);
        sums[relative(p, i, j)] += (double)ds;
    }
}

static void backward_window(const plan *p, int64_t number, int64_t head, double *sums)
{
    const int64_t c = p->qkv->c / 3, first = head * p->d;
    vdni_tensor *dqkv = p->op->out[0];
    blocks b;
    window at;

    for (int64_t i = 0; i < p->tokens; i++) {
        memset(b.dq[i], 0, (size_t)p->d * sizeof(float));
        memset(b.dk[i], 0, (size_t)p->d * sizeof(float));
        memset(b.dv[i], 0, (size_t)p->d * sizeof(float));
    }
    find_window(&at, p, number);
    gather(b.q, p, &at, p->qkv, first);
    gather(b.k, p, &at, p->qkv, c + first);
    gather(b.v, p, &at, p->qkv, 2 * c + first);
    gather(b.g, p, &at, p->op->in[0], first);
    gather(b.o, p, &at, p->op->in[3], first);
    for (int64_t i = 0; i < p->tokens; i++) backward_row(p, &at, head, &b, sums, i);
    scatter(dqkv, p, &at, b.dq, first);
    scatter(dqkv, p, &at, b.dk, c + first);
    scatter(dqkv, p, &at, b.dv, 2 * c + first);
}

static void backward_chunk(void *user, int64_t job)
{
    const plan *p = user;
    const int64_t head = job % p->heads, chunk = job / p->heads, values = p->side * p->side;
    double *sums = p->sums + job * values;
    for (int64_t t = 0; t < values; t++) sums[t] = 0.0;
    for (int64_t w = vdni_chunk_begin(p->windows, CHUNKS, chunk);
         w < vdni_chunk_begin(p->windows, CHUNKS, chunk + 1); w++)
        backward_window(p, w, head, sums);
}

static vdn_status run_forward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    plan p = plan_of(op, op->in[0], op->in[1]);
    (void)ctx;
    (void)workspace;
    vdni_parallel_for(device->threads, p.windows * p.heads, forward_window, &p);
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
    plan p = plan_of(op, op->in[1], op->in[2]);
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

/* CPU twin of the normalisation operators; the contract is Ops/norm.h.
 *
 * Forward: one pass for the moments, one to write y. Backward: one pass for the sums of h and
 * h (x - mean) per channel, one to write dx; both make u from x again. Per-channel quantities are
 * folded into rows of coefficients first, so that the passes are flat loops:
 *
 *     u  = (x - mean) slope + offset          slope  = rstd gamma (1 + scale)
 *                                             offset = beta (1 + scale) + shift
 *     dx = slope h - even - odd (x - mean)    even   = rstd E[d],   odd = rstd^2 E[d xhat] */
#include "Ops/norm.h"

#include "CPU/activation.h"
#include "CPU/norm_avx512.h"
#include "CPU/walk.h"

#include <math.h>

enum { MEAN, SLOPE, OFFSET, EVEN, ODD, ROWS };

/* The workspace of one call. */
typedef struct {
    const vdni_op *op;
    const vdni_tensor *x, *gamma, *beta, *mod;
    const float *stats;
    vdni_walk walk;
    int64_t groups;
    int use_avx512; /* the loops of norm_avx512.c instead of the plain ones */
    double *sums;   /* two kinds */
    float *rows;    /* per image ROWS rows of coefficients */
} plan;

static int64_t workspace_bytes(const vdni_device *device, const vdni_op *op)
{
    const vdni_tensor *x = op->kind == VDNI_OP_NORM ? op->in[0] : op->in[1];
    const vdni_walk walk = vdni_walk_of(x);
    (void)device;
    return vdni_walk_sum_count(&walk, 2) * (int64_t)sizeof(double) +
           x->n * ROWS * walk.width * (int64_t)sizeof(float);
}

/* @p t: x, then the other activations of the call, NULL where there are none. */
static plan plan_of(const vdni_device *device, const vdni_op *op, const vdni_tensor *const t[4],
                    void *workspace)
{
    const vdni_tensor *x = t[0];
    plan p = { .op = op, .x = x, .walk = vdni_walk_of(x), .groups = vdni_norm_groups(op, x->c) };
    p.sums = workspace;
    p.rows = (float *)(p.sums + vdni_walk_sum_count(&p.walk, 2));
    p.use_avx512 = !(device->flags & VDNI_PREPARE_PLAIN) && vdni_norm_avx512_usable(op->a.act);
    for (int i = 1; i < 4; i++)
        if (t[i] && t[i]->dtype != x->dtype) p.use_avx512 = 0;
    return p;
}

static float *row_of(const plan *p, int64_t n, int row)
{
    return p->rows + (n * ROWS + row) * p->walk.width;
}

/* Mean and 1 / sqrt(variance + eps) of group g that image n uses. */
static const float *stats_of(const plan *p, int64_t n, int64_t c)
{
    const int64_t g = c / (p->x->c / p->groups);
    return p->stats + 2 * (p->op->a.mode == VDNI_NORM_GROUP ? n * p->groups + g : g);
}

static double scale_of(const plan *p, int64_t n, int64_t c)
{
    return p->mod ? 1.0 + (double)((const float *)p->mod->data)[n * 2 * p->x->c + c] : 1.0;
}

static double shift_of(const plan *p, int64_t n, int64_t c)
{
    return p->mod ? (double)((const float *)p->mod->data)[(n * 2 + 1) * p->x->c + c] : 0.0;
}

/* ---- statistics ------------------------------------------------------------------------------ */

typedef struct {
    double mean, variance, count;
} moments;

/* From sums over images [n, n + images) and channels [c, c + channels). */
static moments gather(const plan *p, int64_t n, int64_t images, int64_t c, int64_t channels)
{
    double sum = 0, square = 0;
    for (int64_t i = n; i < n + images; i++) {
        const double *s = vdni_walk_total(&p->walk, 2, p->sums, 0, i);
        const double *q = vdni_walk_total(&p->walk, 2, p->sums, 1, i);
        for (int64_t k = c; k < c + channels; k++) {
            sum += s[k];
            square += q[k];
        }
    }
    moments m = { .count = (double)(images * channels * p->walk.pixels) };
    m.mean = sum / m.count;
    m.variance = square / m.count - m.mean * m.mean; /* in double: exact to 1e-16 mean^2 */
    if (m.variance < 0) m.variance = 0;
    return m;
}

static void put_stats(float *stats, const moments *m, float eps)
{
    stats[0] = (float)m->mean;
    stats[1] = (float)(1.0 / sqrt(m->variance + (double)eps));
}

static void update_running(float *running, int64_t c, int64_t channels, const moments *m)
{
    const double unbiased = m->variance * m->count / (m->count - 1);
    float *mean = running + c, *variance = running + channels + c;
    *mean += (float)(0.1 * (m->mean - (double)*mean));
    *variance += (float)(0.1 * (unbiased - (double)*variance));
}

static void group_stats(const plan *p, float *stats)
{
    const int64_t channels = p->x->c / p->groups;
    for (int64_t n = 0; n < p->x->n; n++)
        for (int64_t g = 0; g < p->groups; g++) {
            const moments m = gather(p, n, 1, g * channels, channels);
            put_stats(stats + 2 * (n * p->groups + g), &m, p->op->a.eps);
        }
}

static void batch_stats(const plan *p, float *stats, float *running)
{
    for (int64_t c = 0; c < p->x->c; c++) {
        const moments m = gather(p, 0, p->x->n, c, 1);
        put_stats(stats + 2 * c, &m, p->op->a.eps);
        if (running) update_running(running, c, p->x->c, &m);
    }
}

static void running_stats(const plan *p, float *stats, const float *running)
{
    for (int64_t c = 0; c < p->x->c; c++) {
        const moments m = { (double)running[c], (double)running[p->x->c + c], 0 };
        put_stats(stats + 2 * c, &m, p->op->a.eps);
    }
}

/* ---- forward --------------------------------------------------------------------------------- */

static void fill_affine_rows(const plan *p)
{
    const float *gamma = p->gamma->data, *beta = p->beta->data;
    for (int64_t n = 0; n < p->x->n; n++) {
        float *mean = row_of(p, n, MEAN), *slope = row_of(p, n, SLOPE);
        float *offset = row_of(p, n, OFFSET);
        for (int64_t c = 0; c < p->x->c; c++) {
            const float *stats = stats_of(p, n, c);
            const double s = scale_of(p, n, c);
            mean[c] = stats[0];
            slope[c] = (float)((double)stats[1] * (double)gamma[c] * s);
            offset[c] = (float)((double)beta[c] * s + shift_of(p, n, c));
        }
        for (int row = MEAN; row <= OFFSET; row++) vdni_walk_repeat(&p->walk, row_of(p, n, row));
    }
}

/* u may be x. */
static VDNI_VECTOR void affine(float *u, const float *x,
                               const float *restrict mean, const float *restrict slope,
                               const float *restrict offset, int64_t count)
{
    VDNI_SAME_OR_APART
    for (int64_t i = 0; i < count; i++) u[i] = (x[i] - mean[i]) * slope[i] + offset[i];
}

static const void *address(const vdni_tensor *t, int64_t at)
{
    return t ? (const unsigned char *)t->data + at * vdni_dtype_bytes(t->dtype) : NULL;
}

/* The block as the AVX-512 loops take it. */
static vdni_norm_row row_for(const plan *p, const vdni_block *b, const vdni_tensor *g,
                             const vdni_tensor *out, const vdni_tensor *addend)
{
    return (vdni_norm_row){ .act = p->op->a.act,
                            .dtype = p->x->dtype,
                            .x = address(p->x, b->at),
                            .g = address(g, b->at),
                            .addend = address(addend, b->at),
                            .out = (void *)(uintptr_t)address(out, b->at),
                            .mean = row_of(p, b->n, MEAN) + b->lane,
                            .slope = row_of(p, b->n, SLOPE) + b->lane,
                            .offset = row_of(p, b->n, OFFSET) + b->lane,
                            .even = row_of(p, b->n, EVEN) + b->lane,
                            .odd = row_of(p, b->n, ODD) + b->lane,
                            .sums = { b->sums[0], b->sums[1] },
                            .count = b->count };
}

static void forward_block(void *user, const vdni_block *b)
{
    const plan *p = user;
    if (p->use_avx512) {
        const vdni_norm_row row = row_for(p, b, NULL, p->op->out[0], NULL);
        vdni_norm_avx512_forward(&row);
        return;
    }
    float wide[VDNI_WALK_LANES], buffer[VDNI_WALK_LANES];
    float *u = vdni_row_open(buffer, p->op->out[0], b->at);
    affine(u, vdni_row_read(wide, p->x, b->at, b->count), row_of(p, b->n, MEAN) + b->lane,
           row_of(p, b->n, SLOPE) + b->lane, row_of(p, b->n, OFFSET) + b->lane, b->count);
    vdni_cpu_activate(p->op->a.act, u, b->count);
    vdni_row_close(p->op->out[0], b->at, u, b->count);
}

static vdn_status run_forward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const vdni_tensor *const activations[4] = { op->in[0], op->out[0], NULL, NULL };
    plan p = plan_of(device, op, activations, workspace);
    float *stats = op->out[1]->data, *running = op->in[4] ? op->in[4]->data : NULL;
    (void)ctx;
    p.gamma = op->in[1];
    p.beta = op->in[2];
    p.mod = op->in[3];
    p.stats = stats;
    if (op->a.mode != VDNI_NORM_BATCH_EVAL)
        vdni_walk_moments(device->threads, &p.walk, p.sums, p.x);
    switch ((vdni_norm_kind)op->a.mode) {
    case VDNI_NORM_GROUP:
        group_stats(&p, stats);
        break;
    case VDNI_NORM_BATCH_TRAIN:
        batch_stats(&p, stats, running);
        break;
    case VDNI_NORM_BATCH_EVAL:
        running_stats(&p, stats, running);
        break;
    }
    fill_affine_rows(&p);
    vdni_walk_run(device->threads, &p.walk, forward_block, &p);
    return VDN_OK;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* h = g act'(u) */
static void make_h(const plan *p, const vdni_block *b, float *h, const float *x)
{
    float u[VDNI_WALK_LANES];
    vdni_cpu_read(h, p->op->in[0], b->at, b->count);
    if (p->op->a.act == VDNI_ACT_NONE) return;
    affine(u, x, row_of(p, b->n, MEAN) + b->lane, row_of(p, b->n, SLOPE) + b->lane,
           row_of(p, b->n, OFFSET) + b->lane, b->count);
    vdni_cpu_activate_backward(p->op->a.act, h, u, b->count);
}

static VDNI_VECTOR void add_sums(float *restrict even, float *restrict odd, const float *restrict h,
                                 const float *restrict x, const float *restrict mean, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        even[i] += h[i];
        odd[i] += h[i] * (x[i] - mean[i]);
    }
}

static void sum_block(void *user, const vdni_block *b)
{
    const plan *p = user;
    if (p->use_avx512) {
        const vdni_norm_row row = row_for(p, b, p->op->in[0], NULL, NULL);
        vdni_norm_avx512_sums(&row);
        return;
    }
    float h[VDNI_WALK_LANES], wide[VDNI_WALK_LANES];
    const float *x = vdni_row_read(wide, p->x, b->at, b->count);
    make_h(p, b, h, x);
    add_sums(b->sums[0], b->sums[1], h, x, row_of(p, b->n, MEAN) + b->lane, b->count);
}

/* E[d] and E[d xhat] of the channels [c, c + channels) over images [n, n + images), as the rows
 * EVEN and ODD of those images. */
static void fill_mean_rows(const plan *p, int64_t n, int64_t images, int64_t c, int64_t channels)
{
    const float *gamma = p->gamma->data;
    const double rstd = (double)stats_of(p, n, c)[1];
    const double count = (double)(images * channels * p->walk.pixels);
    double d = 0, dx = 0; /* sums of d and d (x - mean) */

    for (int64_t i = n; i < n + images; i++) {
        const double *even = vdni_walk_total(&p->walk, 2, p->sums, 0, i);
        const double *odd = vdni_walk_total(&p->walk, 2, p->sums, 1, i);
        for (int64_t k = c; k < c + channels; k++) {
            d += even[k] * (double)gamma[k] * scale_of(p, i, k);
            dx += odd[k] * (double)gamma[k] * scale_of(p, i, k);
        }
    }
    if (p->op->a.mode == VDNI_NORM_BATCH_EVAL) d = dx = 0;
    for (int64_t i = n; i < n + images; i++)
        for (int64_t k = c; k < c + channels; k++) {
            row_of(p, i, EVEN)[k] = (float)(rstd * d / count);
            row_of(p, i, ODD)[k] = (float)(rstd * rstd * rstd * dx / count);
        }
}

static void fill_backward_rows(const plan *p)
{
    const int64_t channels = p->x->c / p->groups;
    const int is_group = p->op->a.mode == VDNI_NORM_GROUP;
    for (int64_t n = 0; n < (is_group ? p->x->n : 1); n++)
        for (int64_t g = 0; g < p->groups; g++)
            fill_mean_rows(p, n, is_group ? 1 : p->x->n, g * channels, channels);
    for (int64_t n = 0; n < p->x->n; n++) {
        vdni_walk_repeat(&p->walk, row_of(p, n, EVEN));
        vdni_walk_repeat(&p->walk, row_of(p, n, ODD));
    }
}

/* The parameter gradients are added to, dmod is overwritten. */
static void put_parameter_gradients(const plan *p, const vdni_op *op)
{
    const int64_t c = p->x->c;
    const float *gamma = p->gamma->data, *beta = p->beta->data;
    float *dgamma = op->out[1] ? op->out[1]->data : NULL;
    float *dbeta = op->out[2] ? op->out[2]->data : NULL;
    float *dmod = op->out[3] ? op->out[3]->data : NULL;

    for (int64_t k = 0; k < c; k++) {
        double sum_gamma = 0, sum_beta = 0;
        for (int64_t n = 0; n < p->x->n; n++) {
            const double h = vdni_walk_total(&p->walk, 2, p->sums, 0, n)[k];
            const double hx =
                vdni_walk_total(&p->walk, 2, p->sums, 1, n)[k] * (double)stats_of(p, n, k)[1];
            sum_gamma += hx * scale_of(p, n, k);
            sum_beta += h * scale_of(p, n, k);
            if (!dmod) continue;
            dmod[n * 2 * c + k] = (float)(hx * (double)gamma[k] + h * (double)beta[k]);
            dmod[(n * 2 + 1) * c + k] = (float)h;
        }
        if (dgamma) dgamma[k] += (float)sum_gamma;
        if (dbeta) dbeta[k] += (float)sum_beta;
    }
}

static VDNI_VECTOR void combine(float *restrict dx, const float *restrict h,
                                const float *restrict x, const float *restrict mean,
                                const float *restrict slope, const float *restrict even,
                                const float *restrict odd, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        dx[i] = slope[i] * h[i] - even[i] - odd[i] * (x[i] - mean[i]);
}

static void backward_block(void *user, const vdni_block *b)
{
    const plan *p = user;
    if (p->use_avx512) {
        const vdni_norm_row row = row_for(p, b, p->op->in[0], p->op->out[0], p->op->in[6]);
        vdni_norm_avx512_backward(&row);
        return;
    }
    float h[VDNI_WALK_LANES], wide[VDNI_WALK_LANES], buffer[VDNI_WALK_LANES];
    const float *x = vdni_row_read(wide, p->x, b->at, b->count);
    float *dx = vdni_row_open(buffer, p->op->out[0], b->at);
    make_h(p, b, h, x);
    combine(dx, h, x, row_of(p, b->n, MEAN) + b->lane, row_of(p, b->n, SLOPE) + b->lane,
            row_of(p, b->n, EVEN) + b->lane, row_of(p, b->n, ODD) + b->lane, b->count);
    vdni_row_add(dx, p->op->in[6], b->at, b->count);
    vdni_row_close(p->op->out[0], b->at, dx, b->count);
}

static vdn_status run_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                               void *workspace)
{
    const vdni_tensor *const activations[4] = { op->in[1], op->in[0], op->out[0], op->in[6] };
    plan p = plan_of(device, op, activations, workspace);
    (void)ctx;
    p.stats = op->in[2]->data;
    p.gamma = op->in[3];
    p.beta = op->in[4];
    p.mod = op->in[5];
    fill_affine_rows(&p);
    vdni_walk_sum(device->threads, &p.walk, 2, p.sums, sum_block, &p);
    put_parameter_gradients(&p, op);
    fill_backward_rows(&p);
    vdni_walk_run(device->threads, &p.walk, backward_block, &p);
    return VDN_OK;
}

const vdni_cpu_entry vdni_cpu_norm[2] = { { run_forward, workspace_bytes },
                                          { run_backward, workspace_bytes } };

/* CPU twin of the selection operators; the contract is Ops/sk_select.h. */
#include "Ops/sk_select.h"

#include "CPU/walk.h"

#include <math.h>

enum { BRANCHES = 3 };

typedef struct {
    const vdni_op *op;
    vdni_walk walk;
    double *sums;
    float *rows; /* per image and branch the weights a_k */
} plan;

static float *row_of(const plan *p, int64_t n, int64_t k)
{
    return p->rows + (n * BRANCHES + k) * p->walk.width;
}

static void fill_weights(const plan *p, const vdni_tensor *logits)
{
    const int64_t c = p->walk.c;
    for (int64_t n = 0; n < p->walk.n; n++) {
        const float *l = (const float *)logits->data + n * BRANCHES * c;
        for (int64_t i = 0; i < c; i++) {
            const float a = l[i], b = l[c + i], d = l[2 * c + i];
            const double top = (double)fmaxf(a, fmaxf(b, d));
            const double e[BRANCHES] = { exp((double)a - top), exp((double)b - top),
                                         exp((double)d - top) };
            for (int64_t k = 0; k < BRANCHES; k++)
                row_of(p, n, k)[i] = (float)(e[k] / (e[0] + e[1] + e[2]));
        }
        for (int64_t k = 0; k < BRANCHES; k++) vdni_walk_repeat(&p->walk, row_of(p, n, k));
    }
}

/* y may be b. */
static VDNI_VECTOR void product(float *y, const float *restrict a, const float *b, int64_t count)
{
    VDNI_SAME_OR_APART
    for (int64_t i = 0; i < count; i++) y[i] = a[i] * b[i];
}

static VDNI_VECTOR void add_product(float *restrict y, const float *restrict a,
                                    const float *restrict b, int64_t count)
{
    for (int64_t i = 0; i < count; i++) y[i] += a[i] * b[i];
}

static void forward_block(void *user, const vdni_block *b)
{
    const plan *p = user;
    float buffer[VDNI_WALK_LANES], wide[VDNI_WALK_LANES];
    float *row = vdni_row_open(buffer, p->op->out[0], b->at);
    for (int64_t k = 0; k < BRANCHES; k++) {
        const float *u = vdni_row_read(wide, p->op->in[k], b->at, b->count);
        const float *a = row_of(p, b->n, k) + b->lane;
        if (k == 0)
            product(row, a, u, b->count);
        else
            add_product(row, a, u, b->count);
    }
    vdni_row_close(p->op->out[0], b->at, row, b->count);
}

static void backward_block(void *user, const vdni_block *b)
{
    const plan *p = user;
    float row[VDNI_WALK_LANES], wide[VDNI_WALK_LANES], g_wide[VDNI_WALK_LANES];
    const float *g = vdni_row_read(g_wide, p->op->in[0], b->at, b->count);
    for (int64_t k = 0; k < BRANCHES; k++) {
        const float *u = vdni_row_read(wide, p->op->in[1 + k], b->at, b->count);
        add_product(b->sums[k], g, u, b->count);
        product(row, row_of(p, b->n, k) + b->lane, g, b->count);
        vdni_cpu_write(p->op->out[k], b->at, row, b->count);
    }
}

static void put_dlogits(const plan *p, const vdni_tensor *dlogits)
{
    const int64_t c = p->walk.c;
    for (int64_t n = 0; n < p->walk.n; n++) {
        float *dl = (float *)dlogits->data + n * BRANCHES * c;
        for (int64_t i = 0; i < c; i++) {
            double da[BRANCHES], mean = 0;
            for (int64_t k = 0; k < BRANCHES; k++) {
                da[k] = vdni_walk_total(&p->walk, BRANCHES, p->sums, k, n)[i];
                mean += (double)row_of(p, n, k)[i] * da[k];
            }
            for (int64_t k = 0; k < BRANCHES; k++)
                dl[k * c + i] = (float)((double)row_of(p, n, k)[i] * (da[k] - mean));
        }
    }
}

static int64_t workspace_bytes(const vdni_device *device, const vdni_op *op)
{
    const vdni_walk walk = vdni_walk_of(op->out[0]);
    (void)device;
    return vdni_walk_sum_count(&walk, BRANCHES) * (int64_t)sizeof(double) +
           walk.n * BRANCHES * walk.width * (int64_t)sizeof(float);
}

static plan plan_of(const vdni_op *op, void *workspace)
{
    plan p = { .op = op, .walk = vdni_walk_of(op->out[0]), .sums = workspace };
    p.rows = (float *)(p.sums + vdni_walk_sum_count(&p.walk, BRANCHES));
    return p;
}

static vdn_status run_forward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    plan p = plan_of(op, workspace);
    (void)ctx;
    fill_weights(&p, op->in[3]);
    vdni_walk_run(device->threads, &p.walk, forward_block, &p);
    return VDN_OK;
}

static vdn_status run_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                               void *workspace)
{
    plan p = plan_of(op, workspace);
    (void)ctx;
    fill_weights(&p, op->in[4]);
    vdni_walk_sum(device->threads, &p.walk, BRANCHES, p.sums, backward_block, &p);
    put_dlogits(&p, op->out[3]);
    return VDN_OK;
}

const vdni_cpu_entry vdni_cpu_sk_select[2] = { { run_forward, workspace_bytes },
                                               { run_backward, workspace_bytes } };

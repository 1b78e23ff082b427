/* CPU twin of the layer norm; the contract is Ops/layer_norm.h. */
#include "Ops/layer_norm.h"

#include "CPU/walk.h"

#include <math.h>

enum { CHUNKS = 32, MOST = VDNI_LAYER_NORM_CHANNELS };

typedef struct {
    const vdni_op *op;
    double *sums; /* (CHUNKS, 2, c): of g xhat and of g */
} job;

static void forward_pixel(const vdni_op *op, int64_t pixel)
{
    float buffer[MOST], y[MOST];
    const vdni_tensor *x = op->in[0];
    const float *gamma = op->in[1]->data, *beta = op->in[2]->data;
    float *stats = (float *)op->out[1]->data + 2 * pixel;
    const float *row = vdni_row_read(buffer, x, pixel * x->c, x->c);
    double sum = 0.0, squares = 0.0;

    for (int64_t c = 0; c < x->c; c++) sum += (double)row[c];
    const double mean = sum / (double)x->c;
    for (int64_t c = 0; c < x->c; c++) squares += ((double)row[c] - mean) * ((double)row[c] - mean);
    stats[0] = (float)mean;
    stats[1] = (float)(1.0 / sqrt(squares / (double)x->c + (double)op->a.eps));
    for (int64_t c = 0; c < x->c; c++) y[c] = (row[c] - stats[0]) * stats[1] * gamma[c] + beta[c];
    vdni_cpu_write(op->out[0], pixel * x->c, y, x->c);
}

static void forward_row(void *user, int64_t row)
{
    const vdni_op *op = user;
    const int64_t w = op->in[0]->w;
    for (int64_t j = 0; j < w; j++) forward_pixel(op, row * w + j);
}

static void backward_pixel(const vdni_op *op, double *sums, int64_t pixel)
{
    float x_buffer[MOST], g_buffer[MOST], dx[MOST];
    const vdni_tensor *t = op->in[1];
    const int64_t c = t->c;
    const float *g = vdni_row_read(g_buffer, op->in[0], pixel * c, c);
    const float *x = vdni_row_read(x_buffer, t, pixel * c, c), *gamma = op->in[3]->data;
    const float *stats = (const float *)op->in[2]->data + 2 * pixel;
    double mean = 0.0, along = 0.0;

    for (int64_t i = 0; i < c; i++) {
        const float xhat = (x[i] - stats[0]) * stats[1];
        mean += (double)(g[i] * gamma[i]);
        along += (double)(g[i] * gamma[i] * xhat);
        sums[i] += (double)(g[i] * xhat);
        sums[c + i] += (double)g[i];
    }
    const float e = (float)(mean / (double)c), s = (float)(along / (double)c);
    for (int64_t i = 0; i < c; i++)
        dx[i] = stats[1] * (g[i] * gamma[i] - e - (x[i] - stats[0]) * stats[1] * s);
    for (int64_t i = 0; i < c; i += VDNI_WALK_LANES)
        vdni_row_add(dx + i, op->in[4], pixel * c + i,
                     c - i < VDNI_WALK_LANES ? c - i : VDNI_WALK_LANES);
    vdni_cpu_write(op->out[0], pixel * c, dx, c);
}

static void backward_chunk(void *user, int64_t k)
{
    const job *j = user;
    const vdni_tensor *x = j->op->in[1];
    const int64_t pixels = x->n * x->h * x->w;
    double *sums = j->sums + k * 2 * x->c;
    for (int64_t i = 0; i < 2 * x->c; i++) sums[i] = 0.0;
    for (int64_t p = vdni_chunk_begin(pixels, CHUNKS, k);
         p < vdni_chunk_begin(pixels, CHUNKS, k + 1); p++)
        backward_pixel(j->op, sums, p);
}

static void add_sums(vdni_tensor *to, const job *j, int64_t which)
{
    const int64_t c = j->op->in[1]->c;
    for (int64_t i = 0; to && i < c; i++) {
        double sum = 0.0;
        for (int64_t k = 0; k < CHUNKS; k++) sum += j->sums[(k * 2 + which) * c + i];
        ((float *)to->data)[i] += (float)sum;
    }
}

static vdn_status run_forward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const vdni_tensor *x = op->in[0];
    vdni_op copy = *op;
    (void)ctx;
    (void)workspace;
    vdni_parallel_for(device->threads, x->n * x->h, forward_row, &copy);
    return VDN_OK;
}

static int64_t backward_bytes(const vdni_device *device, const vdni_op *op)
{
    (void)device;
    return CHUNKS * 2 * op->in[1]->c * (int64_t)sizeof(double);
}

static vdn_status run_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                               void *workspace)
{
    job j = { op, workspace };
    (void)ctx;
    vdni_parallel_for(device->threads, CHUNKS, backward_chunk, &j);
    add_sums(op->out[1], &j, 0);
    add_sums(op->out[2], &j, 1);
    return VDN_OK;
}

const vdni_cpu_entry vdni_cpu_layer_norm[2] = {
    { run_forward, NULL },
    { run_backward, backward_bytes },
};

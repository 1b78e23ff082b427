/* CPU twin of the arithmetic operators; the contract is Ops/arithmetic.h. */
#include "Ops/arithmetic.h"

#include "CPU/walk.h"

#include <string.h>

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- loops over one block -------------------------------------------------------------------- */

static VDNI_VECTOR void multiply(float *restrict y, const float *restrict a, int64_t count)
{
    for (int64_t i = 0; i < count; i++) y[i] *= a[i];
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

static VDNI_VECTOR void add(float *restrict y, const float *restrict a, int64_t count)
{
    for (int64_t i = 0; i < count; i++) y[i] += a[i];
}

static VDNI_VECTOR void complement(float *m, int64_t count)
{
    for (int64_t i = 0; i < count; i++) m[i] = 1.0f - m[i];
}

/* to[k * width + i] = from[k * step] */
static VDNI_VECTOR void spread(float *restrict to, const float *restrict from, int64_t step,
                               int64_t pixels, int64_t width)
{
    for (int64_t k = 0; k < pixels; k++)
        for (int64_t i = 0; i < width; i++) to[k * width + i] = from[k * step];
}

/* sum[k * step] += sum over i of a[k * width + i] * b[k * width + i] */
static VDNI_VECTOR void add_dots(float *restrict sum, int64_t step, const float *restrict a,
                                 const float *restrict b, int64_t pixels, int64_t width)
{
    for (int64_t k = 0; k < pixels; k++) {
        float dot = 0;
#ifdef _OPENMP
#pragma omp simd reduction(+ : dot)
#endif
        for (int64_t i = 0; i < width; i++) dot += a[k * width + i] * b[k * width + i];
        sum[k * step] += dot;
    }
}

/* ---- ADD, PRODUCT ---------------------------------------------------------------------------- */

typedef struct {
    const vdni_op *op;
    vdni_walk walk;
    float *rows; /* of coefficients */
} plan;

static void add_block(void *user, const vdni_block *b)
{
    const plan *p = user;
    float buffer[VDNI_WALK_LANES];
    const vdni_tensor *a = p->op->in[0];
    float *row = vdni_row_open(buffer, p->op->out[0], b->at);
    if (a->data != p->op->out[0]->data || row == buffer) vdni_cpu_read(row, a, b->at, b->count);
    vdni_row_add(row, p->op->in[1], b->at, b->count);
    vdni_row_close(p->op->out[0], b->at, row, b->count);
}

static void product_block(void *user, const vdni_block *b)
{
    const plan *p = user;
    vdni_tensor *const *in = p->op->in;
    float buffer[VDNI_WALK_LANES], wide[VDNI_WALK_LANES];
    float *row = vdni_row_open(buffer, p->op->out[0], b->at);
    vdni_cpu_read(row, in[0], b->at, b->count);
    multiply(row, vdni_row_read(wide, in[1], b->at, b->count), b->count);
    if (in[2]) multiply(row, p->rows + b->lane, b->count);
    vdni_row_add(row, in[3], b->at, b->count);
    vdni_row_close(p->op->out[0], b->at, row, b->count);
}

static void product_backward_block(void *user, const vdni_block *b)
{
    const plan *p = user;
    vdni_tensor *const *in = p->op->in;
    float g[VDNI_WALK_LANES], v[VDNI_WALK_LANES], n[VDNI_WALK_LANES], row[VDNI_WALK_LANES];
    const float *vs = vdni_row_read(v, in[1], b->at, b->count);
    const float *ns = vdni_row_read(n, in[2], b->at, b->count);
    vdni_cpu_read(g, in[0], b->at, b->count);
    if (p->op->out[2]) {
        product(row, g, vs, b->count);
        add_product(b->sums[0], row, ns, b->count);
    }
    if (in[3]) multiply(g, p->rows + b->lane, b->count);
    product(row, g, ns, b->count);
    vdni_cpu_write(p->op->out[0], b->at, row, b->count);
    product(row, g, vs, b->count);
    vdni_cpu_write(p->op->out[1], b->at, row, b->count);
}

/* ---- GATE, MIX: maps per pixel --------------------------------------------------------------- */

/* Channel @p channel of map t for the pixels of a block, repeated over the block's channels. */
static void read_map(float *to, const vdni_tensor *t, int64_t channel, int64_t pixel,
                     int64_t pixels, int64_t width)
{
    float values[2 * VDNI_WALK_LANES];
    vdni_cpu_read(values, t, pixel * t->c, pixels * t->c);
    spread(to, values + channel, t->c, pixels, width);
}

/* Channels of one pixel in a block. */
static int64_t width_of(const vdni_walk *walk, const vdni_block *b)
{ return min64(walk->c, b->count); }

static void gate_block(void *user, const vdni_block *b)
{
    const plan *p = user;
    vdni_tensor *const *in = p->op->in;
    const vdni_tensor *t = in[2];
    const int64_t width = width_of(&p->walk, b), pixels = b->count / width;
    float map[VDNI_WALK_LANES], buffer[VDNI_WALK_LANES], wide[VDNI_WALK_LANES];
    float *row = vdni_row_open(buffer, p->op->out[0], b->at);
    read_map(map, t, 0, b->pixel, pixels, width);
    product(row, map, vdni_row_read(wide, in[0], b->at, b->count), b->count);
    if (t->c == 2) read_map(map, t, 1, b->pixel, pixels, width);
    add_product(row, map, vdni_row_read(wide, in[1], b->at, b->count), b->count);
    vdni_row_close(p->op->out[0], b->at, row, b->count);
}

static void mix_block(void *user, const vdni_block *b)
{
    const plan *p = user;
    vdni_tensor *const *in = p->op->in;
    const int64_t width = width_of(&p->walk, b);
    float map[VDNI_WALK_LANES], buffer[VDNI_WALK_LANES], wide[VDNI_WALK_LANES];
    float *row = vdni_row_open(buffer, p->op->out[0], b->at);
    read_map(map, in[2], 0, b->pixel, b->count / width, width);
    product(row, map, vdni_row_read(wide, in[0], b->at, b->count), b->count);
    complement(map, b->count);
    add_product(row, map, vdni_row_read(wide, in[1], b->at, b->count), b->count);
    vdni_row_close(p->op->out[0], b->at, row, b->count);
}

static void mix_backward_block(void *user, const vdni_block *b)
{
    const plan *p = user;
    const int64_t width = width_of(&p->walk, b);
    float map[VDNI_WALK_LANES], row[VDNI_WALK_LANES], wide[VDNI_WALK_LANES];
    const float *g = vdni_row_read(wide, p->op->in[0], b->at, b->count);
    read_map(map, p->op->in[1], 0, b->pixel, b->count / width, width);
    product(row, map, g, b->count);
    vdni_cpu_write(p->op->out[0], b->at, row, b->count);
    complement(map, b->count);
    product(row, map, g, b->count);
    vdni_cpu_write(p->op->out[1], b->at, row, b->count);
}

/* One of the two branches: da = g t, dt += sum over c of g a. */
static void gate_branch(const vdni_op *op, int branch, int64_t pixel, int64_t pixels, int64_t at,
                        int64_t width, float *dt)
{
    const vdni_tensor *t = op->in[3];
    const int64_t map = t->c == 2 ? branch : 0, count = pixels * width;
    float wide[VDNI_WALK_LANES], g_wide[VDNI_WALK_LANES], row[VDNI_WALK_LANES],
        maps[VDNI_WALK_LANES];
    const float *g = vdni_row_read(g_wide, op->in[0], at, count);
    add_dots(dt + map, t->c, g, vdni_row_read(wide, op->in[1 + branch], at, count), pixels, width);
    read_map(maps, t, map, pixel, pixels, width);
    product(row, maps, g, count);
    vdni_cpu_write(op->out[branch], at, row, count);
}

/* Rows, not blocks: all channels of a pixel must meet in dt. */
static void gate_backward_row(void *user, int64_t row)
{
    const vdni_op *op = user;
    const vdni_tensor *g = op->in[0], *t = op->in[3];
    const int64_t step = g->c < VDNI_WALK_LANES ? VDNI_WALK_LANES / g->c : 1,
                  end = (row + 1) * g->w;
    for (int64_t pixel = row * g->w; pixel < end; pixel += step) {
        float dt[2 * VDNI_WALK_LANES];
        const int64_t pixels = min64(step, end - pixel);
        memset(dt, 0, (size_t)(pixels * t->c) * sizeof *dt);
        for (int64_t first = 0; first < g->c; first += VDNI_WALK_LANES)
            for (int branch = 0; branch < 2; branch++)
                gate_branch(op, branch, pixel, pixels, pixel * g->c + first,
                            min64(g->c - first, VDNI_WALK_LANES), dt);
        for (int64_t k = 0; k < pixels * t->c; k += VDNI_WALK_LANES)
            vdni_cpu_write(op->out[2], pixel * t->c + k, dt + k,
                           min64(VDNI_WALK_LANES, pixels * t->c - k));
    }
}

/* ---- MODULATE: rows of slope and shift per image --------------------------------------------- */

enum { SLOPE, SHIFT, ROWS };

static float *row_of(const plan *p, int64_t n, int row)
{ return p->rows + (n * ROWS + row) * p->walk.width; }

static int scales(const plan *p) { return p->op->a.mode == VDNI_MODULATE_SCALE; }

static void fill_rows(const plan *p, const vdni_tensor *mod)
{
    const int64_t c = p->walk.c;
    const int scale = scales(p);
    for (int64_t n = 0; n < p->walk.n; n++) {
        const float *values = (const float *)mod->data + n * mod->c;
        const float *shift = mod->c == c ? values : values + c;
        for (int64_t i = 0; i < c; i++) {
            row_of(p, n, SLOPE)[i] = scale ? values[i] : mod->c == c ? 1.0f : 1.0f + values[i];
            row_of(p, n, SHIFT)[i] = scale ? 0.0f : shift[i];
        }
        vdni_walk_repeat(&p->walk, row_of(p, n, SLOPE));
        vdni_walk_repeat(&p->walk, row_of(p, n, SHIFT));
    }
}

static void modulate_block(void *user, const vdni_block *b)
{
    const plan *p = user;
    float buffer[VDNI_WALK_LANES], wide[VDNI_WALK_LANES];
    float *row = vdni_row_open(buffer, p->op->out[0], b->at);
    product(row, vdni_row_read(wide, p->op->in[0], b->at, b->count),
            row_of(p, b->n, SLOPE) + b->lane, b->count);
    add(row, row_of(p, b->n, SHIFT) + b->lane, b->count);
    vdni_row_close(p->op->out[0], b->at, row, b->count);
}

static void modulate_backward_block(void *user, const vdni_block *b)
{
    const plan *p = user;
    const vdni_op *op = p->op;
    float row[VDNI_WALK_LANES], wide[VDNI_WALK_LANES];
    const float *g = vdni_row_read(wide, op->in[0], b->at, b->count);
    add(b->sums[0], g, b->count);
    if (op->in[2]->c != p->walk.c || scales(p)) {
        float x[VDNI_WALK_LANES];
        add_product(b->sums[1], g, vdni_row_read(x, op->in[1], b->at, b->count), b->count);
    }
    product(row, g, row_of(p, b->n, SLOPE) + b->lane, b->count);
    vdni_row_add(row, op->in[3], b->at, b->count);
    vdni_cpu_write(op->out[0], b->at, row, b->count);
}

static void put_dmod(const plan *p, const double *sums, const vdni_tensor *dmod)
{
    const int64_t c = p->walk.c;
    for (int64_t n = 0; n < p->walk.n; n++) {
        float *values = (float *)dmod->data + n * dmod->c;
        float *shift = dmod->c == c ? values : values + c;
        for (int64_t i = 0; i < c; i++) {
            if (dmod->c != c || scales(p))
                values[i] = (float)vdni_walk_total(&p->walk, 2, sums, 1, n)[i];
            if (!scales(p)) shift[i] = (float)vdni_walk_total(&p->walk, 2, sums, 0, n)[i];
        }
    }
}

/* ---- BIAS ------------------------------------------------------------------------------------ */

static void bias_block(void *user, const vdni_block *b)
{
    const plan *p = user;
    float buffer[VDNI_WALK_LANES];
    float *row = vdni_row_open(buffer, p->op->out[0], b->at);
    vdni_cpu_read(row, p->op->in[0], b->at, b->count);
    add(row, p->rows + b->lane, b->count);
    vdni_row_close(p->op->out[0], b->at, row, b->count);
}

static void bias_backward_block(void *user, const vdni_block *b)
{
    const plan *p = user;
    float wide[VDNI_WALK_LANES];
    add(b->sums[0], vdni_row_read(wide, p->op->in[0], b->at, b->count), b->count);
}

/* ---- table ----------------------------------------------------------------------------------- */

/* Sums first, then rows: doubles before floats keep both aligned. */
static int64_t product_bytes(const vdni_device *device, const vdni_op *op)
{
    const vdni_walk walk = vdni_walk_of(op->out[0]);
    (void)device;
    return vdni_walk_sum_count(&walk, 1) * (int64_t)sizeof(double) +
           walk.width * (int64_t)sizeof(float);
}

static int64_t bias_backward_bytes(const vdni_device *device, const vdni_op *op)
{
    const vdni_walk walk = vdni_walk_of(op->in[0]);
    (void)device;
    return vdni_walk_sum_count(&walk, 1) * (int64_t)sizeof(double);
}

static int64_t modulate_bytes(const vdni_device *device, const vdni_op *op)
{
    const vdni_walk walk = vdni_walk_of(op->out[0]);
    (void)device;
    return vdni_walk_sum_count(&walk, 2) * (int64_t)sizeof(double) +
           walk.n * ROWS * walk.width * (int64_t)sizeof(float);
}

static plan plan_of(const vdni_op *op, void *workspace, int64_t kinds)
{
    plan p = { .op = op, .walk = vdni_walk_of(op->out[0]) };
    p.rows = (float *)((double *)workspace + vdni_walk_sum_count(&p.walk, kinds));
    return p;
}

static vdn_status run_blocks(vdni_device *device, const vdni_op *op, vdni_block_body *body)
{
    plan p = { .op = op, .walk = vdni_walk_of(op->out[0]) };
    vdni_walk_run(device->threads, &p.walk, body, &p);
    return VDN_OK;
}

static vdn_status run_add(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    (void)ctx;
    (void)workspace;
    return run_blocks(device, op, add_block);
}

/* to[c] += the sums over all images. */
static void add_totals(float *to, const plan *p, const double *sums)
{
    for (int64_t c = 0; c < p->walk.c; c++) {
        double sum = 0;
        for (int64_t n = 0; n < p->walk.n; n++) sum += vdni_walk_total(&p->walk, 1, sums, 0, n)[c];
        to[c] += (float)sum;
    }
}

static void copy_lambda(const plan *p, const vdni_tensor *lambda)
{
    if (!lambda) return;
    memcpy(p->rows, lambda->data, (size_t)lambda->c * sizeof(float));
    vdni_walk_repeat(&p->walk, p->rows);
}

static vdn_status run_product(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    plan p = plan_of(op, workspace, 1);
    (void)ctx;
    copy_lambda(&p, op->in[2]);
    vdni_walk_run(device->threads, &p.walk, product_block, &p);
    return VDN_OK;
}

static vdn_status run_product_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                       void *workspace)
{
    plan p = plan_of(op, workspace, 1);
    (void)ctx;
    copy_lambda(&p, op->in[3]);
    if (!op->out[2]) {
        vdni_walk_run(device->threads, &p.walk, product_backward_block, &p);
        return VDN_OK;
    }
    vdni_walk_sum(device->threads, &p.walk, 1, workspace, product_backward_block, &p);
    add_totals(op->out[2]->data, &p, workspace);
    return VDN_OK;
}

static vdn_status run_gate(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    (void)ctx;
    (void)workspace;
    return run_blocks(device, op, gate_block);
}

static vdn_status run_gate_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                    void *workspace)
{
    vdni_op copy = *op;
    (void)ctx;
    (void)workspace;
    vdni_parallel_for(device->threads, op->in[0]->n * op->in[0]->h, gate_backward_row, &copy);
    return VDN_OK;
}

static vdn_status run_mix(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    (void)ctx;
    (void)workspace;
    return run_blocks(device, op, mix_block);
}

static vdn_status run_mix_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                   void *workspace)
{
    (void)ctx;
    (void)workspace;
    return run_blocks(device, op, mix_backward_block);
}

static vdn_status run_modulate(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                               void *workspace)
{
    plan p = plan_of(op, workspace, 2);
    (void)ctx;
    fill_rows(&p, op->in[1]);
    vdni_walk_run(device->threads, &p.walk, modulate_block, &p);
    return VDN_OK;
}

static vdn_status run_modulate_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                        void *workspace)
{
    plan p = plan_of(op, workspace, 2);
    (void)ctx;
    fill_rows(&p, op->in[2]);
    vdni_walk_sum(device->threads, &p.walk, 2, workspace, modulate_backward_block, &p);
    put_dmod(&p, workspace, op->out[1]);
    return VDN_OK;
}

static vdn_status run_bias(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    plan p = plan_of(op, workspace, 1);
    (void)ctx;
    copy_lambda(&p, op->in[1]);
    vdni_walk_run(device->threads, &p.walk, bias_block, &p);
    return VDN_OK;
}

static vdn_status run_bias_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                    void *workspace)
{
    plan p = { .op = op, .walk = vdni_walk_of(op->in[0]) };
    (void)ctx;
    vdni_walk_sum(device->threads, &p.walk, 1, workspace, bias_backward_block, &p);
    add_totals(op->out[0]->data, &p, workspace);
    return VDN_OK;
}

const vdni_cpu_entry vdni_cpu_arithmetic[11] = {
    { run_add, NULL },
    { run_product, product_bytes },
    { run_product_backward, product_bytes },
    { run_gate, NULL },
    { run_gate_backward, NULL },
    { run_mix, NULL },
    { run_mix_backward, NULL },
    { run_modulate, modulate_bytes },
    { run_modulate_backward, modulate_bytes },
    { run_bias, product_bytes },
    { run_bias_backward, bias_backward_bytes },
};

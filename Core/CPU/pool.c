/* CPU twin of the pooling operators; the contract is Ops/pool.h. */
#include "Ops/pool.h"

#include "CPU/walk.h"

#include <math.h>
#include <string.h>

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- max pool: pairs of columns first, then the two rows ------------------------------------- */

/* Columns [column, column + 2 pixels) of row @p row (n * h + i), channels [first, first + width). */
static void read_pairs(float *to, const vdni_tensor *t, int64_t row, int64_t column, int64_t pixels,
                       int64_t first, int64_t width)
{
    const int64_t at = (row * t->w + column) * t->c + first;
    if (width == t->c) {
        vdni_cpu_read(to, t, at, 2 * pixels * width);
        return;
    }
    int64_t k = 0;
    do {
        vdni_cpu_read(to + k * width, t, at + k * t->c, width);
    } while (++k < 2 * pixels);
}

/* The larger of each pair of neighbouring pixels and which: base or base + 1. */
static VDNI_VECTOR void pair_max(float *restrict best, uint8_t *restrict index,
                                 const float *restrict x, int64_t pixels, int64_t c, uint8_t base)
{
    for (int64_t k = 0; k < pixels; k++)
        for (int64_t i = 0; i < c; i++) {
            const float left = x[2 * k * c + i], right = x[(2 * k + 1) * c + i];
            const int take = right > left || right != right;
            best[k * c + i] = take ? right : left;
            index[k * c + i] = (uint8_t)(base + take);
        }
}

static VDNI_VECTOR void row_max(float *restrict best, uint8_t *restrict index,
                                const float *restrict low, const uint8_t *restrict low_index,
                                int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const int take = low[i] > best[i] || low[i] != low[i];
        best[i] = take ? low[i] : best[i];
        index[i] = take ? low_index[i] : index[i];
    }
}

static void max_block(const vdni_op *op, int64_t row, int64_t column, int64_t pixels, int64_t first,
                      int64_t width)
{
    float x[2 * VDNI_WALK_LANES], best[VDNI_WALK_LANES], low[VDNI_WALK_LANES];
    uint8_t index[VDNI_WALK_LANES], low_index[VDNI_WALK_LANES];
    const vdni_tensor *from = op->in[0];
    vdni_tensor *y = op->out[0], *argmax = op->out[1];
    const int64_t above = row / y->h * from->h + 2 * (row % y->h);
    const int64_t at = (row * y->w + column) * y->c + first, count = pixels * width;

    read_pairs(x, from, above, 2 * column, pixels, first, width);
    pair_max(best, index, x, pixels, width, 0);
    read_pairs(x, from, above + 1, 2 * column, pixels, first, width);
    pair_max(low, low_index, x, pixels, width, 2);
    row_max(best, index, low, low_index, count);
    vdni_cpu_write(y, at, best, count);
    if (argmax) memcpy((uint8_t *)argmax->data + at, index, (size_t)count);
}

/* Cut row @p row of @p t into blocks of whole pixels or, with many channels, parts of one. */
static void for_each_part(const vdni_op *op, const vdni_tensor *t, int64_t row, int64_t columns,
                          void (*block)(const vdni_op *, int64_t, int64_t, int64_t, int64_t,
                                        int64_t))
{
    const int64_t step = t->c < VDNI_WALK_LANES ? VDNI_WALK_LANES / t->c : 1;
    for (int64_t column = 0; column < columns; column += step)
        for (int64_t first = 0; first < t->c; first += VDNI_WALK_LANES)
            block(op, row, column, min64(step, columns - column), first,
                  min64(t->c - first, VDNI_WALK_LANES));
}

static void max_row(void *user, int64_t row)
{
    const vdni_op *op = user;
    for_each_part(op, op->out[0], row, op->out[0]->w, max_block);
}

/* to[2k + side] = g[k] where the argmax is base + side. */
static VDNI_VECTOR void scatter_pairs(float *restrict to, const float *restrict g,
                                      const uint8_t *restrict index, int64_t pixels, int64_t c,
                                      uint8_t base)
{
    for (int64_t k = 0; k < pixels; k++)
        for (int64_t side = 0; side < 2; side++)
            for (int64_t i = 0; i < c; i++)
                to[(2 * k + side) * c + i] = index[k * c + i] == base + side ? g[k * c + i] : 0.0f;
}

static void put_sum(const vdni_op *op, int64_t at, float *row, const vdni_tensor *addend,
                    int64_t count)
{
    for (int64_t k = 0; k < count; k += VDNI_WALK_LANES) {
        const int64_t part = min64(VDNI_WALK_LANES, count - k);
        vdni_row_add(row + k, addend, at + k, part);
        vdni_cpu_write(op->out[0], at + k, row + k, part);
    }
}

static void max_backward_block(const vdni_op *op, int64_t row, int64_t column, int64_t pixels,
                               int64_t first, int64_t width)
{
    float to[2 * VDNI_WALK_LANES], buffer[VDNI_WALK_LANES];
    const vdni_tensor *g = op->in[0], *dx = op->out[0];
    const int64_t i = row % dx->h;
    const int64_t from = ((row / dx->h * g->h + i / 2) * g->w + column) * g->c + first;
    const int64_t at = (row * dx->w + 2 * column) * dx->c + first;

    scatter_pairs(to, vdni_row_read(buffer, g, from, pixels * width),
                  (const uint8_t *)op->in[1]->data + from, pixels, width, (uint8_t)(2 * (i % 2)));
    if (width == dx->c) {
        put_sum(op, at, to, op->in[2], 2 * pixels * width);
        return;
    }
    put_sum(op, at, to, op->in[2], width);
    put_sum(op, at + dx->c, to + width, op->in[2], width);
}

/* Pixels that no window reads: dx = addend. */
static void put_rest(const vdni_op *op, int64_t at, int64_t count)
{
    for (int64_t k = 0; k < count; k += VDNI_WALK_LANES) {
        float zeros[VDNI_WALK_LANES] = { 0 };
        put_sum(op, at + k, zeros, op->in[2], min64(VDNI_WALK_LANES, count - k));
    }
}

static void max_backward_row(void *user, int64_t row)
{
    const vdni_op *op = user;
    const vdni_tensor *g = op->in[0], *dx = op->out[0];
    const int64_t columns = row % dx->h / 2 < g->h ? g->w : 0;
    for_each_part(op, dx, row, columns, max_backward_block);
    put_rest(op, (row * dx->w + 2 * columns) * dx->c, (dx->w - 2 * columns) * dx->c);
}

/* ---- max pool of 3 x 3 with overlap: channel by channel block ----------------------------------- */

static VDNI_VECTOR void take_larger(float *restrict best, uint8_t *restrict index,
                                    const float *restrict x, int64_t count, uint8_t tap)
{
    for (int64_t i = 0; i < count; i++) {
        const int take = x[i] > best[i] || x[i] != x[i];
        best[i] = take ? x[i] : best[i];
        index[i] = take ? tap : index[i];
    }
}

/* Window @p j of output row @p row, channels [first, first + count). */
static void max3_block(const vdni_op *op, int64_t row, int64_t j, int64_t first, int64_t count)
{
    const vdni_tensor *x = op->in[0];
    vdni_tensor *y = op->out[0], *argmax = op->out[1];
    float best[VDNI_WALK_LANES], buffer[VDNI_WALK_LANES];
    uint8_t index[VDNI_WALK_LANES];
    const int64_t n = row / y->h, top = 2 * (row % y->h) - 1, left = 2 * j - 1;
    const int64_t at = (row * y->w + j) * y->c + first;

    for (int64_t i = 0; i < count; i++) best[i] = -INFINITY;
    memset(index, 4, (size_t)count); /* the middle is always there */
    for (int64_t k = 0; k < 9; k++) {
        const int64_t ih = top + k / 3, iw = left + k % 3;
        if (ih < 0 || ih >= x->h || iw < 0 || iw >= x->w) continue;
        const int64_t from = ((n * x->h + ih) * x->w + iw) * x->c + first;
        take_larger(best, index, vdni_row_read(buffer, x, from, count), count, (uint8_t)k);
    }
    vdni_cpu_write(y, at, best, count);
    if (argmax) memcpy((uint8_t *)argmax->data + at, index, (size_t)count);
}

static void max3_row(void *user, int64_t row)
{
    const vdni_op *op = user;
    const vdni_tensor *y = op->out[0];
    for (int64_t j = 0; j < y->w; j++)
        for (int64_t first = 0; first < y->c; first += VDNI_WALK_LANES)
            max3_block(op, row, j, first, min64(y->c - first, VDNI_WALK_LANES));
}

static VDNI_VECTOR void add_where(float *restrict to, const float *restrict g,
                                  const uint8_t *restrict index, int64_t count, uint8_t tap)
{
    for (int64_t i = 0; i < count; i++) to[i] += index[i] == tap ? g[i] : 0.0f;
}

/* Pixel (@p row % h, @p j) lies in the windows i/2 and (i+1)/2 of each axis, once if they are one. */
static void max3_backward_block(const vdni_op *op, int64_t row, int64_t j, int64_t first,
                                int64_t count)
{
    const vdni_tensor *g = op->in[0], *dx = op->out[0];
    const uint8_t *index = op->in[1]->data;
    float to[VDNI_WALK_LANES] = { 0 }, buffer[VDNI_WALK_LANES];
    const int64_t n = row / dx->h, i = row % dx->h;

    for (int64_t oi = i / 2; oi <= (i + 1) / 2 && oi < g->h; oi++)
        for (int64_t oj = j / 2; oj <= (j + 1) / 2 && oj < g->w; oj++) {
            const int64_t tap = 3 * (i - 2 * oi + 1) + j - 2 * oj + 1;
            const int64_t from = ((n * g->h + oi) * g->w + oj) * g->c + first;
            add_where(to, vdni_row_read(buffer, g, from, count), index + from, count, (uint8_t)tap);
        }
    put_sum(op, (row * dx->w + j) * dx->c + first, to, op->in[2], count);
}

static void max3_backward_row(void *user, int64_t row)
{
    const vdni_op *op = user;
    const vdni_tensor *dx = op->out[0];
    for (int64_t j = 0; j < dx->w; j++)
        for (int64_t first = 0; first < dx->c; first += VDNI_WALK_LANES)
            max3_backward_block(op, row, j, first, min64(dx->c - first, VDNI_WALK_LANES));
}

/* ---- average pool ---------------------------------------------------------------------------- */

static void average_row(void *user, int64_t row)
{
    const vdni_op *op = user;
    const vdni_tensor *x = op->in[0];
    vdni_tensor *y = op->out[0];
    const int64_t k = op->a.kernel, s = op->a.stride, p = op->a.pad;
    const int64_t top = row % y->h * s - p, image = row / y->h;
    const double gain = op->a.scale;

    for (int64_t j = 0; j < y->w; j++) {
        const int64_t left = j * s - p;
        const int64_t begin = left < 0 ? 0 : left, end = min64(left + k, x->w);
        for (int64_t c = 0; c < x->c; c++) {
            double sum = 0;
            for (int64_t ih = top < 0 ? 0 : top; ih < min64(top + k, x->h); ih++)
                for (int64_t iw = begin; iw < end; iw++)
                    sum += (double)vdni_cpu_get(x, ((image * x->h + ih) * x->w + iw) * x->c + c);
            const double mean = sum / (double)(k * k);
            double value = gain > 0.0 ? gain * mean : mean;
            if (op->a.mode == VDNI_POOL_STEP && value == value) value = value >= 1.0 ? 1.0 : 0.0;
            const int is_full = gain > 0.0 && value > 1.0; /* written so that NaN stays NaN */
            vdni_cpu_set(y, (row * y->w + j) * y->c + c, is_full ? 1.0f : (float)value);
        }
    }
}

/* ---- global pool ----------------------------------------------------------------------------- */

typedef struct {
    const vdni_op *op;
    vdni_walk walk;
    float *rows;
} global_plan;

static VDNI_VECTOR void add_row(float *restrict sum, const float *restrict x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) sum[i] += x[i];
}

static void global_block(void *user, const vdni_block *b)
{
    const vdni_op *op = user;
    float buffer[VDNI_WALK_LANES];
    add_row(b->sums[0], vdni_row_read(buffer, op->in[0], b->at, b->count), b->count);
}

static int64_t global_bytes(const vdni_device *device, const vdni_op *op)
{
    const vdni_walk walk = vdni_walk_of(op->in[0]);
    (void)device;
    return vdni_walk_sum_count(&walk, 1) * (int64_t)sizeof(double);
}

static vdn_status run_global(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const vdni_walk walk = vdni_walk_of(op->in[0]);
    float *y = op->out[0]->data;
    vdni_op copy = *op;
    (void)ctx;
    vdni_walk_sum(device->threads, &walk, 1, workspace, global_block, &copy);
    for (int64_t n = 0; n < walk.n; n++)
        for (int64_t c = 0; c < walk.c; c++)
            y[n * walk.c + c] =
                (float)(vdni_walk_total(&walk, 1, workspace, 0, n)[c] / (double)walk.pixels);
    return VDN_OK;
}

static void global_backward_block(void *user, const vdni_block *b)
{
    const global_plan *p = user;
    float row[VDNI_WALK_LANES];
    memcpy(row, p->rows + b->n * p->walk.width + b->lane, (size_t)b->count * sizeof *row);
    vdni_row_add(row, p->op->in[1], b->at, b->count);
    vdni_cpu_write(p->op->out[0], b->at, row, b->count);
}

static int64_t global_backward_bytes(const vdni_device *device, const vdni_op *op)
{
    const vdni_walk walk = vdni_walk_of(op->out[0]);
    (void)device;
    return walk.n * walk.width * (int64_t)sizeof(float);
}

static vdn_status run_global_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                      void *workspace)
{
    global_plan p = { op, vdni_walk_of(op->out[0]), workspace };
    const float *g = op->in[0]->data;
    (void)ctx;
    for (int64_t n = 0; n < p.walk.n; n++) {
        float *row = p.rows + n * p.walk.width;
        for (int64_t c = 0; c < p.walk.c; c++) row[c] = g[n * p.walk.c + c] / (float)p.walk.pixels;
        vdni_walk_repeat(&p.walk, row);
    }
    vdni_walk_run(device->threads, &p.walk, global_backward_block, &p);
    return VDN_OK;
}

/* ---- channel statistics ---------------------------------------------------------------------- */

typedef struct {
    float sum, max;
    int32_t argmax;
} part_stats;

static VDNI_VECTOR part_stats stats_of(const float *x, int64_t count)
{
    part_stats s = { 0, x[0], INT32_MAX };
    float sum = 0, max = x[0];
    int32_t first = INT32_MAX;
#ifdef _OPENMP
#pragma omp simd reduction(+ : sum) reduction(max : max)
#endif
    for (int64_t i = 0; i < count; i++) {
        sum += x[i];
        max = x[i] > max ? x[i] : max;
    }
#ifdef _OPENMP
#pragma omp simd reduction(min : first)
#endif
    for (int32_t i = 0; i < (int32_t)count; i++) {
        const int32_t here = x[i] == max ? i : INT32_MAX;
        first = here < first ? here : first;
    }
    s.sum = sum;
    s.max = max;
    s.argmax = first == INT32_MAX ? 0 : first; /* NaN equals nothing */
    return s;
}

static void put_stats(const vdni_op *op, int64_t pixel, const part_stats *s)
{
    const vdni_tensor *argmax = op->out[1];
    vdni_cpu_set(op->out[0], 2 * pixel, s->sum / (float)op->in[0]->c);
    vdni_cpu_set(op->out[0], 2 * pixel + 1, s->max);
    if (argmax) ((uint16_t *)argmax->data)[pixel] = (uint16_t)s->argmax;
}

/* A pixel of more than VDNI_WALK_LANES channels, part by part. */
static void wide_pixel(const vdni_op *op, int64_t pixel)
{
    const vdni_tensor *x = op->in[0];
    float buffer[VDNI_WALK_LANES];
    part_stats total = { 0, 0, 0 };
    for (int64_t first = 0; first < x->c; first += VDNI_WALK_LANES) {
        const int64_t count = min64(x->c - first, VDNI_WALK_LANES);
        const part_stats s = stats_of(vdni_row_read(buffer, x, pixel * x->c + first, count), count);
        total.sum += s.sum;
        if (first > 0 && !(s.max > total.max)) continue;
        total.max = s.max;
        total.argmax = (int32_t)first + s.argmax;
    }
    put_stats(op, pixel, &total);
}

static void channel_row(void *user, int64_t row)
{
    const vdni_op *op = user;
    const vdni_tensor *x = op->in[0];
    const int64_t step = x->c <= VDNI_WALK_LANES ? VDNI_WALK_LANES / x->c : 1,
                  end = (row + 1) * x->w;
    float buffer[VDNI_WALK_LANES];

    for (int64_t pixel = row * x->w; pixel < end; pixel += step) {
        const int64_t pixels = min64(step, end - pixel);
        if (x->c > VDNI_WALK_LANES) {
            wide_pixel(op, pixel);
            continue;
        }
        const float *values = vdni_row_read(buffer, x, pixel * x->c, pixels * x->c);
        for (int64_t k = 0; k < pixels; k++) {
            const part_stats s = stats_of(values + k * x->c, x->c);
            put_stats(op, pixel + k, &s);
        }
    }
}

static void channel_backward_block(void *user, const vdni_block *b)
{
    const vdni_op *op = user;
    const vdni_tensor *g = op->in[0];
    const uint16_t *argmax = op->in[1]->data;
    const int64_t c = op->out[0]->c, width = min64(c - b->lane, b->count);
    float row[VDNI_WALK_LANES];

    for (int64_t k = 0; k * width < b->count; k++) {
        const float mean = vdni_cpu_get(g, 2 * (b->pixel + k)) / (float)c;
        const int64_t at = (int64_t)argmax[b->pixel + k] - b->lane;
        for (int64_t i = 0; i < width; i++) row[k * width + i] = mean;
        if (at >= 0 && at < width) row[k * width + at] += vdni_cpu_get(g, 2 * (b->pixel + k) + 1);
    }
    vdni_row_add(row, op->in[2], b->at, b->count);
    vdni_cpu_write(op->out[0], b->at, row, b->count);
}

/* ---- table ----------------------------------------------------------------------------------- */

static vdn_status run_rows(vdni_device *device, const vdni_op *op, const vdni_tensor *t,
                           void (*row)(void *user, int64_t i))
{
    vdni_op copy = *op;
    vdni_parallel_for(device->threads, t->n * t->h, row, &copy);
    return VDN_OK;
}

static vdn_status run_max(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    (void)ctx;
    (void)workspace;
    return run_rows(device, op, op->out[0], op->a.kernel == 3 ? max3_row : max_row);
}

static vdn_status run_max_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                   void *workspace)
{
    (void)ctx;
    (void)workspace;
    return run_rows(device, op, op->out[0],
                    op->a.kernel == 3 ? max3_backward_row : max_backward_row);
}

static vdn_status run_average(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    (void)ctx;
    (void)workspace;
    return run_rows(device, op, op->out[0], average_row);
}

static vdn_status run_channel(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    (void)ctx;
    (void)workspace;
    return run_rows(device, op, op->in[0], channel_row);
}

static vdn_status run_channel_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                       void *workspace)
{
    const vdni_walk walk = vdni_walk_of(op->out[0]);
    vdni_op copy = *op;
    (void)ctx;
    (void)workspace;
    vdni_walk_run(device->threads, &walk, channel_backward_block, &copy);
    return VDN_OK;
}

const vdni_cpu_entry vdni_cpu_pool[7] = {
    { run_max, NULL },
    { run_max_backward, NULL },
    { run_average, NULL },
    { run_global, global_bytes },
    { run_global_backward, global_backward_bytes },
    { run_channel, NULL },
    { run_channel_backward, NULL },
};

/* Plain depthwise convolution. The contract is Core/Ops/depthwise.h.
 *
 * Work is cut into (image, group of channels, stripe of rows). A worker copies the rows it needs as
 * (column, group) floats with zero columns around them; a group is as many blocks of 16 channels as
 * keep these rows in the L2 cache. Output rows of the same remainder modulo d share their input
 * rows in the same way. Backward to the input is the forward pass with the kernel turned round and
 * pad = d(k-1) - pad. */
#include "Ops/depthwise.h"
#include "CPU/conv.h"

#include <string.h>

enum { COLUMNS = VDNI_DEPTHWISE_SLACK, STRIPES = 16, STRIPE_ROWS = 8, RING_BYTES = 3 << 18 };

/* What a worker has for itself. */
struct scratch {
    float *rows; /* (k) input rows, a ring */
    int64_t *keys;
    float *line; /* one row of output or of g */
};

typedef struct pass {
    const vdni_tensor *x, *g, *add; /* x: what is read through the window; g: gradient, _DW only */
    vdni_tensor *y;                 /* NULL for _DW */
    int64_t k, d, pad, c, out_h, out_w;
    int64_t blocks, group, groups; /* lane blocks of all channels, per group; groups */
    int64_t stripes, left, columns, tasks;
    int32_t workers;
    const vdni_simd *simd;
    float *weights;          /* (blocks, k * k + 1, LANES), the last one the bias */
    float *partial;          /* _DW: (n, stripes, blocks, k * k + 1, LANES) */
    struct scratch *scratch; /* one per worker */
    vdni_tasks *queue;
} pass;

static pass pass_of(const vdni_device *device, const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const int is_dx = op->kind == VDNI_OP_DEPTHWISE_DX, is_dw = op->kind == VDNI_OP_DEPTHWISE_DW;
    pass p = { .add = r.add, .k = op->a.kernel, .d = op->a.dilation };
    const vdni_tensor *shape = is_dx ? r.wide : r.narrow;

    p.x = is_dx ? r.narrow : r.wide;
    p.y = is_dw ? NULL : is_dx ? r.wide : r.narrow;
    p.g = is_dw ? r.narrow : NULL;
    p.pad = is_dx ? p.d * (p.k - 1) - op->a.pad : op->a.pad;
    p.c = shape->c;
    p.out_h = shape->h;
    p.out_w = shape->w;
    p.workers = device->threads;
    p.simd = device->simd;

    /* Depends on the shape alone: the partial sums of _DW must not know the thread count. */
    const int64_t most = STRIPES / shape->n > 1 ? STRIPES / shape->n : 1;
    const int64_t wanted = p.out_h / (STRIPE_ROWS * p.d) > 1 ? p.out_h / (STRIPE_ROWS * p.d) : 1;
    p.stripes = wanted < most ? wanted : most;
    p.blocks = vdni_lane_blocks(p.c);

    const int64_t last = p.out_w - 1 - p.pad + p.d * (p.k - 1);
    p.left = p.pad > 0 ? p.pad : 0;
    p.columns = p.left + (p.x->w > last ? p.x->w : last + 1) + COLUMNS * p.d;
    p.group = RING_BYTES / (p.k * p.columns * VDNI_LANES * (int64_t)sizeof(float));
    if (p.group < 1) p.group = 1;
    if (p.group > p.blocks) p.group = p.blocks;
    p.groups = (p.blocks + p.group - 1) / p.group;
    p.tasks = shape->n * p.stripes * p.groups;
    return p;
}

/* Floats per column of what a worker holds. */
static int64_t lanes_of(const pass *p) { return p->group * VDNI_LANES; }

static int64_t taps_floats(const pass *p) { return (p->k * p->k + 1) * VDNI_LANES; }

static int64_t row_floats(const pass *p) { return p->columns * lanes_of(p); }

static int64_t line_floats(const pass *p) { return (p->out_w + COLUMNS * p->d) * lanes_of(p); }

static void carve(pass *p, vdni_carver *carver)
{
    const int64_t f = (int64_t)sizeof(float), parts = p->tasks / p->groups;

    p->weights = vdni_carve(carver, p->y ? p->blocks * taps_floats(p) * f : 0);
    p->partial = vdni_carve(carver, p->y ? 0 : parts * p->blocks * taps_floats(p) * f);
    p->scratch = vdni_carve(carver, p->workers * (int64_t)sizeof *p->scratch);
    for (int32_t i = 0; i < p->workers; i++) {
        struct scratch s;
        s.rows = vdni_carve(carver, p->k * row_floats(p) * f);
        s.keys = vdni_carve(carver, p->k * (int64_t)sizeof *s.keys);
        s.line = vdni_carve(carver, line_floats(p) * f);
        if (carver->base) p->scratch[i] = s;
    }
}

static void pack(const pass *p, const vdni_op *op)
{
    const float *w = op->in[1]->data, *b = NULL;
    const int64_t taps = p->k * p->k;
    const int flip = op->kind == VDNI_OP_DEPTHWISE_DX;

    if (!flip && op->in[2]) b = op->in[2]->data;
    for (int64_t block = 0; block < p->blocks; block++)
        for (int64_t t = 0; t <= taps; t++)
            for (int64_t l = 0; l < VDNI_LANES; l++) {
                const int64_t c = block * VDNI_LANES + l;
                float value = 0;
                if (c < p->c && t < taps) value = w[(flip ? taps - 1 - t : t) * p->c + c];
                if (c < p->c && t == taps && b) value = b[c];
                p->weights[(block * (taps + 1) + t) * VDNI_LANES + l] = value;
            }
}

/* What a piece of a row is: pixels, first channel, how many, and floats per pixel in the line. */
typedef struct piece {
    int64_t width, first, count, lanes;
} piece;

/* Read a piece of the row that begins at @p pixel; the lanes beyond count are left alone. */
static VDNI_VECTOR void read_piece(float *to, const vdni_tensor *t, int64_t pixel, const piece *r)
{
    for (int64_t i = 0; i < r->width; i++, to += r->lanes) {
        const int64_t at = (pixel + i) * t->c + r->first;
        if (t->dtype == VDNI_F32) {
            const float *from = (const float *)t->data + at;
            for (int64_t l = 0; l < r->count; l++) to[l] = from[l];
        } else {
            const vdni_bf16 *from = (const vdni_bf16 *)t->data + at;
            for (int64_t l = 0; l < r->count; l++) to[l] = vdni_bf16_to_f32(from[l]);
        }
    }
}

/* Add the addend to a line. */
static VDNI_VECTOR void add_piece(float *line, const vdni_tensor *add, int64_t pixel,
                                  const piece *r)
{
    for (int64_t i = 0; i < r->width; i++, line += r->lanes) {
        const int64_t at = (pixel + i) * add->c + r->first;
        if (add->dtype == VDNI_F32) {
            const float *from = (const float *)add->data + at;
            for (int64_t l = 0; l < r->count; l++) line[l] += from[l];
        } else {
            const vdni_bf16 *from = (const vdni_bf16 *)add->data + at;
            for (int64_t l = 0; l < r->count; l++) line[l] += vdni_bf16_to_f32(from[l]);
        }
    }
}

static VDNI_VECTOR void write_piece(vdni_tensor *y, int64_t pixel, const float *line,
                                    const piece *r)
{
    for (int64_t i = 0; i < r->width; i++, line += r->lanes) {
        const int64_t at = (pixel + i) * y->c + r->first;
        if (y->dtype == VDNI_F32) {
            float *to = (float *)y->data + at;
            for (int64_t l = 0; l < r->count; l++) to[l] = line[l];
        } else {
            vdni_bf16 *to = (vdni_bf16 *)y->data + at;
            for (int64_t l = 0; l < r->count; l++) to[l] = vdni_f32_to_bf16(line[l]);
        }
    }
}

/* One (image, stripe, group of channels). */
typedef struct part {
    int64_t n, from, to, block, blocks, first, count;
} part;

static part part_of(const pass *p, int64_t task)
{
    const int64_t stripe = task / p->groups % p->stripes;
    part t = { .n = task / p->groups / p->stripes, .block = task % p->groups * p->group };

    t.from = vdni_chunk_begin(p->out_h, p->stripes, stripe);
    t.to = vdni_chunk_begin(p->out_h, p->stripes, stripe + 1);
    t.blocks = p->blocks - t.block < p->group ? p->blocks - t.block : p->group;
    t.first = t.block * VDNI_LANES;
    t.count = p->c - t.first < lanes_of(p) ? p->c - t.first : lanes_of(p);
    return t;
}

/* The k input rows of output row @p h, through the ring. */
static void gather_rows(const pass *p, const struct scratch *s, const part *t, int64_t h,
                        const float **rows)
{
    const piece r = { p->x->w, t->first, t->count, lanes_of(p) };

    for (int64_t kh = 0; kh < p->k; kh++) {
        const int64_t row = h - p->pad + kh * p->d, slot = (h + kh * p->d) / p->d % p->k;
        float *data = s->rows + slot * row_floats(p);

        rows[kh] = NULL;
        if (row < 0 || row >= p->x->h) continue;
        if (s->keys[slot] != row)
            read_piece(data + p->left * lanes_of(p), p->x, (t->n * p->x->h + row) * p->x->w, &r);
        s->keys[slot] = row;
        rows[kh] = data + (p->left - p->pad) * lanes_of(p);
    }
}

static vdni_depthwise_rows rows_of(const pass *p)
{
    return (vdni_depthwise_rows){ p->k, p->d, p->out_w, lanes_of(p) };
}

static void run_row(const pass *p, const struct scratch *s, const part *t, int64_t h)
{
    const piece r = { p->out_w, t->first, t->count, lanes_of(p) };
    const vdni_depthwise_rows rows = rows_of(p);
    const int64_t pixel = (t->n * p->out_h + h) * p->out_w;
    const float *in[VDNI_MAX_KERNEL];

    gather_rows(p, s, t, h, in);
    for (int64_t b = 0; b < t->blocks; b++) {
        p->simd->depthwise_row(s->line + b * VDNI_LANES, &rows, in,
                               p->weights + (t->block + b) * taps_floats(p));
        for (int64_t kh = 0; kh < p->k; kh++)
            if (in[kh]) in[kh] += VDNI_LANES;
    }
    if (p->add) add_piece(s->line, p->add, pixel, &r);
    write_piece(p->y, pixel, s->line, &r);
}

static void sum_row(const pass *p, const struct scratch *s, const part *t, int64_t h, float *sum)
{
    const piece r = { p->out_w, t->first, t->count, lanes_of(p) };
    const vdni_depthwise_rows rows = rows_of(p);
    const float *in[VDNI_MAX_KERNEL];

    gather_rows(p, s, t, h, in);
    read_piece(s->line, p->g, (t->n * p->out_h + h) * p->out_w, &r);
    for (int64_t b = 0; b < t->blocks; b++, sum += taps_floats(p)) {
        const float *g = s->line + b * VDNI_LANES;
        for (int64_t kh = 0; kh < p->k; kh++)
            if (in[kh])
                p->simd->depthwise_gradient(sum + kh * p->k * VDNI_LANES, &rows, g,
                                            in[kh] + b * VDNI_LANES);
        p->simd->sum_columns(sum + p->k * p->k * VDNI_LANES, g, p->out_w, lanes_of(p));
    }
}

/* All rows of a part; sum: its share of the gradient, or NULL for the forward pass. */
static void run_part(const pass *p, const struct scratch *s, const part *t, float *sum)
{
    if (sum) memset(sum, 0, (size_t)(t->blocks * taps_floats(p)) * sizeof *sum);
    for (int64_t q = 0; q < p->d; q++) {
        for (int64_t i = 0; i < p->k; i++) s->keys[i] = -1;
        for (int64_t h = t->from + q; h < t->to; h += p->d)
            if (sum)
                sum_row(p, s, t, h, sum);
            else
                run_row(p, s, t, h);
    }
}

static void work(void *user, int64_t worker)
{
    const pass *p = user;
    const struct scratch *s = &p->scratch[worker];
    vdni_zero_borders(s->rows, p->k, row_floats(p), p->left * lanes_of(p),
                      (p->left + p->x->w) * lanes_of(p));
    vdni_zero_borders(s->line, 1, line_floats(p), 0, p->out_w * lanes_of(p));
    for (int64_t task = vdni_take_task(p->queue); task >= 0; task = vdni_take_task(p->queue)) {
        const part t = part_of(p, task);
        run_part(p, s, &t,
                 p->y ? NULL
                      : p->partial + (task / p->groups * p->blocks + t.block) * taps_floats(p));
    }
}

/* dw and db += the parts in order. */
static void reduce(const pass *p, vdni_tensor *dw, vdni_tensor *db)
{
    const int64_t taps = p->k * p->k, parts = p->tasks / p->groups;

    for (int64_t t = 0; t <= taps; t++) {
        float *to = t < taps ? (float *)dw->data + t * p->c : db ? db->data : NULL;
        for (int64_t c = 0; to && c < p->c; c++) {
            const int64_t at = c / VDNI_LANES * taps_floats(p) + t * VDNI_LANES + c % VDNI_LANES;
            float sum = 0;
            for (int64_t i = 0; i < parts; i++)
                sum += p->partial[i * p->blocks * taps_floats(p) + at];
            to[c] += sum;
        }
    }
}

static vdn_status run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    pass p = pass_of(device, op);
    vdni_carver carver = { workspace, 0 };

    (void)ctx;
    vdni_tasks queue = { p.tasks, 0 };
    p.queue = &queue;
    carve(&p, &carver);
    if (p.y) pack(&p, op);
    vdni_parallel_for(device->threads, p.workers, work, &p);
    if (!p.y) reduce(&p, op->out[0], op->out[1]);
    return VDN_OK;
}

static int64_t workspace_bytes(const vdni_device *device, const vdni_op *op)
{
    pass p = pass_of(device, op);
    vdni_carver carver = { NULL, 0 };
    carve(&p, &carver);
    return carver.used;
}

const vdni_cpu_entry vdni_cpu_depthwise[3] = {
    { run, workspace_bytes },
    { run, workspace_bytes },
    { run, workspace_bytes },
};

/* Plain convolution, backward to the weight and the bias. The contract is Core/Ops/conv.h.
 *
 * The output rows are cut into chunks whose number depends on the shape alone; each (chunk, kernel
 * row) is summed on its own and the chunks are added in order, so the thread count changes no bit.
 * Taps that lie side by side in memory (dilation 1) are taken as one long row of channels. */
#include "CPU/conv.h"
#include "CPU/winograd.h"

#include <string.h>

/* What a worker has for itself. */
struct scratch {
    float *x, *g, *raw;
};

typedef struct pass {
    vdni_tensor *x, *g, *dw, *db;
    int64_t k, d, s, pad;
    int32_t workers;
    const vdni_simd *simd;

    int64_t chunks, blocks;            /* blocks: lane blocks of g's channels */
    int64_t fold, width;               /* pixels per block, blocks per row of g (conv.h) */
    int64_t groups, length, length_up; /* per kernel row: groups of length values, rounded up */
    int64_t left, row_floats;
    float *partial, *bias;   /* (chunks, blocks, k, groups, length_up, LANES), (chunks, ..) */
    struct scratch *scratch; /* one per worker */
    vdni_tasks *tasks;       /* (chunk, kernel row) */
} pass;

enum { PARTIAL_FLOATS = 1 << 20, MIN_CHUNKS = 2 };

static int64_t block_floats(const pass *p) { return p->k * p->groups * p->length_up * VDNI_LANES; }

static int64_t chunk_count(const pass *p)
{
    const int64_t rows = p->g->n * p->g->h;
    int64_t chunks = PARTIAL_FLOATS / (p->blocks * block_floats(p));

    if (chunks < MIN_CHUNKS) chunks = MIN_CHUNKS;
    if (chunks > VDNI_CHUNKS) chunks = VDNI_CHUNKS;
    return chunks < rows ? chunks : rows;
}

static pass pass_of(const vdni_device *device, const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const vdni_attr *a = &op->a;
    pass p = { .x = r.wide, .g = r.narrow, .dw = r.w, .db = r.b, .workers = device->threads };

    p.simd = device->simd;
    p.k = a->kernel;
    p.d = a->dilation;
    p.s = a->stride;
    p.pad = a->pad;
    p.fold = p.d == 1 ? vdni_conv_fold(p.g->c) : 1;
    p.width = (p.g->w + p.fold - 1) / p.fold;
    p.groups = p.d == 1 ? 1 : p.k;
    p.length = p.d == 1 ? (p.k + (p.fold - 1) * p.s) * p.x->c : p.x->c;
    p.length_up = (p.length + VDNI_TILE_SLACK - 1) / VDNI_TILE_SLACK * VDNI_TILE_SLACK;
    p.blocks = vdni_lane_blocks(p.g->c);
    p.chunks = chunk_count(&p);

    const int64_t last = (p.width * p.fold - 1) * p.s - p.pad + p.d * (p.k - 1);
    p.left = p.pad;
    p.row_floats = p.x->c * (p.left + (p.x->w > last ? p.x->w : last + 1)) + VDNI_TILE_SLACK;
    return p;
}

static void carve(pass *p, vdni_carver *carver)
{
    const int64_t f = (int64_t)sizeof(float), lanes = p->blocks * VDNI_LANES;

    p->partial = vdni_carve(carver, p->chunks * p->blocks * block_floats(p) * f);
    p->bias = vdni_carve(carver, p->chunks * lanes * f);
    p->scratch = vdni_carve(carver, p->workers * (int64_t)sizeof *p->scratch);
    for (int32_t i = 0; i < p->workers; i++) {
        struct scratch s;
        s.x = vdni_carve(carver, p->row_floats * f);
        s.g = vdni_carve(carver, p->width * lanes * f);
        s.raw = vdni_carve(carver, p->g->w * p->g->c * f);
        if (carver->base) p->scratch[i] = s;
    }
}

/* One row of g as (blocks, width, LANES), the lanes beyond the last channel or pixel zero. */
static VDNI_VECTOR void to_lanes(float *to, const float *raw, const pass *p)
{
    const int64_t c = p->g->c, w = p->g->w, group = p->fold * c;

    for (int64_t first = 0; first < c; first += VDNI_LANES)
        for (int64_t i = 0; i < p->width; i++, to += VDNI_LANES) {
            const int64_t at = i * group + first, left = p->fold > 1 ? w * c - at : c - first;
            int64_t lanes = left < VDNI_LANES ? left : VDNI_LANES;
            if (p->fold > 1 && lanes > group) lanes = group;
            for (int64_t l = 0; l < lanes; l++) to[l] = raw[at + l];
            for (int64_t l = lanes; l < VDNI_LANES; l++) to[l] = 0;
        }
}

static void add_bias(const pass *p, float *bias, const float *g)
{
    for (int64_t b = 0; b < p->blocks; b++)
        p->simd->sum_columns(bias + b * VDNI_LANES, g + b * p->width * VDNI_LANES, p->width,
                             VDNI_LANES);
}

/* Row @p row of x (of all images) as floats, from column -pad on. Without padding f32 rows are read
 * where they are, but for the last ones, beyond which the tile kernel could not read. */
static const float *source_row(const pass *p, const struct scratch *s, int64_t row)
{
    const int64_t count = p->x->w * p->x->c;

    if (p->x->dtype == VDNI_F32 && p->pad == 0 && p->g->w % p->fold == 0 &&
        row * count + p->row_floats <= vdni_tensor_count(p->x))
        return (const float *)p->x->data + row * count;
    vdni_cpu_read(s->x + p->left * p->x->c, p->x, row * count, count);
    return s->x;
}

/* One row of g in lanes. */
static void gradient_row(const pass *p, const struct scratch *s, int64_t row)
{
    const int64_t count = p->g->w * p->g->c;

    if (p->g->dtype == VDNI_F32) {
        to_lanes(s->g, (const float *)p->g->data + row * count, p);
        return;
    }
    vdni_cpu_read(s->raw, p->g, row * count, count);
    to_lanes(s->g, s->raw, p);
}

/* The share of the output row that is in s->g in the gradient of kernel row kh; x: its input row. */
static void add_row(const pass *p, const struct scratch *s, float *out, int64_t kh, const float *x)
{
    const int64_t width = p->width;

    for (int64_t group = 0; group < p->groups; group++) {
        const vdni_tile_segment segment = { x + group * p->d * p->x->c, s->g, width };
        float *to = out + (kh * p->groups + group) * p->length_up * VDNI_LANES;
        const vdni_tile_job job = {
            .segments = &segment,
            .segment_count = 1,
            .pixel_step = 1,
            .item_step = p->fold * p->s * p->x->c,
            .w_block = width * VDNI_LANES,
            .out = to,
            .out_pixel = VDNI_LANES,
            .out_block = block_floats(p),
            .init = to,
            .init_pixel = VDNI_LANES,
            .init_block = block_floats(p),
            .pixels = p->length,
            .blocks = p->blocks,
        };
        p->simd->tile(&job);
    }
}

static void sum_chunk(const pass *p, const struct scratch *s, int64_t chunk, int64_t kh)
{
    const int64_t rows = p->g->n * p->g->h, per_row = p->groups * p->length_up * VDNI_LANES;
    float *out = p->partial + chunk * p->blocks * block_floats(p);
    float *bias = p->bias + chunk * p->blocks * VDNI_LANES;

    for (int64_t b = 0; b < p->blocks; b++)
        memset(out + b * block_floats(p) + kh * per_row, 0, (size_t)per_row * sizeof *out);
    if (kh == 0) memset(bias, 0, (size_t)(p->blocks * VDNI_LANES) * sizeof *bias);

    for (int64_t r = vdni_chunk_begin(rows, p->chunks, chunk);
         r < vdni_chunk_begin(rows, p->chunks, chunk + 1); r++) {
        const int64_t n = r / p->g->h, ih = r % p->g->h * p->s + kh * p->d - p->pad;
        const int inside = ih >= 0 && ih < p->x->h;
        if (!inside && kh > 0) continue;
        gradient_row(p, s, r);
        if (kh == 0) add_bias(p, bias, s->g);
        if (inside) add_row(p, s, out, kh, source_row(p, s, n * p->x->h + ih));
    }
}

static void work(void *user, int64_t worker)
{
    const pass *p = user;
    const struct scratch *s = &p->scratch[worker];

    vdni_zero_borders(s->x, 1, p->row_floats, p->left * p->x->c, (p->left + p->x->w) * p->x->c);
    for (int64_t t = vdni_take_task(p->tasks); t >= 0; t = vdni_take_task(p->tasks))
        sum_chunk(p, s, t / p->k, t % p->k);
}

/* Add the chunks, in order, to one kernel row of one lane block of dw. */
static VDNI_VECTOR void reduce(void *user, int64_t task)
{
    const pass *p = user;
    const int64_t block = task / p->k, kh = task % p->k, c = p->x->c;
    const int64_t lanes = vdni_block_lanes(p->dw->n, block), row = p->length * p->groups;
    float *dw = p->dw->data;

    for (int64_t i = 0; i < row; i++) {
        const int64_t group = i / p->length, at = i % p->length;
        const float *from = p->partial + block * block_floats(p) +
                            ((kh * p->groups + group) * p->length_up + at) * VDNI_LANES;
        float sum[VDNI_LANES] = { 0 };
        for (int64_t chunk = 0; chunk < p->chunks; chunk++, from += p->blocks * block_floats(p))
            for (int l = 0; l < VDNI_LANES; l++) sum[l] += from[l];
        for (int64_t f = 0; f < p->fold; f++) {
            const int64_t tap =
                i - f * p->s * c; /* pixel f of the block sees it that much earlier */
            if (tap < 0 || tap >= p->k * c) continue;
            for (int64_t l = 0; l < lanes; l++)
                dw[((block * VDNI_LANES + l) * p->k + kh) * p->k * c + tap] += sum[f * lanes + l];
        }
    }
}

static void reduce_bias(const pass *p)
{
    float *db = p->db->data;
    for (int64_t o = 0; o < p->db->c; o++) {
        float sum = 0;
        for (int64_t chunk = 0; chunk < p->chunks; chunk++)
            for (int64_t f = 0; f < p->fold; f++)
                sum += p->bias[chunk * p->blocks * VDNI_LANES + f * p->db->c + o];
        db[o] += sum;
    }
}

vdn_status vdni_cpu_conv_weights(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                 void *workspace)
{
    (void)ctx;
    if (vdni_winograd_weights_fit(device, op))
        return vdni_winograd_weights_run(device, op, workspace);
    pass p = pass_of(device, op);
    vdni_carver carver = { workspace, 0 };
    vdni_tasks tasks = { p.chunks * p.k, 0 };
    p.tasks = &tasks;
    carve(&p, &carver);
    vdni_parallel_for(device->threads, p.workers, work, &p);
    vdni_parallel_for(device->threads, p.blocks * p.k, reduce, &p);
    if (p.db) reduce_bias(&p);
    return VDN_OK;
}

int64_t vdni_cpu_conv_weights_workspace(const vdni_device *device, const vdni_op *op)
{
    if (vdni_winograd_weights_fit(device, op)) return vdni_winograd_weights_workspace(device, op);
    pass p = pass_of(device, op);
    vdni_carver carver = { NULL, 0 };
    carve(&p, &carver);
    return carver.used;
}

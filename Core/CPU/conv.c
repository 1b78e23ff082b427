/* Plain convolution, forward and backward to the input. The contract is Core/Ops/conv.h.
 *
 * Both directions are one: destination position r reads source position
 *
 *     (r * up - pad + tap * dilation) / down        where that is a whole number inside the source,
 *
 * forward with up = stride, down = 1; backward with up = 1, down = stride, the kernel flipped and
 * pad = dilation * (kernel - 1) - pad. A worker keeps the source rows it needs as floats with zero
 * columns around them, so the tile kernel meets no borders. Every destination row is computed the
 * same way whoever computes it: the thread count changes no bit. */
#include "CPU/conv.h"
#include "CPU/winograd.h"

#include <string.h>

/* What a worker has for itself. */
struct scratch {
    float *ring, *line, *out, *add;
    int64_t *keys;
};

typedef struct pass {
    vdni_tensor *src, *dst;
    const vdni_tensor *add, *w, *bias;
    int64_t up, down, pad, k, d;
    int32_t is_dx, workers;
    const vdni_simd *simd;

    int64_t blocks;                  /* lane blocks of the destination's channels */
    int64_t fold, span;              /* pixels per block, source columns a kernel row covers */
    int64_t left, row_floats, slots; /* ring of source rows */
    float *packed, *bias_lanes;      /* (blocks, k, span, src c, LANES), (blocks, LANES) */
    struct scratch *scratch;         /* one per worker */
    vdni_tasks *stripes;             /* of destination rows */
} pass;

enum { STRIPES_PER_WORKER = 4 };

static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

static pass pass_of(const vdni_device *device, const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const vdni_attr *a = &op->a;
    pass p = { .w = r.w, .bias = r.b, .add = r.add, .k = a->kernel, .d = a->dilation };

    p.is_dx = op->kind == VDNI_OP_CONV_DX;
    p.src = p.is_dx ? r.narrow : r.wide;
    p.dst = p.is_dx ? r.wide : r.narrow;
    p.up = p.is_dx ? 1 : a->stride;
    p.down = p.is_dx ? a->stride : 1;
    p.pad = p.is_dx ? p.d * (p.k - 1) - a->pad : a->pad;
    p.workers = device->threads;
    p.simd = device->simd;

    const int64_t reach = p.d * (p.k - 1);
    const int64_t last = max64(0, (p.dst->w - 1) * p.up - p.pad + reach) / p.down;
    p.blocks = vdni_lane_blocks(p.dst->c);
    p.fold = p.d == 1 && p.down == 1 ? vdni_conv_fold(p.dst->c) : 1;
    p.span = p.k + (p.fold - 1) * p.up;
    p.left = max64(0, (p.pad + p.down - 1) / p.down);
    p.slots = reach / p.down + 1;
    p.row_floats =
        p.src->c * (p.left + max64(p.src->w, last + 1) + (VDNI_TILE_SLACK + 1) * p.fold * p.up);
    return p;
}

/* Workspace of the pass; with carver->base NULL only its size. */
static void carve(pass *p, vdni_carver *carver)
{
    const int64_t f = (int64_t)sizeof(float);
    const int64_t columns = p->dst->w / p->fold + (VDNI_TILE_SLACK + 1) * p->down;

    p->packed = vdni_carve(carver, p->blocks * p->k * p->span * p->src->c * VDNI_LANES * f);
    p->bias_lanes = vdni_carve(carver, p->blocks * VDNI_LANES * f);
    p->scratch = vdni_carve(carver, p->workers * (int64_t)sizeof *p->scratch);
    for (int32_t i = 0; i < p->workers; i++) {
        struct scratch s;
        s.ring = vdni_carve(carver, p->slots * p->row_floats * f);
        s.keys = vdni_carve(carver, p->slots * (int64_t)sizeof *s.keys);
        s.line = vdni_carve(carver, columns * p->blocks * VDNI_LANES * f);
        s.out = vdni_carve(carver, p->dst->w * p->dst->c * f);
        s.add = vdni_carve(carver, p->add ? p->dst->w * p->dst->c * f : 0);
        if (carver->base) p->scratch[i] = s;
    }
}

/* Weights of one block of destination channels in the order the tile kernel reads them. */
static void pack_block(void *user, int64_t block)
{
    const pass *p = user;
    const float *w = p->w->data;
    const int64_t k = p->k, taps = k * k, cs = p->src->c, cd = p->dst->c;
    const int64_t count = k * p->span * cs * VDNI_LANES, lanes = vdni_block_lanes(cd, block);
    float *packed = p->packed + block * count;

    memset(packed, 0, (size_t)count * sizeof *packed);
    for (int64_t f = 0; f < p->fold; f++)
        for (int64_t t = 0; t < taps; t++) {
            const int64_t column = t / k * p->span + t % k + f * p->up, c = block * VDNI_LANES;
            float *to = packed + column * cs * VDNI_LANES + f * lanes;
            if (p->is_dx)
                for (int64_t i = 0; i < cs; i++)
                    for (int64_t l = 0; l < lanes; l++)
                        to[i * VDNI_LANES + l] = w[(i * taps + taps - 1 - t) * cd + c + l];
            else
                for (int64_t l = 0; l < lanes; l++)
                    for (int64_t i = 0; i < cs; i++)
                        to[i * VDNI_LANES + l] = w[((c + l) * taps + t) * cs + i];
        }
}

static void pack(const pass *p, int32_t threads)
{
    const int64_t c = p->dst->c;

    vdni_parallel_for(threads, p->blocks, pack_block, (void *)p);
    memset(p->bias_lanes, 0, (size_t)(p->blocks * VDNI_LANES) * sizeof *p->bias_lanes);
    for (int64_t f = 0; p->bias && f < p->fold; f++)
        memcpy(p->bias_lanes + f * c, p->bias->data, (size_t)c * sizeof *p->bias_lanes);
}

/* Column 0 of a source row, as floats. Without padding f32 rows are read where they are, but for the
 * last ones, beyond which the tile kernel could not read. */
static const float *source_row(const pass *p, const struct scratch *s, int64_t n, int64_t row)
{
    const int64_t slot = row % p->slots, key = n * p->src->h + row, count = p->src->w * p->src->c;
    float *to = s->ring + slot * p->row_floats + p->left * p->src->c;

    if (p->src->dtype == VDNI_F32 && p->pad == 0 &&
        key * count + p->row_floats <= vdni_tensor_count(p->src))
        return (const float *)p->src->data + key * count;
    if (s->keys[slot] != key) {
        vdni_cpu_read(to, p->src, key * count, count);
        s->keys[slot] = key;
    }
    return to;
}

/* Segments of one destination row for the columns first, first + down, ...; returns how many. */
static int64_t list_segments(const pass *p, vdni_tile_segment *segments,
                             const float *const rows[VDNI_MAX_KERNEL], int64_t first)
{
    const int64_t k = p->k, cs = p->src->c, merged = p->d == 1 && p->down == 1;
    int64_t count = 0;

    for (int64_t kh = 0; kh < k; kh++) {
        const float *w = p->packed + kh * p->span * cs * VDNI_LANES;
        if (!rows[kh]) continue;
        if (merged) {
            segments[count++] = (vdni_tile_segment){ rows[kh] - p->pad * cs, w, p->span * cs };
            continue;
        }
        for (int64_t kw = 0; kw < k; kw++) {
            const int64_t at = first * p->up - p->pad + kw * p->d;
            if (at % p->down) continue;
            segments[count++] =
                (vdni_tile_segment){ rows[kh] + at / p->down * cs, w + kw * cs * VDNI_LANES, cs };
        }
    }
    return count;
}

/* Take the real channels out of the lane blocks and add what is to be added. */
static VDNI_VECTOR void finish(float *out, const pass *p, const float *line, const float *add)
{
    const int64_t c = p->dst->c, lanes = p->blocks * VDNI_LANES;
    for (int64_t first = 0; first < p->dst->w; first += p->fold, line += lanes) {
        const int64_t left = (p->dst->w - first) * c,
                      count = p->fold * c < left ? p->fold * c : left;
        float *to = out + first * c;
        if (add)
            for (int64_t i = 0; i < count; i++) to[i] = line[i] + add[first * c + i];
        else
            for (int64_t i = 0; i < count; i++) to[i] = line[i];
    }
}

/* @p line holds the row, in its place or in the scratch line. */
static void store_row(const pass *p, const struct scratch *s, const float *line, int64_t at)
{
    const int64_t c = p->dst->c, count = p->dst->w * c;
    float *in_place = p->dst->dtype == VDNI_F32 ? (float *)p->dst->data + at : NULL;
    const float *out = line;

    if (p->add) vdni_cpu_read(s->add, p->add, at, count);
    if (p->add || p->fold * c != p->blocks * VDNI_LANES) {
        finish(in_place ? in_place : s->out, p, line, p->add ? s->add : NULL);
        out = in_place ? in_place : s->out;
    }
    if (out != in_place) vdni_cpu_write(p->dst, at, out, count);
}

/* Whether a row may be computed in its place: whole lanes of f32, and what the tile kernel writes
 * too much lands in the next row, which is computed after it by the same worker. */
static int fits_in_place(const pass *p, int is_last)
{
    return !is_last && p->dst->dtype == VDNI_F32 && p->down == 1 &&
           p->fold * p->dst->c == p->blocks * VDNI_LANES &&
           p->dst->w >= (VDNI_TILE_SLACK + 1) * p->fold;
}

static void compute_row(const pass *p, const struct scratch *s, int64_t index, int is_last)
{
    const int64_t n = index / p->dst->h, row = index % p->dst->h,
                  at = index * p->dst->w * p->dst->c;
    const int64_t cs = p->src->c, lanes = p->blocks * VDNI_LANES;
    float *line = fits_in_place(p, is_last) ? (float *)p->dst->data + at : s->line;
    const float *rows[VDNI_MAX_KERNEL];
    vdni_tile_segment segments[VDNI_MAX_KERNEL * VDNI_MAX_KERNEL];

    for (int64_t kh = 0; kh < p->k; kh++) {
        const int64_t from = row * p->up - p->pad + kh * p->d;
        const int inside = from >= 0 && from % p->down == 0 && from / p->down < p->src->h;
        rows[kh] = inside ? source_row(p, s, n, from / p->down) : NULL;
    }
    for (int64_t q = 0; q < p->down && q < p->dst->w; q++) {
        const vdni_tile_job job = {
            .segments = segments,
            .segment_count = list_segments(p, segments, rows, q),
            .pixel_step = p->fold * p->up * cs,
            .item_step = 1,
            .w_block = p->k * p->span * cs * VDNI_LANES,
            .out = line + q * lanes,
            .out_pixel = p->down * lanes,
            .out_block = VDNI_LANES,
            .init = p->bias_lanes,
            .init_block = VDNI_LANES,
            .pixels = (p->dst->w - q + p->fold * p->down - 1) / (p->fold * p->down),
            .blocks = p->blocks,
        };
        p->simd->tile(&job);
    }
    store_row(p, s, line, at);
}

static void work(void *user, int64_t worker)
{
    const pass *p = user;
    const struct scratch *s = &p->scratch[worker];
    const int64_t rows = p->dst->n * p->dst->h;

    vdni_zero_borders(s->ring, p->slots, p->row_floats, p->left * p->src->c,
                      (p->left + p->src->w) * p->src->c);
    for (int64_t i = 0; i < p->slots; i++) s->keys[i] = -1;
    for (int64_t t = vdni_take_task(p->stripes); t >= 0; t = vdni_take_task(p->stripes)) {
        const int64_t end = vdni_chunk_begin(rows, p->stripes->count, t + 1);
        for (int64_t r = vdni_chunk_begin(rows, p->stripes->count, t); r < end; r++)
            compute_row(p, s, r, r + 1 == end);
    }
}

static vdn_status run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    (void)ctx;
    if (vdni_winograd_fits(device, op)) return vdni_winograd_run(device, op, workspace);
    pass p = pass_of(device, op);
    vdni_carver carver = { workspace, 0 };
    carve(&p, &carver);
    pack(&p, device->threads);

    const int64_t rows = p.dst->n * p.dst->h, most = STRIPES_PER_WORKER * (int64_t)p.workers;
    vdni_tasks stripes = { rows < most ? rows : most, 0 };
    p.stripes = &stripes;
    vdni_parallel_for(device->threads, p.workers, work, &p);
    return VDN_OK;
}

static int64_t workspace_bytes(const vdni_device *device, const vdni_op *op)
{
    if (vdni_winograd_fits(device, op)) return vdni_winograd_workspace(device, op);
    pass p = pass_of(device, op);
    vdni_carver carver = { NULL, 0 };
    carve(&p, &carver);
    return carver.used;
}

const vdni_cpu_entry vdni_cpu_conv[3] = {
    { run, workspace_bytes },
    { run, workspace_bytes },
    { vdni_cpu_conv_weights, vdni_cpu_conv_weights_workspace },
};

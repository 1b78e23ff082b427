#include "CPU/winograd.h"

#include <string.h>

enum {
    OUT = VDNI_WINOGRAD_OUT,
    POINTS = VDNI_WINOGRAD_POINTS,
    TILE_STEP = 10, /* what the tile kernel computes at once */
    MAX_BATCH = 40,
    MIN_CHANNELS = 12,    /* below, half empty lanes cost more than the products saved */
    BATCH_BYTES = 3 << 18 /* transformed tiles of one batch: they should stay in the L2 cache */
};

/* What a worker has for itself. */
struct scratch {
    float *v, *m; /* (POINTS, v_point), (POINTS, m_point): (batch, cs_up), (batch, cd_up) */
};

typedef struct pass {
    vdni_winograd_grid grid;
    vdni_tensor *dst;
    const vdni_tensor *add, *w, *bias;
    int32_t is_dx, workers;
    const vdni_simd *simd;
    int64_t cs, cd;                /* channels of source and destination */
    int64_t cs_up, cd_up;          /* rounded up to lanes */
    int64_t tiles, batch, batches; /* batch: tiles per batch */
    int64_t whole, rest;           /* whole batches; tiles of each one after them */
    int64_t v_point, m_point;      /* floats from one point to the next */
    float *packed, *bias_lanes;    /* (POINTS, cd blocks, cs, LANES), (cd_up) */
    float *zeros;
    struct scratch *scratch; /* one per worker */
    vdni_tasks *queue;       /* of batches */
} pass;

static pass pass_of(const vdni_device *device, const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    pass p = { .w = r.w, .bias = r.b, .add = r.add };

    p.is_dx = op->kind == VDNI_OP_CONV_DX;
    p.dst = p.is_dx ? r.wide : r.narrow;
    p.grid.t = p.is_dx ? r.narrow : r.wide;
    p.grid.rows = (p.dst->h + OUT - 1) / OUT;
    p.grid.columns = (p.dst->w + OUT - 1) / OUT;
    p.grid.pad = p.is_dx ? 2 - op->a.pad : op->a.pad;
    p.workers = device->threads;
    p.simd = device->simd;
    p.cs = p.grid.t->c;
    p.cd = p.dst->c;
    p.cs_up = vdni_lane_blocks(p.cs) * VDNI_LANES;
    p.cd_up = vdni_lane_blocks(p.cd) * VDNI_LANES;
    p.tiles = p.dst->n * p.grid.rows * p.grid.columns;

    /* Results do not depend on the batch, so it may depend on the thread count: whole batches, as
     * many for every worker, then one smaller each. */
    const int64_t share = (p.tiles + p.workers - 1) / p.workers;
    p.batch = BATCH_BYTES / (POINTS * (int64_t)sizeof(float) * (p.cs_up + p.cd_up));
    if (p.batch > MAX_BATCH) p.batch = MAX_BATCH;
    p.batch = p.batch / TILE_STEP * TILE_STEP;
    if (p.batch < TILE_STEP) p.batch = TILE_STEP;
    if (p.batch > share) p.batch = share;
    p.whole = p.tiles / (p.batch * p.workers) * p.workers;
    p.rest = (p.tiles - p.whole * p.batch + p.workers - 1) / p.workers;
    p.batches = p.whole + (p.rest ? p.workers : 0);
    p.v_point = vdni_winograd_point(p.batch, p.cs);
    p.m_point = vdni_winograd_point(p.batch, p.cd);
    return p;
}

static void carve(pass *p, vdni_carver *carver)
{
    const int64_t f = (int64_t)sizeof(float);

    p->packed = vdni_carve(carver, POINTS * p->cd_up * p->cs * f);
    p->bias_lanes = vdni_carve(carver, p->cd_up * f);
    p->zeros = vdni_carve(carver, p->cd_up * f);
    p->scratch = vdni_carve(carver, p->workers * (int64_t)sizeof *p->scratch);
    for (int32_t i = 0; i < p->workers; i++) {
        struct scratch s;
        /* The slack of a point is the next one, which comes later; the last one's is here. */
        s.v = vdni_carve(carver, (POINTS * p->v_point + VDNI_TILE_SLACK * p->cs_up) * f);
        s.m = vdni_carve(carver, (POINTS * p->m_point + VDNI_TILE_SLACK * p->cd_up) * f);
        if (carver->base) p->scratch[i] = s;
    }
}

int vdni_winograd_fits(const vdni_device *device, const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    return !(device->flags & VDNI_PREPARE_PLAIN) && op->kind != VDNI_OP_CONV_DW &&
           op->a.kernel == 3 && op->a.stride == 1 && op->a.dilation == 1 &&
           r.wide->c >= MIN_CHANNELS && r.narrow->c >= MIN_CHANNELS && r.narrow->h >= OUT &&
           r.narrow->w >= OUT;
}

/* --- Weights ------------------------------------------------------------------------------------ */

/* Up to 16 source channels from i on, read along the axis that is contiguous in memory. */
static VDNI_VECTOR void gather_weights(float w[VDNI_LANES][9][VDNI_LANES], const pass *p,
                                       int64_t block, int64_t i, int64_t count)
{
    const float *from = p->w->data;
    const int64_t lanes = vdni_block_lanes(p->cd, block), c = block * VDNI_LANES;

    for (int t = 0; t < 9; t++)
        if (p->is_dx)
            for (int64_t j = 0; j < count; j++)
                for (int64_t l = 0; l < lanes; l++)
                    w[j][t][l] = from[((i + j) * 9 + 8 - t) * p->cd + c + l];
        else
            for (int64_t l = 0; l < lanes; l++)
                for (int64_t j = 0; j < count; j++)
                    w[j][t][l] = from[((c + l) * 9 + t) * p->cs + i + j];
}

static void pack_block(void *user, int64_t block)
{
    const pass *p = user;
    const int64_t cs = p->cs;
    float w[VDNI_LANES][9][VDNI_LANES];

    memset(w, 0, sizeof w);
    for (int64_t i = 0; i < cs; i += VDNI_LANES) {
        const int64_t count = vdni_block_lanes(cs, i / VDNI_LANES);
        gather_weights(w, p, block, i, count);
        for (int64_t j = 0; j < count; j++)
            p->simd->winograd_weight(p->packed + (block * cs + i + j) * VDNI_LANES, p->cd_up * cs,
                                     (const float(*)[VDNI_LANES])w[j]);
    }
}

static void pack(const pass *p)
{
    vdni_parallel_for(p->workers, p->cd_up / VDNI_LANES, pack_block, (void *)p);
    memset(p->zeros, 0, (size_t)p->cd_up * sizeof *p->zeros);
    memset(p->bias_lanes, 0, (size_t)p->cd_up * sizeof *p->bias_lanes);
    if (p->bias) memcpy(p->bias_lanes, p->bias->data, (size_t)p->cd * sizeof *p->bias_lanes);
}

/* --- The pass ----------------------------------------------------------------------------------------- */

static void multiply_points(const pass *p, const struct scratch *s, int64_t count)
{
    const int64_t block = p->cs * VDNI_LANES, blocks = p->cd_up / VDNI_LANES;
    for (int64_t point = 0; point < POINTS; point++) {
        const vdni_tile_segment segment = { s->v + point * p->v_point,
                                            p->packed + point * blocks * block, p->cs };
        const vdni_tile_job job = {
            .segments = &segment,
            .segment_count = 1,
            .pixel_step = p->cs_up,
            .item_step = 1,
            .w_block = block,
            .out = s->m + point * p->m_point,
            .out_pixel = p->cd_up,
            .out_block = VDNI_LANES,
            .init = p->zeros,
            .init_block = VDNI_LANES,
            .pixels = count,
            .blocks = blocks,
        };
        p->simd->tile(&job);
    }
}

static void work(void *user, int64_t worker)
{
    const pass *p = user;
    const struct scratch *s = &p->scratch[worker];
    const vdni_winograd_output output = {
        .grid = { p->dst, p->grid.rows, p->grid.columns, 0 },
        .y = p->dst,
        .add = p->add,
        .bias = p->bias_lanes,
        .m_point = p->m_point,
    };

    for (int64_t i = vdni_take_task(p->queue); i >= 0; i = vdni_take_task(p->queue)) {
        const int64_t first =
            i < p->whole ? i * p->batch : p->whole * p->batch + (i - p->whole) * p->rest;
        const int64_t wanted = i < p->whole ? p->batch : p->rest, left = p->tiles - first;
        const int64_t count = left < wanted ? left : wanted;
        if (count < 1) continue;
        p->simd->winograd_input(s->v, p->batch, &p->grid, first, count);
        multiply_points(p, s, count);
        p->simd->winograd_output(&output, s->m, first, count);
    }
}

vdn_status vdni_winograd_run(vdni_device *device, const vdni_op *op, void *workspace)
{
    pass p = pass_of(device, op);
    vdni_carver carver = { workspace, 0 };

    carve(&p, &carver);
    pack(&p);
    vdni_tasks queue = { p.batches, 0 };
    p.queue = &queue;
    vdni_parallel_for(device->threads, p.workers, work, &p);
    return VDN_OK;
}

int64_t vdni_winograd_workspace(const vdni_device *device, const vdni_op *op)
{
    pass p = pass_of(device, op);
    vdni_carver carver = { NULL, 0 };
    carve(&p, &carver);
    return carver.used;
}

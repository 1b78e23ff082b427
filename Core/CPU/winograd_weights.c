/* Backward to the weight by minimal filtering; the algorithm is in winograd.h.
 *
 * The tiles are cut into chunks whose number depends on the shape alone. A chunk sums the products of
 * its transformed tiles in tile order; the chunks are added in order, so the thread count changes no
 * bit. */
#include "CPU/winograd.h"

#include <string.h>

enum {
    OUT = VDNI_WINOGRAD_OUT,
    POINTS = VDNI_WINOGRAD_POINTS,
    BATCH = 40,
    MAX_CHUNKS = 16,
    TILES_PER_CHUNK = 64, /* clearing and adding up a chunk costs as much as some 30 tiles */
    ENOUGH_FOR_TWO = 16,
    SUM_FLOATS = 1 << 22, /* of all chunks together */
    MIN_CHANNELS = 8,
    MAX_CHANNELS = 128 /* beyond, the sums of one chunk leave the caches */
};

/* What a worker has for itself. */
struct scratch {
    float *v, *q; /* x as winograd.h says; g as (POINTS, blocks, BATCH, LANES) */
};

typedef struct pass {
    vdni_winograd_grid x, g;
    vdni_tensor *dw, *db;
    int32_t workers;
    const vdni_simd *simd;
    int64_t ci, co, blocks;            /* blocks: lane blocks of co */
    int64_t ci_up, tiles, chunks;      /* ci_up: rounded up for the tile kernel */
    int64_t v_point, q_point, s_point; /* floats from one point to the next */
    float *sums, *bias;      /* (chunks, POINTS, blocks, ci_up, LANES), (chunks, blocks, LANES) */
    struct scratch *scratch; /* one per worker */
    vdni_tasks *queue;       /* of chunks */
} pass;

static int64_t chunk_count(const pass *p)
{
    const int64_t room = SUM_FLOATS / (POINTS * p->s_point), most = p->tiles / TILES_PER_CHUNK;
    int64_t chunks = p->tiles < ENOUGH_FOR_TWO ? 1 : 2;
    while (chunks < MAX_CHUNKS && 2 * chunks <= room && 2 * chunks <= most) chunks *= 2;
    return chunks;
}

static pass pass_of(const vdni_device *device, const vdni_op *op)
{
    const vdni_tensor *x = op->in[0], *g = op->in[1];
    pass p = { .dw = op->out[0], .db = op->out[1], .workers = device->threads };

    p.g = (vdni_winograd_grid){ g, (g->h + OUT - 1) / OUT, (g->w + OUT - 1) / OUT, 0 };
    p.x = (vdni_winograd_grid){ x, p.g.rows, p.g.columns, op->a.pad };
    p.simd = device->simd;
    p.ci = x->c;
    p.co = g->c;
    p.blocks = vdni_lane_blocks(p.co);
    p.ci_up = p.ci + VDNI_TILE_SLACK;
    p.tiles = g->n * p.g.rows * p.g.columns;
    p.v_point = vdni_winograd_point(BATCH, p.ci);
    p.q_point = vdni_winograd_point(BATCH, p.co);
    p.s_point = (p.blocks * p.ci_up | 1) * VDNI_LANES;
    p.chunks = chunk_count(&p);
    return p;
}

static void carve(pass *p, vdni_carver *carver)
{
    const int64_t f = (int64_t)sizeof(float);

    p->sums = vdni_carve(carver, p->chunks * POINTS * p->s_point * f);
    p->bias = vdni_carve(carver, p->chunks * p->blocks * VDNI_LANES * f);
    p->scratch = vdni_carve(carver, p->workers * (int64_t)sizeof *p->scratch);
    for (int32_t i = 0; i < p->workers; i++) {
        struct scratch s;
        s.v = vdni_carve(carver, POINTS * p->v_point * f);
        s.q = vdni_carve(carver, POINTS * p->q_point * f);
        if (carver->base) p->scratch[i] = s;
    }
}

int vdni_winograd_weights_fit(const vdni_device *device, const vdni_op *op)
{
    const vdni_tensor *x = op->in[0], *g = op->in[1];
    const int64_t least = x->c < g->c ? x->c : g->c, most = x->c < g->c ? g->c : x->c;
    return !(device->flags & VDNI_PREPARE_PLAIN) && op->kind == VDNI_OP_CONV_DW &&
           op->a.kernel == 3 && op->a.stride == 1 && op->a.dilation == 1 && least >= MIN_CHANNELS &&
           most > MIN_CHANNELS && most <= MAX_CHANNELS && g->h >= OUT && g->w >= OUT;
}

static void multiply_points(const pass *p, const struct scratch *s, float *sums, int64_t count)
{
    for (int64_t point = 0; point < POINTS; point++) {
        const vdni_tile_segment segment = { s->v + point * p->v_point, s->q + point * p->q_point,
                                            count };
        float *to = sums + point * p->s_point;
        const vdni_tile_job job = {
            .segments = &segment,
            .segment_count = 1,
            .pixel_step = 1,
            .item_step = vdni_lane_blocks(p->ci) * VDNI_LANES,
            .w_block = BATCH * VDNI_LANES,
            .out = to,
            .out_pixel = VDNI_LANES,
            .out_block = p->ci_up * VDNI_LANES,
            .init = to,
            .init_pixel = VDNI_LANES,
            .init_block = p->ci_up * VDNI_LANES,
            .pixels = p->ci,
            .blocks = p->blocks,
        };
        p->simd->tile(&job);
    }
}

static void work(void *user, int64_t worker)
{
    const pass *p = user;
    const struct scratch *s = &p->scratch[worker];

    memset(s->v, 0, (size_t)(POINTS * p->v_point) * sizeof *s->v);
    for (int64_t chunk = vdni_take_task(p->queue); chunk >= 0; chunk = vdni_take_task(p->queue)) {
        float *sums = p->sums + chunk * POINTS * p->s_point;
        float *bias = p->bias + chunk * p->blocks * VDNI_LANES;
        const int64_t end = vdni_chunk_begin(p->tiles, p->chunks, chunk + 1);

        memset(sums, 0, (size_t)(POINTS * p->s_point) * sizeof *sums);
        memset(bias, 0, (size_t)(p->blocks * VDNI_LANES) * sizeof *bias);
        for (int64_t first = vdni_chunk_begin(p->tiles, p->chunks, chunk); first < end;
             first += BATCH) {
            const int64_t count = end - first < BATCH ? end - first : BATCH;
            p->simd->winograd_input(s->v, BATCH, &p->x, first, count);
            p->simd->winograd_gradient(s->q, BATCH, bias, &p->g, first, count);
            multiply_points(p, s, sums, count);
        }
    }
}

/* One block of output channels by one block of input channels of dw. */
static void reduce(void *user, int64_t task)
{
    const pass *p = user;
    const int64_t ci_blocks = vdni_lane_blocks(p->ci), block = task / ci_blocks;
    const int64_t first = task % ci_blocks * VDNI_LANES,
                  count = vdni_block_lanes(p->ci, task % ci_blocks);
    const int64_t lanes = vdni_block_lanes(p->co, block);
    float w[VDNI_LANES][9][VDNI_LANES], *dw = p->dw->data;

    for (int64_t i = 0; i < count; i++)
        p->simd->winograd_taps(w[i], p->sums + (block * p->ci_up + first + i) * VDNI_LANES,
                               p->s_point, p->chunks, POINTS * p->s_point);
    for (int64_t l = 0; l < lanes; l++)
        for (int t = 0; t < 9; t++) {
            float *to = dw + ((block * VDNI_LANES + l) * 9 + t) * p->ci + first;
            for (int64_t i = 0; i < count; i++) to[i] += w[i][t][l];
        }
}

static void reduce_bias(const pass *p)
{
    float *db = p->db->data;
    for (int64_t o = 0; o < p->co; o++) {
        float sum = 0;
        for (int64_t chunk = 0; chunk < p->chunks; chunk++)
            sum += p->bias[chunk * p->blocks * VDNI_LANES + o];
        db[o] += sum;
    }
}

vdn_status vdni_winograd_weights_run(vdni_device *device, const vdni_op *op, void *workspace)
{
    pass p = pass_of(device, op);
    vdni_carver carver = { workspace, 0 };

    vdni_tasks queue = { p.chunks, 0 };
    p.queue = &queue;
    carve(&p, &carver);
    vdni_parallel_for(device->threads, p.workers, work, &p);
    vdni_parallel_for(device->threads, p.blocks * vdni_lane_blocks(p.ci), reduce, &p);
    if (p.db) reduce_bias(&p);
    return VDN_OK;
}

int64_t vdni_winograd_weights_workspace(const vdni_device *device, const vdni_op *op)
{
    pass p = pass_of(device, op);
    vdni_carver carver = { NULL, 0 };
    carve(&p, &carver);
    return carver.used;
}

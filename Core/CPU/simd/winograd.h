/* The transforms of F(4x4, 3x3) (CPU/winograd.h has the matrices). Part of kernels.h. A transform of
 * a patch is its one-dimensional form on the columns, then on the rows. */

enum { IN = 6, OUT = 4 };

/* The evaluation points. */
#define POINT_A 0.70710678118654752f
#define POINT_B 1.41421356237309505f

/* m = B' d */
VDNI_INLINE void apply_b(lanes m[IN], const lanes d[IN])
{
    lanes even = d[4], odd = d[3];

    lanes_scale_add(&even, -2, &d[2]);
    lanes_scale_add(&odd, -2, &d[1]);
    m[1] = m[2] = even;
    lanes_scale_add(&m[1], POINT_A, &odd);
    lanes_scale_add(&m[2], -POINT_A, &odd);
    even = d[4];
    odd = d[3];
    lanes_scale_add(&even, -0.5f, &d[2]);
    lanes_scale_add(&odd, -0.5f, &d[1]);
    m[3] = m[4] = even;
    lanes_scale_add(&m[3], POINT_B, &odd);
    lanes_scale_add(&m[4], -POINT_B, &odd);
    m[0] = d[4];
    lanes_add(&m[0], &d[0]);
    lanes_scale_add(&m[0], -2.5f, &d[2]);
    m[5] = d[5];
    lanes_add(&m[5], &d[1]);
    lanes_scale_add(&m[5], -2.5f, &d[3]);
}

/* y = A' m */
VDNI_INLINE void apply_a(lanes y[OUT], const lanes m[IN])
{
    lanes sum1 = m[1], sum2 = m[3], difference1 = m[1], difference2 = m[3];

    lanes_add(&sum1, &m[2]);
    lanes_add(&sum2, &m[4]);
    lanes_scale_add(&difference1, -1, &m[2]);
    lanes_scale_add(&difference2, -1, &m[4]);
    y[0] = m[0];
    lanes_add(&y[0], &sum1);
    lanes_add(&y[0], &sum2);
    lanes_zero(&y[1]);
    lanes_scale_add(&y[1], POINT_A, &difference1);
    lanes_scale_add(&y[1], POINT_B, &difference2);
    lanes_zero(&y[2]);
    lanes_scale_add(&y[2], 0.5f, &sum1);
    lanes_scale_add(&y[2], 2, &sum2);
    y[3] = m[5];
    lanes_scale_add(&y[3], 0.5f * POINT_A, &difference1);
    lanes_scale_add(&y[3], 2 * POINT_B, &difference2);
}

/* m = A y */
VDNI_INLINE void apply_a_transposed(lanes m[IN], const lanes y[OUT])
{
    lanes odd = y[1];

    m[0] = y[0];
    m[5] = y[3];
    m[1] = y[0];
    lanes_scale_add(&m[1], 0.5f, &y[2]);
    lanes_scale_add(&odd, 0.5f, &y[3]);
    m[2] = m[1];
    lanes_scale_add(&m[1], POINT_A, &odd);
    lanes_scale_add(&m[2], -POINT_A, &odd);
    m[3] = y[0];
    lanes_scale_add(&m[3], 2, &y[2]);
    odd = y[1];
    lanes_scale_add(&odd, 2, &y[3]);
    m[4] = m[3];
    lanes_scale_add(&m[3], POINT_B, &odd);
    lanes_scale_add(&m[4], -POINT_B, &odd);
}

/* u = G w */
VDNI_INLINE void apply_g(lanes u[IN], const lanes w[3])
{
    const float na = -2.0f / 3, nb = 1.0f / 6;
    lanes_zero(&u[1]);
    lanes_scale_add(&u[1], na, &w[0]);
    lanes_scale_add(&u[1], 0.5f * na, &w[2]);
    u[2] = u[1];
    lanes_scale_add(&u[1], POINT_A * na, &w[1]);
    lanes_scale_add(&u[2], -POINT_A * na, &w[1]);
    lanes_zero(&u[3]);
    lanes_scale_add(&u[3], nb, &w[0]);
    lanes_scale_add(&u[3], 2 * nb, &w[2]);
    u[4] = u[3];
    lanes_scale_add(&u[3], POINT_B * nb, &w[1]);
    lanes_scale_add(&u[4], -POINT_B * nb, &w[1]);
    u[0] = w[0];
    u[5] = w[2];
}

/* w = G' u */
VDNI_INLINE void apply_g_transposed(lanes w[3], const lanes u[IN])
{
    const float na = -2.0f / 3, nb = 1.0f / 6;
    lanes sum1 = u[1], sum2 = u[3], difference1 = u[1], difference2 = u[3];

    lanes_add(&sum1, &u[2]);
    lanes_add(&sum2, &u[4]);
    lanes_scale_add(&difference1, -1, &u[2]);
    lanes_scale_add(&difference2, -1, &u[4]);
    w[0] = u[0];
    lanes_scale_add(&w[0], na, &sum1);
    lanes_scale_add(&w[0], nb, &sum2);
    lanes_zero(&w[1]);
    lanes_scale_add(&w[1], POINT_A * na, &difference1);
    lanes_scale_add(&w[1], POINT_B * nb, &difference2);
    w[2] = u[5];
    lanes_scale_add(&w[2], 0.5f * na, &sum1);
    lanes_scale_add(&w[2], 2 * nb, &sum2);
}

/* How a block of channels lies in memory. */
enum { WHOLE_F32, WHOLE_BF16, PART };

static int layout_of(const vdni_tensor *t, int64_t count)
{
    return count < VDNI_LANES ? PART : t->dtype == VDNI_F32 ? WHOLE_F32 : WHOLE_BF16;
}

/* @p count channels from flat position @p at. A part of a block is read as a whole one where the
 * tensor goes on, which it does but for its last pixels: what is in the other lanes goes nowhere. */
VDNI_INLINE void load_channels(lanes *d, const vdni_tensor *t, int64_t at, int64_t count,
                               const int how)
{
    if (how == WHOLE_F32) {
        lanes_load(d, (const float *)t->data + at);
    } else if (how == WHOLE_BF16) {
        lanes_load_bf16(d, (const vdni_bf16 *)t->data + at);
    } else if (count == VDNI_LANES || at + VDNI_LANES <= vdni_tensor_count(t)) {
        if (t->dtype == VDNI_F32)
            lanes_load(d, (const float *)t->data + at);
        else
            lanes_load_bf16(d, (const vdni_bf16 *)t->data + at);
    } else {
        float value[VDNI_LANES] = { 0 };
        for (int64_t l = 0; l < count; l++) value[l] = vdni_cpu_get(t, at + l);
        lanes_load(d, value);
    }
}

/* Copy 1..15 values of @p size bytes in at most four pieces. */
VDNI_INLINE void copy_part(char *to, const char *from, int64_t count, const int size)
{
#pragma GCC unroll 4
    for (int step = 8; step > 0; step /= 2) {
        if (!(count & step)) continue;
        memcpy(to, from, (size_t)(step * size));
        to += step * size;
        from += step * size;
    }
}

VDNI_INLINE void store_channels(const vdni_tensor *t, int64_t at, int64_t count, const lanes *y,
                                const int how)
{
    float value[VDNI_LANES];

    if (how == WHOLE_F32 || (count == VDNI_LANES && t->dtype == VDNI_F32)) {
        lanes_store((float *)t->data + at, y);
    } else if (how == WHOLE_BF16 || count == VDNI_LANES) {
        lanes_store_bf16((vdni_bf16 *)t->data + at, y);
    } else if (t->dtype == VDNI_F32) {
        lanes_store(value, y);
        copy_part((char *)((float *)t->data + at), (const char *)value, count, 4);
    } else {
        lanes_store_bf16((vdni_bf16 *)value, y);
        copy_part((char *)((vdni_bf16 *)t->data + at), (const char *)value, count, 2);
    }
}

/* Image, row and column of the origin of a tile. */
typedef struct {
    int64_t n, y, x;
} place;

static place place_of(const vdni_winograd_grid *grid, int64_t tile)
{
    const int64_t per_image = grid->rows * grid->columns, i = tile % per_image;
    return (place){ tile / per_image, i / grid->columns * OUT - grid->pad,
                    i % grid->columns * OUT - grid->pad };
}

/* One patch, one block of channels. inside: it touches no border. */
VDNI_INLINE void transform_patch(float *v, int64_t point, const vdni_tensor *t, const place *at,
                                 int64_t block, const int how, const int inside)
{
    const int64_t count = vdni_block_lanes(t->c, block);
    const int64_t base = ((at->n * t->h + at->y) * t->w + at->x) * t->c + block * VDNI_LANES;
    lanes half[IN][IN], d[IN], m[IN];

    for (int c = 0; c < IN; c++) {
#pragma GCC unroll 8
        for (int r = 0; r < IN; r++) {
            const int64_t y = at->y + r, x = at->x + c;
            if (inside || (y >= 0 && y < t->h && x >= 0 && x < t->w))
                load_channels(&d[r], t, base + (r * t->w + c) * t->c, count, how);
            else
                lanes_zero(&d[r]);
        }
        apply_b(half[c], d);
    }
    for (int r = 0; r < IN; r++) {
#pragma GCC unroll 8
        for (int c = 0; c < IN; c++) d[c] = half[c][r];
        apply_b(m, d);
#pragma GCC unroll 8
        for (int c = 0; c < IN; c++) lanes_store(v + (r * IN + c) * point, &m[c]);
    }
}

static void winograd_input(float *v, int64_t room, const vdni_winograd_grid *grid, int64_t first,
                           int64_t count)
{
    const vdni_tensor *t = grid->t;
    const int64_t blocks = vdni_lane_blocks(t->c), point = vdni_winograd_point(room, t->c);

    for (int64_t i = 0; i < count; i++) {
        const place at = place_of(grid, first + i);
        const int inside = at.y >= 0 && at.x >= 0 && at.y + IN <= t->h && at.x + IN <= t->w;
        for (int64_t b = 0; b < blocks; b++) {
            float *to = v + (i * blocks + b) * VDNI_LANES;
            const int how = layout_of(t, vdni_block_lanes(t->c, b));
            if (how == WHOLE_F32 && inside)
                transform_patch(to, point, t, &at, b, WHOLE_F32, 1);
            else if (how == WHOLE_BF16 && inside)
                transform_patch(to, point, t, &at, b, WHOLE_BF16, 1);
            else
                transform_patch(to, point, t, &at, b, how, 0);
        }
    }
}

VDNI_INLINE void write_tile(const vdni_winograd_output *o, const float *m, const place *at,
                            int64_t block, const int how)
{
    const vdni_tensor *t = o->y;
    const int64_t count = vdni_block_lanes(t->c, block);
    lanes half[IN][OUT], d[IN], y[OUT], bias, add;

    for (int c = 0; c < IN; c++) {
#pragma GCC unroll 8
        for (int r = 0; r < IN; r++) lanes_load(&d[r], m + (r * IN + c) * o->m_point);
        apply_a(half[c], d);
    }
    lanes_load(&bias, o->bias + block * VDNI_LANES);
    for (int r = 0; r < OUT && at->y + r < t->h; r++) {
        const int64_t row = ((at->n * t->h + at->y + r) * t->w + at->x) * t->c + block * VDNI_LANES;
#pragma GCC unroll 8
        for (int c = 0; c < IN; c++) d[c] = half[c][r];
        apply_a(y, d);
        for (int c = 0; c < OUT && at->x + c < t->w; c++) {
            lanes_add(&y[c], &bias);
            if (o->add) {
                load_channels(&add, o->add, row + c * t->c, count, layout_of(o->add, count));
                lanes_add(&y[c], &add);
            }
            store_channels(t, row + c * t->c, count, &y[c], how);
        }
    }
}

static void winograd_output(const vdni_winograd_output *o, const float *m, int64_t first,
                            int64_t count)
{
    const int64_t blocks = vdni_lane_blocks(o->y->c);

    for (int64_t i = 0; i < count; i++) {
        const place at = place_of(&o->grid, first + i);
        for (int64_t b = 0; b < blocks; b++) {
            const float *from = m + (i * blocks + b) * VDNI_LANES;
            const int how = layout_of(o->y, vdni_block_lanes(o->y->c, b));
            if (how == WHOLE_F32)
                write_tile(o, from, &at, b, WHOLE_F32);
            else
                write_tile(o, from, &at, b, how);
        }
    }
}

static void winograd_weight(float *to, int64_t point, const float w[9][VDNI_LANES])
{
    lanes half[3][IN], u[IN], column[3];

    for (int c = 0; c < 3; c++) {
        for (int r = 0; r < 3; r++) lanes_load(&column[r], w[3 * r + c]);
        apply_g(half[c], column);
    }
    for (int r = 0; r < IN; r++) {
        for (int c = 0; c < 3; c++) column[c] = half[c][r];
        apply_g(u, column);
        for (int c = 0; c < IN; c++) lanes_store(to + (r * IN + c) * point, &u[c]);
    }
}

/* One tile, one block: A g A' into q, the pixels' sum added to bias. */
VDNI_INLINE void transform_gradient(float *q, int64_t point, float *bias, const vdni_tensor *g,
                                    const place *at, int64_t block, const int how)
{
    const int64_t count = vdni_block_lanes(g->c, block);
    lanes half[OUT][IN], y[OUT], m[IN], sum;

    lanes_load(&sum, bias);
    for (int c = 0; c < OUT; c++) {
        for (int r = 0; r < OUT; r++) {
            const int64_t row = at->y + r, column = at->x + c;
            const int64_t i = ((at->n * g->h + row) * g->w + column) * g->c + block * VDNI_LANES;
            if (row < g->h && column < g->w)
                load_channels(&y[r], g, i, count, how);
            else
                lanes_zero(&y[r]);
            lanes_add(&sum, &y[r]);
        }
        apply_a_transposed(half[c], y);
    }
    lanes_store(bias, &sum);
    for (int r = 0; r < IN; r++) {
        for (int c = 0; c < OUT; c++) y[c] = half[c][r];
        apply_a_transposed(m, y);
        for (int c = 0; c < IN; c++) lanes_store(q + (r * IN + c) * point, &m[c]);
    }
}

static void winograd_gradient(float *q, int64_t room, float *bias, const vdni_winograd_grid *grid,
                              int64_t first, int64_t count)
{
    const int64_t blocks = vdni_lane_blocks(grid->t->c);
    const int64_t point = vdni_winograd_point(room, grid->t->c);

    for (int64_t i = 0; i < count; i++) {
        const place at = place_of(grid, first + i);
        for (int64_t b = 0; b < blocks; b++) {
            float *to = q + (b * room + i) * VDNI_LANES, *sum = bias + b * VDNI_LANES;
            const int how = layout_of(grid->t, vdni_block_lanes(grid->t->c, b));
            if (how == WHOLE_F32)
                transform_gradient(to, point, sum, grid->t, &at, b, WHOLE_F32);
            else
                transform_gradient(to, point, sum, grid->t, &at, b, how);
        }
    }
}

static void winograd_taps(float w[9][VDNI_LANES], const float *s, int64_t point, int64_t chunks,
                          int64_t chunk)
{
    lanes half[IN][3], u[IN], taps[3], v;

    for (int c = 0; c < IN; c++) {
        for (int r = 0; r < IN; r++) {
            const float *at = s + (r * IN + c) * point;
            lanes_load(&u[r], at);
            for (int64_t i = 1; i < chunks; i++) {
                lanes_load(&v, at + i * chunk);
                lanes_add(&u[r], &v);
            }
        }
        apply_g_transposed(half[c], u);
    }
    for (int r = 0; r < 3; r++) {
        for (int c = 0; c < IN; c++) u[c] = half[c][r];
        apply_g_transposed(taps, u);
        for (int c = 0; c < 3; c++) lanes_store(w[3 * r + c], &taps[c]);
    }
}

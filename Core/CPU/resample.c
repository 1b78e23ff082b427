/* CPU twin of the resampling operators; the contract is Ops/resample.h. */
#include "Ops/resample.h"

#include "CPU/columns.h"
#include "CPU/walk.h"

#include <string.h>

/* A stretch of one row of the small side: whole pixels, or part of the channels of one pixel. */
typedef struct {
    int64_t row, column, pixels; /* row = n * h + i */
    int64_t first, width;        /* channels */
} stretch;

enum { STRETCH = 512 }; /* floats; the large side and its neighbours fit 4 * STRETCH */

typedef void stretch_body(const vdni_op *op, const stretch *s);

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

static void for_each_stretch(const vdni_op *op, const vdni_tensor *t, int64_t row,
                             stretch_body *body)
{
    const int64_t step = t->c < STRETCH ? STRETCH / t->c : 1;
    for (int64_t column = 0; column < t->w; column += step)
        for (int64_t first = 0; first < t->c; first += STRETCH) {
            const stretch s = { row, column, min64(step, t->w - column), first,
                                min64(t->c - first, STRETCH) };
            body(op, &s);
        }
}

static int64_t position(const vdni_tensor *t, int64_t row, int64_t column, int64_t first)
{
    return (row * t->w + column) * t->c + first;
}

/* Pixels [column, column + count) of a row, width channels each; columns outside it are clamped. */
static void read_clamped(float *to, const vdni_tensor *t, int64_t row, int64_t column,
                         int64_t count, const stretch *s)
{
    int64_t begin = column < 0 ? 0 : column, end = min64(column + count, t->w);
    if (s->width == t->c && end > begin) {
        vdni_cpu_read(to + (begin - column) * t->c, t, position(t, row, begin, 0),
                      (end - begin) * t->c);
    } else {
        end = begin;
    }
    for (int64_t k = 0; k < count; k++) {
        const int64_t j = column + k;
        if (j >= begin && j < end) continue;
        vdni_cpu_read(to + k * s->width, t,
                      position(t, row, j < 0 ? 0 : min64(j, t->w - 1), s->first), s->width);
    }
}

/* Row @p row of an image of @p h rows, moved by @p by and clamped to the image. */
static int64_t near_row(int64_t row, int64_t h, int64_t by)
{
    const int64_t i = row % h + by;
    return row - row % h + (i < 0 ? 0 : min64(i, h - 1));
}

/* ---- nearest --------------------------------------------------------------------------------- */

static void nearest(const vdni_op *op, const stretch *s)
{
    float buffer[STRETCH];
    const vdni_tensor *x = op->in[0], *y = op->out[0];
    const int64_t size = vdni_dtype_bytes(y->dtype), bytes = s->width * size;
    const unsigned char *from = vdni_columns_as(
        buffer, y->dtype, x, position(x, s->row, s->column, s->first), s->pixels * s->width);

    for (int64_t quarter = 0; quarter < 4; quarter++) {
        const int64_t at =
            position(y, 2 * s->row + quarter / 2, 2 * s->column + quarter % 2, s->first);
        vdni_copy_columns((unsigned char *)y->data + at * size, 2 * y->c * size, from, bytes, bytes,
                          s->pixels);
    }
}

static VDNI_VECTOR void add_pairs(float *restrict to, const float *restrict above,
                                  const float *restrict below, int64_t pixels, int64_t c)
{
    for (int64_t k = 0; k < pixels; k++)
        for (int64_t i = 0; i < c; i++) {
            const int64_t left = 2 * k * c + i, right = left + c;
            to[k * c + i] = (above[left] + above[right]) + (below[left] + below[right]);
        }
}

static void put(const vdni_op *op, const stretch *s, float *row)
{
    const int64_t at = position(op->out[0], s->row, s->column, s->first);
    vdni_row_add(row, op->in[1], at, s->pixels * s->width);
    vdni_cpu_write(op->out[0], at, row, s->pixels * s->width);
}

static void nearest_backward(const vdni_op *op, const stretch *s)
{
    float above[2 * STRETCH], below[2 * STRETCH], row[STRETCH];
    const vdni_tensor *g = op->in[0];
    read_clamped(above, g, 2 * s->row, 2 * s->column, 2 * s->pixels, s);
    read_clamped(below, g, 2 * s->row + 1, 2 * s->column, 2 * s->pixels, s);
    add_pairs(row, above, below, s->pixels, s->width);
    put(op, s, row);
}

/* ---- bilinear -------------------------------------------------------------------------------- */

/* v = 3/4 near + 1/4 far */
static VDNI_VECTOR void blend(float *restrict v, const float *restrict near,
                              const float *restrict far, int64_t count)
{
    for (int64_t i = 0; i < count; i++) v[i] = 0.75f * near[i] + 0.25f * far[i];
}

/* Write the even (side 0) or odd columns of a row of y from whole pixels. */
static void put_columns(const vdni_op *op, const stretch *s, int64_t row, int64_t side,
                        const float *from)
{
    const vdni_tensor *y = op->out[0];
    const vdni_tensor source = { .dtype = VDNI_F32, .data = (void *)(uintptr_t)from };
    const int64_t size = vdni_dtype_bytes(y->dtype), bytes = s->width * size;
    float buffer[STRETCH];
    const void *as = vdni_columns_as(buffer, y->dtype, &source, 0, s->pixels * s->width);
    unsigned char *to =
        (unsigned char *)y->data + position(y, row, 2 * s->column + side, s->first) * size;
    vdni_copy_columns(to, 2 * y->c * size, as, bytes, bytes, s->pixels);
}

static void bilinear(const vdni_op *op, const stretch *s)
{
    float here[3 * STRETCH], other[3 * STRETCH], v[3 * STRETCH], to[STRETCH];
    const vdni_tensor *x = op->in[0];
    const int64_t count = s->pixels * s->width, all = count + 2 * s->width;
    const float *middle = v + s->width; /* v begins one pixel left of the stretch */

    read_clamped(here, x, s->row, s->column - 1, s->pixels + 2, s);
    for (int64_t side = 0; side < 2; side++) {
        const int64_t far = near_row(s->row, x->h, side ? 1 : -1);
        read_clamped(other, x, far, s->column - 1, s->pixels + 2, s);
        blend(v, here, other, all);
        blend(to, middle, v, count);
        put_columns(op, s, 2 * s->row + side, 0, to);
        blend(to, middle, middle + s->width, count);
        put_columns(op, s, 2 * s->row + side, 1, to);
    }
}

static VDNI_VECTOR void add_scaled(float *restrict v, const float *restrict x, float scale,
                                   int64_t count)
{
    for (int64_t i = 0; i < count; i++) v[i] += scale * x[i];
}

/* to = 1/4 (a + d) + 3/4 (b + c): four neighbouring columns of the large side. */
static VDNI_VECTOR void narrow(float *restrict to, const float *restrict a, const float *restrict b,
                               const float *restrict c, const float *restrict d, int64_t count)
{
    for (int64_t i = 0; i < count; i++) to[i] = 0.25f * (a[i] + d[i]) + 0.75f * (b[i] + c[i]);
}

static void bilinear_backward(const vdni_op *op, const stretch *s)
{
    float v[4 * STRETCH], buffer[4 * STRETCH], row[STRETCH], even[2 * STRETCH], odd[2 * STRETCH];
    const vdni_tensor *g = op->in[0];
    const int64_t columns = 2 * s->pixels + 2, width = s->width;
    const int64_t bytes = width * (int64_t)sizeof *v;

    memset(v, 0, (size_t)(columns * width) * sizeof *v);

    for (int64_t tap = -1; tap < 3; tap++) {
        const int64_t from = near_row(2 * s->row, g->h, tap);
        read_clamped(buffer, g, from, 2 * s->column - 1, columns, s);
        add_scaled(v, buffer, tap == 0 || tap == 1 ? 0.75f : 0.25f, columns * width);
    }
    /* v begins one pixel left of the stretch: its even columns hold the odd ones of g. */
    vdni_copy_columns(even, bytes, v, 2 * bytes, bytes, s->pixels + 1);
    vdni_copy_columns(odd, bytes, v + width, 2 * bytes, bytes, s->pixels + 1);
    narrow(row, even, odd, even + width, odd + width, s->pixels * width);
    put(op, s, row);
}

/* Row @p row of skip, behind the channels of x. */
static void put_skip(const vdni_op *op, int64_t row)
{
    const vdni_tensor *skip = op->in[1], *y = op->out[0];
    const int64_t size = vdni_dtype_bytes(y->dtype);
    const int64_t width = min64(skip->c, VDNI_COLUMN_ELEMENTS), step = VDNI_COLUMN_ELEMENTS / width;
    float buffer[VDNI_COLUMN_ELEMENTS];
    for (int64_t column = 0; column < y->w; column += step)
        for (int64_t first = 0; first < skip->c; first += width) {
            const int64_t count = min64(step, y->w - column);
            const int64_t bytes = min64(width, skip->c - first) * size;
            const int64_t at = position(y, row, column, op->in[0]->c + first);
            const void *as = vdni_columns_as(buffer, y->dtype, skip,
                                             position(skip, row, column, first),
                                             count * bytes / size);
            vdni_copy_columns((unsigned char *)y->data + at * size, y->c * size, as, bytes, bytes,
                              count);
        }
}

static void upsample_row(void *user, int64_t row)
{
    const vdni_op *op = user;
    for_each_stretch(op, op->in[0], row, op->a.mode == VDNI_UPSAMPLE_NEAREST ? nearest : bilinear);
    if (!op->in[1]) return;
    put_skip(op, 2 * row);
    put_skip(op, 2 * row + 1);
}

static void upsample_backward_row(void *user, int64_t row)
{
    const vdni_op *op = user;
    for_each_stretch(op, op->out[0], row,
                     op->a.mode == VDNI_UPSAMPLE_NEAREST ? nearest_backward : bilinear_backward);
}

/* ---- pixels into channels and back ----------------------------------------------------------- */

/* Positions of one pixel of the fine side and of its first element on the coarse side, whose next
 * elements lie r * r apart. */
typedef struct {
    int64_t fine, coarse;
} pair;

static pair pair_at(const vdni_tensor *fine, const vdni_tensor *coarse, int64_t r, int64_t row,
                    int64_t j)
{
    const int64_t i = row % fine->h;
    const int64_t below = row / fine->h * coarse->h + i / r;
    return (pair){ position(fine, row, j, 0), position(coarse, below, j / r, i % r * r + j % r) };
}

/* Both shuffles on elements of one size: `bytes` is a constant at each call, so the copies are plain
 * moves. A row of the fine tensor meets column dx = j % r of each block of c * r * r coarse values. */
static inline void move_row(char *coarse, char *fine, const int64_t extent[3], size_t bytes,
                            int to_coarse)
{
    const int64_t w = extent[0], c = extent[1], r = extent[2];
    for (int64_t j = 0; j < w; j++) {
        char *block = coarse + (j / r * c * r * r + j % r) * (int64_t)bytes;
        for (int64_t k = 0; k < c; k++, fine += bytes, block += r * r * (int64_t)bytes)
            memcpy(to_coarse ? block : fine, to_coarse ? fine : block, bytes);
    }
}

/* Non-zero when the row was done: both tensors of one floating type. */
static int move_same_type(const vdni_tensor *fine, const vdni_tensor *coarse, int64_t r, int64_t row,
                          int to_coarse)
{
    const int64_t extent[3] = { fine->w, fine->c, r };
    const int64_t bytes = vdni_dtype_bytes(fine->dtype);
    const pair p = pair_at(fine, coarse, r, row, 0);
    char *at_fine = (char *)fine->data + p.fine * bytes;
    char *at_coarse = (char *)coarse->data + p.coarse * bytes;

    if (fine->dtype != coarse->dtype) return 0;
    if (bytes == 4)
        move_row(at_coarse, at_fine, extent, 4, to_coarse);
    else
        move_row(at_coarse, at_fine, extent, 2, to_coarse);
    return 1;
}

static void unshuffle_row(void *user, int64_t row)
{
    const vdni_op *op = user;
    const vdni_tensor *x = op->in[0];
    vdni_tensor *y = op->out[0];
    const int64_t r = op->a.factor;
    if (move_same_type(x, y, r, row, 1)) return;
    for (int64_t j = 0; j < x->w; j++) {
        const pair p = pair_at(x, y, r, row, j);
        for (int64_t c = 0; c < x->c; c++)
            vdni_cpu_set(y, p.coarse + c * r * r, vdni_cpu_get(x, p.fine + c));
    }
}

static void shuffle_row(void *user, int64_t row)
{
    const vdni_op *op = user;
    const vdni_tensor *x = op->in[0];
    vdni_tensor *y = op->out[0];
    const int64_t r = op->a.factor;
    if (move_same_type(y, x, r, row, 0)) return;
    for (int64_t j = 0; j < y->w; j++) {
        const pair p = pair_at(y, x, r, row, j);
        for (int64_t c = 0; c < y->c; c++)
            vdni_cpu_set(y, p.fine + c, vdni_cpu_get(x, p.coarse + c * r * r));
    }
}

/* ---- table ----------------------------------------------------------------------------------- */

static vdn_status run_rows(vdni_device *device, const vdni_op *op, const vdni_tensor *t,
                           void (*row)(void *user, int64_t i))
{
    vdni_op copy = *op;
    vdni_parallel_for(device->threads, t->n * t->h, row, &copy);
    return VDN_OK;
}

static vdn_status run_upsample(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                               void *workspace)
{
    (void)ctx;
    (void)workspace;
    return run_rows(device, op, op->in[0], upsample_row);
}

static vdn_status run_upsample_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                        void *workspace)
{
    (void)ctx;
    (void)workspace;
    return run_rows(device, op, op->out[0], upsample_backward_row);
}

static vdn_status run_unshuffle(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                void *workspace)
{
    (void)ctx;
    (void)workspace;
    return run_rows(device, op, op->in[0], unshuffle_row);
}

static vdn_status run_shuffle(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    (void)ctx;
    (void)workspace;
    return run_rows(device, op, op->out[0], shuffle_row);
}

const vdni_cpu_entry vdni_cpu_resample[4] = {
    { run_upsample, NULL },
    { run_upsample_backward, NULL },
    { run_unshuffle, NULL },
    { run_shuffle, NULL },
};

#include "CPU/walk.h"

#include <string.h>

enum { CHUNK_ELEMENTS = 16384 };

typedef struct {
    const vdni_walk *walk;
    int64_t kinds;
    double *sums;
    vdni_block_body *body;
    void *user;
    const vdni_tensor *t;
} job;

/* Pixels [begin, end) of image n, channels [first, first + width). */
typedef struct {
    int64_t n, begin, end, first, width, chunk;
} area;

vdni_walk vdni_walk_of(const vdni_tensor *t)
{
    vdni_walk walk = { .n = t->n, .pixels = t->h * t->w, .c = t->c };
    walk.chunks = (walk.pixels * t->c + CHUNK_ELEMENTS - 1) / CHUNK_ELEMENTS;
    if (walk.chunks > VDNI_CHUNKS) walk.chunks = VDNI_CHUNKS;
    if (walk.chunks > walk.pixels) walk.chunks = walk.pixels;
    walk.width = t->c <= VDNI_WALK_LANES ? VDNI_WALK_LANES / t->c * t->c : t->c;
    return walk;
}

void vdni_walk_repeat(const vdni_walk *walk, float *row)
{
    for (int64_t i = walk->c; i < walk->width; i += walk->c)
        memcpy(row + i, row, (size_t)walk->c * sizeof *row);
}

static vdni_block block_at(const vdni_walk *walk, const area *a, int64_t pixel, int64_t pixels)
{
    vdni_block block = { .n = a->n, .pixel = a->n * walk->pixels + pixel, .lane = a->first };
    block.at = block.pixel * walk->c + a->first;
    block.count = pixels * a->width;
    return block;
}

static int64_t block_pixels(const vdni_walk *walk)
{
    return walk->c <= VDNI_WALK_LANES ? VDNI_WALK_LANES / walk->c : 1;
}

/* The chunk's pixels, one part of the channels after another. */
static void for_each_area(const job *j, int64_t index, void (*each)(const job *, const area *))
{
    const vdni_walk *walk = j->walk;
    area a = { .n = index / walk->chunks, .chunk = index };
    const int64_t k = index % walk->chunks;
    a.begin = vdni_chunk_begin(walk->pixels, walk->chunks, k);
    a.end = vdni_chunk_begin(walk->pixels, walk->chunks, k + 1);
    for (a.first = 0; a.first < walk->c; a.first += VDNI_WALK_LANES) {
        a.width = walk->c - a.first < VDNI_WALK_LANES ? walk->c - a.first : VDNI_WALK_LANES;
        each(j, &a);
    }
}

static void run_area(const job *j, const area *a)
{
    const int64_t step = block_pixels(j->walk);
    for (int64_t p = a->begin; p < a->end; p += step) {
        const vdni_block block = block_at(j->walk, a, p, a->end - p < step ? a->end - p : step);
        j->body(j->user, &block);
    }
}

static void run_chunk(void *user, int64_t index) { for_each_area(user, index, run_area); }

void vdni_walk_run(int32_t threads, const vdni_walk *walk, vdni_block_body *body, void *user)
{
    job j = { .walk = walk, .body = body, .user = user };
    vdni_parallel_for(threads, walk->n * walk->chunks, run_chunk, &j);
}

/* sum[i % width] += lane[i] */
static VDNI_VECTOR void fold(double *restrict sum, const float *restrict lane, int64_t count,
                             int64_t width)
{
    for (int64_t at = 0; at < count; at += width)
        for (int64_t i = 0; i < width; i++) sum[i] += (double)lane[at + i];
}

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

static void sum_area(const job *j, const area *a)
{
    float lanes[VDNI_WALK_SUMS][VDNI_WALK_LANES];
    const vdni_walk *walk = j->walk;
    const int64_t step = block_pixels(walk);
    double *sums = j->sums + a->chunk * j->kinds * walk->c + a->first;

    for (int64_t run = a->begin; run < a->end; run += VDNI_RUN * step) {
        const int64_t end = min64(run + VDNI_RUN * step, a->end);
        const int64_t used = min64(end - run, step) * a->width;
        for (int64_t k = 0; k < j->kinds; k++) memset(lanes[k], 0, (size_t)used * sizeof(float));
        for (int64_t p = run; p < end; p += step) {
            vdni_block block = block_at(walk, a, p, min64(end - p, step));
            for (int64_t k = 0; k < j->kinds; k++) block.sums[k] = lanes[k];
            j->body(j->user, &block);
        }
        for (int64_t k = 0; k < j->kinds; k++) fold(sums + k * walk->c, lanes[k], used, a->width);
    }
}

static void sum_chunk(void *user, int64_t index)
{
    const job *j = user;
    const int64_t count = j->kinds * j->walk->c;
    memset(j->sums + index * count, 0, (size_t)count * sizeof(double));
    for_each_area(j, index, sum_area);
}

/* Chunks of each image are added to its first, in order. */
static void reduce(const job *j)
{
    const int64_t count = j->kinds * j->walk->c;
    for (int64_t n = 0; n < j->walk->n; n++) {
        double *total = j->sums + n * j->walk->chunks * count;
        for (int64_t k = 1; k < j->walk->chunks; k++)
            for (int64_t i = 0; i < count; i++) total[i] += total[k * count + i];
    }
}

void vdni_walk_sum(int32_t threads, const vdni_walk *walk, int64_t kinds, double *sums,
                   vdni_block_body *body, void *user)
{
    job j = { .walk = walk, .kinds = kinds, .sums = sums, .body = body, .user = user };
    vdni_parallel_for(threads, walk->n * walk->chunks, sum_chunk, &j);
    reduce(&j);
}

/* Lanes' sums about the pivot: s = sum(x - p), q = sum((x - p)^2). */
static VDNI_VECTOR void about_pivot(float *restrict s, float *restrict q, const float *restrict p,
                                    const float *restrict x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const float d = x[i] - p[i];
        s[i] += d;
        q[i] += d * d;
    }
}

static VDNI_VECTOR void about_pivot_bf16(float *restrict s, float *restrict q,
                                         const float *restrict p, const vdni_bf16 *restrict x,
                                         int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const float d = vdni_bf16_to_f32(x[i]) - p[i];
        s[i] += d;
        q[i] += d * d;
    }
}

static void add_about_pivot(float *s, float *q, const float *p, const vdni_tensor *t,
                            const vdni_block *b)
{
    if (t->dtype == VDNI_F32)
        about_pivot(s, q, p, (const float *)t->data + b->at, b->count);
    else
        about_pivot_bf16(s, q, p, (const vdni_bf16 *)t->data + b->at, b->count);
}

/* Move m terms per lane from the pivot to 0: sum x = m p + s, sum x^2 = q + 2 p s + m p^2. */
static VDNI_VECTOR void to_zero(double *restrict sum, double *restrict square,
                                const float *restrict p, const float *restrict s,
                                const float *restrict q, int64_t width, double m)
{
    for (int64_t i = 0; i < width; i++) {
        const double pi = (double)p[i], si = (double)s[i];
        sum[i] += m * pi + si;
        square[i] += (double)q[i] + pi * (2 * si + m * pi);
    }
}

/* The pivot is one of its lane's own values, so sum((x - p)^2) is at most 1 + VDNI_RUN times the
 * lane's scatter about its mean: nothing is lost to cancellation, whatever the mean. */
static void moments_area(const job *j, const area *a)
{
    float pivot[VDNI_WALK_LANES], s[VDNI_WALK_LANES], q[VDNI_WALK_LANES];
    const vdni_walk *walk = j->walk;
    const int64_t step = block_pixels(walk);
    double *sums = j->sums + a->chunk * 2 * walk->c + a->first;

    for (int64_t run = a->begin; run < a->end; run += VDNI_RUN * step) {
        const int64_t end = min64(run + VDNI_RUN * step, a->end);
        const int64_t used = min64(end - run, step) * a->width;
        vdni_cpu_read(pivot, j->t, block_at(walk, a, run, 1).at, used);
        memset(s, 0, (size_t)used * sizeof *s);
        memset(q, 0, (size_t)used * sizeof *q);
        for (int64_t p = run + step; p < end; p += step) {
            const vdni_block block = block_at(walk, a, p, min64(end - p, step));
            add_about_pivot(s, q, pivot, j->t, &block);
        }
        for (int64_t i = 0; i < used / a->width; i++) {
            const int64_t terms = (end - run - i + step - 1) / step, at = i * a->width;
            to_zero(sums, sums + walk->c, pivot + at, s + at, q + at, a->width, (double)terms);
        }
    }
}

static void moments_chunk(void *user, int64_t index)
{
    const job *j = user;
    memset(j->sums + index * 2 * j->walk->c, 0, (size_t)(2 * j->walk->c) * sizeof(double));
    for_each_area(j, index, moments_area);
}

void vdni_walk_moments(int32_t threads, const vdni_walk *walk, double *sums, const vdni_tensor *t)
{
    job j = { .walk = walk, .kinds = 2, .sums = sums, .t = t };
    vdni_parallel_for(threads, walk->n * walk->chunks, moments_chunk, &j);
    reduce(&j);
}

static VDNI_VECTOR void add(float *restrict row, const float *restrict x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) row[i] += x[i];
}

void vdni_row_add(float *row, const vdni_tensor *t, int64_t at, int64_t count)
{
    float buffer[VDNI_WALK_LANES];
    if (t) add(row, vdni_row_read(buffer, t, at, count), count);
}

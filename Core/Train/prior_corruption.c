#include "Train/prior_corruption.h"

#include "Train/blur.h"
#include "Train/warp.h"

#include <math.h>
#include <string.h>

#define PI         3.14159265358979323846
#define FIELD_CELL 32.0
/* As sure as the refiner's clip of prior logits to +-4 lets a prior be: 1 / (1 + e^4). */
#define SURE_NOT 0.018f

enum { MAX_CLASSES = 64, HALO_PX = 3, PLACES = 8, FIRST_CONTROL = 64 };

/* Numbers of the uniform draws. Never renumber: trainings would no longer reproduce. */
enum {
    DRAW_WHETHER,
    DRAW_KIND,
    DRAW_VARIANT,
    DRAW_DROP,
    DRAW_AMOUNT,
    DRAW_CLASS,
    DRAW_COMPONENT,
    DRAW_AXES,                 /* two radii and an angle */
    DRAW_PLACE = DRAW_AXES + 3 /* row and column, PLACES times */
};

typedef struct {
    float *copy, *blur, *field, *source_y, *source_x;
    int32_t *component, *queue;
    uint8_t *winner;
} workspace_parts;

typedef struct {
    const vdni_prior_map *map;
    const vdni_corruption_recipe *recipe;
    vdni_noise_key key;
    workspace_parts work;
} corruption;

vdni_corruption_recipe vdni_corruption_recommended(void)
{
    const vdni_corruption_recipe recommended = {
        .p = 0.5,
        .drop_p = 0.1,
        .temperature_min = 0.5,
        .temperature_max = 2.0,
        .blur_min_px = 0.5,
        .blur_max_px = 2.5,
        .shift_max_px = 4.0,
        .radius_max_px = 2,
    };
    return recommended;
}

static int64_t round_up(int64_t bytes) { return (bytes + 63) / 64 * 64; }

static int64_t lay_out(workspace_parts *parts, char *base, int64_t h, int64_t w, int64_t k)
{
    const int64_t floats = (int64_t)sizeof(float), ints = (int64_t)sizeof(int32_t);
    const int64_t bytes[8] = { h * w * k * floats,
                               vdni_blur_floats(h, w, k, VDNI_BLUR_MAX_SD) * floats,
                               vdni_field_floats(h, w, FIELD_CELL, 2) * floats,
                               w * floats,
                               w * floats,
                               h * w * ints,
                               h * w * ints,
                               h * w };
    int64_t at[9] = { 0 };
    for (int i = 0; i < 8; i++) at[i + 1] = at[i] + round_up(bytes[i]);
    if (parts) {
        parts->copy = (float *)(void *)(base + at[0]);
        parts->blur = (float *)(void *)(base + at[1]);
        parts->field = (float *)(void *)(base + at[2]);
        parts->source_y = (float *)(void *)(base + at[3]);
        parts->source_x = (float *)(void *)(base + at[4]);
        parts->component = (int32_t *)(void *)(base + at[5]);
        parts->queue = (int32_t *)(void *)(base + at[6]);
        parts->winner = (uint8_t *)(base + at[7]);
    }
    return at[8];
}

int64_t vdni_corruption_workspace_bytes(int64_t h, int64_t w, int64_t k)
{
    return lay_out(NULL, NULL, h, w, k);
}

static double uniform(const corruption *c, uint32_t draw, double low, double high)
{
    return low + (high - low) * vdni_philox_uniform(&c->key, draw);
}

vdni_corruption vdni_corruption_draw(const vdni_corruption_recipe *recipe, vdni_noise_key key)
{
    static const vdni_corruption kinds[5][2] = {
        { VDNI_CORRUPT_TEMPERATURE, VDNI_CORRUPT_TEMPERATURE },
        { VDNI_CORRUPT_BLUR, VDNI_CORRUPT_BLUR },
        { VDNI_CORRUPT_SHIFT, VDNI_CORRUPT_SHIFT },
        { VDNI_CORRUPT_DILATE, VDNI_CORRUPT_ERODE },
        { VDNI_CORRUPT_ERASE, VDNI_CORRUPT_INSERT },
    };
    key.purpose = VDNI_FOR_PRIOR_CORRUPTION;
    if (vdni_philox_uniform(&key, DRAW_DROP) < recipe->drop_p) return VDNI_CORRUPT_DROP;
    if (!(vdni_philox_uniform(&key, DRAW_WHETHER) < recipe->p)) return VDNI_CORRUPT_NOTHING;
    return kinds[vdni_philox_below(&key, DRAW_KIND, 5)][vdni_philox_below(&key, DRAW_VARIANT, 2)];
}

/* ---- values of one pixel ------------------------------------------------------------------- */

static float *pixel(const vdni_prior_map *m, int64_t y, int64_t x)
{
    return m->p + (y * m->stride + x) * m->k;
}

/* Channel that holds class @p j. */
static int64_t channel_of(const vdni_prior_map *m, int64_t j) { return m->k == 1 ? 0 : j; }

/* Set the probability of class j and scale the others, so that the sum stays. */
static void set_class(float *p, int64_t k, int64_t j, float value)
{
    if (k == 1) {
        p[0] = value;
        return;
    }
    const float rest = 1.0f - p[j];
    const float scale = rest > 0.0f ? (1.0f - value) / rest : 0.0f;
    for (int64_t i = 0; i < k; i++) p[i] *= scale;
    p[j] = value;
    if (!(rest > 0.0f)) p[0] = 1.0f - value; /* nothing to scale: the background takes it */
}

static void set_background(float *p, int64_t k)
{
    const float others = k == 1 ? SURE_NOT : SURE_NOT / (float)(k - 1);
    for (int64_t i = 0; i < k; i++) p[i] = others;
    if (k > 1) p[0] = 1.0f - SURE_NOT;
}

/* ---- whole-map changes ----------------------------------------------------------------------- */

static void apply_drop(const corruption *c)
{
    const float value = c->map->k == 1 ? 0.5f : 1.0f / (float)c->map->k;
    for (int64_t y = 0; y < c->map->h; y++)
        for (int64_t i = 0; i < c->map->w * c->map->k; i++) pixel(c->map, y, 0)[i] = value;
}

static float limit(float p) { return p < 1e-6f ? 1e-6f : p > 1.0f - 1e-6f ? 1.0f - 1e-6f : p; }

/* p^(1/tau), normalised over the classes: the softmax of logits / tau. */
static void apply_temperature(const corruption *c)
{
    const vdni_prior_map *const m = c->map;
    const float power = (float)(1.0 / uniform(c, DRAW_AMOUNT, c->recipe->temperature_min,
                                              c->recipe->temperature_max));
    for (int64_t y = 0; y < m->h; y++)
        for (int64_t x = 0; x < m->w; x++) {
            float *const p = pixel(m, y, x);
            const float other = m->k == 1 ? powf(limit(1.0f - p[0]), power) : 0.0f;
            float sum = other;
            for (int64_t i = 0; i < m->k; i++) sum += p[i] = powf(limit(p[i]), power);
            for (int64_t i = 0; i < m->k; i++) p[i] /= sum;
        }
}

static void apply_blur(const corruption *c)
{
    const int64_t size[3] = { c->map->h, c->map->w, c->map->k };
    const double sd = uniform(c, DRAW_AMOUNT, c->recipe->blur_min_px, c->recipe->blur_max_px);
    vdni_blur_plane(c->map->p, size, c->map->stride, sd, c->work.blur);
}

static void copy_map(const corruption *c)
{
    const int64_t values = c->map->w * c->map->k;
    for (int64_t y = 0; y < c->map->h; y++)
        memcpy(c->work.copy + y * values, pixel(c->map, y, 0), (size_t)values * sizeof(float));
}

/* Control displacements lie in a disc, so no pixel moves farther than its radius. */
static void apply_shift(const corruption *c)
{
    const vdni_prior_map *const m = c->map;
    const int64_t size[3] = { m->h, m->w, m->k };
    const double reach = uniform(c, DRAW_AMOUNT, 0.25, 1.0) * c->recipe->shift_max_px;
    vdni_field field;
    const vdni_warp warp = { .matrix = { { 1.0, 0.0 }, { 0.0, 1.0 } }, .field = &field };

    vdni_field_init(&field, c->work.field, size, FIELD_CELL, 2);
    const int64_t controls = field.rows * field.columns;
    for (int64_t i = 0; i < controls; i++) {
        const double r = reach * sqrt(uniform(c, (uint32_t)(FIRST_CONTROL + 2 * i), 0.0, 1.0));
        const double angle = uniform(c, (uint32_t)(FIRST_CONTROL + 2 * i + 1), 0.0, 2.0 * PI);
        field.control[i] = (float)(r * sin(angle));
        field.control[controls + i] = (float)(r * cos(angle));
    }
    copy_map(c);
    for (int64_t y = 0; y < m->h; y++) {
        vdni_warp_row(c->work.source_y, c->work.source_x, &warp, y, 0, m->w);
        vdni_warp_image_row(pixel(m, y, 0), c->work.copy, size, c->work.source_y, c->work.source_x,
                            m->w);
    }
}

/* ---- one class --------------------------------------------------------------------------------- */

/* Class that wins each pixel: the largest, or with one channel whether it is above 1/2. */
static void find_winners(const corruption *c)
{
    const vdni_prior_map *const m = c->map;
    for (int64_t y = 0; y < m->h; y++)
        for (int64_t x = 0; x < m->w; x++) {
            const float *const p = pixel(m, y, x);
            uint8_t best = m->k == 1 ? p[0] > 0.5f : 0;
            for (int64_t i = 1; i < m->k; i++)
                if (p[i] > p[best]) best = (uint8_t)i;
            c->work.winner[y * m->w + x] = best;
        }
}

/* A class other than the background, of those that win somewhere if there are such. */
static int64_t draw_class(const corruption *c)
{
    const vdni_prior_map *const m = c->map;
    int64_t present[MAX_CLASSES], count = 0;
    uint8_t seen[256] = { 0 };

    if (m->k == 1) return 1;
    for (int64_t i = 0; i < m->h * m->w; i++) seen[c->work.winner[i]] = 1;
    for (int64_t j = 1; j < m->k && j < MAX_CLASSES; j++)
        if (seen[j]) present[count++] = j;
    if (count == 0) return 1 + vdni_philox_below(&c->key, DRAW_CLASS, m->k - 1);
    return present[vdni_philox_below(&c->key, DRAW_CLASS, count)];
}

/* Extreme of @p from over the neighbour at (dy, dx), where there is one, into @p to. */
static void fold_neighbour(float *to, const float *from, const int64_t size[2],
                           const int64_t offset[2], int largest)
{
    const int64_t h = size[0], w = size[1], dy = offset[0], dx = offset[1];
    const int64_t x0 = dx < 0 ? -dx : 0, x1 = dx > 0 ? w - dx : w;
    for (int64_t y = dy < 0 ? -dy : 0; y < (dy > 0 ? h - dy : h); y++) {
        float *const row = to + y * w;
        const float *const other = from + (y + dy) * w + dx;
        if (largest)
            for (int64_t x = x0; x < x1; x++) row[x] = other[x] > row[x] ? other[x] : row[x];
        else
            for (int64_t x = x0; x < x1; x++) row[x] = other[x] < row[x] ? other[x] : row[x];
    }
}

static void apply_morphology(const corruption *c, int largest)
{
    const vdni_prior_map *const m = c->map;
    const int64_t size[2] = { m->h, m->w };
    const int64_t radius = 1 + vdni_philox_below(&c->key, DRAW_AMOUNT, c->recipe->radius_max_px);
    float *const from = c->work.copy, *const to = c->work.blur;

    find_winners(c);
    const int64_t j = draw_class(c);
    for (int64_t y = 0; y < m->h; y++)
        for (int64_t x = 0; x < m->w; x++) from[y * m->w + x] = pixel(m, y, x)[channel_of(m, j)];
    memcpy(to, from, (size_t)(m->h * m->w) * sizeof *to);
    for (int64_t dy = -radius; dy <= radius; dy++)
        for (int64_t dx = -radius; dx <= radius; dx++)
            if ((dy != 0 || dx != 0) && dy * dy + dx * dx <= radius * radius)
                fold_neighbour(to, from, size, (const int64_t[2]){ dy, dx }, largest);
    for (int64_t y = 0; y < m->h; y++)
        for (int64_t x = 0; x < m->w; x++) set_class(pixel(m, y, x), m->k, j, to[y * m->w + x]);
}

/* ---- components ---------------------------------------------------------------------------- */

/* Calls for the (up to four) neighbours of pixel @p i. */
static int neighbours(int64_t out[4], int64_t i, int64_t h, int64_t w)
{
    const int64_t y = i / w, x = i % w;
    int count = 0;
    if (y > 0) out[count++] = i - w;
    if (x > 0) out[count++] = i - 1;
    if (x + 1 < w) out[count++] = i + 1;
    if (y + 1 < h) out[count++] = i + w;
    return count;
}

/* Number the 4-connected regions of one winner other than the background from 1, in the order of
 * their first pixels; returns how many there are. */
static int32_t find_components(const corruption *c)
{
    const int64_t h = c->map->h, w = c->map->w;
    int32_t *const component = c->work.component, *const queue = c->work.queue;
    const uint8_t *const winner = c->work.winner;
    int32_t count = 0;

    memset(component, 0, (size_t)(h * w) * sizeof *component);
    for (int64_t first = 0; first < h * w; first++) {
        int64_t head = 0, tail = 0, next[4];
        if (winner[first] == 0 || component[first] != 0) continue;
        component[first] = ++count;
        queue[tail++] = (int32_t)first;
        while (head < tail) {
            const int64_t at = queue[head++];
            const int n = neighbours(next, at, h, w);
            for (int i = 0; i < n; i++) {
                if (winner[next[i]] != winner[first] || component[next[i]] != 0) continue;
                component[next[i]] = count;
                queue[tail++] = (int32_t)next[i];
            }
        }
    }
    return count;
}

/* Erase component @p number and its uncertain rim, which no other component gives up. */
static void erase_component(const corruption *c, int32_t number)
{
    const vdni_prior_map *const m = c->map;
    int32_t *const component = c->work.component, *const queue = c->work.queue;
    int64_t head = 0, tail = 0, j = 0, next[4];

    for (int64_t i = 0; i < m->h * m->w; i++) {
        if (component[i] != number) continue;
        j = c->work.winner[i];
        set_background(pixel(m, i / m->w, i % m->w), m->k);
        queue[tail++] = (int32_t)i;
    }
    for (int ring = 0; ring < HALO_PX; ring++)
        for (const int64_t end = tail; head < end; head++) {
            const int n = neighbours(next, queue[head], m->h, m->w);
            for (int i = 0; i < n; i++) {
                float *const p = pixel(m, next[i] / m->w, next[i] % m->w);
                if (component[next[i]] != 0 || !(p[channel_of(m, j)] > SURE_NOT)) continue;
                component[next[i]] = number;
                set_class(p, m->k, j, m->k == 1 ? SURE_NOT : 0.0f);
                queue[tail++] = (int32_t)next[i];
            }
        }
}

typedef struct {
    double y, x, radius[2], cosine, sine;
} ellipse;

/* 0 at the centre, 1 on the outline. */
static double distance_in(const ellipse *e, int64_t y, int64_t x)
{
    const double dy = (double)y - e->y, dx = (double)x - e->x;
    const double u = (e->cosine * dy + e->sine * dx) / e->radius[0];
    const double v = (e->cosine * dx - e->sine * dy) / e->radius[1];
    return sqrt(u * u + v * v);
}

/* Rows and columns that an ellipse grown by @p factor can reach. */
static void bounds_of(int64_t box[4], const ellipse *e, double factor, const vdni_prior_map *m)
{
    const double reach = factor * fmax(e->radius[0], e->radius[1]);
    box[0] = (int64_t)fmax(0.0, floor(e->y - reach));
    box[1] = (int64_t)fmin((double)(m->h - 1), ceil(e->y + reach));
    box[2] = (int64_t)fmax(0.0, floor(e->x - reach));
    box[3] = (int64_t)fmin((double)(m->w - 1), ceil(e->x + reach));
}

static int is_free(const corruption *c, const ellipse *e)
{
    int64_t box[4];
    bounds_of(box, e, 2.0, c->map);
    for (int64_t y = box[0]; y <= box[1]; y++)
        for (int64_t x = box[2]; x <= box[3]; x++)
            if (c->work.winner[y * c->map->w + x] != 0 && distance_in(e, y, x) < 2.0) return 0;
    return 1;
}

/* An ellipse of a vertebral body's size where nothing is, if a few tries find such a place. */
static ellipse draw_ellipse(const corruption *c)
{
    const vdni_prior_map *const m = c->map;
    const double side = (double)(m->h > m->w ? m->h : m->w);
    const double angle = uniform(c, DRAW_AXES + 2, 0.0, PI);
    ellipse e = { .cosine = cos(angle), .sine = sin(angle) };

    for (uint32_t i = 0; i < 2; i++)
        e.radius[i] = fmax(1.5, side * uniform(c, DRAW_AXES + i, 0.015, 0.06));
    for (uint32_t i = 0; i < PLACES; i++) {
        e.y = uniform(c, DRAW_PLACE + 2 * i, 0.0, (double)(m->h - 1));
        e.x = uniform(c, DRAW_PLACE + 2 * i + 1, 0.0, (double)(m->w - 1));
        if (is_free(c, &e)) break;
    }
    return e;
}

static void insert_component(const corruption *c)
{
    const vdni_prior_map *const m = c->map;
    const int64_t j = draw_class(c);
    const ellipse e = draw_ellipse(c);
    int64_t box[4];

    bounds_of(box, &e, 2.0, m);
    for (int64_t y = box[0]; y <= box[1]; y++)
        for (int64_t x = box[2]; x <= box[3]; x++) {
            float *const p = pixel(m, y, x);
            const double inside = 1.0 / (1.0 + exp(8.0 * (distance_in(&e, y, x) - 1.0)));
            const float value = (1.0f - SURE_NOT) * (float)inside;
            if (value > p[channel_of(m, j)]) set_class(p, m->k, j, value);
        }
}

/* Blurred and moved values are sums of weights that are 1 only up to rounding. */
static void keep_probabilities(const vdni_prior_map *m)
{
    for (int64_t y = 0; y < m->h; y++) {
        float *const row = pixel(m, y, 0);
        for (int64_t i = 0; i < m->w * m->k; i++)
            row[i] = row[i] < 0.0f ? 0.0f : row[i] > 1.0f ? 1.0f : row[i];
    }
}

vdni_corruption vdni_corruption_apply(const vdni_prior_map *map, vdni_corruption kind,
                                      const vdni_corruption_recipe *recipe, vdni_noise_key key,
                                      void *workspace)
{
    corruption c = { .map = map, .recipe = recipe, .key = key };

    c.key.purpose = VDNI_FOR_PRIOR_CORRUPTION;
    (void)lay_out(&c.work, workspace, map->h, map->w, map->k);
    if (kind == VDNI_CORRUPT_ERASE || kind == VDNI_CORRUPT_INSERT) find_winners(&c);
    const int32_t components = kind == VDNI_CORRUPT_ERASE ? find_components(&c) : 0;
    if (kind == VDNI_CORRUPT_ERASE && components == 0) kind = VDNI_CORRUPT_INSERT;

    switch (kind) {
    case VDNI_CORRUPT_NOTHING:
        break;
    case VDNI_CORRUPT_TEMPERATURE:
        apply_temperature(&c);
        break;
    case VDNI_CORRUPT_BLUR:
        apply_blur(&c);
        break;
    case VDNI_CORRUPT_SHIFT:
        apply_shift(&c);
        break;
    case VDNI_CORRUPT_DILATE:
        apply_morphology(&c, 1);
        break;
    case VDNI_CORRUPT_ERODE:
        apply_morphology(&c, 0);
        break;
    case VDNI_CORRUPT_ERASE:
        erase_component(&c, 1 + (int32_t)vdni_philox_below(&c.key, DRAW_COMPONENT, components));
        break;
    case VDNI_CORRUPT_INSERT:
        insert_component(&c);
        break;
    case VDNI_CORRUPT_DROP:
        apply_drop(&c);
        break;
    }
    keep_probabilities(map);
    return kind;
}

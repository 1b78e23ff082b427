#include "Train/augment.h"

#include "Tensor/pad.h"
#include "Train/blur.h"
#include "Train/field.h"
#include "Train/warp.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

enum {
    REFERENCE_SIDE = 320, /* lengths of a recipe are for slices of this side */
    BIAS_CELLS = 3,       /* of the bias field along the longer side */
    CROP_GRID = 4,        /* pixels between the points at which crops are weighed */
    GAMMA_STEPS = 1024,
    FIRST_BIAS = 4 * 64,    /* first normal numbers after the uniform ones */
    FIRST_NOISE = 4 * 65536 /* ... and after the bias field's */
};

/* Numbers of the uniform draws. Never renumber: trainings would no longer reproduce. */
enum {
    DRAW_ROTATION,
    DRAW_SHIFT, /* row, its sign, column, its sign */
    DRAW_ELASTIC = DRAW_SHIFT + 4,
    DRAW_ELASTIC_SD,
    DRAW_CONTRAST,
    DRAW_CONTRAST_FACTOR,
    DRAW_GAMMA,
    DRAW_GAMMA_EXPONENT,
    DRAW_FLIP,
    DRAW_SCALE,
    DRAW_SCALE_FACTOR,
    DRAW_NOISE,
    DRAW_NOISE_SD,
    DRAW_BLUR,
    DRAW_BLUR_SD,
    DRAW_BIAS,
    DRAW_BIAS_SD,
    DRAW_CROP_FOREGROUND,
    DRAW_CROP_PLACE /* row, column; or which of the places with enough foreground */
};

typedef struct {
    float *field, *blur, *row, *source_y, *source_x;
    int32_t *counts;
} workspace_parts;

typedef struct {
    const vdni_augment_recipe *recipe;
    const vdni_augment_source *source;
    vdni_augment_target *target;
    vdni_noise_key key;
    workspace_parts work;
    vdni_warp warp;
    vdni_field elastic;
    int64_t y, x; /* of the crop in the slice */
} augmentation;

/* ---- recipes ------------------------------------------------------------------------------- */

vdni_augment_recipe vdni_augment_none(void)
{
    const vdni_augment_recipe none = {
        .elastic_cell_px = 32.0,
        .contrast_min = 1.0,
        .contrast_max = 1.0,
        .gamma_min = 1.0,
        .gamma_max = 1.0,
        .scale_min = 1.0,
        .scale_max = 1.0,
        .blur_min_px = 0.5,
        .blur_max_px = 0.5,
    };
    return none;
}

vdni_augment_recipe vdni_augment_paper(void)
{
    vdni_augment_recipe r = vdni_augment_none();
    r.rotation_deg = 30.0;
    r.shift_min = 0.01;
    r.shift_max = 0.05;
    r.elastic_p = 0.5;
    r.elastic_sd_px = 6.0;
    r.contrast_p = 0.5;
    r.contrast_min = 0.75;
    r.contrast_max = 1.25;
    return r;
}

vdni_augment_recipe vdni_augment_recommended(void)
{
    vdni_augment_recipe r = vdni_augment_paper();
    r.gamma_p = 0.5;
    r.gamma_min = 0.7;
    r.gamma_max = 1.5;
    r.flip_p = 0.5;
    r.scale_p = 0.5;
    r.scale_min = 0.8;
    r.scale_max = 1.25;
    r.noise_p = 0.25;
    r.noise_sd = 0.15;
    r.blur_p = 0.25;
    r.blur_min_px = 0.3;
    r.blur_max_px = 1.2;
    r.bias_p = 0.3;
    r.bias_sd = 0.3;
    r.crop_foreground_p = 0.67;
    r.crop_foreground_min = 0.01;
    return r;
}

vdn_status vdni_augment_check(vdn_ctx *ctx, const vdni_augment_recipe *r)
{
    const struct {
        const char *name;
        double value, low, high;
    } rule[] = {
        { "rotation_deg", r->rotation_deg, 0.0, 180.0 },
        { "shift_min", r->shift_min, 0.0, r->shift_max },
        { "shift_max", r->shift_max, 0.0, 1.0 },
        { "elastic_p", r->elastic_p, 0.0, 1.0 },
        { "elastic_sd_px", r->elastic_sd_px, 0.0, 100.0 },
        { "elastic_cell_px", r->elastic_cell_px, 4.0, 320.0 },
        { "contrast_p", r->contrast_p, 0.0, 1.0 },
        { "contrast_min", r->contrast_min, 0.0, r->contrast_max },
        { "contrast_max", r->contrast_max, 0.0, 100.0 },
        { "gamma_p", r->gamma_p, 0.0, 1.0 },
        { "gamma_min", r->gamma_min, 0.01, r->gamma_max },
        { "gamma_max", r->gamma_max, 0.01, 100.0 },
        { "flip_p", r->flip_p, 0.0, 1.0 },
        { "scale_p", r->scale_p, 0.0, 1.0 },
        { "scale_min", r->scale_min, 0.01, r->scale_max },
        { "scale_max", r->scale_max, 0.01, 100.0 },
        { "noise_p", r->noise_p, 0.0, 1.0 },
        { "noise_sd", r->noise_sd, 0.0, 100.0 },
        { "blur_p", r->blur_p, 0.0, 1.0 },
        { "blur_min_px", r->blur_min_px, 0.1, r->blur_max_px },
        { "blur_max_px", r->blur_max_px, 0.1, VDNI_BLUR_MAX_SD },
        { "bias_p", r->bias_p, 0.0, 1.0 },
        { "bias_sd", r->bias_sd, 0.0, 3.0 },
        { "crop", r->crop, 0.0, 65536.0 },
        { "crop_foreground_p", r->crop_foreground_p, 0.0, 1.0 },
        { "crop_foreground_min", r->crop_foreground_min, 0.0, 1.0 },
    };
    for (size_t i = 0; i < sizeof rule / sizeof rule[0]; i++)
        if (!(rule[i].value >= rule[i].low && rule[i].value <= rule[i].high))
            return vdni_fail(ctx, VDN_ERR_ARGUMENT, "augmentation: %s is %g, needed %g..%g",
                             rule[i].name, rule[i].value, rule[i].low, rule[i].high);
    return VDN_OK;
}

/* ---- sizes --------------------------------------------------------------------------------- */

static int64_t longer(int64_t h, int64_t w) { return h > w ? h : w; }

/* Control points along one axis of the elastic field, for any slice. */
static int64_t most_controls(const vdni_augment_recipe *r)
{
    return (int64_t)ceil(REFERENCE_SIDE / r->elastic_cell_px) + 5;
}

/* Floats of the larger of the elastic and the bias field; they are never needed together. */
static int64_t field_floats(const vdni_augment_recipe *r, int64_t w)
{
    const int64_t side = most_controls(r) > 16 ? most_controls(r) : 16;
    return 2 * side * side + 4 * w + side;
}

static int64_t round_up(int64_t floats) { return (floats + 15) / 16 * 16; }

static int64_t lay_out(workspace_parts *parts, float *base, const vdni_augment_recipe *recipe,
                       const int64_t size[3])
{
    const int64_t h = size[0], w = size[1], channels = size[2];
    const int64_t part[6] = { field_floats(recipe, w),
                              vdni_blur_floats(h, w, channels, VDNI_BLUR_MAX_SD),
                              w * channels,
                              w,
                              w,
                              (h / CROP_GRID + 1) * (w / CROP_GRID + 1) };
    int64_t at[7] = { 0 };
    for (int i = 0; i < 6; i++) at[i + 1] = at[i] + round_up(part[i]);
    if (parts)
        *parts = (workspace_parts){ base + at[0], base + at[1], base + at[2],
                                    base + at[3], base + at[4], (int32_t *)(void *)(base + at[5]) };
    return at[6];
}

int64_t vdni_augment_workspace_bytes(const vdni_augment_recipe *recipe, int64_t h, int64_t w,
                                     int64_t channels)
{
    const int64_t size[3] = { h, w, channels };
    return lay_out(NULL, NULL, recipe, size) * (int64_t)sizeof(float);
}

void vdni_augment_size(int64_t *h, int64_t *w, const vdni_augment_recipe *recipe,
                       const vdni_augment_source *source)
{
    const int64_t crop = recipe->crop;
    *h = crop > 0 && crop < source->h ? crop : source->h;
    *w = crop > 0 && crop < source->w ? crop : source->w;
}

/* ---- geometry ------------------------------------------------------------------------------ */

static double uniform(const augmentation *a, uint32_t draw, double low, double high)
{
    return low + (high - low) * vdni_philox_uniform(&a->key, draw);
}

static int happens(const augmentation *a, uint32_t draw, double p)
{
    return vdni_philox_uniform(&a->key, draw) < p;
}

static double draw_shift(const augmentation *a, uint32_t draw, int64_t side)
{
    const double part = uniform(a, draw, a->recipe->shift_min, a->recipe->shift_max);
    return (happens(a, draw + 1, 0.5) ? part : -part) * (double)side;
}

/* From a pixel of the result back to the slice: undo the shift, turn and scale about the centre
 * (in millimetres, hence the aspect), mirror. */
static void draw_affine(augmentation *a)
{
    const vdni_augment_recipe *const r = a->recipe;
    const double aspect = a->source->aspect;
    const double angle = uniform(a, DRAW_ROTATION, -r->rotation_deg, r->rotation_deg) * PI / 180.0;
    const int scaled = happens(a, DRAW_SCALE, r->scale_p);
    const double scale =
        scaled ? exp(uniform(a, DRAW_SCALE_FACTOR, log(r->scale_min), log(r->scale_max))) : 1.0;
    const int may_flip = a->source->modality != VDN_MODALITY_CT;
    const double mirror = may_flip && happens(a, DRAW_FLIP, r->flip_p) ? -1.0 : 1.0;
    const double centre[2] = { 0.5 * (double)(a->source->h - 1), 0.5 * (double)(a->source->w - 1) };
    const double to[2] = { centre[0] + draw_shift(a, DRAW_SHIFT, a->source->h),
                           centre[1] + draw_shift(a, DRAW_SHIFT + 2, a->source->w) };
    double(*const m)[2] = a->warp.matrix;

    m[0][0] = cos(angle) / scale;
    m[0][1] = -sin(angle) / (scale * aspect);
    m[1][0] = mirror * sin(angle) * aspect / scale;
    m[1][1] = mirror * cos(angle) / scale;
    for (int i = 0; i < 2; i++) a->warp.offset[i] = centre[i] - m[i][0] * to[0] - m[i][1] * to[1];
}

static void draw_elastic(augmentation *a)
{
    const vdni_augment_recipe *const r = a->recipe;
    const int64_t size[2] = { a->source->h, a->source->w };
    const double unit = (double)longer(size[0], size[1]) / REFERENCE_SIDE;
    const double cell = r->elastic_cell_px * unit;
    vdni_noise_key key = a->key;

    if (!happens(a, DRAW_ELASTIC, r->elastic_p)) return;
    const double sd = uniform(a, DRAW_ELASTIC_SD, 0.0, r->elastic_sd_px) * unit;
    vdni_field_init(&a->elastic, a->work.field, size, cell > 1.0 ? cell : 1.0, 2);
    const int64_t controls = 2 * a->elastic.rows * a->elastic.columns;
    key.purpose = VDNI_FOR_ELASTIC;
    vdni_philox_normal(a->elastic.control, &key, 0, controls);
    for (int64_t i = 0; i < controls; i++) a->elastic.control[i] *= (float)sd;
    a->warp.field = &a->elastic;
}

/* ---- crops --------------------------------------------------------------------------------- */

static int is_foreground(const vdni_augment_source *s, float y, float x)
{
    const int64_t iy = (int64_t)floorf(y + 0.5f), ix = (int64_t)floorf(x + 0.5f);
    if (iy < 0 || ix < 0 || iy >= s->h || ix >= s->w) return 0;
    const uint8_t label = s->labels[iy * s->w + ix];
    return label != 0 && label != VDNI_LABEL_IGNORE;
}

/* Foreground points of the warped slice above and left of each grid point (a summed-area table of
 * (rows + 1) x (columns + 1)), so that any crop is weighed by four look-ups. */
static void sum_foreground(augmentation *a, int64_t rows, int64_t columns)
{
    int32_t *const sum = a->work.counts;
    const int64_t stride = columns + 1;

    memset(sum, 0, (size_t)stride * sizeof *sum);
    for (int64_t i = 0; i < rows; i++) {
        int32_t in_row = 0;
        vdni_warp_row(a->work.source_y, a->work.source_x, &a->warp, i * CROP_GRID + CROP_GRID / 2,
                      0, a->source->w);
        sum[(i + 1) * stride] = 0;
        for (int64_t k = 0; k < columns; k++) {
            const int64_t x = k * CROP_GRID + CROP_GRID / 2;
            in_row += is_foreground(a->source, a->work.source_y[x], a->work.source_x[x]);
            sum[(i + 1) * stride + k + 1] = sum[i * stride + k + 1] + in_row;
        }
    }
}

/* Of the crops on the grid with enough foreground, take number @p wanted; with wanted < 0 only
 * count them. */
static int64_t visit_crops(augmentation *a, const int64_t crop[2], int64_t wanted)
{
    const int32_t *const sum = a->work.counts;
    const int64_t stride = a->source->w / CROP_GRID + 1;
    const int64_t rows = crop[0] / CROP_GRID, columns = crop[1] / CROP_GRID;
    const double needed = a->recipe->crop_foreground_min * (double)(rows * columns);
    int64_t found = 0;

    for (int64_t i = 0; i <= (a->source->h - crop[0]) / CROP_GRID; i++)
        for (int64_t k = 0; k <= (a->source->w - crop[1]) / CROP_GRID; k++) {
            const int32_t *const above = sum + i * stride + k;
            const int32_t *const below = above + rows * stride;
            if ((double)(below[columns] - below[0] - above[columns] + above[0]) < needed) continue;
            if (found++ == wanted) {
                a->y = i * CROP_GRID;
                a->x = k * CROP_GRID;
                return found;
            }
        }
    return found;
}

static void draw_crop(augmentation *a, const int64_t crop[2])
{
    const vdni_augment_source *const s = a->source;
    vdni_noise_key key = a->key;

    key.purpose = VDNI_FOR_CROP;
    if (crop[0] == s->h && crop[1] == s->w) return;
    if (vdni_philox_uniform(&key, DRAW_CROP_FOREGROUND) < a->recipe->crop_foreground_p) {
        sum_foreground(a, s->h / CROP_GRID, s->w / CROP_GRID);
        const int64_t places = visit_crops(a, crop, -1);
        if (places > 0) {
            (void)visit_crops(a, crop, vdni_philox_below(&key, DRAW_CROP_PLACE, places));
            return;
        }
    }
    a->y = vdni_philox_below(&key, DRAW_CROP_PLACE, s->h - crop[0] + 1);
    a->x = vdni_philox_below(&key, DRAW_CROP_PLACE + 1, s->w - crop[1] + 1);
}

/* ---- intensity ----------------------------------------------------------------------------- */

typedef struct {
    float low, high;
    double mean, sd;
} spread;

static float *row_of(const augmentation *a, int64_t y)
{
    return a->target->image + y * a->target->w * a->source->channels;
}

static spread measure(const augmentation *a, int64_t channel)
{
    const int64_t channels = a->source->channels, h = a->target->valid_h, w = a->target->valid_w;
    spread s = { row_of(a, 0)[channel], row_of(a, 0)[channel], 0.0, 0.0 };
    double sum = 0.0, squares = 0.0;

    for (int64_t y = 0; y < h; y++) {
        const float *const row = row_of(a, y) + channel;
        for (int64_t x = 0; x < w; x++) {
            const float value = row[x * channels];
            s.low = value < s.low ? value : s.low;
            s.high = value > s.high ? value : s.high;
            sum += value;
            squares += (double)value * value;
        }
    }
    s.mean = sum / (double)(h * w);
    const double variance = squares / (double)(h * w) - s.mean * s.mean;
    s.sd = variance > 0.0 ? sqrt(variance) : 0.0;
    return s;
}

/* value = value * factor + addend. */
static void scale_values(augmentation *a, int64_t channel, double factor, double addend)
{
    const int64_t channels = a->source->channels;
    for (int64_t y = 0; y < a->target->valid_h; y++) {
        float *const row = row_of(a, y) + channel;
        for (int64_t x = 0; x < a->target->valid_w; x++)
            row[x * channels] = row[x * channels] * (float)factor + (float)addend;
    }
}

/* Receive coils: a smooth gain. The darkest value is the one that stays. */
static void apply_bias(augmentation *a)
{
    const int64_t channels = a->source->channels, size[2] = { a->source->h, a->source->w };
    const double cell = (double)longer(size[0], size[1]) / BIAS_CELLS;
    const double sd = uniform(a, DRAW_BIAS_SD, 0.0, a->recipe->bias_sd);
    float *const gain = a->work.source_y;
    vdni_field field;

    vdni_field_init(&field, a->work.field, size, cell > 1.0 ? cell : 1.0, 1);
    vdni_philox_normal(field.control, &a->key, FIRST_BIAS, field.rows * field.columns);
    for (int64_t c = 0; c < channels; c++) {
        const float low = measure(a, c).low;
        for (int64_t y = 0; y < a->target->valid_h; y++) {
            float *const row = row_of(a, y) + c;
            vdni_field_row(gain, &field, 0, a->y + y, a->x, a->target->valid_w);
            for (int64_t x = 0; x < a->target->valid_w; x++)
                row[x * channels] = low + (row[x * channels] - low) * expf((float)sd * gain[x]);
        }
    }
}

static void apply_contrast(augmentation *a)
{
    const double factor =
        uniform(a, DRAW_CONTRAST_FACTOR, a->recipe->contrast_min, a->recipe->contrast_max);
    for (int64_t c = 0; c < a->source->channels; c++)
        scale_values(a, c, factor, measure(a, c).mean * (1.0 - factor));
}

static void apply_gamma(augmentation *a)
{
    const int64_t channels = a->source->channels;
    const double exponent =
        uniform(a, DRAW_GAMMA_EXPONENT, a->recipe->gamma_min, a->recipe->gamma_max);
    float table[GAMMA_STEPS + 2];

    for (int i = 0; i <= GAMMA_STEPS + 1; i++)
        table[i] = (float)pow((double)i / GAMMA_STEPS, exponent);
    for (int64_t c = 0; c < channels; c++) {
        const spread before = measure(a, c);
        if (!(before.high > before.low)) continue;
        const float to_step = (float)(GAMMA_STEPS / ((double)before.high - before.low));
        for (int64_t y = 0; y < a->target->valid_h; y++) {
            float *const row = row_of(a, y) + c;
            for (int64_t x = 0; x < a->target->valid_w; x++) {
                const float position = (row[x * channels] - before.low) * to_step;
                const int step = position < (float)GAMMA_STEPS ? (int)position : GAMMA_STEPS;
                row[x * channels] =
                    table[step] + (position - (float)step) * (table[step + 1] - table[step]);
            }
        }
        const spread after = measure(a, c);
        const double factor = after.sd > 0.0 ? before.sd / after.sd : 0.0;
        scale_values(a, c, factor, before.mean - factor * after.mean);
    }
}

static void apply_noise(augmentation *a)
{
    const float sd = (float)uniform(a, DRAW_NOISE_SD, 0.0, a->recipe->noise_sd);
    const int64_t values = a->target->valid_w * a->source->channels;
    for (int64_t y = 0; y < a->target->valid_h; y++) {
        float *const row = row_of(a, y);
        vdni_philox_normal(a->work.row, &a->key, FIRST_NOISE + y * values, values);
        for (int64_t i = 0; i < values; i++) row[i] += sd * a->work.row[i];
    }
}

static void change_intensities(augmentation *a)
{
    const vdni_augment_recipe *const r = a->recipe;
    const vdni_augment_target *const t = a->target;
    const double unit = (double)longer(a->source->h, a->source->w) / REFERENCE_SIDE;

    if (happens(a, DRAW_BIAS, r->bias_p)) apply_bias(a);
    if (happens(a, DRAW_BLUR, r->blur_p)) {
        const int64_t size[3] = { t->valid_h, t->valid_w, a->source->channels };
        const double sd = uniform(a, DRAW_BLUR_SD, r->blur_min_px, r->blur_max_px) * unit;
        vdni_blur_plane(t->image, size, t->w, sd < VDNI_BLUR_MAX_SD ? sd : VDNI_BLUR_MAX_SD,
                        a->work.blur);
    }
    if (happens(a, DRAW_CONTRAST, r->contrast_p)) apply_contrast(a);
    if (happens(a, DRAW_GAMMA, r->gamma_p)) apply_gamma(a);
    if (happens(a, DRAW_NOISE, r->noise_p)) apply_noise(a);
}

/* ---- one image ----------------------------------------------------------------------------- */

static void resample(augmentation *a)
{
    const vdni_augment_source *const s = a->source;
    vdni_augment_target *const t = a->target;
    const int64_t size[3] = { s->h, s->w, s->channels };
    float *const source_y = a->work.source_y, *const source_x = a->work.source_x;

    memset(t->labels, VDNI_LABEL_IGNORE, (size_t)(t->h * t->w));
    for (int64_t y = 0; y < t->valid_h; y++) {
        vdni_warp_row(source_y, source_x, &a->warp, a->y + y, a->x, t->valid_w);
        vdni_warp_image_row(row_of(a, y), s->pixels, size, source_y, source_x, t->valid_w);
        vdni_warp_label_row(t->labels + y * t->w, s->labels, size, source_y, source_x, t->valid_w,
                            a->recipe->outside_label);
    }
}

vdn_status vdni_augment(vdn_ctx *ctx, vdni_augment_target *target,
                        const vdni_augment_source *source, const vdni_augment_recipe *recipe,
                        vdni_noise_key key, void *workspace)
{
    const int64_t size[3] = { source->h, source->w, source->channels };
    augmentation a = { .recipe = recipe, .source = source, .target = target, .key = key };
    int64_t valid[2];

    vdni_augment_size(&valid[0], &valid[1], recipe, source);
    if (target->h < valid[0] || target->w < valid[1])
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "augmentation: the target has %lld x %lld pixels, needed %lld x %lld",
                         (long long)target->h, (long long)target->w, (long long)valid[0],
                         (long long)valid[1]);
    a.key.purpose = VDNI_FOR_AUGMENTATION;
    (void)lay_out(&a.work, workspace, recipe, size);
    target->valid_h = valid[0];
    target->valid_w = valid[1];
    draw_affine(&a);
    draw_elastic(&a);
    draw_crop(&a, valid);
    resample(&a);
    change_intensities(&a);
    const int64_t padded[2] = { target->h, target->w };
    const int64_t filled[3] = { target->valid_h, target->valid_w, source->channels };
    vdni_pad_border(target->image, padded, filled);
    return VDN_OK;
}

/* Most claims are checked from outside: a slice whose channels are its own row and column numbers
 * comes back as the map that was applied (bilinear resampling of a linear ramp is exact inside). */
#include "Train/augment.h"

#include "Tensor/pad.h"

#include "test.h"

#define PI 3.14159265358979323846

enum { MAX_PIXELS = 200 * 200, MAX_CHANNELS = 3 };

static float pixels[MAX_PIXELS * MAX_CHANNELS], image[MAX_PIXELS * MAX_CHANNELS];
static float other_image[MAX_PIXELS * MAX_CHANNELS];
static uint8_t labels[MAX_PIXELS], target_labels[MAX_PIXELS], other_labels[MAX_PIXELS];
static _Alignas(64) char workspace[4 << 20];

static vdni_augment_source make_source(int64_t h, int64_t w, int64_t channels)
{
    const vdni_augment_source s = { h, w, channels, pixels, labels, VDN_MODALITY_MR, 1.0 };
    return s;
}

static vdni_augment_target make_target(int64_t h, int64_t w)
{
    const vdni_augment_target t = { h, w, image, target_labels, 0, 0 };
    return t;
}

static void fill_random(const vdni_augment_source *s, uint64_t seed)
{
    for (int64_t i = 0; i < s->h * s->w; i++) {
        labels[i] = (uint8_t)(test_random_bits(&seed) % 4 == 3 ? 255 : test_random_bits(&seed) % 3);
        for (int64_t c = 0; c < s->channels; c++)
            pixels[i * s->channels + c] = (float)test_random(&seed);
    }
}

/* Channel 0 = row, channel 1 = column. */
static void fill_ramp(const vdni_augment_source *s)
{
    for (int64_t i = 0; i < s->h * s->w; i++) {
        pixels[2 * i] = (float)(i / s->w);
        pixels[2 * i + 1] = (float)(i % s->w);
    }
}

static void run(vdni_augment_target *t, const vdni_augment_source *s, const vdni_augment_recipe *r,
                uint32_t step)
{
    const vdni_noise_key key = { .seed = 35, .case_key = 5, .slice = 3, .step = step };
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    EXPECT(vdni_augment_workspace_bytes(r, s->h, s->w, s->channels) <= (int64_t)sizeof workspace);
    EXPECT(vdni_augment_check(&ctx, r) == VDN_OK);
    EXPECT(vdni_augment(&ctx, t, s, r, key, workspace) == VDN_OK);
    EXPECT(ctx.allocations == 0);
}

/* Geometry of a recipe alone. */
static vdni_augment_recipe without_intensity(vdni_augment_recipe r)
{
    r.contrast_p = r.gamma_p = r.noise_p = r.blur_p = r.bias_p = 0.0;
    return r;
}

static void nothing_copies_and_pads(void)
{
    static const int64_t sizes[][3] = { { 1, 1, 1 }, { 17, 31, 2 }, { 32, 16, 1 }, { 1, 40, 3 } };
    const vdni_augment_recipe none = vdni_augment_none();
    for (size_t i = 0; i < 4; i++) {
        const vdni_augment_source s = make_source(sizes[i][0], sizes[i][1], sizes[i][2]);
        const int64_t size[3] = { s.h, s.w, s.channels };
        const int64_t padded[2] = { vdni_padded_size(s.h, 16), vdni_padded_size(s.w, 16) };
        vdni_augment_target t = make_target(padded[0], padded[1]);
        fill_random(&s, i);
        run(&t, &s, &none, 1);
        EXPECT(t.valid_h == s.h && t.valid_w == s.w);
        vdni_pad_plane(other_image, padded, pixels, size);
        vdni_pad_labels(other_labels, padded, labels, size);
        const size_t count = (size_t)(padded[0] * padded[1]);
        EXPECT(memcmp(image, other_image, count * (size_t)s.channels * sizeof *image) == 0);
        EXPECT(memcmp(target_labels, other_labels, count) == 0);
    }
}

static void the_same_key_gives_the_same_bits(void)
{
    vdni_augment_recipe r = vdni_augment_recommended();
    r.elastic_p = r.contrast_p = r.gamma_p = r.scale_p = r.noise_p = r.blur_p = r.bias_p = 1.0;
    for (int32_t crop = 0; crop <= 32; crop += 32) {
        r.crop = crop;
        const vdni_augment_source s = make_source(61, 47, 2);
        vdni_augment_target t = make_target(64, 48);
        fill_random(&s, 77);
        memset(workspace, 0x00, sizeof workspace);
        run(&t, &s, &r, 9);
        memcpy(other_image, image, sizeof image);
        memcpy(other_labels, target_labels, sizeof labels);
        memset(image, 0x5a, 64 * 48 * 2 * sizeof *image);
        memset(workspace, 0xff, sizeof workspace); /* NaN, if anything were read from it */
        run(&t, &s, &r, 10);
        EXPECT(memcmp(other_image, image, 64 * 48 * 2 * sizeof *image) != 0);
        run(&t, &s, &r, 9);
        EXPECT(memcmp(other_image, image, 64 * 48 * 2 * sizeof *image) == 0);
        EXPECT(memcmp(other_labels, target_labels, 64 * 48) == 0);
    }
}

/* The source position of pixel (y, x) of the result. */
static const float *map_at(const vdni_augment_target *t, int64_t y, int64_t x)
{
    return image + 2 * (y * t->w + x);
}

/* The affine part from the middle of a ramp: derivatives and the position of the centre. */
static void measure_affine(double m[2][2], double centre[2], const vdni_augment_target *t)
{
    const int64_t y = t->h / 2, x = t->w / 2;
    for (int i = 0; i < 2; i++) {
        m[i][0] = (map_at(t, y + 8, x)[i] - map_at(t, y - 8, x)[i]) / 16.0;
        m[i][1] = (map_at(t, y, x + 8)[i] - map_at(t, y, x - 8)[i]) / 16.0;
        centre[i] = map_at(t, y, x)[i];
    }
}

static void rotation_and_shift_have_the_documented_amplitudes(void)
{
    const vdni_augment_source s = make_source(101, 81, 2);
    vdni_augment_recipe r = without_intensity(vdni_augment_paper());
    double largest = 0.0, sum = 0.0, least_shift = 1.0, most_shift = 0.0;
    int signs[2][2] = { { 0, 0 }, { 0, 0 } };
    r.elastic_p = 0.0;
    fill_ramp(&s);
    for (uint32_t step = 0; step < 300; step++) {
        vdni_augment_target t = make_target(101, 81);
        double m[2][2], centre[2];
        run(&t, &s, &r, step);
        measure_affine(m, centre, &t);
        EXPECT_LE(fabs(m[0][0] * m[0][0] + m[1][0] * m[1][0] - 1.0), 1e-5);
        EXPECT_LE(fabs(m[0][0] - m[1][1]) + fabs(m[0][1] + m[1][0]), 1e-5);
        const double angle = atan2(m[1][0], m[0][0]) * 180.0 / PI;
        EXPECT_LE(fabs(angle), 30.0 + 1e-4);
        largest = fmax(largest, fabs(angle));
        sum += angle;
        /* source = M (p - centre - shift) + centre, so at the centre: M^T (centre - source). */
        const double dy = 50.0 - centre[0], dx = 40.0 - centre[1];
        const double part[2] = { (m[0][0] * dy + m[1][0] * dx) / 101.0,
                                 (m[0][1] * dy + m[1][1] * dx) / 81.0 };
        for (int i = 0; i < 2; i++) {
            EXPECT_LE(fabs(part[i]), 0.05 + 1e-5);
            EXPECT_LE(0.01 - 1e-5, fabs(part[i]));
            least_shift = fmin(least_shift, fabs(part[i]));
            most_shift = fmax(most_shift, fabs(part[i]));
            signs[i][part[i] > 0.0]++;
        }
    }
    EXPECT_LE(29.0, largest);
    EXPECT_LE(fabs(sum / 300.0), 4.0); /* 4 sd of the mean of U(-30, 30) */
    EXPECT_LE(least_shift, 0.011);
    EXPECT_LE(0.049, most_shift);
    for (int i = 0; i < 4; i++) EXPECT(signs[i / 2][i % 2] > 110);
}

static void rotation_is_rigid_in_millimetres(void)
{
    vdni_augment_source s = make_source(101, 81, 2);
    vdni_augment_recipe r = vdni_augment_none();
    r.rotation_deg = 30.0;
    s.aspect = 2.5;
    fill_ramp(&s);
    for (uint32_t step = 0; step < 10; step++) {
        vdni_augment_target t = make_target(101, 81);
        double m[2][2], centre[2];
        run(&t, &s, &r, step);
        measure_affine(m, centre, &t);
        /* One pixel down is 2.5 mm: both columns of M keep their length in mm and are at right
         * angles. */
        EXPECT_LE(fabs(hypot(2.5 * m[0][0], m[1][0]) - 2.5), 1e-4);
        EXPECT_LE(fabs(hypot(2.5 * m[0][1], m[1][1]) - 1.0), 1e-4);
        EXPECT_LE(fabs(6.25 * m[0][0] * m[0][1] + m[1][0] * m[1][1]), 1e-4);
    }
}

static void scale_and_flip_have_the_documented_amplitudes(void)
{
    vdni_augment_recipe r = vdni_augment_none();
    r.scale_p = 1.0;
    r.scale_min = 0.8;
    r.scale_max = 1.25;
    r.flip_p = 0.5;
    for (int modality = 0; modality < 3; modality++) {
        vdni_augment_source s = make_source(101, 81, 2);
        int flips = 0, smaller = 0;
        s.modality = (vdn_modality)modality;
        fill_ramp(&s);
        for (uint32_t step = 0; step < 100; step++) {
            vdni_augment_target t = make_target(101, 81);
            double m[2][2], centre[2];
            run(&t, &s, &r, step);
            measure_affine(m, centre, &t);
            EXPECT_LE(1.0 / m[0][0], 1.25 + 1e-4);
            EXPECT_LE(0.8 - 1e-4, 1.0 / m[0][0]);
            EXPECT_LE(fabs(fabs(m[1][1]) - m[0][0]), 1e-4);
            EXPECT_LE(fabs(centre[0] - 50.0) + fabs(centre[1] - 40.0), 1e-3);
            flips += m[1][1] < 0.0;
            smaller += m[0][0] > 1.0;
        }
        EXPECT(smaller > 25 && smaller < 75);
        EXPECT(modality == VDN_MODALITY_CT ? flips == 0 : flips > 25 && flips < 75);
    }
}

static void elastic_moves_half_of_the_slices_smoothly(void)
{
    const vdni_augment_source s = make_source(160, 150, 2);
    vdni_augment_recipe r = vdni_augment_none();
    int moved = 0, upwards = 0;
    double furthest = 0.0;
    r.elastic_p = 0.5;
    r.elastic_sd_px = 6.0; /* 3 px for a slice of 160 */
    fill_ramp(&s);
    for (uint32_t step = 0; step < 60; step++) {
        vdni_augment_target t = make_target(160, 150);
        double here = 0.0, steepest = 0.0;
        run(&t, &s, &r, step);
        for (int64_t y = 20; y < 140; y++)
            for (int64_t x = 20; x < 130; x++)
                for (int i = 0; i < 2; i++) {
                    const double d = map_at(&t, y, x)[i] - (double)(i ? x : y);
                    const double next = map_at(&t, y, x + 1)[i] - (double)(i ? x + 1 : y);
                    here = fmax(here, fabs(d));
                    steepest = fmax(steepest, fabs(next - d));
                }
        moved += here > 0.0;
        if (here > 0.0) upwards += map_at(&t, 80, 75)[0] > 80.0f;
        furthest = fmax(furthest, here);
        EXPECT_LE(here, 12.0);
        EXPECT_LE(steepest, 0.9); /* below 1: nothing folds */
    }
    EXPECT(moved > 15 && moved < 45);
    EXPECT(upwards > moved / 5 && upwards < moved - moved / 5);
    EXPECT_LE(2.0, furthest);
}

static void labels_move_with_the_image(void)
{
    /* A blob whose brightness is its label: above 1/2 after resampling exactly where the heavier
     * label is 1. Background at the border, so that repeated edges and label 0 agree. */
    const vdni_augment_source s = make_source(96, 80, 1);
    vdni_augment_recipe r = without_intensity(vdni_augment_recommended());
    r.elastic_p = 1.0;
    for (int64_t i = 0; i < 96 * 80; i++) {
        const double dy = (double)(i / 80) - 40.0, dx = (double)(i % 80) - 45.0;
        labels[i] = dy * dy / 900.0 + dx * dx / 200.0 < 1.0 && (i / 80) % 11 != 0;
        pixels[i] = labels[i];
    }
    for (int32_t crop = 0; crop <= 48; crop += 48)
        for (uint32_t step = 0; step < 40; step++) {
            int64_t h, w, wrong = 0, foreground = 0;
            r.crop = crop;
            vdni_augment_size(&h, &w, &r, &s);
            vdni_augment_target t = make_target(h, w);
            run(&t, &s, &r, step);
            for (int64_t i = 0; i < h * w; i++) {
                if (fabsf(image[i] - 0.5f) > 1e-5f)
                    wrong += (image[i] > 0.5f) != (target_labels[i] == 1);
                foreground += target_labels[i] == 1;
            }
            EXPECT(wrong == 0);
            EXPECT(crop > 0 || foreground > 500);
        }
}

static void pixels_beyond_the_slice_have_the_edge_and_the_outside_label(void)
{
    const vdni_augment_source s = make_source(64, 64, 1);
    vdni_augment_recipe r = vdni_augment_none();
    r.shift_min = r.shift_max = 0.5;
    for (int outside = 0; outside <= 255; outside += 255) {
        vdni_augment_target t = make_target(64, 64);
        int64_t beyond = 0;
        r.outside_label = (uint8_t)outside;
        for (int i = 0; i < 64 * 64; i++) {
            labels[i] = 2;
            pixels[i] = 5.0f;
        }
        run(&t, &s, &r, 1);
        for (int i = 0; i < 64 * 64; i++) {
            EXPECT(image[i] == 5.0f);
            EXPECT(target_labels[i] == 2 || target_labels[i] == outside);
            beyond += target_labels[i] == outside;
        }
        EXPECT(beyond == 64 * 64 - 32 * 32);
    }
}

/* One intensity change alone, on random pixels; the result is in image, labels are untouched. */
static vdni_augment_source change(const vdni_augment_recipe *r, uint32_t step, int64_t channels)
{
    const vdni_augment_source s = make_source(61, 47, channels);
    vdni_augment_target t = make_target(61, 47);
    fill_random(&s, step);
    run(&t, &s, r, step);
    EXPECT(memcmp(labels, target_labels, 61 * 47) == 0);
    return s;
}

typedef struct {
    double mean, sd, low, high;
} moments;

static moments moments_of(const float *values, int64_t count, int64_t stride)
{
    moments m = { 0.0, 0.0, 1e30, -1e30 };
    for (int64_t i = 0; i < count; i++) {
        m.mean += values[i * stride] / (double)count;
        m.low = fmin(m.low, values[i * stride]);
        m.high = fmax(m.high, values[i * stride]);
    }
    for (int64_t i = 0; i < count; i++)
        m.sd += pow(values[i * stride] - m.mean, 2.0) / (double)count;
    m.sd = sqrt(m.sd);
    return m;
}

static void contrast_stretches_about_the_mean(void)
{
    vdni_augment_recipe r = vdni_augment_none();
    double least = 10.0, most = 0.0;
    r.contrast_p = 1.0;
    r.contrast_min = 0.75;
    r.contrast_max = 1.25;
    for (uint32_t step = 0; step < 60; step++) {
        (void)change(&r, step, 2);
        const moments before = moments_of(pixels, 61 * 47, 2);
        const moments after = moments_of(image, 61 * 47, 2);
        const double factor = after.sd / before.sd;
        EXPECT_LE(fabs(after.mean - before.mean), 1e-5);
        EXPECT(factor >= 0.7499 && factor <= 1.2501);
        least = fmin(least, factor);
        most = fmax(most, factor);
        for (int i = 0; i < 61 * 47; i++)
            EXPECT_LE(fabs(image[2 * i] - before.mean - factor * (pixels[2 * i] - before.mean)),
                      1e-4);
    }
    EXPECT_LE(least, 0.80);
    EXPECT_LE(1.20, most);
}

static void gamma_bends_but_keeps_mean_and_spread(void)
{
    vdni_augment_recipe r = vdni_augment_none();
    r.gamma_p = 1.0;
    r.gamma_min = r.gamma_max = 1.4;
    for (uint32_t step = 0; step < 10; step++) {
        (void)change(&r, step, 1);
        const moments before = moments_of(pixels, 61 * 47, 1);
        const moments after = moments_of(image, 61 * 47, 1);
        EXPECT_LE(fabs(after.mean - before.mean), 1e-4);
        EXPECT_LE(fabs(after.sd - before.sd), 1e-4);
        /* Undone up to a linear change: the power of the 0..1 value. */
        for (int i = 0; i < 61 * 47; i++) {
            const double u = (pixels[i] - before.low) / (before.high - before.low);
            const double v = (image[i] - after.low) / (after.high - after.low);
            EXPECT_LE(fabs(v - pow(u, 1.4)), 1e-4);
        }
    }
}

static void noise_is_normal_and_bounded_in_strength(void)
{
    vdni_augment_recipe r = vdni_augment_none();
    double strongest = 0.0;
    r.noise_p = 1.0;
    r.noise_sd = 0.15;
    for (uint32_t step = 0; step < 40; step++) {
        (void)change(&r, step, 2);
        double sum = 0.0, squares = 0.0, fourth = 0.0;
        const double n = 2.0 * 61.0 * 47.0;
        for (int i = 0; i < 2 * 61 * 47; i++) {
            const double d = (double)image[i] - pixels[i];
            sum += d / n;
            squares += d * d / n;
            fourth += d * d * d * d / n;
        }
        EXPECT_LE(sqrt(squares), 0.15 * 1.05);
        EXPECT_LE(fabs(sum), 5.0 * sqrt(squares / n));
        EXPECT_LE(fabs(fourth / (squares * squares) - 3.0), 0.5); /* kurtosis of a normal number */
        strongest = fmax(strongest, sqrt(squares));
    }
    EXPECT_LE(0.13, strongest);
}

static void bias_is_a_smooth_gain(void)
{
    vdni_augment_recipe r = vdni_augment_none();
    double strongest = 0.0;
    r.bias_p = 1.0;
    r.bias_sd = 0.3;
    for (uint32_t step = 0; step < 20; step++) {
        (void)change(&r, step, 1);
        const double low = moments_of(pixels, 61 * 47, 1).low;
        double last = 0.0;
        for (int i = 0; i < 61 * 47; i++) {
            if (pixels[i] - low < 0.2) {
                last = 0.0;
                continue;
            }
            const double gain = (image[i] - low) / (pixels[i] - low);
            EXPECT(gain > 0.2 && gain < 5.0);
            if (last > 0.0 && i % 47 > 0) EXPECT_LE(fabs(log(gain / last)), 0.1);
            strongest = fmax(strongest, fabs(log(gain)));
            last = gain;
        }
    }
    EXPECT_LE(0.2, strongest);
}

static void blur_keeps_the_mean_and_smooths(void)
{
    vdni_augment_recipe r = vdni_augment_none();
    r.blur_p = 1.0;
    r.blur_min_px = 4.0; /* for a slice of 61 px: 0.76 px */
    r.blur_max_px = 8.0;
    (void)change(&r, 1, 3);
    for (int c = 0; c < 3; c++) {
        const moments before = moments_of(pixels + c, 61 * 47, 3);
        const moments after = moments_of(image + c, 61 * 47, 3);
        EXPECT_LE(fabs(after.mean - before.mean), 1e-5);
        EXPECT_LE(after.sd, 0.5 * before.sd);
    }
}

static void crops_are_windows_with_foreground(void)
{
    const vdni_augment_source s = make_source(150, 130, 2);
    vdni_augment_recipe r = vdni_augment_none();
    int holding = 0;
    double rows = 0.0;
    r.crop = 48;
    r.crop_foreground_p = 0.67;
    r.crop_foreground_min = 0.01;
    fill_ramp(&s);
    for (int64_t i = 0; i < 150 * 130; i++) /* one patch of 12 x 12 in a corner */
        labels[i] = i / 130 >= 120 && i / 130 < 132 && i % 130 >= 100 && i % 130 < 112;
    for (uint32_t step = 0; step < 400; step++) {
        vdni_augment_target t = make_target(48, 48);
        int64_t foreground = 0, wrong = 0;
        run(&t, &s, &r, step);
        const int64_t y = (int64_t)image[0], x = (int64_t)image[1];
        for (int64_t i = 0; i < 48 * 48; i++) {
            wrong += image[2 * i] != (float)(y + i / 48) || image[2 * i + 1] != (float)(x + i % 48);
            wrong += target_labels[i] != labels[(y + i / 48) * 130 + x + i % 48];
            foreground += target_labels[i] == 1;
        }
        EXPECT(wrong == 0);
        holding += foreground >= 23; /* 1 % of 48 x 48 */
        rows += (double)y / 400.0;
    }
    /* Without the demand about one crop in nine holds the patch: 0.67 + 0.33 / 9 = 0.71. */
    EXPECT(holding > 245 && holding < 320);
    EXPECT_LE(51.0, rows); /* and they lie lower than the uniform mean of (150 - 48) / 2 */
}

static void every_crop_holds_foreground_when_asked(void)
{
    const vdni_augment_source s = make_source(150, 130, 1);
    vdni_augment_recipe r = without_intensity(vdni_augment_recommended());
    r.crop = 48;
    r.crop_foreground_p = 1.0;
    r.scale_p = 0.0;
    for (int64_t i = 0; i < 150 * 130; i++)
        labels[i] = i / 130 >= 70 && i / 130 < 80 && i % 130 >= 60 && i % 130 < 72;
    for (uint32_t step = 0; step < 100; step++) {
        vdni_augment_target t = make_target(48, 48);
        int64_t foreground = 0;
        run(&t, &s, &r, step);
        for (int64_t i = 0; i < 48 * 48; i++) foreground += target_labels[i] == 1;
        EXPECT(foreground >= 12); /* 1 % counted on every fourth pixel each way: 23 give or take */
    }
}

static void a_crop_is_a_window_of_the_whole_result(void)
{
    const vdni_augment_source s = make_source(100, 90, 1);
    vdni_augment_recipe r = vdni_augment_none();
    r.rotation_deg = 30.0;
    r.elastic_p = r.bias_p = 1.0;
    r.elastic_sd_px = 6.0;
    r.bias_sd = 0.3;
    fill_random(&s, 8);
    /* Every crop has the same darkest value, at which the gain is anchored. */
    for (int i = 0; i < 100 * 90; i++) pixels[i] = pixels[i] < 0.3f ? 0.0f : pixels[i];
    for (uint32_t step = 0; step < 5; step++) {
        vdni_augment_target whole = make_target(100, 90), t = make_target(32, 32);
        int windows = 0;
        r.crop = 0;
        run(&whole, &s, &r, step);
        memcpy(other_image, image, 100 * 90 * sizeof *image);
        r.crop = 32;
        run(&t, &s, &r, step);
        for (int64_t y = 0; y <= 68; y++)
            for (int64_t x = 0; x <= 58; x++) {
                double worst = 0.0;
                for (int64_t i = 0; i < 32 && worst <= 1e-5; i++)
                    for (int64_t k = 0; k < 32; k++)
                        worst = fmax(worst,
                                     fabs(image[i * 32 + k] - other_image[(y + i) * 90 + x + k]));
                windows += worst <= 1e-5;
            }
        EXPECT(windows == 1);
    }
}

static void crops_larger_than_the_slice_are_padded(void)
{
    const vdni_augment_source s = make_source(20, 100, 1);
    vdni_augment_recipe r = vdni_augment_recommended();
    vdni_augment_target t = make_target(64, 64);
    r.crop = 64;
    fill_random(&s, 3);
    memset(labels, 0, sizeof labels); /* no foreground anywhere */
    run(&t, &s, &r, 4);
    EXPECT(t.valid_h == 20 && t.valid_w == 64);
    for (int64_t i = 0; i < 64 * 64; i++) EXPECT((target_labels[i] == 255) == (i / 64 >= 20));
    for (int64_t x = 0; x < 64; x++) EXPECT(image[40 * 64 + x] == image[19 * 64 + x]);
}

static void odd_sizes_survive_everything_at_once(void)
{
    static const int64_t sizes[][2] = { { 1, 1 },  { 1, 7 },    { 2, 3 },
                                        { 97, 1 }, { 13, 199 }, { 150, 151 } };
    vdni_augment_recipe r = vdni_augment_recommended();
    r.elastic_p = r.contrast_p = r.gamma_p = r.scale_p = r.noise_p = r.blur_p = r.bias_p = 1.0;
    for (size_t i = 0; i < 6; i++)
        for (r.crop = 0; r.crop <= 16; r.crop += 16) {
            const vdni_augment_source s = make_source(sizes[i][0], sizes[i][1], 2);
            vdni_augment_target t = make_target(160, 208);
            fill_random(&s, i);
            memset(workspace, 0xff, sizeof workspace);
            run(&t, &s, &r, 5);
            int bad = 0;
            for (int k = 0; k < 160 * 208 * 2; k++) bad += !isfinite(image[k]);
            for (int k = 0; k < 160 * 208; k++)
                bad += target_labels[k] > 2 && target_labels[k] != 255;
            EXPECT(bad == 0);
        }
}

static void a_small_target_is_refused_untouched(void)
{
    const vdni_augment_source s = make_source(20, 30, 1);
    const vdni_augment_recipe r = vdni_augment_none();
    const vdni_noise_key key = { .seed = 1 };
    vdni_augment_target t = make_target(20, 29);
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    image[0] = 42.0f;
    EXPECT(vdni_augment(&ctx, &t, &s, &r, key, workspace) == VDN_ERR_ARGUMENT);
    EXPECT(strstr(ctx.error, "20 x 29 pixels, needed 20 x 30") != NULL);
    EXPECT(image[0] == 42.0f);
    EXPECT(vdni_augment(NULL, &t, &s, &r, key, workspace) == VDN_ERR_ARGUMENT);
}

static void recipes_are_checked(void)
{
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    vdni_augment_recipe r = vdni_augment_recommended();
    EXPECT(vdni_augment_check(&ctx, &r) == VDN_OK);
    r.gamma_min = 1.6;
    EXPECT(vdni_augment_check(&ctx, &r) == VDN_ERR_ARGUMENT);
    EXPECT(strstr(ctx.error, "gamma_min is 1.6, needed 0.01..1.5") != NULL);
    r = vdni_augment_paper();
    r.elastic_p = NAN;
    EXPECT(vdni_augment_check(NULL, &r) == VDN_ERR_ARGUMENT);
    r = vdni_augment_paper();
    r.crop = -1;
    EXPECT(vdni_augment_check(NULL, &r) == VDN_ERR_ARGUMENT);
    r = vdni_augment_none();
    EXPECT(vdni_augment_check(NULL, &r) == VDN_OK);
}

int main(void)
{
    RUN(nothing_copies_and_pads);
    RUN(the_same_key_gives_the_same_bits);
    RUN(rotation_and_shift_have_the_documented_amplitudes);
    RUN(rotation_is_rigid_in_millimetres);
    RUN(scale_and_flip_have_the_documented_amplitudes);
    RUN(elastic_moves_half_of_the_slices_smoothly);
    RUN(labels_move_with_the_image);
    RUN(pixels_beyond_the_slice_have_the_edge_and_the_outside_label);
    RUN(contrast_stretches_about_the_mean);
    RUN(gamma_bends_but_keeps_mean_and_spread);
    RUN(noise_is_normal_and_bounded_in_strength);
    RUN(bias_is_a_smooth_gain);
    RUN(blur_keeps_the_mean_and_smooths);
    RUN(crops_are_windows_with_foreground);
    RUN(every_crop_holds_foreground_when_asked);
    RUN(a_crop_is_a_window_of_the_whole_result);
    RUN(crops_larger_than_the_slice_are_padded);
    RUN(odd_sizes_survive_everything_at_once);
    RUN(a_small_target_is_refused_untouched);
    RUN(recipes_are_checked);
    return test_result();
}

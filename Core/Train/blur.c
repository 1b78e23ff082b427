#include "Train/blur.h"

#include <math.h>
#include <string.h>

enum { MAX_RADIUS = 30 };

static int64_t radius_of(double sd) { return (int64_t)ceil(3.0 * sd); }

/* Mirror with the edge pixel, as often as it takes. */
static int64_t mirror(int64_t i, int64_t n)
{
    const int64_t period = 2 * n;
    const int64_t k = (i % period + period) % period;
    return k < n ? k : period - 1 - k;
}

static void make_kernel(float *kernel, int64_t radius, double sd)
{
    double weight[2 * MAX_RADIUS + 1], sum = 0.0;
    for (int64_t d = -radius; d <= radius; d++)
        sum += weight[d + radius] = exp(-0.5 * (double)(d * d) / (sd * sd));
    for (int64_t i = 0; i <= 2 * radius; i++) kernel[i] = (float)(weight[i] / sum);
}

int64_t vdni_blur_floats(int64_t h, int64_t w, int64_t channels, double max_sd)
{
    return h * w * channels + (w + 2 * radius_of(max_sd)) * channels;
}

void vdni_blur_plane(float *plane, const int64_t size[3], int64_t stride, double sd, float *scratch)
{
    const int64_t h = size[0], w = size[1], channels = size[2], radius = radius_of(sd);
    const int64_t values = w * channels;
    float *const line = scratch + h * values;
    float kernel[2 * MAX_RADIUS + 1];

    make_kernel(kernel, radius, sd);
    for (int64_t y = 0; y < h; y++) {
        const float *const row = plane + y * stride * channels;
        float *const out = scratch + y * values;
        for (int64_t x = -radius; x < w + radius; x++)
            memcpy(line + (x + radius) * channels, row + mirror(x, w) * channels,
                   (size_t)channels * sizeof *line);
        memset(out, 0, (size_t)values * sizeof *out);
        for (int64_t k = 0; k <= 2 * radius; k++)
            for (int64_t i = 0; i < values; i++) out[i] += kernel[k] * line[k * channels + i];
    }
    for (int64_t y = 0; y < h; y++) {
        float *const row = plane + y * stride * channels;
        memset(row, 0, (size_t)values * sizeof *row);
        for (int64_t k = 0; k <= 2 * radius; k++) {
            const float *const from = scratch + mirror(y + k - radius, h) * values;
            for (int64_t i = 0; i < values; i++) row[i] += kernel[k] * from[i];
        }
    }
}

#include "Train/warp.h"

#include <math.h>

void vdni_warp_row(float *source_y, float *source_x, const vdni_warp *warp, int64_t y, int64_t x,
                   int64_t count)
{
    const double(*const m)[2] = warp->matrix;
    const double y0 = m[0][0] * (double)y + m[0][1] * (double)x + warp->offset[0];
    const double x0 = m[1][0] * (double)y + m[1][1] * (double)x + warp->offset[1];

    if (warp->field) {
        vdni_field_row(source_y, warp->field, 0, y, x, count);
        vdni_field_row(source_x, warp->field, 1, y, x, count);
        for (int64_t i = 0; i < count; i++) {
            source_y[i] += (float)(y0 + m[0][1] * (double)i);
            source_x[i] += (float)(x0 + m[1][1] * (double)i);
        }
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        source_y[i] = (float)(y0 + m[0][1] * (double)i);
        source_x[i] = (float)(x0 + m[1][1] * (double)i);
    }
}

static float clamp(float value, float high)
{
    return value > 0.0f ? (value < high ? value : high) : 0.0f;
}

void vdni_warp_image_row(float *out, const float *in, const int64_t size[3], const float *source_y,
                         const float *source_x, int64_t count)
{
    const int64_t h = size[0], w = size[1], channels = size[2];

    for (int64_t i = 0; i < count; i++) {
        const float sy = clamp(source_y[i], (float)(h - 1)),
                    sx = clamp(source_x[i], (float)(w - 1));
        const int64_t y = (int64_t)sy, x = (int64_t)sx;
        const float fy = sy - (float)y, fx = sx - (float)x;
        const float *const top = in + (y * w + x) * channels;
        const float *const bottom = y + 1 < h ? top + w * channels : top;
        const int64_t right = x + 1 < w ? channels : 0;
        for (int64_t c = 0; c < channels; c++) {
            const float a = top[c] + fx * (top[right + c] - top[c]);
            const float b = bottom[c] + fx * (bottom[right + c] - bottom[c]);
            out[i * channels + c] = a + fy * (b - a);
        }
    }
}

static uint8_t label_at(const uint8_t *in, const int64_t size[2], int64_t y, int64_t x,
                        uint8_t outside)
{
    return y < 0 || x < 0 || y >= size[0] || x >= size[1] ? outside : in[y * size[1] + x];
}

/* The label whose taps weigh most together. */
static uint8_t heaviest(const uint8_t label[4], const float weight[4])
{
    uint8_t best = label[0];
    float best_weight = -1.0f;
    for (int i = 0; i < 4; i++) {
        float sum = 0.0f;
        for (int j = 0; j < 4; j++) sum += label[j] == label[i] ? weight[j] : 0.0f;
        if (sum > best_weight || (sum == best_weight && label[i] < best)) {
            best = label[i];
            best_weight = sum;
        }
    }
    return best;
}

void vdni_warp_label_row(uint8_t *out, const uint8_t *in, const int64_t size[2],
                         const float *source_y, const float *source_x, int64_t count,
                         uint8_t outside)
{
    const float h = (float)size[0], w = (float)size[1];

    for (int64_t i = 0; i < count; i++) {
        const float sy = source_y[i], sx = source_x[i];
        if (!(sy > -1.0f && sx > -1.0f && sy < h && sx < w)) {
            out[i] = outside;
            continue;
        }
        const float fy = floorf(sy), fx = floorf(sx);
        const int64_t y = (int64_t)fy, x = (int64_t)fx;
        const float by = sy - fy, bx = sx - fx;
        const uint8_t label[4] = { label_at(in, size, y, x, outside),
                                   label_at(in, size, y, x + 1, outside),
                                   label_at(in, size, y + 1, x, outside),
                                   label_at(in, size, y + 1, x + 1, outside) };
        if (label[0] == label[1] && label[0] == label[2] && label[0] == label[3]) {
            out[i] = label[0];
            continue;
        }
        const float weight[4] = { (1.0f - by) * (1.0f - bx), (1.0f - by) * bx, by * (1.0f - bx),
                                  by * bx };
        out[i] = heaviest(label, weight);
    }
}

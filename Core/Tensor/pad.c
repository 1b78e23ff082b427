#include "Tensor/pad.h"

#include <string.h>

void vdni_pad_plane(float *out, const int64_t padded[2], const float *in, const int64_t size[3])
{
    const int64_t values = size[1] * size[2];
    for (int64_t y = 0; y < size[0]; y++)
        memcpy(out + y * padded[1] * size[2], in + y * values, (size_t)values * sizeof *out);
    vdni_pad_border(out, padded, size);
}

void vdni_pad_border(float *plane, const int64_t padded[2], const int64_t size[3])
{
    const int64_t h = size[0], w = size[1], channels = size[2];
    const size_t pixel_bytes = (size_t)channels * sizeof *plane;

    for (int64_t y = 0; y < h; y++) {
        float *const row = plane + y * padded[1] * channels;
        for (int64_t x = w; x < padded[1]; x++)
            memcpy(row + x * channels, row + vdni_pad_source(x, w, padded[1]) * channels,
                   pixel_bytes);
    }
    for (int64_t y = h; y < padded[0]; y++)
        memcpy(plane + y * padded[1] * channels,
               plane + vdni_pad_source(y, h, padded[0]) * padded[1] * channels,
               (size_t)padded[1] * pixel_bytes);
}

void vdni_pad_labels(uint8_t *out, const int64_t padded[2], const uint8_t *in,
                     const int64_t size[2])
{
    memset(out, VDNI_LABEL_IGNORE, (size_t)(padded[0] * padded[1]));
    for (int64_t y = 0; y < size[0]; y++)
        memcpy(out + y * padded[1], in + y * size[1], (size_t)size[1]);
}

void vdni_crop_plane(float *out, const int64_t size[3], const float *in, int64_t padded_w)
{
    for (int64_t y = 0; y < size[0]; y++)
        memmove(out + y * size[1] * size[2], in + y * padded_w * size[2],
                (size_t)(size[1] * size[2]) * sizeof *out);
}

/* Slices grow at the bottom and right to a multiple the network needs, and are cropped back.
 *
 * Along each axis the border is a mirror image without the edge pixel (…c b | a b c | b a…) where
 * the slice is long enough, else the edge repeated. Labels grow by 255, which every loss and score
 * leaves out. */
#ifndef VDNI_PAD_H
#define VDNI_PAD_H

#include <stdint.h>

enum { VDNI_LABEL_IGNORE = 255 };

/* Smallest multiple of @p multiple (>= 1) that is >= @p n. */
static inline int64_t vdni_padded_size(int64_t n, int64_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* Pixel of an axis of @p n that fills position @p i of the axis padded to @p padded. */
static inline int64_t vdni_pad_source(int64_t i, int64_t n, int64_t padded)
{
    if (i < n) return i;
    return padded - n < n ? 2 * (n - 1) - i : n - 1;
}

/* (h, w, channels) = size -> (padded[0], padded[1], channels), padded >= size; not in place. */
void vdni_pad_plane(float *out, const int64_t padded[2], const float *in, const int64_t size[3]);

/* Fill the border of a padded plane whose upper left (h, w, channels) = size is there already. */
void vdni_pad_border(float *plane, const int64_t padded[2], const int64_t size[3]);

/* (h, w) -> (padded[0], padded[1]), the border VDNI_LABEL_IGNORE. */
void vdni_pad_labels(uint8_t *out, const int64_t padded[2], const uint8_t *in,
                     const int64_t size[2]);

/* The first (size[0], size[1]) pixels of rows that are @p padded_w pixels long; may be in place. */
void vdni_crop_plane(float *out, const int64_t size[3], const float *in, int64_t padded_w);

#endif

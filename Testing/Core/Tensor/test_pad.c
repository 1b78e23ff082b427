/* Oracle: the sequence written out by hand. */
#include "Tensor/pad.h"

#include "test.h"

static void mirrors_without_the_edge_where_it_can(void)
{
    const float in[4] = { 1, 2, 3, 4 };
    const float mirrored[7] = { 1, 2, 3, 4, 3, 2, 1 };
    const float repeated[8] = { 1, 2, 3, 4, 4, 4, 4, 4 };
    float out[8];
    for (int axis = 0; axis < 2; axis++) {
        const int64_t size[3] = { axis ? 1 : 4, axis ? 4 : 1, 1 };
        const int64_t seven[2] = { axis ? 1 : 7, axis ? 7 : 1 };
        const int64_t eight[2] = { axis ? 1 : 8, axis ? 8 : 1 };
        vdni_pad_plane(out, seven, in, size);
        EXPECT(memcmp(out, mirrored, sizeof mirrored) == 0);
        vdni_pad_plane(out, eight, in, size);
        EXPECT(memcmp(out, repeated, sizeof repeated) == 0);
    }
}

static void crop_undoes_pad(void)
{
    static const int64_t sizes[][3] = { { 1, 1, 1 }, { 5, 7, 1 }, { 16, 16, 2 }, { 17, 33, 3 } };
    for (size_t i = 0; i < 4; i++) {
        static float in[2000], out[8000], back[2000];
        const int64_t *const s = sizes[i];
        const int64_t padded[2] = { vdni_padded_size(s[0], 16), vdni_padded_size(s[1], 16) };
        const int64_t count = s[0] * s[1] * s[2];
        EXPECT(padded[0] % 16 == 0 && padded[0] >= s[0] && padded[0] < s[0] + 16);
        for (int64_t k = 0; k < count; k++) in[k] = (float)k;
        vdni_pad_plane(out, padded, in, s);
        vdni_crop_plane(back, s, out, padded[1]);
        EXPECT(memcmp(in, back, (size_t)count * sizeof *in) == 0);
        vdni_crop_plane(out, s, out, padded[1]); /* in place */
        EXPECT(memcmp(in, out, (size_t)count * sizeof *in) == 0);
    }
}

static void channels_stay_together_in_the_corner(void)
{
    float in[3 * 3 * 2], out[4 * 5 * 2];
    const int64_t size[3] = { 3, 3, 2 }, padded[2] = { 4, 5 };
    for (int i = 0; i < 18; i++) in[i] = (float)i;
    vdni_pad_plane(out, padded, in, size);
    for (int c = 0; c < 2; c++) EXPECT(out[(3 * 5 + 4) * 2 + c] == in[(1 * 3 + 0) * 2 + c]);
}

static void padded_labels_are_ignored(void)
{
    const uint8_t in[6] = { 0, 1, 2, 3, 4, 255 };
    const int64_t size[2] = { 2, 3 }, padded[2] = { 3, 4 };
    uint8_t out[12];
    vdni_pad_labels(out, padded, in, size);
    for (int64_t y = 0; y < 3; y++)
        for (int64_t x = 0; x < 4; x++)
            EXPECT(out[y * 4 + x] == (y < 2 && x < 3 ? in[y * 3 + x] : VDNI_LABEL_IGNORE));
}

int main(void)
{
    RUN(mirrors_without_the_edge_where_it_can);
    RUN(crop_undoes_pad);
    RUN(channels_stay_together_in_the_corner);
    RUN(padded_labels_are_ignored);
    return test_result();
}

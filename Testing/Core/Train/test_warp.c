/* Oracle: bilinear interpolation in double; labels as one image per class. */
#include "Train/warp.h"

#include "test.h"

enum { H = 11, W = 14, COUNT = 400 };

static double tap(double s, int64_t k) { return fmax(0.0, 1.0 - fabs(s - (double)k)); }

static double image_oracle(const float *in, int64_t channels, int64_t c, double y, double x)
{
    double sum = 0.0;
    const double cy = fmin(fmax(y, 0.0), H - 1), cx = fmin(fmax(x, 0.0), W - 1);
    for (int64_t i = 0; i < H; i++)
        for (int64_t k = 0; k < W; k++)
            sum += tap(cy, i) * tap(cx, k) * in[(i * W + k) * channels + c];
    return sum;
}

/* Weight of @p label at (y, x); the plane around the slice is all @p outside. */
static double label_weight(const uint8_t *in, uint8_t label, uint8_t outside, double y, double x)
{
    double sum = 0.0;
    for (int64_t i = (int64_t)floor(y); i <= (int64_t)floor(y) + 1; i++)
        for (int64_t k = (int64_t)floor(x); k <= (int64_t)floor(x) + 1; k++) {
            const int inside = i >= 0 && k >= 0 && i < H && k < W;
            if ((inside ? in[i * W + k] : outside) == label) sum += tap(y, i) * tap(x, k);
        }
    return sum;
}

static void images_equal_the_definition(void)
{
    static float in[H * W * 3], out[COUNT * 3], sy[COUNT], sx[COUNT];
    uint64_t random = 9;
    for (int64_t channels = 1; channels <= 3; channels++) {
        const int64_t size[3] = { H, W, channels };
        for (int i = 0; i < H * W * 3; i++) in[i] = (float)test_random(&random);
        for (int i = 0; i < COUNT; i++) {
            sy[i] = (float)(5.0 + 9.0 * test_random(&random));
            sx[i] = (float)(6.0 + 11.0 * test_random(&random));
        }
        sy[0] = -1e30f, sx[0] = 1e30f, sy[1] = H - 1, sx[1] = W - 1;
        vdni_warp_image_row(out, in, size, sy, sx, COUNT);
        for (int i = 0; i < COUNT; i++)
            for (int64_t c = 0; c < channels; c++)
                EXPECT_LE(fabs(out[i * channels + c] - image_oracle(in, channels, c, sy[i], sx[i])),
                          2e-6);
    }
}

static void labels_go_to_the_heaviest_class(void)
{
    static float sy[COUNT], sx[COUNT];
    static const uint8_t values[4] = { 0, 1, 7, 255 };
    const int64_t size[2] = { H, W };
    uint64_t random = 10;
    for (int outside = 0; outside < 2; outside++) {
        uint8_t in[H * W], out[COUNT];
        const uint8_t beyond = outside ? 255 : 0;
        for (int i = 0; i < H * W; i++) in[i] = values[test_random_bits(&random) % 4];
        for (int i = 0; i < COUNT; i++) {
            sy[i] = (float)(5.0 + 9.0 * test_random(&random));
            sx[i] = (float)(6.0 + 11.0 * test_random(&random));
        }
        sy[0] = 1e30f, sx[1] = -1e30f, sy[2] = -1.0f, sx[3] = W;
        vdni_warp_label_row(out, in, size, sy, sx, COUNT, beyond);
        for (int i = 0; i < COUNT; i++) {
            if (fabsf(sy[i]) > 1e6f || fabsf(sx[i]) > 1e6f) {
                EXPECT(out[i] == beyond);
                continue;
            }
            const double won = label_weight(in, out[i], beyond, sy[i], sx[i]);
            EXPECT(won > 0.0);
            for (int k = 0; k < 4; k++)
                EXPECT_LE(label_weight(in, values[k], beyond, sy[i], sx[i]), won + 1e-6);
        }
    }
}

static void equal_weights_give_the_smaller_label(void)
{
    const uint8_t in[4] = { 5, 5, 2, 2 };
    const int64_t size[2] = { 2, 2 };
    const float half = 0.5f;
    uint8_t out;
    vdni_warp_label_row(&out, in, size, &half, &half, 1, 0);
    EXPECT(out == 2);
}

static void no_change_copies_every_bit(void)
{
    float in[H * W], row[W], sy[W], sx[W];
    uint8_t labels[H * W], label_row[W];
    const int64_t size[3] = { H, W, 1 };
    const vdni_warp same = { .matrix = { { 1.0, 0.0 }, { 0.0, 1.0 } } };
    uint64_t random = 12;
    for (int i = 0; i < H * W; i++) {
        in[i] = (float)test_random(&random);
        labels[i] = (uint8_t)test_random_bits(&random);
    }
    for (int64_t y = 0; y < H; y++) {
        vdni_warp_row(sy, sx, &same, y, 0, W);
        vdni_warp_image_row(row, in, size, sy, sx, W);
        vdni_warp_label_row(label_row, labels, size, sy, sx, W, 0);
        EXPECT(memcmp(row, in + y * W, sizeof row) == 0);
        EXPECT(memcmp(label_row, labels + y * W, sizeof label_row) == 0);
    }
}

static void positions_follow_the_matrix_and_the_field(void)
{
    static float memory[4000];
    float sy[20], sx[20], dy[20], dx[20];
    const int64_t size[2] = { 40, 50 };
    uint64_t random = 13;
    vdni_field field;
    vdni_warp warp = { .matrix = { { 0.9, -0.3 }, { 0.4, 1.1 } }, .offset = { 3.5, -2.25 } };
    vdni_field_init(&field, memory, size, 10.0, 2);
    for (int64_t i = 0; i < 2 * field.rows * field.columns; i++)
        field.control[i] = (float)(5.0 * test_random(&random));
    for (int with_field = 0; with_field < 2; with_field++) {
        warp.field = with_field ? &field : NULL;
        for (int64_t y = 0; y < 40; y += 13) {
            vdni_warp_row(sy, sx, &warp, y, 30, 20);
            vdni_field_row(dy, &field, 0, y, 30, 20);
            vdni_field_row(dx, &field, 1, y, 30, 20);
            for (int i = 0; i < 20; i++) {
                const double x = 30.0 + i;
                EXPECT_LE(fabs(sy[i] - (0.9 * (double)y - 0.3 * x + 3.5 + with_field * dy[i])),
                          1e-5);
                EXPECT_LE(fabs(sx[i] - (0.4 * (double)y + 1.1 * x - 2.25 + with_field * dx[i])),
                          1e-5);
            }
        }
    }
}

int main(void)
{
    RUN(images_equal_the_definition);
    RUN(labels_go_to_the_heaviest_class);
    RUN(equal_weights_give_the_smaller_label);
    RUN(no_change_copies_every_bit);
    RUN(positions_follow_the_matrix_and_the_field);
    return test_result();
}

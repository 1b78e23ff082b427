/* Oracle: the two-dimensional sum in double, mirrored by walking. */
#include "Train/blur.h"

#include "test.h"

enum { MAX = 8192 };

static int64_t walk(int64_t i, int64_t n)
{
    while (i < 0 || i >= n) i = i < 0 ? -1 - i : 2 * n - 1 - i;
    return i;
}

static double oracle(const float *in, const int64_t size[3], double sd, const int64_t at[3])
{
    const int64_t r = (int64_t)ceil(3.0 * sd);
    double sum = 0.0, weights = 0.0;
    for (int64_t dy = -r; dy <= r; dy++)
        for (int64_t dx = -r; dx <= r; dx++) {
            const double weight = exp(-0.5 * (double)(dy * dy + dx * dx) / (sd * sd));
            const int64_t y = walk(at[0] + dy, size[0]), x = walk(at[1] + dx, size[1]);
            weights += weight;
            sum += weight * in[(y * size[1] + x) * size[2] + at[2]];
        }
    return sum / weights;
}

static const struct {
    int64_t size[3], stride;
    double sd;
} cases[] = {
    { { 1, 1, 1 }, 1, 2.5 },    { { 3, 2, 1 }, 2, 10.0 },  { { 17, 13, 1 }, 16, 0.3 },
    { { 17, 13, 3 }, 16, 1.7 }, { { 1, 40, 2 }, 40, 2.5 }, { { 40, 1, 1 }, 3, 0.5 },
};

static void equals_the_definition_and_keeps_the_sum(void)
{
    static float in[MAX], plane[MAX], scratch[MAX];
    uint64_t random = 6;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int64_t *const s = cases[i].size, stride = cases[i].stride, row = s[1] * s[2];
        double before = 0.0, after = 0.0;
        EXPECT(vdni_blur_floats(s[0], s[1], s[2], cases[i].sd) <= MAX);
        for (int64_t k = 0; k < s[0] * stride * s[2]; k++) plane[k] = -99.0f;
        for (int64_t y = 0; y < s[0]; y++)
            for (int64_t k = 0; k < row; k++)
                before += plane[y * stride * s[2] + k] = in[y * row + k] =
                    (float)(1.0 + test_random(&random));
        vdni_blur_plane(plane, s, stride, cases[i].sd, scratch);
        for (int64_t y = 0; y < s[0]; y++) {
            for (int64_t k = 0; k < row; k++) {
                const int64_t at[3] = { y, k / s[2], k % s[2] };
                const float found = plane[y * stride * s[2] + k];
                EXPECT_LE(fabs(found - oracle(in, s, cases[i].sd, at)), 2e-6);
                after += found;
            }
            for (int64_t k = row; k < stride * s[2]; k++)
                EXPECT(plane[y * stride * s[2] + k] == -99.0f);
        }
        EXPECT_LE(fabs(after - before), 1e-6 * before);
    }
}

int main(void)
{
    RUN(equals_the_definition_and_keeps_the_sum);
    return test_result();
}

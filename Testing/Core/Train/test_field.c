/* Oracle: the double sum over all control points with the cubic B-spline as a function of distance. */
#include "Train/field.h"

#include "test.h"

static double spline(double d)
{
    const double a = fabs(d);
    if (a >= 2.0) return 0.0;
    if (a >= 1.0) return pow(2.0 - a, 3.0) / 6.0;
    return 2.0 / 3.0 - a * a + 0.5 * a * a * a;
}

/* Control point k lies at pixel (k - 1) * cell. */
static double oracle(const vdni_field *f, int32_t component, int64_t y, int64_t x)
{
    double sum = 0.0;
    for (int64_t j = 0; j < f->rows; j++)
        for (int64_t k = 0; k < f->columns; k++)
            sum += spline((double)y / f->cell - (double)(j - 1)) *
                   spline((double)x / f->cell - (double)(k - 1)) *
                   f->control[(component * f->rows + j) * f->columns + k];
    return sum;
}

static const struct {
    int64_t size[2];
    double cell;
} cases[] = {
    { { 1, 1 }, 32.0 },  { { 1, 70 }, 32.0 }, { { 33, 65 }, 32.0 },
    { { 40, 31 }, 7.3 }, { { 9, 64 }, 1.0 },  { { 97, 5 }, 16.0 },
};

static void equals_the_sum_over_all_control_points(void)
{
    static float memory[20000], row[128];
    uint64_t random = 2;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int64_t *const size = cases[i].size;
        vdni_field f;
        EXPECT(vdni_field_floats(size[0], size[1], cases[i].cell, 2) <= 20000);
        vdni_field_init(&f, memory, size, cases[i].cell, 2);
        for (int64_t k = 0; k < 2 * f.rows * f.columns; k++)
            f.control[k] = (float)test_random(&random);
        for (int32_t c = 0; c < 2; c++)
            for (int64_t y = 0; y < size[0]; y++) {
                const int64_t from = size[1] / 3;
                vdni_field_row(row, &f, c, y, from, size[1] - from);
                for (int64_t x = from; x < size[1]; x++)
                    EXPECT_LE(fabs(row[x - from] - oracle(&f, c, y, x)), 1e-6);
            }
    }
}

static void stays_within_its_control_values(void)
{
    static float memory[20000], row[128];
    uint64_t random = 4;
    const int64_t size[2] = { 100, 128 };
    vdni_field f;
    vdni_field_init(&f, memory, size, 13.0, 1);
    for (int64_t k = 0; k < f.rows * f.columns; k++)
        f.control[k] = test_random(&random) > 0.0 ? 1.0f : -1.0f;
    for (int64_t y = 0; y < 100; y++) {
        vdni_field_row(row, &f, 0, y, 0, 128);
        for (int x = 0; x < 128; x++) EXPECT_LE(fabs(row[x]), 1.0 + 1e-6);
    }
}

static void writes_only_the_memory_it_asks_for(void)
{
    static float memory[20000];
    float row[65];
    const int64_t size[2] = { 33, 65 };
    const int64_t floats = vdni_field_floats(33, 65, 8.0, 2);
    vdni_field f;
    for (int i = 0; i < 20000; i++) memory[i] = 7.0f;
    vdni_field_init(&f, memory, size, 8.0, 2);
    vdni_field_row(row, &f, 1, 32, 0, 65);
    for (int64_t i = floats; i < 20000; i++) EXPECT(memory[i] == 7.0f);
}

int main(void)
{
    RUN(equals_the_sum_over_all_control_points);
    RUN(stays_within_its_control_values);
    RUN(writes_only_the_memory_it_asks_for);
    return test_result();
}

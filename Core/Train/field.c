#include "Train/field.h"

#include <math.h>

static int64_t controls(int64_t pixels, double cell)
{
    return (int64_t)floor((double)(pixels - 1) / cell) + 4;
}

static void basis_at(double b[4], double u)
{
    const double v = 1.0 - u;
    b[0] = v * v * v / 6.0;
    b[1] = ((3.0 * u - 6.0) * u * u + 4.0) / 6.0;
    b[3] = u * u * u / 6.0;
    b[2] = 1.0 - b[0] - b[1] - b[3];
}

int64_t vdni_field_floats(int64_t h, int64_t w, double cell, int32_t components)
{
    return components * controls(h, cell) * controls(w, cell) + 4 * w + controls(w, cell);
}

void vdni_field_init(vdni_field *field, float *memory, const int64_t size[2], double cell,
                     int32_t components)
{
    *field = (vdni_field){ .h = size[0], .w = size[1], .cell = cell, .components = components };
    field->rows = controls(field->h, cell);
    field->columns = controls(field->w, cell);
    field->control = memory;
    field->basis = memory + components * field->rows * field->columns;
    field->line = field->basis + 4 * field->w;
    for (int64_t x = 0; x < field->w; x++) {
        double b[4];
        const double position = (double)x / cell;
        basis_at(b, position - floor(position));
        for (int k = 0; k < 4; k++) field->basis[k * field->w + x] = (float)b[k];
    }
}

/* The four rows of control values around row y, mixed into field->line. */
static void mix_line(const vdni_field *field, int32_t component, int64_t y)
{
    const double position = (double)y / field->cell;
    const int64_t first = (int64_t)floor(position), columns = field->columns;
    const float *const control = field->control + (component * field->rows + first) * columns;
    double b[4];

    basis_at(b, position - floor(position));
    for (int64_t i = 0; i < columns; i++)
        field->line[i] = (float)(b[0] * control[i] + b[1] * control[columns + i] +
                                 b[2] * control[2 * columns + i] + b[3] * control[3 * columns + i]);
}

void vdni_field_row(float *out, const vdni_field *field, int32_t component, int64_t y, int64_t x,
                    int64_t count)
{
    const float *const b0 = field->basis, *const b1 = b0 + field->w, *const b2 = b1 + field->w,
                       *const b3 = b2 + field->w;
    const int64_t end = x + count;

    mix_line(field, component, y);
    /* Inside one cell the control values are fixed, so the inner loop has no lookups. */
    for (int64_t from = x; from < end;) {
        const int64_t cell = (int64_t)floor((double)from / field->cell);
        const float *const l = field->line + cell;
        int64_t to = from + 1;
        while (to < end && (int64_t)floor((double)to / field->cell) == cell) to++;
        for (int64_t i = from; i < to; i++)
            out[i - x] = l[0] * b0[i] + l[1] * b1[i] + l[2] * b2[i] + l[3] * b3[i];
        from = to;
    }
}

/* First-use verification. The library has returned noise for valid shapes (see form.c), so a form
 * is believed only after a sample of its results, borders and corners included, has been compared
 * with the definition. */
#include "CPU/onednn/form.h"

#include <math.h>

enum { SAMPLES = 64, FEW_SAMPLES = 8 };

/* A sum and the sum of its terms' magnitudes, which scales the rounding error. */
typedef struct {
    double sum, magnitude;
} evaluation;

static void add_term(evaluation *e, double term)
{
    e->sum += term;
    e->magnitude += fabs(term);
}

static int64_t index_of(const vdni_tensor *t, int64_t n, int64_t h, int64_t w, int64_t c)
{
    return ((n * t->h + h) * t->w + w) * t->c + c;
}

static double weight_at(const vdni_tensor *w, int64_t at, vdni_dtype packed)
{
    const float value = ((const float *)w->data)[at];
    return packed == VDNI_BF16 ? vdni_bf16_to_f32(vdni_f32_to_bf16(value)) : value;
}

static evaluation forward_at(const vdni_op *op, vdni_dtype packed, const int64_t at[4])
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const vdni_attr *a = &op->a;
    evaluation e = { 0, 0 };

    for (int64_t kh = 0; kh < a->kernel; kh++)
        for (int64_t kw = 0; kw < a->kernel; kw++) {
            const int64_t ih = at[1] * a->stride + kh * a->dilation - a->pad;
            const int64_t iw = at[2] * a->stride + kw * a->dilation - a->pad;
            if (ih < 0 || iw < 0 || ih >= r.wide->h || iw >= r.wide->w) continue;
            for (int64_t i = 0; i < r.wide->c; i++)
                add_term(&e, vdni_cpu_get(r.wide, index_of(r.wide, at[0], ih, iw, i)) *
                                 weight_at(r.w, index_of(r.w, at[3], kh, kw, i), packed));
        }
    if (r.b) add_term(&e, ((const float *)r.b->data)[at[3]]);
    if (r.add) add_term(&e, vdni_cpu_get(r.add, index_of(r.add, at[0], at[1], at[2], at[3])));
    return e;
}

static evaluation input_at(const vdni_op *op, vdni_dtype packed, const int64_t at[4])
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const vdni_attr *a = &op->a;
    evaluation e = { 0, 0 };

    for (int64_t kh = 0; kh < a->kernel; kh++)
        for (int64_t kw = 0; kw < a->kernel; kw++) {
            const int64_t h = at[1] + a->pad - kh * a->dilation;
            const int64_t w = at[2] + a->pad - kw * a->dilation;
            const int64_t oh = h / a->stride, ow = w / a->stride;
            if (h < 0 || w < 0 || h % a->stride || w % a->stride) continue;
            if (oh >= r.narrow->h || ow >= r.narrow->w) continue;
            for (int64_t o = 0; o < r.narrow->c; o++)
                add_term(&e, vdni_cpu_get(r.narrow, index_of(r.narrow, at[0], oh, ow, o)) *
                                 weight_at(r.w, index_of(r.w, o, kh, kw, at[3]), packed));
        }
    if (r.add) add_term(&e, vdni_cpu_get(r.add, index_of(r.add, at[0], at[1], at[2], at[3])));
    return e;
}

/* at = (o, kh, kw, i); kh < 0 for the bias of o. */
static evaluation gradient_at(const vdni_op *op, const int64_t at[4])
{
    const vdni_tensor *x = op->in[0], *g = op->in[1];
    const vdni_attr *a = &op->a;
    evaluation e = { 0, 0 };

    for (int64_t n = 0; n < g->n; n++)
        for (int64_t oh = 0; oh < g->h; oh++)
            for (int64_t ow = 0; ow < g->w; ow++) {
                const int64_t ih = oh * a->stride + at[1] * a->dilation - a->pad;
                const int64_t iw = ow * a->stride + at[2] * a->dilation - a->pad;
                const double gradient = vdni_cpu_get(g, index_of(g, n, oh, ow, at[0]));
                if (at[1] < 0)
                    add_term(&e, gradient);
                else if (ih >= 0 && iw >= 0 && ih < x->h && iw < x->w)
                    add_term(&e, gradient * vdni_cpu_get(x, index_of(x, n, ih, iw, at[3])));
            }
    return e;
}

/* Sums run in f32 in an order that is the library's: 2e-5 of the magnitudes is far above their
 * rounding and far below the defects, which are as large as the sum itself. */
static int close_enough(double value, const evaluation *e, vdni_dtype stored)
{
    const double rounding = stored == VDNI_BF16 ? fabs(e->sum) / 256 : 0;
    if (isnan(e->sum) || isinf(e->sum)) return 1; /* not the library's doing */
    return fabs(value - e->sum) <= rounding + 2e-5 * e->magnitude + 1e-30;
}

/* Sample @p i of an extent: first, last, then anywhere. */
static int64_t pick(int64_t extent, int i, int digit, uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    const int choice = i / digit % 3;
    if (choice == 0) return 0;
    if (choice == 1) return extent - 1;
    return (int64_t)((*state >> 33) % (uint64_t)extent);
}

static int weights_agree(const vdni_op *op, const float *dw, const float *db)
{
    const vdni_tensor *w = op->out[0], *g = op->in[1];
    const int64_t visits = g->n * g->h * g->w;
    const int samples = visits > (1 << 18) ? FEW_SAMPLES : SAMPLES;
    uint64_t state = 1;

    for (int i = 0; i < samples; i++) {
        const int64_t at[4] = { pick(w->n, i + 2, 1, &state), pick(w->h, i, 1, &state),
                                pick(w->w, i, 3, &state), pick(w->c, i + 1, 1, &state) };
        const evaluation e = gradient_at(op, at);
        if (!close_enough(dw[index_of(w, at[0], at[1], at[2], at[3])], &e, VDNI_F32)) return 0;
    }
    for (int i = 0; op->out[1] && i < 3; i++) {
        const int64_t at[4] = { pick(w->n, i, 1, &state), -1, 0, 0 };
        const evaluation e = gradient_at(op, at);
        if (!close_enough(db[at[0]], &e, VDNI_F32)) return 0;
    }
    return 1;
}

int vdni_onednn_agrees(const vdni_op *op, vdni_dtype packed, const float *dw, const float *db)
{
    const vdni_tensor *y = op->out[0];
    uint64_t state = 1;

    if (op->kind == VDNI_OP_CONV_DW) return weights_agree(op, dw, db);
    for (int i = 0; i < SAMPLES; i++) {
        const int64_t at[4] = { pick(y->n, i + 2, 1, &state), pick(y->h, i, 1, &state),
                                pick(y->w, i, 3, &state), pick(y->c, i, 9, &state) };
        const evaluation e =
            op->kind == VDNI_OP_CONV ? forward_at(op, packed, at) : input_at(op, packed, at);
        if (!close_enough(vdni_cpu_get(y, index_of(y, at[0], at[1], at[2], at[3])), &e, y->dtype))
            return 0;
    }
    return 1;
}

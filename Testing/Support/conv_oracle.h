/* Convolution in double precision, NCHW, written from the definition: every product of the sum is
 * visited once, in scatter form, and goes to y, dx, dw as the mode says. Serves dense and depthwise
 * (one input channel per output channel) convolutions. */
#ifndef VERDIFF_CONV_ORACLE_H
#define VERDIFF_CONV_ORACLE_H

#include "op_test.h"

typedef struct conv_oracle {
    int64_t n, ci, h, w, co, oh, ow;
    int64_t k, s, d, p;
    int depthwise;
    double *x, *wt, *b, *add, *g; /* NCHW; wt (co, ci, k, k) or (c, k, k); b, add may be NULL */
    double *y, *dx, *dw, *db;
} conv_oracle;

static inline double *conv_oracle_zeros(int64_t count)
{
    double *x = calloc((size_t)count + 1, sizeof *x);
    if (!x) exit(1);
    return x;
}

static inline int64_t conv_oracle_extent(int64_t in, const vdni_attr *a)
{
    int64_t count = 0; /* how many windows fit, by counting them */
    const int64_t window = (int64_t)a->dilation * (a->kernel - 1) + 1;
    for (int64_t at = -a->pad; at + window <= in + a->pad; at += a->stride) count++;
    return count;
}

/* One image row of products; called for every (n, o, i, kh, kw, oh). */
static inline void conv_oracle_row(conv_oracle *o, const int64_t at[6], int backward)
{
    const int64_t n = at[0], co = at[1], ci = at[2], kh = at[3], kw = at[4], oh = at[5];
    const int64_t ih = oh * o->s + kh * o->d - o->p;
    const int64_t wi =
        ((co * (o->depthwise ? 1 : o->ci) + (o->depthwise ? 0 : ci)) * o->k + kh) * o->k + kw;

    if (ih < 0 || ih >= o->h) return;
    for (int64_t ow = 0; ow < o->ow; ow++) {
        const int64_t iw = ow * o->s + kw * o->d - o->p;
        if (iw < 0 || iw >= o->w) continue;
        const int64_t xi = ((n * o->ci + ci) * o->h + ih) * o->w + iw;
        const int64_t yi = ((n * o->co + co) * o->oh + oh) * o->ow + ow;
        if (!backward) {
            o->y[yi] += o->x[xi] * o->wt[wi];
            continue;
        }
        if (o->dx) o->dx[xi] += o->g[yi] * o->wt[wi];
        if (o->dw) o->dw[wi] += o->g[yi] * o->x[xi];
    }
}

static inline void conv_oracle_all(conv_oracle *o, int backward)
{
    int64_t at[6];
    for (at[0] = 0; at[0] < o->n; at[0]++)
        for (at[1] = 0; at[1] < o->co; at[1]++)
            for (at[2] = o->depthwise ? at[1] : 0; at[2] < (o->depthwise ? at[1] + 1 : o->ci);
                 at[2]++)
                for (at[3] = 0; at[3] < o->k; at[3]++)
                    for (at[4] = 0; at[4] < o->k; at[4]++)
                        for (at[5] = 0; at[5] < o->oh; at[5]++) conv_oracle_row(o, at, backward);
}

static inline void conv_oracle_forward(conv_oracle *o)
{
    const int64_t plane = o->oh * o->ow;
    for (int64_t i = 0; i < o->n * o->co * plane; i++)
        o->y[i] = (o->b ? o->b[i / plane % o->co] : 0) + (o->add ? o->add[i] : 0);
    conv_oracle_all(o, 0);
}

/* dx starts from add (the addend) when there is one; dw and db from what they hold. */
static inline void conv_oracle_backward(conv_oracle *o)
{
    const int64_t plane = o->oh * o->ow;
    if (o->dx)
        for (int64_t i = 0; i < o->n * o->ci * o->h * o->w; i++) o->dx[i] = o->add ? o->add[i] : 0;
    if (o->db)
        for (int64_t i = 0; i < o->n * o->co * plane; i++) o->db[i / plane % o->co] += o->g[i];
    conv_oracle_all(o, 1);
}

/* L = sum of g * y, for finite differences. */
static inline double conv_oracle_loss(void *user)
{
    conv_oracle *o = user;
    double sum = 0;
    conv_oracle_forward(o);
    for (int64_t i = 0; i < o->n * o->co * o->oh * o->ow; i++) sum += o->g[i] * o->y[i];
    return sum;
}

/* A weight tensor (co, k, k, ci) as (co, ci, k, k), or (1, k, k, c) as (c, k, k): op_doubles has it. */
static inline void conv_oracle_free(conv_oracle *o)
{
    free(o->x);
    free(o->wt);
    free(o->b);
    free(o->add);
    free(o->g);
    free(o->y);
    free(o->dx);
    free(o->dw);
    free(o->db);
}

/* The oracle of tensors; NULL where there is none. g gives the output side's shape when y is NULL. */
static inline conv_oracle conv_oracle_of(const vdni_attr *a, const vdni_tensor *x,
                                         const vdni_tensor *w, const vdni_tensor *out,
                                         int depthwise)
{
    conv_oracle o = { .n = x->n, .ci = x->c, .h = x->h, .w = x->w };
    o.co = out->c;
    o.oh = out->h;
    o.ow = out->w;
    o.k = a->kernel;
    o.s = a->stride;
    o.d = a->dilation;
    o.p = a->pad;
    o.depthwise = depthwise;
    o.x = op_doubles(x);
    o.wt = op_doubles(w);
    o.y = conv_oracle_zeros(o.n * o.co * o.oh * o.ow);
    return o;
}

#endif

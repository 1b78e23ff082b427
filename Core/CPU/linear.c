/* Plain linear layer. The contract is Core/Ops/linear.h. A few images, so weights are read once and
 * the work is cut over weight rows (or input columns); every value is summed in one fixed order. */
#include "Ops/linear.h"
#include "CPU/cpu.h"
#include "CPU/simd.h"

enum {
    COLUMNS = 64,          /* input columns per task of the backward pass */
    WORTH_A_TEAM = 1 << 17 /* multiply-adds below which waking other threads costs more */
};

typedef struct pass {
    const float *x, *w, *b, *g, *add;
    float *y, *dx, *dw, *db;
    int64_t n, ci, co;
    const vdni_simd *simd;
} pass;

/* to += s * from */
static VDNI_VECTOR void add_scaled(float *to, float s, const float *from, int64_t count)
{
    for (int64_t i = 0; i < count; i++) to[i] += s * from[i];
}

static void forward_row(void *user, int64_t o)
{
    const pass *p = user;
    for (int64_t n = 0; n < p->n; n++)
        p->y[n * p->co + o] =
            (p->b ? p->b[o] : 0) + p->simd->dot(p->x + n * p->ci, p->w + o * p->ci, p->ci);
}

static void input_columns(void *user, int64_t block)
{
    const pass *p = user;
    const int64_t first = block * COLUMNS;
    const int64_t count = p->ci - first < COLUMNS ? p->ci - first : COLUMNS;

    for (int64_t n = 0; n < p->n; n++) {
        float *dx = p->dx + n * p->ci + first;
        for (int64_t i = 0; i < count; i++) dx[i] = p->add ? p->add[n * p->ci + first + i] : 0;
        for (int64_t o = 0; o < p->co; o++)
            add_scaled(dx, p->g[n * p->co + o], p->w + o * p->ci + first, count);
    }
}

static void weight_row(void *user, int64_t o)
{
    const pass *p = user;
    float bias = 0;
    for (int64_t n = 0; n < p->n; n++) {
        const float g = p->g[n * p->co + o];
        add_scaled(p->dw + o * p->ci, g, p->x + n * p->ci, p->ci);
        bias += g;
    }
    if (p->db) p->db[o] += bias;
}

static void *data(const vdni_tensor *t) { return t ? t->data : NULL; }

static int32_t team(const vdni_device *device, const pass *p)
{
    return p->n * p->ci * p->co < WORTH_A_TEAM ? 1 : device->threads;
}

static vdn_status forward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const vdni_tensor *x = op->in[0], *w = op->in[1];
    pass p = { .x = x->data,
               .w = w->data,
               .b = data(op->in[2]),
               .y = op->out[0]->data,
               .n = x->n,
               .ci = x->c,
               .co = w->n,
               .simd = device->simd };
    (void)ctx;
    (void)workspace;
    vdni_parallel_for(team(device, &p), p.co, forward_row, &p);
    return VDN_OK;
}

static vdn_status backward_input(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                 void *workspace)
{
    const vdni_tensor *g = op->in[0], *w = op->in[1];
    pass p = { .g = g->data,
               .w = w->data,
               .add = data(op->in[2]),
               .dx = op->out[0]->data,
               .n = g->n,
               .ci = w->c,
               .co = w->n };
    (void)ctx;
    (void)workspace;
    vdni_parallel_for(team(device, &p), (p.ci + COLUMNS - 1) / COLUMNS, input_columns, &p);
    return VDN_OK;
}

static vdn_status backward_weights(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                   void *workspace)
{
    const vdni_tensor *x = op->in[0], *g = op->in[1];
    pass p = { .x = x->data,
               .g = g->data,
               .dw = op->out[0]->data,
               .db = data(op->out[1]),
               .n = x->n,
               .ci = x->c,
               .co = g->c };
    (void)ctx;
    (void)workspace;
    vdni_parallel_for(team(device, &p), p.co, weight_row, &p);
    return VDN_OK;
}

const vdni_cpu_entry vdni_cpu_linear[3] = {
    { forward, NULL },
    { backward_input, NULL },
    { backward_weights, NULL },
};

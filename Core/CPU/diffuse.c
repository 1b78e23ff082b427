/* CPU twin of the diffusion process's data side; the contract is Core/Ops/diffuse.h. */
#include "Ops/diffuse.h"

#include "CPU/cpu.h"
#include "CPU/vector_math.h"

enum { PIECE = 1 << 13 };

static VDNI_VECTOR void scale_into(float *y, const float *a, float q, int64_t count)
{
    for (int64_t i = 0; i < count; i++) y[i] = q * a[i];
}

static VDNI_VECTOR void add_scaled(float *y, const float *a, float q, int64_t count)
{
    for (int64_t i = 0; i < count; i++) y[i] += q * a[i];
}

/* Written so that NaN stays NaN. */
static VDNI_VECTOR void bound(float *y, float most, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const float x = y[i] > most ? most : y[i];
        y[i] = x < -most ? -most : x;
    }
}

/* A stack buffer, not y, takes the sum: y may be one of the inputs. */
static void combine_piece(const vdni_op *op, int64_t n, int64_t at, int64_t count)
{
    float sum[PIECE];
    const float *const q = (const float *)op->in[1]->data + n * VDNI_COMBINE_TERMS;
    vdni_tensor *const term[VDNI_COMBINE_TERMS] = { op->in[0], op->in[2], op->in[3], op->in[4] };

    scale_into(sum, (const float *)term[0]->data + at, q[0], count);
    for (int i = 1; i < VDNI_COMBINE_TERMS; i++)
        if (term[i]) add_scaled(sum, (const float *)term[i]->data + at, q[i], count);
    if (op->a.scale > 0.0f) bound(sum, op->a.scale, count);
    vdni_cpu_write(op->out[0], at, sum, count);
}

static vdn_status run_combine(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const vdni_tensor *const y = op->out[0];
    const int64_t size = y->h * y->w * y->c, pieces = (size + PIECE - 1) / PIECE;

    (void)ctx;
    (void)device; /* without OpenMP */
    (void)workspace;
#pragma omp parallel for num_threads(device->threads) if (y->n * pieces > 1)
    for (int64_t i = 0; i < y->n * pieces; i++) {
        const int64_t n = i / pieces, first = i % pieces * PIECE;
        combine_piece(op, n, n * size + first, size - first < PIECE ? size - first : PIECE);
    }
    return VDN_OK;
}

static VDNI_VECTOR void sigmoids(float *restrict p, const float *restrict s, int64_t count)
{
    for (int64_t i = 0; i < count; i++) p[i] = vdni_sigmoid(s[i]);
}

static void softmaxes(float *p, const float *s, int64_t pixels, int64_t k)
{
    for (int64_t i = 0; i < pixels; i++, p += k, s += k) {
        float top = s[0], sum = 0.0f;
        for (int64_t j = 1; j < k; j++) top = s[j] > top ? s[j] : top;
        for (int64_t j = 0; j < k; j++) sum += p[j] = vdni_exp(s[j] - top);
        for (int64_t j = 0; j < k; j++) p[j] /= sum;
    }
}

static vdn_status run_encode(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const vdni_tensor *const s = op->in[0];
    float *const y = op->out[0]->data, *const p = op->out[1] ? op->out[1]->data : NULL;
    const int64_t rows = s->n * s->h, row = s->w * s->c;
    const float rho = op->a.scale;

    (void)ctx;
    (void)device; /* without OpenMP */
    (void)workspace;
#pragma omp parallel for num_threads(device->threads) if (rows > 1)
    for (int64_t r = 0; r < rows; r++) {
        const float *const logits = (const float *)s->data + r * row;
        if (s->c == 1)
            sigmoids(y + r * row, logits, row);
        else
            softmaxes(y + r * row, logits, s->w, s->c);
        for (int64_t i = r * row; i < (r + 1) * row; i++) {
            if (p) p[i] = y[i];
            if (op->a.mode == VDNI_CODE_PLUS_MINUS) y[i] = rho * (2.0f * y[i] - 1.0f);
        }
    }
    return VDN_OK;
}

const vdni_cpu_entry vdni_cpu_diffuse[2] = { { run_combine, NULL }, { run_encode, NULL } };

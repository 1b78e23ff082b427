/* CPU twin of the process's losses; the contract is Core/Ops/process_loss.h.
 *
 * The gradient of a pixel needs nothing of the others but their number, which is counted first. */
#include "Ops/process_loss.h"

#include "CPU/cpu.h"

#include <math.h>
#include <string.h>

enum { PIECES = 16 };
#define LEAST   1e-4
#define TINY    1e-9
#define LOG_2PI 1.83787706640934548356

typedef struct {
    double valid, term[3];
} sums;

typedef struct {
    const vdni_op *op;
    const float *z, *eps, *x, *f, *weights;
    const uint8_t *target;
    float *dz;
    int64_t n, pixels, k, width; /* width: channels of z */
    sums *piece;                 /* n * PIECES */
} job;

static int counts(const job *j, int64_t pixel) { return j->target[pixel] < (j->k > 2 ? j->k : 2); }

static double mask_of(const job *j, int64_t pixel, int64_t c)
{ return j->k == 1 ? j->target[pixel] == 1 : j->target[pixel] == c; }

/* ---- noise that is normal ---- */

/* The learned variance of one element: term 2, and its slope over v. */
static double likelihood(const float *w, double error, double v, double *slope)
{
    const double high = w[4], low = w[5], d = w[6] * error;
    const double l = low + 0.5 * (v + 1.0) * (high - low);
    const double b = w[7] > 0.0f ? 0.0 : exp(low), c = w[7] > 0.0f ? LOG_2PI : -low - 1.0;
    const double ratio = (b + d * d) * exp(-l);
    *slope = 0.25 * (high - low) * (1.0 - ratio);
    return 0.5 * (l + ratio + c);
}

static double mask_entropy(double m, double p, double gain, double *slope)
{
    const double cut = p < LEAST ? LEAST : p > 1.0 - LEAST ? 1.0 - LEAST : p;
    *slope = cut != p ? 0.0 : gain * (m / p - (1.0 - m) / (1.0 - p));
    return -m * log(cut) - (1.0 - m) * log(1.0 - cut);
}

static void epsilon_element(const job *j, const float *w, int64_t pixel, int64_t c, double scale,
                            sums *sum)
{
    const float *lambda = j->op->a.lambda;
    const int64_t at = pixel * j->width + c;
    const double error = (double)j->eps[pixel * j->k + c] - j->z[at], m = mask_of(j, pixel, c);
    double slope = -2.0 * lambda[0] * w[0] * error, part = 0.0;
    sum->term[0] += lambda[0] > 0.0f ? w[0] * error * error : 0.0;
    if (lambda[1] > 0.0f) {
        sum->term[1] += w[3] * mask_entropy(m, m + w[2] * error, w[2], &part);
        slope += (double)lambda[1] * w[3] * part;
    }
    j->dz[at] = (float)(scale * slope);
    if (j->width == j->k) return;
    part = 0.0;
    if (lambda[2] > 0.0f) sum->term[2] += likelihood(w, error, j->z[at + j->k], &part);
    j->dz[at + j->k] = (float)(scale * lambda[2] * part);
}

/* ---- noise that flips ---- */

typedef struct {
    double a1, a0, bar, rest, f;
} chain;

static double mean_of(const chain *h, double y) { return h->bar * y + h->rest * h->f; }

/* Off the ends, where the estimate's logarithms and slopes are. */
static double inside(double mu) { return mu < TINY ? TINY : mu > 1.0 - TINY ? 1.0 - TINY : mu; }

static double posterior(const chain *h, double mu)
{
    const double one = h->a1 * mu, none = h->a0 * (1.0 - mu);
    return one / (one + none);
}

static double log_of(double p) { return log(p < 1e-300 ? 1e-300 : p); }

static double divergence(double p, double q)
{
    return (p > 0.0 ? p * (log_of(p) - log_of(q)) : 0.0) +
           (p < 1.0 ? (1.0 - p) * (log_of(1.0 - p) - log_of(1.0 - q)) : 0.0);
}

static void bernoulli_element(const job *j, const float *w, int64_t pixel, int64_t c, double scale,
                              sums *sum)
{
    const float *lambda = j->op->a.lambda;
    const int64_t at = pixel * j->k + c;
    const double x = j->x[at], z = j->z[at], m = mask_of(j, pixel, c), e = fabs(x - m);
    const double s = 1.0 / (1.0 + exp(-z)), y = fabs(x - s);
    const double beta = w[0], alpha = 1.0 - beta, r = fabs(1.0 - x - j->f[at]);
    const chain h = { alpha * x + beta * r, alpha * (1.0 - x) + beta * r, w[1], w[3], j->f[at] };
    const double mu = inside(mean_of(&h, y)), p = posterior(&h, mean_of(&h, m)),
                 q = posterior(&h, mu);
    const double over_mu = (q - p) / (mu * (1.0 - mu));
    const double kl_slope = over_mu * h.bar * (1.0 - 2.0 * x) * s * (1.0 - s);
    sum->term[0] += divergence(p, q);
    sum->term[1] += (z > 0.0 ? z : 0.0) - e * z + log1p(exp(-fabs(z)));
    j->dz[at] = (float)(scale * (lambda[0] * kl_slope + lambda[1] * (s - e)));
}

/* ---- both ---- */

static void count_piece(void *user, int64_t i)
{
    const job *j = user;
    const int64_t first = i / PIECES * j->pixels, k = i % PIECES;
    double valid = 0.0;
    for (int64_t p = vdni_chunk_begin(j->pixels, PIECES, k);
         p < vdni_chunk_begin(j->pixels, PIECES, k + 1); p++)
        valid += counts(j, first + p);
    j->piece[i] = (sums){ .valid = valid };
}

static double valid_of(const job *j, int64_t n)
{
    double valid = 0.0;
    for (int k = 0; k < PIECES; k++) valid += j->piece[n * PIECES + k].valid;
    return valid;
}

static void loss_piece(void *user, int64_t i)
{
    const job *j = user;
    const int is_epsilon = j->op->kind == VDNI_OP_EPSILON_LOSS;
    const int64_t n = i / PIECES, k = i % PIECES, first = n * j->pixels;
    const float *w = j->weights + n * (is_epsilon ? VDNI_EPSILON_WEIGHTS : VDNI_BERNOULLI_WEIGHTS);
    const double scale = w[is_epsilon ? 1 : 2] / (valid_of(j, n) * (double)j->k);
    for (int64_t p = first + vdni_chunk_begin(j->pixels, PIECES, k);
         p < first + vdni_chunk_begin(j->pixels, PIECES, k + 1); p++) {
        if (!counts(j, p)) {
            memset(j->dz + p * j->width, 0, (size_t)j->width * sizeof *j->dz);
            continue;
        }
        for (int64_t c = 0; c < j->k; c++) {
            if (is_epsilon)
                epsilon_element(j, w, p, c, scale, &j->piece[i]);
            else
                bernoulli_element(j, w, p, c, scale, &j->piece[i]);
        }
    }
}

static void put_terms(const job *j, int64_t n)
{
    const float *lambda = j->op->a.lambda;
    const double count = valid_of(j, n) * (double)j->k;
    float *terms = (float *)j->op->out[1]->data + 4 * n;
    double total = 0.0;
    for (int t = 0; t < 3; t++) {
        double sum = 0.0;
        for (int k = 0; k < PIECES; k++) sum += j->piece[n * PIECES + k].term[t];
        if (count > 0.0) sum /= count;
        terms[t + 1] = (float)sum;
        total += lambda[t] * sum;
    }
    terms[0] = (float)total;
}

static vdn_status run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const int is_epsilon = op->kind == VDNI_OP_EPSILON_LOSS;
    const vdni_tensor *z = op->in[0], *second = op->in[1];
    job j = { .op = op,
              .z = z->data,
              .n = z->n,
              .pixels = z->h * z->w,
              .k = second->c,
              .width = z->c,
              .dz = op->out[0]->data,
              .piece = workspace };
    (void)ctx;
    j.eps = j.x = second->data;
    j.f = is_epsilon ? NULL : op->in[2]->data;
    j.target = op->in[is_epsilon ? 2 : 3]->data;
    j.weights = op->in[is_epsilon ? 3 : 4]->data;
    vdni_parallel_for(device->threads, j.n * PIECES, count_piece, &j);
    vdni_parallel_for(device->threads, j.n * PIECES, loss_piece, &j);
    for (int64_t n = 0; n < j.n; n++) put_terms(&j, n);
    return VDN_OK;
}

static int64_t workspace_bytes(const vdni_device *device, const vdni_op *op)
{
    (void)device;
    return op->in[0]->n * PIECES * (int64_t)sizeof(sums);
}

const vdni_cpu_entry vdni_cpu_process_loss[2] = { { run, workspace_bytes },
                                                  { run, workspace_bytes } };

/* CPU twin of the losses; the contract is Core/Ops/loss.h.
 *
 * Two passes over the image: the first leaves p in ds and sums, the second turns p into the
 * gradient, which needs the sums. Each image is cut into PIECES pieces whatever the batch and
 * thread count. */
#include "Ops/loss.h"

#include "CPU/cpu.h"
#include "CPU/vector_math.h"

#include <math.h>
#include <string.h>

enum { PIECES = 16, LANES = 16, BLOCK = 256 };

/* Sums of one piece or image; pm, p and m of channel j follow at [3 j]. */
typedef struct {
    double valid, weight, simple, ce;
    double dice[3 * VDNI_LOSS_MAX_CHANNELS];
} sums;

typedef struct {
    const float *s, *eps, *class_weights, *weights;
    const uint8_t *target;
    float *ds, *terms;
    int64_t n, pixels, k, class_stride; /* of the class weights: 0 = the same for all images */
    float lambda[3];
    double focal;
    int per_pixel;
    sums *piece; /* n * PIECES */
} job;

static double class_weight(const job *j, int64_t n, uint8_t label)
{
    return j->class_weights ? j->class_weights[n * j->class_stride + label] : 1.0;
}

/* (1 - q)^f of the cross entropy @p ce = -log q. */
static double focal_factor(const job *j, double ce)
{
    return j->focal > 0.0 ? pow(-expm1(-ce), j->focal) : 1.0;
}

/* The factor F of the gradient, from q. */
static float focal_slope(const job *j, double q)
{
    const double f = j->focal, rest = 1.0 - q;
    if (f == 0.0 || !(q > 0.0)) return isnan(q) ? NAN : 1.0f;
    if (rest <= 0.0) return 0.0f;
    return (float)(pow(rest, f) - f * q * pow(rest, f - 1.0) * log(q));
}

/* What the cross entropy of an image is divided by. */
static double divisor(const job *j, const sums *all)
{
    return j->per_pixel ? all->valid : all->weight;
}

/* Cross entropy; p is written. */
static double softmax_pixel(float *p, const float *s, int64_t k, uint8_t label)
{
    float top = s[0], sum = 0.0f;
    for (int64_t j = 1; j < k; j++) top = s[j] > top ? s[j] : top;
    for (int64_t j = 0; j < k; j++) sum += p[j] = vdni_exp(s[j] - top);
    for (int64_t j = 0; j < k; j++) p[j] /= sum;
    return (double)(top - s[label]) + (double)logf(sum);
}

static void add_softmax_pixel(const job *j, int64_t n, int64_t at, sums *sum)
{
    const uint8_t label = j->target[at];
    float *const p = j->ds + at * j->k;
    if (label >= j->k) {
        memset(p, 0, (size_t)j->k * sizeof *p);
        return;
    }
    const double c = class_weight(j, n, label), w = j->weights[2 * n];
    sum->valid += 1.0;
    sum->weight += c;
    const double ce = softmax_pixel(p, j->s + at * j->k, j->k, label);
    sum->ce += c * ce * focal_factor(j, ce);
    double squares = 0.0;
    for (int64_t i = 0; i < j->k; i++) {
        const double m = label == i, d = m - p[i];
        squares += d * d;
        sum->dice[3 * i] += m * p[i];
        sum->dice[3 * i + 1] += p[i];
        sum->dice[3 * i + 2] += m;
    }
    sum->simple += 4.0 * w * squares;
}

/* One channel: sums of valid pixels, of those labelled 1, of the cross entropy of each label, of
 * (m - p)^2, of p and of p labelled 1. */
enum { VALID, ONES, CE0, CE1, SQUARES, P, P1, SIGMOID_SUMS };

/* p of BLOCK pixels and their sums. Few enough per lane that float loses nothing that matters; the
 * caller adds blocks in double. */
static VDNI_VECTOR void sigmoid_block(float sum[restrict SIGMOID_SUMS][LANES], float *restrict p,
                                      const float *restrict s, const float *restrict label)
{
    memset(sum, 0, SIGMOID_SUMS * sizeof sum[0]);
    for (int i = 0; i < BLOCK; i += LANES)
        for (int l = 0; l < LANES; l++) {
            const float y = label[i + l], logit = s[i + l];
            const float valid = y < 2.0f ? 1.0f : 0.0f, m = y == 1.0f ? 1.0f : 0.0f;
            const float x = y < 2.0f ? logit : 0.0f;
            const float q = valid * vdni_sigmoid(x), d = m - q;
            const float ce = valid * vdni_softplus(y == 1.0f ? -x : x);
            p[i + l] = q;
            sum[VALID][l] += valid;
            sum[ONES][l] += m;
            sum[CE0][l] += ce - m * ce;
            sum[CE1][l] += m * ce;
            sum[SQUARES][l] += d * d;
            sum[P][l] += q;
            sum[P1][l] += m * q;
        }
}

/* The cross entropy of each label with its factor, one pixel after the other. */
static void add_focal(const job *j, int64_t first, int64_t count, double ce[2])
{
    ce[0] = ce[1] = 0.0;
    for (int64_t i = first; i < first + count; i++) {
        const uint8_t label = j->target[i];
        if (label > 1) continue;
        const double x = label ? -(double)j->s[i] : j->s[i];
        const double value = x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x));
        ce[label] += value * focal_factor(j, value);
    }
}

/* Pixels first .. first + count - 1; a last block is padded with pixels that do not count. */
static void add_sigmoid_piece(const job *j, int64_t n, int64_t first, int64_t count, sums *sum)
{
    double total[SIGMOID_SUMS] = { 0 };
    for (int64_t i = 0; i < count; i += BLOCK) {
        const int64_t part = count - i < BLOCK ? count - i : BLOCK;
        float s[BLOCK] = { 0 }, p[BLOCK], label[BLOCK], lanes[SIGMOID_SUMS][LANES];
        memcpy(s, j->s + first + i, (size_t)part * sizeof *s);
        for (int64_t k = 0; k < BLOCK; k++)
            label[k] = k < part ? (float)j->target[first + i + k] : (float)VDNI_LABEL_IGNORE;
        sigmoid_block(lanes, p, s, label);
        memcpy(j->ds + first + i, p, (size_t)part * sizeof *p);
        for (int k = 0; k < SIGMOID_SUMS; k++)
            for (int l = 0; l < LANES; l++) total[k] += (double)lanes[k][l];
    }
    if (j->focal > 0.0) add_focal(j, first, count, &total[CE0]);
    const double c0 = class_weight(j, n, 0), c1 = class_weight(j, n, 1);
    sum->valid = total[VALID];
    sum->weight = c0 * (total[VALID] - total[ONES]) + c1 * total[ONES];
    sum->simple = 4.0 * (double)j->weights[2 * n] * total[SQUARES];
    sum->ce = c0 * total[CE0] + c1 * total[CE1];
    sum->dice[0] = total[P1];
    sum->dice[1] = total[P];
    sum->dice[2] = total[ONES];
}

static void sum_piece(void *user, int64_t i)
{
    const job *const j = user;
    const int64_t n = i / PIECES, k = i % PIECES;
    const int64_t begin = vdni_chunk_begin(j->pixels, PIECES, k);
    const int64_t end = vdni_chunk_begin(j->pixels, PIECES, k + 1);
    sums *const sum = &j->piece[i];
    memset(sum, 0, sizeof *sum);
    if (j->k == 1) {
        add_sigmoid_piece(j, n, n * j->pixels + begin, end - begin, sum);
        return;
    }
    for (int64_t p = begin; p < end; p++) add_softmax_pixel(j, n, n * j->pixels + p, sum);
}

/* Add the pieces of image @p n into its first piece, in order. */
static sums *gather(const job *j, int64_t n)
{
    sums *const all = &j->piece[n * PIECES];
    for (int k = 1; k < PIECES; k++) {
        all->valid += all[k].valid;
        all->weight += all[k].weight;
        all->simple += all[k].simple;
        all->ce += all[k].ce;
        for (int64_t i = 0; i < 3 * j->k; i++) all->dice[i] += all[k].dice[i];
    }
    return all;
}

static void finish_terms(const job *j, int64_t n)
{
    const sums *const all = gather(j, n);
    float *const terms = j->terms + 4 * n;
    memset(terms, 0, 4 * sizeof *terms);
    if (all->valid == 0.0) return;
    const int64_t first = j->k > 1;
    double dice = 0.0;
    for (int64_t i = first; i < j->k; i++) {
        const double *const d = all->dice + 3 * i;
        dice += 1.0 - (2.0 * d[0] + 1.0) / (d[1] + d[2] + 1.0);
    }
    dice /= (double)(j->k - first);
    const double simple = all->simple / (all->valid * (double)j->k);
    const double below = divisor(j, all), ce = below > 0.0 ? all->ce / below : 0.0;
    terms[0] = (float)(j->lambda[0] * simple + j->lambda[1] * ce + j->lambda[2] * dice);
    terms[1] = (float)simple;
    terms[2] = (float)ce;
    terms[3] = (float)dice;
}

/* Factors of one image's gradient: h[i] = square (p - m) + slope[i][m]. */
typedef struct {
    float square, ce;
    float slope[VDNI_LOSS_MAX_CHANNELS][2]; /* of Dice where m is 0 and where it is 1 */
} factors;

static factors factors_of(const job *j, int64_t n)
{
    const sums *const all = &j->piece[n * PIECES];
    const double scale = j->weights[2 * n + 1], channels = j->k > 1 ? (double)(j->k - 1) : 1.0;
    factors f;
    memset(&f, 0, sizeof f);
    if (all->valid == 0.0) return f;
    f.square =
        (float)(scale * j->lambda[0] * 8.0 * j->weights[2 * n] / (all->valid * (double)j->k));
    const double below = divisor(j, all);
    f.ce = below > 0.0 ? (float)(scale * j->lambda[1] / below) : 0.0f;
    for (int64_t i = j->k > 1; i < j->k; i++) {
        const double *const d = all->dice + 3 * i;
        const double a = 2.0 * d[0] + 1.0, q = d[1] + d[2] + 1.0;
        const double factor = scale * j->lambda[2] / (q * q * channels);
        f.slope[i][0] = (float)(factor * a);
        f.slope[i][1] = (float)(factor * (a - 2.0 * q));
    }
    return f;
}

static VDNI_VECTOR void sigmoid_gradient(float *restrict ds, const uint8_t *restrict label,
                                         int64_t count, const factors *f, const float ce[2])
{
    const float square = f->square, ce0 = ce[0], ce1 = ce[1];
    const float slope0 = f->slope[0][0], slope1 = f->slope[0][1];
    for (int64_t i = 0; i < count; i++) {
        const int one = label[i] == 1;
        const float p = ds[i], d = p - (one ? 1.0f : 0.0f);
        const float h = square * d + (one ? slope1 : slope0);
        const float slope = (one ? ce1 : ce0) * d + p * (1.0f - p) * h;
        ds[i] = label[i] < 2 ? slope : 0.0f;
    }
}

/* The same with the factor F, before p is overwritten. */
static void focal_gradient(const job *j, int64_t first, int64_t count, const factors *f,
                           const float ce[2])
{
    for (int64_t i = first; i < first + count; i++) {
        const uint8_t label = j->target[i];
        const float p = j->ds[i], q = label == 1 ? p : 1.0f - p;
        const float slope = label < 2 ? focal_slope(j, q) : 0.0f;
        const float own[2] = { slope * ce[0], slope * ce[1] };
        sigmoid_gradient(j->ds + i, j->target + i, 1, f, own);
    }
}

static void softmax_gradient(const job *j, const factors *f, int64_t n, int64_t at)
{
    const uint8_t label = j->target[at];
    float *const p = j->ds + at * j->k;
    const float ce = f->ce * (float)class_weight(j, n, label) * focal_slope(j, p[label]);
    float h[VDNI_LOSS_MAX_CHANNELS], mean = 0.0f;
    for (int64_t i = 0; i < j->k; i++) {
        const int m = label == i;
        h[i] = f->square * (p[i] - (float)m) + f->slope[i][m];
        mean += p[i] * h[i];
    }
    for (int64_t i = 0; i < j->k; i++)
        p[i] = ce * (p[i] - (float)(label == i)) + p[i] * (h[i] - mean);
}

static void differentiate_piece(void *user, int64_t i)
{
    const job *const j = user;
    const int64_t n = i / PIECES, k = i % PIECES;
    const int64_t begin = vdni_chunk_begin(j->pixels, PIECES, k);
    const int64_t end = vdni_chunk_begin(j->pixels, PIECES, k + 1);
    const int64_t first = n * j->pixels;
    const factors f = factors_of(j, n);
    if (j->k == 1) {
        const float ce[2] = { f.ce * (float)class_weight(j, n, 0), f.ce * (float)class_weight(j, n, 1) };
        if (j->focal > 0.0) {
            focal_gradient(j, first + begin, end - begin, &f, ce);
            return;
        }
        sigmoid_gradient(j->ds + first + begin, j->target + first + begin, end - begin, &f, ce);
        return;
    }
    for (int64_t at = first + begin; at < first + end; at++)
        if (j->target[at] < j->k) softmax_gradient(j, &f, n, at);
}

static vdn_status run_segmentation(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                   void *workspace)
{
    const vdni_tensor *const s = op->in[0];
    job j = { .s = s->data,
              .target = op->in[1]->data,
              .weights = op->in[2]->data,
              .class_weights = op->in[3] ? op->in[3]->data : NULL,
              .class_stride = op->in[3] && op->in[3]->n > 1 ? op->in[3]->c : 0,
              .ds = op->out[0]->data,
              .terms = op->out[1]->data,
              .n = s->n,
              .pixels = s->h * s->w,
              .k = s->c,
              .lambda = { op->a.lambda[0], op->a.lambda[1], op->a.lambda[2] },
              .focal = op->a.scale,
              .per_pixel = op->a.mode == VDNI_LOSS_PER_PIXEL,
              .piece = workspace };
    (void)ctx;
    vdni_parallel_for(device->threads, s->n * PIECES, sum_piece, &j);
    for (int64_t n = 0; n < s->n; n++) finish_terms(&j, n);
    vdni_parallel_for(device->threads, s->n * PIECES, differentiate_piece, &j);
    return VDN_OK;
}

static int64_t workspace_bytes(const vdni_device *device, const vdni_op *op)
{
    (void)device;
    return op->in[0]->n * PIECES * (int64_t)sizeof(sums);
}

/* ---- the printed noise loss -------------------------------------------------------------------
 */

static void noise_piece(void *user, int64_t i)
{
    const job *const j = user;
    const int64_t n = i / PIECES, k = i % PIECES;
    const int64_t begin = vdni_chunk_begin(j->pixels, PIECES, k);
    const int64_t end = vdni_chunk_begin(j->pixels, PIECES, k + 1);
    sums *const sum = &j->piece[i];
    memset(sum, 0, sizeof *sum);
    for (int64_t at = n * j->pixels + begin; at < n * j->pixels + end; at++) {
        const int valid = j->target[at] != VDNI_LABEL_IGNORE;
        sum->valid += valid;
        for (int64_t c = at * j->k; c < (at + 1) * j->k; c++) {
            const float z = j->s[c], e = j->eps[c];
            j->ds[c] = valid ? 2.0f * (z - e) + 1.0f / (1.0f + expf(-z)) - e : 0.0f;
            if (!valid) continue;
            sum->simple += (double)(e - z) * (e - z);
            sum->ce += fmaxf(z, 0.0f) + log1pf(expf(-fabsf(z))) - e * z;
        }
    }
}

static void scale_piece(void *user, int64_t i)
{
    const job *const j = user;
    const int64_t n = i / PIECES, k = i % PIECES, size = j->pixels * j->k;
    const double valid = j->piece[n * PIECES].valid;
    if (valid == 0.0) return;
    const float scale = (float)(j->weights[2 * n + 1] / (valid * (double)j->k));
    for (int64_t c = vdni_chunk_begin(size, PIECES, k); c < vdni_chunk_begin(size, PIECES, k + 1);
         c++)
        j->ds[n * size + c] *= scale;
}

static vdn_status run_noise(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const vdni_tensor *const z = op->in[0];
    job j = { .s = z->data,
              .eps = op->in[1]->data,
              .target = op->in[2]->data,
              .weights = op->in[3]->data,
              .ds = op->out[0]->data,
              .terms = op->out[1]->data,
              .n = z->n,
              .pixels = z->h * z->w,
              .k = z->c,
              .piece = workspace };
    (void)ctx;
    vdni_parallel_for(device->threads, z->n * PIECES, noise_piece, &j);
    for (int64_t n = 0; n < z->n; n++) {
        const sums *const all = gather(&j, n);
        const double count = all->valid > 0.0 ? all->valid * (double)j.k : 1.0;
        float *const terms = j.terms + 4 * n;
        terms[0] = (float)((all->simple + all->ce) / count);
        terms[1] = (float)(all->simple / count);
        terms[2] = (float)(all->ce / count);
        terms[3] = 0.0f;
    }
    vdni_parallel_for(device->threads, z->n * PIECES, scale_piece, &j);
    return VDN_OK;
}

const vdni_cpu_entry vdni_cpu_loss[2] = { { run_segmentation, workspace_bytes },
                                          { run_noise, workspace_bytes } };

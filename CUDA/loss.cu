/* CUDA twin of the losses; the contract is Ops/loss.h.
 *
 * Three kernels: sums over pieces of each image, whose number depends on its size only; the sums of
 * the pieces, from them the terms and the factors of the gradient; the gradient. The sigmoid of one
 * channel is worked out again for the gradient, the softmax of several waits in ds. */
#include "CUDA/activation.cuh"
#include "CUDA/channel_sums.cuh"
#include "CUDA/reduce.cuh"

extern "C" {
#include "Ops/loss.h"
}

namespace {

enum { PIECES = 512, PIECE_PIXELS = 1024, RUN = 16 };

/* Sums of an image; pm, p and m of channel j follow at DICE + 3 j. */
enum { VALID, WEIGHT, SIMPLE, CE, DICE };
enum { PM, P, M, DICE_SUMS };
enum { MOST_SUMS = DICE + DICE_SUMS * VDNI_LOSS_MAX_CHANNELS };

/* Factors of one image's gradient: h[i] = square (p - m) + slope[i][m]. */
struct factors {
    float square, ce;
    float slope[VDNI_LOSS_MAX_CHANNELS][2]; /* of Dice where m is 0 and where it is 1 */
};

struct job {
    const float *s, *eps, *class_weights, *weights;
    const uint8_t *target;
    float *ds, *terms;
    int64_t n, pixels, k, class_stride; /* of the class weights: 0 = the same for all images */
    float lambda[3], focal;
    bool per_pixel;
    int32_t pieces, sums; /* of an image, of a piece */
    double *partial;      /* (n, pieces, sums) */
    factors *factor;      /* (n) */
};

/* The pixels or elements of a block's piece. */
struct piece {
    int64_t n, begin, end;
    double *sums;

    __device__ piece(const job &j, int64_t extent)
    {
        n = vdni_quotient(blockIdx.x, j.pieces);
        const int64_t k = blockIdx.x - n * j.pieces;
        begin = n * extent + vdni_part_begin(extent, j.pieces, k);
        end = n * extent + vdni_part_begin(extent, j.pieces, k + 1);
        sums = j.partial + (int64_t)blockIdx.x * j.sums;
    }
};

__device__ inline float class_weight(const job &j, int64_t n, int label)
{
    return j.class_weights ? j.class_weights[n * j.class_stride + label] : 1.0f;
}

/* (1 - q)^f of the cross entropy ce = -log q. */
__device__ inline float focal_factor(const job &j, float ce)
{
    return j.focal > 0.0f ? powf(-expm1f(-ce), j.focal) : 1.0f;
}

/* The factor F of the gradient, from q. */
__device__ inline float focal_slope(const job &j, float q)
{
    const float f = j.focal, rest = 1.0f - q;
    if (f == 0.0f || !(q > 0.0f)) return q == q ? 1.0f : q;
    if (rest <= 0.0f) return 0.0f;
    return powf(rest, f) - f * q * powf(rest, f - 1.0f) * logf(q);
}

/* Float sums of at most RUN terms, moved to double. */
template <int COUNT>
__device__ inline void move(double *total, float *run)
{
#pragma unroll
    for (int k = 0; k < COUNT; k++) {
        total[k] += (double)run[k];
        run[k] = 0.0f;
    }
}

template <int COUNT>
__device__ inline void sum_block(double *total)
{
    __shared__ double scratch[VDNI_CUDA_WARP];
#pragma unroll
    for (int k = 0; k < COUNT; k++) total[k] = vdni_block_sum(total[k], scratch);
}

/* ---- one channel ----------------------------------------------------------------------------- */

/* Sums of valid pixels, of those labelled 1, of the cross entropy of each label, of (m - p)^2, of p
 * and of p labelled 1. */
enum { COUNTED, ONES, CE0, CE1, SQUARES, PROBABILITY, PROBABILITY1, SIGMOID_SUMS };

__device__ inline void add_sigmoid_pixel(const job &j, float *sum, float s, int label)
{
    const bool one = label == 1;
    const float m = one ? 1.0f : 0.0f, p = vdni_sigmoid(s);
    const float whole = vdni_softplus(one ? -s : s), ce = whole * focal_factor(j, whole);
    sum[COUNTED] += 1.0f;
    sum[ONES] += m;
    sum[CE0] += one ? 0.0f : ce;
    sum[CE1] += one ? ce : 0.0f;
    sum[SQUARES] += (m - p) * (m - p);
    sum[PROBABILITY] += p;
    sum[PROBABILITY1] += one ? p : 0.0f;
}

__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) sigmoid_sums_kernel(job j)
{
    const piece at(j, j.pixels);
    float run[SIGMOID_SUMS] = {};
    double total[SIGMOID_SUMS] = {};
    int turns = 0;
    for (int64_t i = at.begin + threadIdx.x; i < at.end; i += VDNI_CUDA_BLOCK) {
        const int label = j.target[i];
        if (label < 2) add_sigmoid_pixel(j, run, j.s[i], label);
        if (++turns % RUN == 0) move<SIGMOID_SUMS>(total, run);
    }
    move<SIGMOID_SUMS>(total, run);
    sum_block<SIGMOID_SUMS>(total);
    if (threadIdx.x > 0) return;
    const double c0 = class_weight(j, at.n, 0), c1 = class_weight(j, at.n, 1);
    at.sums[VALID] = total[COUNTED];
    at.sums[WEIGHT] = c0 * (total[COUNTED] - total[ONES]) + c1 * total[ONES];
    at.sums[SIMPLE] = 4.0 * (double)j.weights[2 * at.n] * total[SQUARES];
    at.sums[CE] = c0 * total[CE0] + c1 * total[CE1];
    at.sums[DICE + PM] = total[PROBABILITY1];
    at.sums[DICE + P] = total[PROBABILITY];
    at.sums[DICE + M] = total[ONES];
}

struct sigmoid_gradient {
    job j;

    template <class, int>
    __device__ void at(int64_t i) const
    {
        const int label = j.target[i];
        float slope = 0.0f;
        if (label < 2) {
            const int64_t n = vdni_quotient(i, j.pixels);
            const factors &f = j.factor[n];
            const float p = vdni_sigmoid(j.s[i]), d = p - (float)label;
            const float h = f.square * d + f.slope[0][label];
            const float focal = focal_slope(j, label == 1 ? p : 1.0f - p);
            slope = f.ce * class_weight(j, n, label) * focal * d + p * (1.0f - p) * h;
        }
        j.ds[i] = slope;
    }
};

/* ---- several channels ------------------------------------------------------------------------ */

/* p is left in ds; zeros where the pixel does not count. */
__device__ inline void add_softmax_pixel(const job &j, float *sum, int64_t n, int64_t at)
{
    const int k = (int)j.k, label = j.target[at];
    const float *s = j.s + at * k;
    float *p = j.ds + at * k;
    if (label >= k) {
        for (int i = 0; i < k; i++) p[i] = 0.0f;
        return;
    }
    float top = s[0], all = 0.0f, squares = 0.0f;
    for (int i = 1; i < k; i++) top = s[i] > top ? s[i] : top;
    for (int i = 0; i < k; i++) all += expf(s[i] - top);
    for (int i = 0; i < k; i++) {
        p[i] = expf(s[i] - top) / all;
        const float d = (label == i ? 1.0f : 0.0f) - p[i];
        squares += d * d;
    }
    const float weight = class_weight(j, n, label);
    sum[VALID] += 1.0f;
    sum[WEIGHT] += weight;
    sum[SIMPLE] += squares;
    const float ce = (top - s[label]) + logf(all);
    sum[CE] += weight * ce * focal_factor(j, ce);
}

/* Sums of a channel over the piece, from the probabilities in ds: threads side by side take
 * neighbouring channels. */
__device__ inline void sum_dice(const job &j, const piece &at)
{
    __shared__ double scratch[VDNI_CUDA_BLOCK];
    int columns = 1;
    while (columns < (int)j.k) columns *= 2;
    const int rows = VDNI_CUDA_BLOCK / columns;
    const int channel = (int)threadIdx.x % columns, row = (int)threadIdx.x / columns;
    float run[DICE_SUMS] = {};
    double total[DICE_SUMS] = {};
    int turns = 0;
    for (int64_t i = at.begin + row; channel < (int)j.k && i < at.end; i += rows) {
        const float p = j.ds[i * j.k + channel];
        const float m = j.target[i] == channel ? 1.0f : 0.0f;
        run[PM] += m * p;
        run[P] += p;
        run[M] += m;
        if (++turns % RUN == 0) move<DICE_SUMS>(total, run);
    }
    move<DICE_SUMS>(total, run);
#pragma unroll
    for (int k = 0; k < DICE_SUMS; k++) {
        const double sum = vdni_column_sum(scratch, total[k], columns, rows);
        if (row == 0 && channel < (int)j.k) at.sums[DICE + DICE_SUMS * channel + k] = sum;
    }
}

__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) softmax_sums_kernel(job j)
{
    const piece at(j, j.pixels);
    float run[DICE] = {};
    double total[DICE] = {};
    int turns = 0;
    for (int64_t i = at.begin + threadIdx.x; i < at.end; i += VDNI_CUDA_BLOCK) {
        add_softmax_pixel(j, run, at.n, i);
        if (++turns % RUN == 0) move<DICE>(total, run);
    }
    move<DICE>(total, run);
    sum_block<DICE>(total);
    total[SIMPLE] *= 4.0 * (double)j.weights[2 * at.n];
    if (threadIdx.x == 0)
        for (int k = 0; k < DICE; k++) at.sums[k] = total[k];
    __syncthreads(); /* the whole piece's p is in ds */
    sum_dice(j, at);
}

struct softmax_gradient {
    job j;

    template <class, int>
    __device__ void at(int64_t at) const
    {
        const int k = (int)j.k, label = j.target[at];
        float *p = j.ds + at * k, mean = 0.0f;
        if (label >= k) return;
        const int64_t n = vdni_quotient(at, j.pixels);
        const factors &f = j.factor[n];
        const float ce = f.ce * class_weight(j, n, label) * focal_slope(j, p[label]);
        for (int i = 0; i < k; i++) mean += p[i] * part(f, p[i], i, label == i);
        for (int i = 0; i < k; i++) {
            const int m = label == i;
            p[i] = ce * (p[i] - (float)m) + p[i] * (part(f, p[i], i, m) - mean);
        }
    }

    __device__ static float part(const factors &f, float p, int i, int m)
    {
        return f.square * (p - (float)m) + f.slope[i][m];
    }
};

/* What the cross entropy of an image is divided by. */
__device__ inline double divisor(const job &j, const double *total)
{
    return total[j.per_pixel ? VALID : WEIGHT];
}

/* ---- terms and factors ----------------------------------------------------------------------- */

/* The sums of image blockIdx.x over its pieces, for every thread: one warp to a sum. */
__device__ inline void sum_pieces(const job &j, double *total)
{
    const int lane = (int)threadIdx.x % VDNI_CUDA_WARP;
    const double *partial = j.partial + (int64_t)blockIdx.x * j.pieces * j.sums;
    for (int k = (int)threadIdx.x / VDNI_CUDA_WARP; k < j.sums;
         k += VDNI_CUDA_BLOCK / VDNI_CUDA_WARP) {
        double sum = 0.0;
        for (int64_t i = lane; i < j.pieces; i += VDNI_CUDA_WARP) sum += partial[i * j.sums + k];
        sum = vdni_warp_sum(sum);
        if (lane == 0) total[k] = sum;
    }
    __syncthreads();
}

__device__ inline void put_terms(const job &j, int64_t n, const double *total)
{
    const int first = j.k > 1;
    float *terms = j.terms + 4 * n;
    double dice = 0.0;
    for (int i = first; i < (int)j.k; i++) {
        const double *d = total + DICE + DICE_SUMS * i;
        dice += 1.0 - (2.0 * d[PM] + 1.0) / (d[P] + d[M] + 1.0);
    }
    dice /= (double)(j.k - first);
    const double simple = total[SIMPLE] / (total[VALID] * (double)j.k);
    const double below = divisor(j, total), ce = below > 0.0 ? total[CE] / below : 0.0;
    terms[0] = (float)(j.lambda[0] * simple + j.lambda[1] * ce + j.lambda[2] * dice);
    terms[1] = (float)simple;
    terms[2] = (float)ce;
    terms[3] = (float)dice;
}

__device__ inline void put_slope(const job &j, int64_t n, const double *total, int i)
{
    const double scale = j.weights[2 * n + 1], channels = j.k > 1 ? (double)(j.k - 1) : 1.0;
    const double *d = total + DICE + DICE_SUMS * i;
    const double a = 2.0 * d[PM] + 1.0, q = d[P] + d[M] + 1.0;
    const double factor = scale * j.lambda[2] / (q * q * channels);
    const bool counts = i >= (j.k > 1); /* not the background of several classes */
    j.factor[n].slope[i][0] = counts ? (float)(factor * a) : 0.0f;
    j.factor[n].slope[i][1] = counts ? (float)(factor * (a - 2.0 * q)) : 0.0f;
}

__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) terms_kernel(job j)
{
    __shared__ double total[MOST_SUMS];
    const int64_t n = blockIdx.x;
    const int thread = (int)threadIdx.x;
    sum_pieces(j, total);
    const bool empty = total[VALID] == 0.0; /* then no pixel asks for the factors */
    if (empty && thread < 4) j.terms[4 * n + thread] = 0.0f;
    if (empty) return;
    if (thread < (int)j.k) put_slope(j, n, total, thread);
    if (thread > 0) return;
    const double scale = j.weights[2 * n + 1], w = j.weights[2 * n];
    j.factor[n].square = (float)(scale * j.lambda[0] * 8.0 * w / (total[VALID] * (double)j.k));
    const double below = divisor(j, total);
    j.factor[n].ce = below > 0.0 ? (float)(scale * j.lambda[1] / below) : 0.0f;
    put_terms(j, n, total);
}

/* ---- the printed noise loss ------------------------------------------------------------------ */

/* Elements, not pixels: VALID counts those of all channels. */
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) noise_sums_kernel(job j)
{
    const piece at(j, j.pixels * j.k);
    float run[DICE] = {};
    double total[DICE] = {};
    int turns = 0;
    for (int64_t i = at.begin + threadIdx.x; i < at.end; i += VDNI_CUDA_BLOCK) {
        if (j.target[vdni_quotient(i, j.k)] != VDNI_LABEL_IGNORE) {
            const float z = j.s[i], e = j.eps[i];
            run[VALID] += 1.0f;
            run[SIMPLE] += (e - z) * (e - z);
            run[CE] += vdni_softplus(z) - e * z;
        }
        if (++turns % RUN == 0) move<DICE>(total, run);
    }
    move<DICE>(total, run);
    sum_block<DICE>(total);
    if (threadIdx.x == 0)
        for (int k = 0; k < DICE; k++) at.sums[k] = total[k];
}

__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) noise_terms_kernel(job j)
{
    __shared__ double total[DICE];
    const int64_t n = blockIdx.x;
    float *terms = j.terms + 4 * n;
    sum_pieces(j, total);
    if (threadIdx.x > 0) return;
    const double count = total[VALID] > 0.0 ? total[VALID] : 1.0;
    terms[0] = (float)((total[SIMPLE] + total[CE]) / count);
    terms[1] = (float)(total[SIMPLE] / count);
    terms[2] = (float)(total[CE] / count);
    terms[3] = 0.0f;
    j.factor[n].square = (float)(j.weights[2 * n + 1] / count);
}

struct noise_gradient {
    job j;

    template <class, int>
    __device__ void at(int64_t i) const
    {
        const int64_t pixel = vdni_quotient(i, j.k);
        float slope = 0.0f;
        if (j.target[pixel] != VDNI_LABEL_IGNORE) {
            const float z = j.s[i], e = j.eps[i];
            slope = j.factor[vdni_quotient(pixel, j.pixels)].square *
                    (2.0f * (z - e) + vdni_sigmoid(z) - e);
        }
        j.ds[i] = slope;
    }
};

/* ---- table ----------------------------------------------------------------------------------- */

/* Factors after the sums: doubles before floats keep both aligned. */
job job_of(const vdni_op *op, void *workspace)
{
    const vdni_tensor *s = op->in[0];
    const bool is_noise = op->kind == VDNI_OP_NOISE_LOSS;
    job j = {};
    j.n = s->n;
    j.pixels = s->h * s->w;
    j.k = s->c;
    const int64_t wanted = (j.pixels + PIECE_PIXELS - 1) / PIECE_PIXELS;
    j.pieces = wanted < PIECES ? (int32_t)wanted : (int32_t)PIECES;
    j.sums = is_noise ? (int32_t)DICE : (int32_t)(DICE + DICE_SUMS * j.k);
    j.partial = static_cast<double *>(workspace);
    j.factor = reinterpret_cast<factors *>(j.partial + j.n * j.pieces * j.sums);
    j.s = vdni_data<float>(s);
    j.eps = is_noise ? vdni_data<float>(op->in[1]) : nullptr;
    j.target = vdni_data<uint8_t>(op->in[is_noise ? 2 : 1]);
    j.weights = vdni_data<float>(op->in[is_noise ? 3 : 2]);
    j.class_weights = is_noise ? nullptr : vdni_data<float>(op->in[3]);
    j.class_stride = j.class_weights && op->in[3]->n > 1 ? op->in[3]->c : 0;
    j.ds = vdni_data<float>(op->out[0]);
    j.terms = vdni_data<float>(op->out[1]);
    for (int i = 0; i < 3; i++) j.lambda[i] = op->a.lambda[i];
    j.focal = op->a.scale;
    j.per_pixel = op->a.mode == VDNI_LOSS_PER_PIXEL;
    return j;
}

int64_t workspace_bytes(const vdni_device *, const vdni_op *op)
{
    const job j = job_of(op, nullptr);
    return j.n * (j.pieces * j.sums * (int64_t)sizeof(double) + (int64_t)sizeof(factors));
}

vdn_status run_segmentation(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const job j = job_of(op, workspace);
    const bool one = j.k == 1;
    VDN_CHECK(vdni_launch(ctx, device, one ? sigmoid_sums_kernel : softmax_sums_kernel,
                          dim3((unsigned)(j.n * j.pieces)), dim3(VDNI_CUDA_BLOCK), j));
    VDN_CHECK(
        vdni_launch(ctx, device, terms_kernel, dim3((unsigned)j.n), dim3(VDNI_CUDA_BLOCK), j));
    return one ? vdni_each_as<float, 1>(ctx, device, sigmoid_gradient{ j }, j.n * j.pixels)
               : vdni_each_as<float, 1>(ctx, device, softmax_gradient{ j }, j.n * j.pixels);
}

vdn_status run_noise(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const job j = job_of(op, workspace);
    VDN_CHECK(vdni_launch(ctx, device, noise_sums_kernel, dim3((unsigned)(j.n * j.pieces)),
                          dim3(VDNI_CUDA_BLOCK), j));
    VDN_CHECK(vdni_launch(ctx, device, noise_terms_kernel, dim3((unsigned)j.n),
                          dim3(VDNI_CUDA_BLOCK), j));
    return vdni_each_as<float, 1>(ctx, device, noise_gradient{ j }, j.n * j.pixels * j.k);
}

} // namespace

const vdni_cuda_entry vdni_cuda_loss[2] = {
    { run_segmentation, workspace_bytes, nullptr, nullptr },
    { run_noise, workspace_bytes, nullptr, nullptr },
};

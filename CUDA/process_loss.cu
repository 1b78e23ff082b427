/* CUDA twin of the process's losses; the contract is Ops/process_loss.h.
 *
 * Three kernels: the pixels that count, in pieces of each image; the gradient and the sums of the
 * pieces; the terms. The pieces' number depends on the image's size only. */
#include "CUDA/channel_sums.cuh"
#include "CUDA/reduce.cuh"

extern "C" {
#include "Ops/process_loss.h"
}

namespace
{

enum { PIECES = 256, PIECE_PIXELS = 1024, TERMS = 3, SUMS = 1 + TERMS };

constexpr double LEAST = 1e-4, TINY = 1e-9, LOG_2PI = 1.83787706640934548356;

struct job {
    const float *z, *second, *f, *weights;
    const uint8_t *target;
    float *dz, *terms;
    int64_t n, pixels, k, width; /* width: channels of z */
    float lambda[3];
    int32_t pieces;
    bool is_epsilon;
    double *partial; /* (n, pieces, SUMS): pixels that count, then the terms */
};

__device__ inline bool counts(const job &j, int64_t pixel)
{ return j.target[pixel] < (j.k > 2 ? j.k : 2); }

__device__ inline double mask_of(const job &j, int64_t pixel, int64_t c)
{ return j.k == 1 ? j.target[pixel] == 1 : j.target[pixel] == c; }

__device__ inline double likelihood(const float *w, double error, double v, double *slope)
{
    const double high = w[4], low = w[5], d = w[6] * error;
    const double l = low + 0.5 * (v + 1.0) * (high - low);
    const double b = w[7] > 0.0f ? 0.0 : exp(low), c = w[7] > 0.0f ? LOG_2PI : -low - 1.0;
    const double ratio = (b + d * d) * exp(-l);
    *slope = 0.25 * (high - low) * (1.0 - ratio);
    return 0.5 * (l + ratio + c);
}

__device__ inline double mask_entropy(double m, double p, double gain, double *slope)
{
    const double cut = p < LEAST ? LEAST : p > 1.0 - LEAST ? 1.0 - LEAST : p;
    *slope = cut != p ? 0.0 : gain * (m / p - (1.0 - m) / (1.0 - p));
    return -m * log(cut) - (1.0 - m) * log(1.0 - cut);
}

__device__ inline void epsilon_element(const job &j, const float *w, int64_t pixel, int64_t c,
                                       double scale, double *term)
{
    const int64_t at = pixel * j.width + c;
    const double error = (double)j.second[pixel * j.k + c] - j.z[at], m = mask_of(j, pixel, c);
    double slope = -2.0 * j.lambda[0] * w[0] * error, part = 0.0;
    term[0] += j.lambda[0] > 0.0f ? w[0] * error * error : 0.0;
    if (j.lambda[1] > 0.0f) {
        term[1] += w[3] * mask_entropy(m, m + w[2] * error, w[2], &part);
        slope += (double)j.lambda[1] * w[3] * part;
    }
    j.dz[at] = (float)(scale * slope);
    if (j.width == j.k) return;
    part = 0.0;
    if (j.lambda[2] > 0.0f) term[2] += likelihood(w, error, j.z[at + j.k], &part);
    j.dz[at + j.k] = (float)(scale * j.lambda[2] * part);
}

struct chain {
    double a1, a0, bar, rest, f;

    __device__ double mean(double y) const { return bar * y + rest * f; }

    /* Off the ends, where the estimate's logarithms and slopes are. */
    __device__ static double inside(double mu)
    { return mu < TINY ? TINY : mu > 1.0 - TINY ? 1.0 - TINY : mu; }

    __device__ double posterior(double mu) const
    {
        const double one = a1 * mu, none = a0 * (1.0 - mu);
        return one / (one + none);
    }
};

__device__ inline double log_of(double p) { return log(p < 1e-300 ? 1e-300 : p); }

__device__ inline double divergence(double p, double q)
{
    return (p > 0.0 ? p * (log_of(p) - log_of(q)) : 0.0) +
           (p < 1.0 ? (1.0 - p) * (log_of(1.0 - p) - log_of(1.0 - q)) : 0.0);
}

__device__ inline void bernoulli_element(const job &j, const float *w, int64_t pixel, int64_t c,
                                         double scale, double *term)
{
    const int64_t at = pixel * j.k + c;
    const double x = j.second[at], z = j.z[at], m = mask_of(j, pixel, c), e = fabs(x - m);
    const double s = 1.0 / (1.0 + exp(-z)), y = fabs(x - s);
    const double beta = w[0], alpha = 1.0 - beta, r = fabs(1.0 - x - j.f[at]);
    const chain h = { alpha * x + beta * r, alpha * (1.0 - x) + beta * r, w[1], w[3], j.f[at] };
    const double mu = h.inside(h.mean(y)), p = h.posterior(h.mean(m)), q = h.posterior(mu);
    const double over_mu = (q - p) / (mu * (1.0 - mu));
    const double kl_slope = over_mu * h.bar * (1.0 - 2.0 * x) * s * (1.0 - s);
    term[0] += divergence(p, q);
    term[1] += (z > 0.0 ? z : 0.0) - e * z + log1p(exp(-fabs(z)));
    j.dz[at] = (float)(scale * (j.lambda[0] * kl_slope + j.lambda[1] * (s - e)));
}

/* The pixels of a block's piece. */
struct piece {
    int64_t n, begin, end;
    double *sums;

    __device__ explicit piece(const job &j)
    {
        n = vdni_quotient(blockIdx.x, j.pieces);
        const int64_t k = blockIdx.x - n * j.pieces;
        begin = n * j.pixels + vdni_part_begin(j.pixels, j.pieces, k);
        end = n * j.pixels + vdni_part_begin(j.pixels, j.pieces, k + 1);
        sums = j.partial + (int64_t)blockIdx.x * SUMS;
    }
};

__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) count_kernel(job j)
{
    __shared__ double scratch[VDNI_CUDA_WARP];
    const piece at(j);
    double valid = 0.0;
    for (int64_t i = at.begin + threadIdx.x; i < at.end; i += VDNI_CUDA_BLOCK)
        valid += counts(j, i) ? 1.0 : 0.0;
    valid = vdni_block_sum(valid, scratch);
    if (threadIdx.x == 0) at.sums[0] = valid;
}

/* In order, by every thread: there are few. */
__device__ inline double sum_of(const job &j, int64_t n, int which)
{
    const double *partial = j.partial + n * j.pieces * SUMS + which;
    double sum = 0.0;
    for (int32_t i = 0; i < j.pieces; i++) sum += partial[(int64_t)i * SUMS];
    return sum;
}

__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) loss_kernel(job j)
{
    __shared__ double scratch[VDNI_CUDA_WARP];
    const piece at(j);
    const float *w =
        j.weights + at.n * (j.is_epsilon ? VDNI_EPSILON_WEIGHTS : VDNI_BERNOULLI_WEIGHTS);
    const double scale = w[j.is_epsilon ? 1 : 2] / (sum_of(j, at.n, 0) * (double)j.k);
    double term[TERMS] = {};
    for (int64_t i = at.begin + threadIdx.x; i < at.end; i += VDNI_CUDA_BLOCK) {
        const bool valid = counts(j, i);
        for (int64_t c = 0; !valid && c < j.width; c++) j.dz[i * j.width + c] = 0.0f;
        for (int64_t c = 0; valid && c < j.k; c++) {
            if (j.is_epsilon)
                epsilon_element(j, w, i, c, scale, term);
            else
                bernoulli_element(j, w, i, c, scale, term);
        }
    }
    for (int k = 0; k < TERMS; k++) {
        term[k] = vdni_block_sum(term[k], scratch);
        if (threadIdx.x == 0) at.sums[1 + k] = term[k];
    }
}

__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) put_kernel(job j)
{
    const int64_t n = blockIdx.x;
    if (threadIdx.x > 0) return;
    const double count = sum_of(j, n, 0) * (double)j.k;
    double total = 0.0;
    for (int k = 0; k < TERMS; k++) {
        double sum = sum_of(j, n, 1 + k);
        if (count > 0.0) sum /= count;
        j.terms[4 * n + k + 1] = (float)sum;
        total += j.lambda[k] * sum;
    }
    j.terms[4 * n] = (float)total;
}

job job_of(const vdni_op *op, void *workspace)
{
    const vdni_tensor *z = op->in[0], *second = op->in[1];
    job j = {};
    j.is_epsilon = op->kind == VDNI_OP_EPSILON_LOSS;
    j.n = z->n;
    j.pixels = z->h * z->w;
    j.k = second->c;
    j.width = z->c;
    const int64_t wanted = (j.pixels + PIECE_PIXELS - 1) / PIECE_PIXELS;
    j.pieces = wanted < PIECES ? (int32_t)wanted : (int32_t)PIECES;
    j.partial = static_cast<double *>(workspace);
    j.z = vdni_data<float>(z);
    j.second = vdni_data<float>(second);
    j.f = j.is_epsilon ? nullptr : vdni_data<float>(op->in[2]);
    j.target = vdni_data<uint8_t>(op->in[j.is_epsilon ? 2 : 3]);
    j.weights = vdni_data<float>(op->in[j.is_epsilon ? 3 : 4]);
    j.dz = vdni_data<float>(op->out[0]);
    j.terms = vdni_data<float>(op->out[1]);
    for (int i = 0; i < 3; i++) j.lambda[i] = op->a.lambda[i];
    return j;
}

int64_t workspace_bytes(const vdni_device *, const vdni_op *op)
{
    const job j = job_of(op, nullptr);
    return j.n * j.pieces * SUMS * (int64_t)sizeof(double);
}

vdn_status run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const job j = job_of(op, workspace);
    const dim3 blocks((unsigned)(j.n * j.pieces)), threads(VDNI_CUDA_BLOCK);
    VDN_CHECK(vdni_launch(ctx, device, count_kernel, blocks, threads, j));
    VDN_CHECK(vdni_launch(ctx, device, loss_kernel, blocks, threads, j));
    return vdni_launch(ctx, device, put_kernel, dim3((unsigned)j.n), threads, j);
}

} // namespace

const vdni_cuda_entry vdni_cuda_process_loss[2] = { { run, workspace_bytes, nullptr, nullptr },
                                                    { run, workspace_bytes, nullptr, nullptr } };

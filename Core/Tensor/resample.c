#include "Tensor/resample.h"

#include "Base/memory.h"
#include "Base/parallel.h"

#include <math.h>

/* Taps of one axis: output i is x[first[i]] + sum over k < count[i] of
 * weight[i * stride + k] * (x[first[i] + 1 + k] - x[first[i]]). */
typedef struct {
    int64_t stride;
    int32_t *first, *count;
    float *weight;
} axis;

typedef struct {
    float *out;
    const float *in;
    int64_t out_h, out_w, w, channels;
    axis rows, columns;
    float *row; /* (chunks, w, channels) */
    int64_t chunks;
} resampling;

static void free_axis(vdn_ctx *ctx, axis *a)
{
    vdni_free(ctx, a->first);
    vdni_free(ctx, a->count);
    vdni_free(ctx, a->weight);
}

static void enlarge(axis *a, int64_t n, int64_t m)
{
    for (int64_t i = 0; i < m; i++) {
        /* (i + 1/2) n/m - 1/2 in units of 1/(2m); never below -1/2 pixel or above n - 1/2. */
        const int64_t position = (2 * i + 1) * n - m;
        const int64_t below = position < 0 ? 0 : position / (2 * m);
        const int64_t rest = position < 0 ? 0 : position % (2 * m);
        a->first[i] = (int32_t)below;
        a->count[i] = rest > 0 && below + 1 < n;
        a->weight[i * a->stride] = (float)((double)rest / (double)(2 * m));
    }
}

static void reduce(axis *a, int64_t n, int64_t m)
{
    for (int64_t i = 0; i < m; i++) {
        /* In units of 1/m: output i covers [i n, (i + 1) n), input k covers [k m, (k + 1) m). */
        const int64_t from = i * n, to = from + n;
        const int64_t first = from / m, last = (to - 1) / m;
        a->first[i] = (int32_t)first;
        a->count[i] = (int32_t)(last - first);
        for (int64_t k = first + 1; k <= last; k++) {
            const int64_t end = (k + 1) * m < to ? (k + 1) * m : to;
            a->weight[i * a->stride + k - first - 1] = (float)((double)(end - k * m) / (double)n);
        }
    }
}

static vdn_status plan_axis(vdn_ctx *ctx, axis *a, int64_t n, int64_t m)
{
    a->stride = m < n ? n / m + 2 : 1;
    VDN_CHECK(VDNI_NEW(ctx, a->first, m));
    VDN_CHECK(VDNI_NEW(ctx, a->count, m));
    VDN_CHECK(VDNI_NEW(ctx, a->weight, m * a->stride));
    if (m < n)
        reduce(a, n, m);
    else
        enlarge(a, n, m);
    return VDN_OK;
}

/* One output row before its columns are resampled: contiguous, so it vectorises. */
static void mix_rows(float *restrict row, const resampling *r, int64_t y)
{
    const int64_t values = r->w * r->channels;
    const float *const base = r->in + r->rows.first[y] * values;
    const float *const weight = r->rows.weight + y * r->rows.stride;

    for (int64_t i = 0; i < values; i++) row[i] = base[i];
    for (int32_t k = 0; k < r->rows.count[y]; k++) {
        const float *const other = base + (k + 1) * values;
        const float part = weight[k];
        for (int64_t i = 0; i < values; i++) row[i] += part * (other[i] - base[i]);
    }
}

static void mix_columns(float *restrict out, const float *restrict row, const resampling *r)
{
    const int64_t channels = r->channels;
    for (int64_t x = 0; x < r->out_w; x++) {
        const float *const base = row + r->columns.first[x] * channels;
        const float *const weight = r->columns.weight + x * r->columns.stride;
        const int32_t count = r->columns.count[x];
        for (int64_t c = 0; c < channels; c++) {
            float value = base[c];
            for (int32_t k = 0; k < count; k++)
                value += weight[k] * (base[(k + 1) * channels + c] - base[c]);
            out[x * channels + c] = value;
        }
    }
}

static void resample_chunk(void *user, int64_t chunk)
{
    const resampling *const r = user;
    float *const row = r->row + chunk * r->w * r->channels;
    const int64_t end = vdni_chunk_begin(r->out_h, r->chunks, chunk + 1);
    for (int64_t y = vdni_chunk_begin(r->out_h, r->chunks, chunk); y < end; y++) {
        mix_rows(row, r, y);
        mix_columns(r->out + y * r->out_w * r->channels, row, r);
    }
}

static vdn_status check_sizes(vdn_ctx *ctx, const int64_t out_size[2], const int64_t size[3])
{
    const int64_t all[5] = { out_size[0], out_size[1], size[0], size[1], size[2] };
    for (int i = 0; i < 5; i++)
        if (all[i] < 1 || all[i] > INT32_MAX)
            return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                             "cannot resample %lld x %lld pixels of %lld channels to %lld x %lld",
                             (long long)size[0], (long long)size[1], (long long)size[2],
                             (long long)out_size[0], (long long)out_size[1]);
    return VDN_OK;
}

vdn_status vdni_resample_plane(vdn_ctx *ctx, float *out, const int64_t out_size[2], const float *in,
                               const int64_t size[3])
{
    vdn_status status = VDN_OK;
    resampling r = { .out = out,
                     .in = in,
                     .out_h = out_size[0],
                     .out_w = out_size[1],
                     .w = size[1],
                     .channels = size[2] };

    VDN_CHECK(check_sizes(ctx, out_size, size));
    VDN_TRY(plan_axis(ctx, &r.rows, size[0], out_size[0]));
    VDN_TRY(plan_axis(ctx, &r.columns, size[1], out_size[1]));
    r.chunks = r.out_h < VDNI_CHUNKS ? r.out_h : VDNI_CHUNKS;
    VDN_TRY(VDNI_NEW(ctx, r.row, r.chunks * r.w * r.channels));
    vdni_parallel_for(ctx->threads, r.chunks, resample_chunk, &r);
done:
    vdni_free(ctx, r.row);
    free_axis(ctx, &r.columns);
    free_axis(ctx, &r.rows);
    return status;
}

int64_t vdni_resampled_size(int64_t count, double spacing_mm, double target_mm)
{
    if (!(spacing_mm > 0.0) || !(target_mm > 0.0) || !isfinite(spacing_mm) || !isfinite(target_mm))
        return count;
    const double pixels = floor((double)count * (spacing_mm / target_mm) + 0.5);
    if (!(pixels >= 1.0)) return 1;
    return pixels < (double)INT32_MAX ? (int64_t)pixels : INT32_MAX;
}

#include "Tensor/normalize.h"

#include <math.h>
#include <string.h>

/* Radix selection looks at 11, 11 and 10 bits of a value, so three passes find any order statistic
 * without sorting or copying, whatever the values are. */
enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };

/* Unsigned integers in the order of the floats. */
static uint32_t order_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static float value_of(uint32_t order)
{
    const uint32_t bits = order & 0x80000000u ? order & 0x7fffffffu : ~order;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float order_statistic(const float *values, int64_t count, int64_t stride, int64_t rank)
{
    static const struct {
        uint32_t known;
        int shift;
    } pass[3] = { { 0u, 21 }, { 0xffe00000u, 10 }, { 0xfffffc00u, 0 } };
    int64_t histogram[DIGITS];
    uint32_t prefix = 0;

    for (int p = 0; p < 3; p++) {
        const uint32_t known = pass[p].known, mask = p == 2 ? 0x3ffu : DIGITS - 1u;
        memset(histogram, 0, sizeof histogram);
        for (int64_t i = 0; i < count; i++) {
            const uint32_t order = order_of(values[i * stride]);
            if ((order & known) == prefix) histogram[(order >> pass[p].shift) & mask]++;
        }
        uint32_t digit = 0;
        while (digit < mask && rank >= histogram[digit]) rank -= histogram[digit++];
        prefix |= digit << pass[p].shift;
    }
    return value_of(prefix);
}

/* The order statistic after @p below, which has rank @p rank. */
static float next_statistic(const float *values, int64_t count, int64_t stride, float below,
                            int64_t rank)
{
    float next = below;
    int64_t not_above = 0;
    for (int64_t i = 0; i < count; i++) {
        const float value = values[i * stride];
        if (value <= below)
            not_above++;
        else if (next == below || value < next)
            next = value;
    }
    return not_above > rank + 1 ? below : next;
}

double vdni_percentile(const float *values, int64_t count, int64_t stride, double percent)
{
    const double position = percent / 100.0 * (double)(count - 1);
    const int64_t rank = (int64_t)position;
    const double part = position - (double)rank;
    const double below = order_statistic(values, count, stride, rank);
    if (rank + 1 >= count || part <= 0.0) return below;
    return below + part * (next_statistic(values, count, stride, (float)below, rank) - below);
}

static vdn_status check_finite(vdn_ctx *ctx, const float *in, const int64_t size[3], int64_t slice)
{
    const int64_t row_values = size[1] * size[2];
    for (int64_t y = 0; y < size[0]; y++) {
        const float *const row = in + y * row_values;
        int bad = 0;
        for (int64_t i = 0; i < row_values; i++) {
            uint32_t bits;
            memcpy(&bits, &row[i], sizeof bits);
            bad |= (bits & 0x7f800000u) == 0x7f800000u;
        }
        for (int64_t i = 0; bad && i < row_values; i++)
            if (!isfinite(row[i]))
                return vdni_fail(ctx, VDN_ERR_NUMERIC,
                                 "slice %lld: the pixel at row %lld, column %lld, channel %lld is "
                                 "%s, needed a finite number",
                                 (long long)slice, (long long)y, (long long)(i / size[2]),
                                 (long long)(i % size[2]), isnan(row[i]) ? "NaN" : "infinite");
    }
    return VDN_OK;
}

static float clip(float value, float low, float high)
{
    return value < low ? low : value > high ? high : value;
}

static void scale_channel(float *out, const float *in, int64_t count, int64_t stride)
{
    const float low = (float)vdni_percentile(in, count, stride, 0.5);
    const float high = (float)vdni_percentile(in, count, stride, 99.5);
    double sum = 0.0, squares = 0.0;

    for (int64_t i = 0; i < count; i++) sum += clip(in[i * stride], low, high);
    const double mean = sum / (double)count;
    for (int64_t i = 0; i < count; i++) {
        const double d = clip(in[i * stride], low, high) - mean;
        squares += d * d;
    }
    const double sd = sqrt(squares / (double)count);
    /* Rounding of the mean alone leaves a constant slice with an sd of some 1e-16 of its value. */
    const int constant = !(high > low) || !(sd > 0.0);
    const double scale = constant ? 0.0 : 1.0 / sd;
    for (int64_t i = 0; i < count; i++)
        out[i * stride] = (float)((clip(in[i * stride], low, high) - mean) * scale);
}

vdn_status vdni_normalize_slice(vdn_ctx *ctx, float *out, const float *in, const int64_t size[3],
                                vdn_modality modality, int64_t slice)
{
    const int64_t pixels = size[0] * size[1], channels = size[2];

    VDN_CHECK(check_finite(ctx, in, size, slice));
    switch (modality) {
    case VDN_MODALITY_CT:
        for (int64_t i = 0; i < pixels * channels; i++)
            out[i] = (float)((clip(in[i], VDNI_CT_LOW_HU, VDNI_CT_HIGH_HU) - VDNI_CT_CENTRE_HU) /
                             VDNI_CT_SCALE_HU);
        return VDN_OK;
    case VDN_MODALITY_MR:
    case VDN_MODALITY_XRAY:
        for (int64_t c = 0; c < channels; c++) scale_channel(out + c, in + c, pixels, channels);
        return VDN_OK;
    }
    return vdni_fail(ctx, VDN_ERR_ARGUMENT, "slice %lld: unknown modality %d", (long long)slice,
                     (int)modality);
}

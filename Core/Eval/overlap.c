#include "Eval/overlap.h"

#include <math.h>

static double ratio(int64_t part, int64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 1.0;
}

double vdni_dice(const vdni_overlap *o)
{
    const int64_t twice = 2 * o->true_positive;
    return ratio(twice, twice + o->false_positive + o->false_negative);
}

double vdni_iou(const vdni_overlap *o)
{
    return ratio(o->true_positive, o->true_positive + o->false_positive + o->false_negative);
}

void vdni_overlap_add(vdni_overlap *sum, const vdni_overlap *part)
{
    sum->true_positive += part->true_positive;
    sum->false_positive += part->false_positive;
    sum->false_negative += part->false_negative;
}

void vdni_overlap_labels(vdni_overlap *out, const uint8_t *reference, const uint8_t *prediction,
                         int64_t count, uint8_t label)
{
    vdni_overlap o = { 0, 0, 0 };
    for (int64_t i = 0; i < count; i++) {
        const int in_reference = reference[i] == label, in_prediction = prediction[i] == label;
        if (reference[i] == 255) continue;
        o.true_positive += in_reference && in_prediction;
        o.false_positive += in_prediction > in_reference;
        o.false_negative += in_reference > in_prediction;
    }
    *out = o;
}

static uint8_t largest(const float *p, int32_t k)
{
    int32_t best = 0;
    if (k == 1) return p[0] > 0.5f;
    for (int32_t c = 1; c < k; c++)
        if (p[c] > p[best]) best = c;
    return (uint8_t)best;
}

void vdni_argmax(uint8_t *out, const float *p, int64_t count, int32_t k)
{
    for (int64_t i = 0; i < count; i++) out[i] = largest(p + i * k, k);
}

double vdni_mean_dice(const float *p, const uint8_t *reference, int64_t count, int32_t k)
{
    const int32_t classes = k == 1 ? 2 : k;
    vdni_overlap o[VDN_MAX_CLASSES] = { { 0, 0, 0 } };
    double sum = 0.0;

    for (int64_t i = 0; i < count; i++) {
        const uint8_t found = largest(p + i * k, k), wanted = reference[i];
        if (wanted >= classes) continue;
        if (found == wanted) {
            o[found].true_positive++;
            continue;
        }
        o[found].false_positive++;
        o[wanted].false_negative++;
    }
    for (int32_t c = 1; c < classes; c++) sum += vdni_dice(&o[c]);
    return sum / (classes - 1);
}

void vdni_mean_sd(double *mean, double *sd, const double *values, int64_t count)
{
    double sum = 0.0, squares = 0.0;
    for (int64_t i = 0; i < count; i++) sum += values[i];
    *mean = sum / (double)count;
    for (int64_t i = 0; i < count; i++) squares += (values[i] - *mean) * (values[i] - *mean);
    *sd = count > 1 ? sqrt(squares / (double)(count - 1)) : 0.0;
}

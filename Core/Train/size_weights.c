#include "Train/size_weights.h"

#include <math.h>

#define FEWEST_PIXELS 16.0
#define AVERAGE_KEEPS 0.99

vdni_size_loss vdni_size_loss_plain(void)
{ return (vdni_size_loss){ .form = VDNI_SEG_CE, .beta = 0.9999, .clip = 50.0 }; }

void vdni_class_counts(double *counts, const uint8_t *target, int64_t pixels, int32_t classes)
{
    int64_t found[256] = { 0 };
    for (int64_t i = 0; i < pixels; i++) found[target[i]]++;
    for (int32_t c = 0; c < classes; c++) counts[c] += (double)found[c];
}

double vdni_class_shares(double *shares, const double *counts, int32_t classes)
{
    double sum = 0.0;
    for (int32_t c = 0; c < classes; c++) sum += counts[c];
    for (int32_t c = 0; c < classes; c++) shares[c] = sum > 0.0 ? counts[c] / sum : 0.0;
    return sum;
}

static double raw_weight(double share, double pixels, const vdni_size_loss *loss)
{
    switch (loss->form) {
    case VDNI_SEG_SA_FOCAL:
        return pow(1.0 - share, loss->gamma > 0.0 ? loss->gamma : 2.0);
    case VDNI_SEG_SA_INVPOW:
        return pow(share, loss->gamma > 0.0 ? -loss->gamma : -0.5);
    case VDNI_SEG_SA_EFFNUM:
        return (1.0 - loss->beta) / -expm1(share * pixels * log(loss->beta));
    default:
        return 1.0;
    }
}

void vdni_size_weights(float *weights, const double *shares, double pixels, int32_t classes,
                       const vdni_size_loss *loss)
{
    double w[VDN_MAX_CLASSES], least = INFINITY, sum = 0.0;
    for (int32_t c = 0; c < classes; c++) {
        const double floor = pixels > FEWEST_PIXELS ? FEWEST_PIXELS / pixels : 1.0;
        const double share = fmin(fmax(shares[c], floor), 1.0 - 1e-6);
        w[c] = raw_weight(share, pixels, loss);
        least = fmin(least, w[c]);
    }
    for (int32_t c = 0; c < classes; c++) {
        if (loss->clip > 0.0) w[c] = fmin(w[c], loss->clip * least);
        sum += shares[c] * w[c];
    }
    for (int32_t c = 0; c < classes; c++)
        weights[c] = pixels > 0.0 && sum > 0.0 ? (float)(w[c] / sum) : 1.0f;
}

void vdni_shares_follow(double *average, const double *shares, int32_t classes)
{
    double before = 0.0;
    for (int32_t c = 0; c < classes; c++) before += average[c];
    for (int32_t c = 0; c < classes; c++)
        average[c] = before > 0.0 ? AVERAGE_KEEPS * average[c] + (1.0 - AVERAGE_KEEPS) * shares[c]
                                  : shares[c];
}

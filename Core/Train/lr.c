#include "Train/lr.h"

#include <math.h>

#define PI 3.14159265358979323846

double vdni_lr_at(const vdni_lr *lr, int64_t step)
{
    if (lr->kind == VDNI_LR_CONSTANT) return lr->base;
    if (lr->kind == VDNI_LR_POLY) {
        const int64_t done = step < lr->steps ? step - 1 : lr->steps - 1;
        return lr->base * pow(1.0 - (double)done / (double)lr->steps, 0.9);
    }
    if (step <= lr->warmup) return lr->base * (double)step / (double)lr->warmup;
    if (step >= lr->steps) return lr->floor;
    const double done = (double)(step - lr->warmup) / (double)(lr->steps - lr->warmup);
    return lr->floor + (lr->base - lr->floor) * 0.5 * (1.0 + cos(PI * done));
}

double vdni_ema_decay(double limit, int64_t n)
{
    const double decay = (1.0 + (double)n) / (10.0 + (double)n);
    return decay < limit ? decay : limit;
}

int32_t vdni_stratified_time(int32_t t_max, int64_t j, int64_t strata, double uniform)
{
    const int32_t t = (int32_t)(((double)j + uniform) / (double)strata * (double)t_max);
    return t < t_max ? t + 1 : t_max;
}

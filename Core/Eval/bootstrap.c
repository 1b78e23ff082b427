#include "Eval/bootstrap.h"

#include "Base/memory.h"
#include "Base/philox.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Linear between ranks. */
static double percentile(const double *sorted, int64_t count, double share)
{
    const double rank = share * (double)(count - 1), below = floor(rank);
    const int64_t k = (int64_t)below, next = k + 1 < count ? k + 1 : k;
    return sorted[k] + (rank - below) * (sorted[next] - sorted[k]);
}

static vdn_status add_up(vdn_ctx *ctx, double *sum, double *images, const double *difference,
                         const int64_t *subject, const int64_t size[2])
{
    for (int64_t i = 0; i < size[0]; i++) {
        if (subject[i] < 0 || subject[i] >= size[1] || !isfinite(difference[i]))
            return vdni_fail(
                ctx, VDN_ERR_ARGUMENT,
                "image %lld: difference %g of subject %lld, needed a number and 0..%lld",
                (long long)i, difference[i], (long long)subject[i], (long long)size[1] - 1);
        sum[subject[i]] += difference[i];
        images[subject[i]] += 1.0;
    }
    for (int64_t s = 0; s < size[1]; s++)
        if (images[s] == 0.0)
            return vdni_fail(ctx, VDN_ERR_ARGUMENT, "subject %lld has no image", (long long)s);
    return VDN_OK;
}

static double one_draw(int64_t number, const double *sum, const double *images, int64_t subjects)
{
    const vdni_noise_key key = { .seed = VDNI_BOOTSTRAP_SEED,
                                 .purpose = VDNI_FOR_BOOTSTRAP,
                                 .step = (uint32_t)number };
    double total = 0.0, n = 0.0;
    for (int64_t i = 0; i < subjects; i++) {
        const int64_t s = vdni_philox_below(&key, (uint32_t)i, subjects);
        total += sum[s];
        n += images[s];
    }
    return total / n;
}

vdn_status vdni_bootstrap(vdn_ctx *ctx, vdni_interval *out, const double *difference,
                          const int64_t *subject, int64_t count, int64_t subjects)
{
    vdn_status status = VDN_OK;
    const int64_t size[2] = { count, subjects };
    double *sum = NULL, *images = NULL, *means = NULL, total = 0.0;

    if (count < 1 || subjects < 1 || subjects > count)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%lld images of %lld subjects", (long long)count,
                         (long long)subjects);
    VDN_TRY(VDNI_NEW(ctx, sum, subjects));
    VDN_TRY(VDNI_NEW(ctx, images, subjects));
    VDN_TRY(VDNI_NEW(ctx, means, VDNI_BOOTSTRAP_DRAWS));
    VDN_TRY(add_up(ctx, sum, images, difference, subject, size));
    for (int64_t s = 0; s < subjects; s++) total += sum[s];
    *out = (vdni_interval){ total / (double)count, NAN, NAN, subjects };
    if (subjects < 2) goto done;
    for (int64_t b = 0; b < VDNI_BOOTSTRAP_DRAWS; b++)
        means[b] = one_draw(b, sum, images, subjects);
    qsort(means, VDNI_BOOTSTRAP_DRAWS, sizeof *means, by_value);
    out->low = percentile(means, VDNI_BOOTSTRAP_DRAWS, 0.025);
    out->high = percentile(means, VDNI_BOOTSTRAP_DRAWS, 0.975);
done:
    vdni_free(ctx, sum);
    vdni_free(ctx, images);
    vdni_free(ctx, means);
    return status;
}

/* Rows of depthwise convolutions (simd.h). Part of kernels.h. K is constant for the usual kernels, P
 * output columns are computed together: P accumulators, one input value, K weights. */

VDNI_INLINE void convolve(float *line, const vdni_depthwise_rows *r, const float *const *in,
                          const float *w, const int K)
{
    enum { P = DEPTHWISE_COLUMNS };
    const int64_t d = r->dilation;
    lanes bias;

    lanes_load(&bias, w + (int64_t)K * K * VDNI_LANES);
    for (int64_t q = 0; q < d; q++)
        for (int64_t j0 = q; j0 < r->width; j0 += P * d) {
            lanes acc[P];
#pragma GCC unroll 8
            for (int j = 0; j < P; j++) acc[j] = bias;
            for (int kh = 0; kh < K; kh++) {
                const float *x = in[kh], *wk = w + (int64_t)kh * K * VDNI_LANES;
                if (!x) continue;
#pragma GCC unroll 16
                for (int i = 0; i < P + K - 1; i++) {
                    lanes xv, wv;
                    lanes_load(&xv, x + (j0 + i * d) * r->lanes);
#pragma GCC unroll 16
                    for (int j = 0; j < P; j++)
                        if (i >= j && i - j < K) {
                            lanes_load(&wv, wk + (i - j) * VDNI_LANES);
                            lanes_multiply_add(&acc[j], &xv, &wv);
                        }
                }
            }
#pragma GCC unroll 8
            for (int j = 0; j < P; j++) lanes_store(line + (j0 + j * d) * r->lanes, &acc[j]);
        }
}

static void depthwise_row(float *line, const vdni_depthwise_rows *r, const float *const *in,
                          const float *w)
{
    if (r->kernel == 3)
        convolve(line, r, in, w, 3);
    else if (r->kernel == 5)
        convolve(line, r, in, w, 5);
    else if (r->kernel == 7)
        convolve(line, r, in, w, 7);
    else
        convolve(line, r, in, w, (int)r->kernel);
}

VDNI_INLINE void correlate(float *sum, const vdni_depthwise_rows *r, const float *g, const float *x,
                           const int K)
{
    enum { P = DEPTHWISE_COLUMNS, MOST = 15 };
    const int64_t d = r->dilation;
    lanes acc[MOST];

#pragma GCC unroll 16
    for (int t = 0; t < K; t++) lanes_load(&acc[t], sum + t * VDNI_LANES);
    for (int64_t q = 0; q < d; q++)
        for (int64_t j0 = q; j0 < r->width; j0 += P * d) {
            lanes gv[P];
#pragma GCC unroll 8
            for (int j = 0; j < P; j++) lanes_load(&gv[j], g + (j0 + j * d) * r->lanes);
#pragma GCC unroll 16
            for (int i = 0; i < P + K - 1; i++) {
                lanes xv;
                lanes_load(&xv, x + (j0 + i * d) * r->lanes);
#pragma GCC unroll 16
                for (int j = 0; j < P; j++)
                    if (i >= j && i - j < K) lanes_multiply_add(&acc[i - j], &xv, &gv[j]);
            }
        }
#pragma GCC unroll 16
    for (int t = 0; t < K; t++) lanes_store(sum + t * VDNI_LANES, &acc[t]);
}

static void depthwise_gradient(float *sum, const vdni_depthwise_rows *r, const float *g,
                               const float *x)
{
    if (r->kernel == 3)
        correlate(sum, r, g, x, 3);
    else if (r->kernel == 5)
        correlate(sum, r, g, x, 5);
    else if (r->kernel == 7)
        correlate(sum, r, g, x, 7);
    else
        correlate(sum, r, g, x, (int)r->kernel);
}

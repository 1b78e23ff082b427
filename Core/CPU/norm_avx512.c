#include "CPU/norm_avx512.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 10

#include <immintrin.h>

#define AVX512        __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#define AVX512_INLINE static inline AVX512 __attribute__((always_inline))

int vdni_norm_avx512_usable(vdni_activation act)
{
    return act <= VDNI_ACT_SILU && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16");
}

AVX512_INLINE __mmask16 mask_of(int64_t left)
{
    return left >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << left) - 1u);
}

AVX512_INLINE __m512 load(const void *p, int64_t i, int is_bf16, __mmask16 mask)
{
    if (!is_bf16) return _mm512_maskz_loadu_ps(mask, (const float *)p + i);
    const __m256i half = _mm256_maskz_loadu_epi16(mask, (const uint16_t *)p + i);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

AVX512_INLINE void store(void *p, int64_t i, int is_bf16, __mmask16 mask, __m512 v)
{
    if (is_bf16)
        _mm256_mask_storeu_epi16((uint16_t *)p + i, mask, (__m256i)_mm512_cvtneps_pbh(v));
    else
        _mm512_mask_storeu_ps((float *)p + i, mask, v);
}

AVX512_INLINE __m512 all(float value) { return _mm512_set1_ps(value); }

/* exp(-x), x clamped to +-87: 2^n 2^f with n + f = -x / ln 2, |f| <= 1/2, the polynomial good to 1e-7.
 * Adding 1.5 * 2^23 rounds to the integer n and leaves it in the low bits. */
AVX512_INLINE __m512 exp_minus(__m512 x)
{
    /* The second operand is returned when one is NaN. */
    const __m512 inside = _mm512_min_ps(all(87.0f), _mm512_max_ps(all(-87.0f), x));
    const __m512 nearest = all(12582912.0f), per_ln_2 = all(1.44269504f);
    const __m512 shifted = _mm512_fnmadd_ps(inside, per_ln_2, nearest);
    const __m512 f = _mm512_fnmsub_ps(inside, per_ln_2, _mm512_sub_ps(shifted, nearest));
    __m512 p = _mm512_fmadd_ps(f, all(0.00133910932473f), all(0.00967626432302f));
    p = _mm512_fmadd_ps(f, p, all(0.0555035668239f));
    p = _mm512_fmadd_ps(f, p, all(0.240221031198f));
    p = _mm512_fmadd_ps(f, p, all(0.693147188116f));
    p = _mm512_fmadd_ps(f, p, all(1.00000007637f));
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), exponent));
}

/* 1 / (1 + exp(-x)): a 14-bit reciprocal and one Newton step, good to 2^-27. */
AVX512_INLINE __m512 sigmoid(__m512 x)
{
    const __m512 d = _mm512_add_ps(exp_minus(x), all(1.0f));
    const __m512 r = _mm512_rcp14_ps(d);
    return _mm512_mul_ps(r, _mm512_fnmadd_ps(d, r, all(2.0f)));
}

AVX512_INLINE __m512 activate(__m512 u, vdni_activation act)
{
    const __m512 zero = _mm512_setzero_ps();
    switch (act) {
    case VDNI_ACT_RELU:
        return _mm512_max_ps(zero, u);
    case VDNI_ACT_LEAKY_RELU:
        return _mm512_mask_mul_ps(u, _mm512_cmp_ps_mask(u, zero, _CMP_LT_OQ), u, all(0.01f));
    case VDNI_ACT_ELU:
        return _mm512_mask_sub_ps(u, _mm512_cmp_ps_mask(u, zero, _CMP_LT_OQ),
                                  exp_minus(_mm512_sub_ps(zero, u)), all(1.0f));
    case VDNI_ACT_SILU:
        return _mm512_mul_ps(u, sigmoid(u));
    default:
        return u;
    }
}

/* g act'(u) */
AVX512_INLINE __m512 slope_times(__m512 g, __m512 u, vdni_activation act)
{
    const __mmask16 positive = _mm512_cmp_ps_mask(u, _mm512_setzero_ps(), _CMP_GT_OQ);
    switch (act) {
    case VDNI_ACT_RELU:
        return _mm512_maskz_mov_ps(positive, g);
    case VDNI_ACT_LEAKY_RELU:
        return _mm512_mask_mov_ps(_mm512_mul_ps(g, all(0.01f)), positive, g);
    case VDNI_ACT_ELU:
        return _mm512_mask_mov_ps(
            _mm512_mul_ps(g, exp_minus(_mm512_sub_ps(_mm512_setzero_ps(), u))), positive, g);
    case VDNI_ACT_SILU: {
        const __m512 s = sigmoid(u);
        const __m512 rest = _mm512_fnmadd_ps(u, s, u); /* u (1 - s) */
        return _mm512_mul_ps(g, _mm512_fmadd_ps(s, rest, s));
    }
    default:
        return g;
    }
}

/* x - mean, and through @p u the input of the activation. */
AVX512_INLINE __m512 centred(const vdni_norm_row *row, int64_t i, int is_bf16, __mmask16 mask,
                             __m512 *u)
{
    const __m512 x = load(row->x, i, is_bf16, mask);
    const __m512 d = _mm512_sub_ps(x, _mm512_maskz_loadu_ps(mask, row->mean + i));
    *u = _mm512_fmadd_ps(d, _mm512_maskz_loadu_ps(mask, row->slope + i),
                         _mm512_maskz_loadu_ps(mask, row->offset + i));
    return d;
}

AVX512_INLINE void forward(const vdni_norm_row *row, vdni_activation act, int is_bf16)
{
    for (int64_t i = 0; i < row->count; i += 16) {
        const __mmask16 mask = mask_of(row->count - i);
        __m512 u;
        (void)centred(row, i, is_bf16, mask, &u);
        store(row->out, i, is_bf16, mask, activate(u, act));
    }
}

AVX512_INLINE void sums(const vdni_norm_row *row, vdni_activation act, int is_bf16)
{
    for (int64_t i = 0; i < row->count; i += 16) {
        const __mmask16 mask = mask_of(row->count - i);
        __m512 u;
        const __m512 d = centred(row, i, is_bf16, mask, &u);
        const __m512 h = slope_times(load(row->g, i, is_bf16, mask), u, act);
        const __m512 even = _mm512_maskz_loadu_ps(mask, row->sums[0] + i);
        const __m512 odd = _mm512_maskz_loadu_ps(mask, row->sums[1] + i);
        _mm512_mask_storeu_ps(row->sums[0] + i, mask, _mm512_add_ps(even, h));
        _mm512_mask_storeu_ps(row->sums[1] + i, mask, _mm512_fmadd_ps(h, d, odd));
    }
}

AVX512_INLINE void backward(const vdni_norm_row *row, vdni_activation act, int is_bf16)
{
    for (int64_t i = 0; i < row->count; i += 16) {
        const __mmask16 mask = mask_of(row->count - i);
        __m512 u;
        const __m512 d = centred(row, i, is_bf16, mask, &u);
        const __m512 h = slope_times(load(row->g, i, is_bf16, mask), u, act);
        __m512 dx = _mm512_fmsub_ps(_mm512_maskz_loadu_ps(mask, row->slope + i), h,
                                    _mm512_maskz_loadu_ps(mask, row->even + i));
        dx = _mm512_fnmadd_ps(_mm512_maskz_loadu_ps(mask, row->odd + i), d, dx);
        if (row->addend) dx = _mm512_add_ps(dx, load(row->addend, i, is_bf16, mask));
        store(row->out, i, is_bf16, mask, dx);
    }
}

/* One loop per activation and type: inside it both are constants. */
#define EACH_LOOP(body)                                      \
    switch (2 * (int)row->act + (row->dtype == VDNI_BF16)) { \
    case 2 * VDNI_ACT_NONE:                                  \
        body(row, VDNI_ACT_NONE, 0);                         \
        return;                                              \
    case 2 * VDNI_ACT_NONE + 1:                              \
        body(row, VDNI_ACT_NONE, 1);                         \
        return;                                              \
    case 2 * VDNI_ACT_RELU:                                  \
        body(row, VDNI_ACT_RELU, 0);                         \
        return;                                              \
    case 2 * VDNI_ACT_RELU + 1:                              \
        body(row, VDNI_ACT_RELU, 1);                         \
        return;                                              \
    case 2 * VDNI_ACT_LEAKY_RELU:                            \
        body(row, VDNI_ACT_LEAKY_RELU, 0);                   \
        return;                                              \
    case 2 * VDNI_ACT_LEAKY_RELU + 1:                        \
        body(row, VDNI_ACT_LEAKY_RELU, 1);                   \
        return;                                              \
    case 2 * VDNI_ACT_ELU:                                   \
        body(row, VDNI_ACT_ELU, 0);                          \
        return;                                              \
    case 2 * VDNI_ACT_ELU + 1:                               \
        body(row, VDNI_ACT_ELU, 1);                          \
        return;                                              \
    case 2 * VDNI_ACT_SILU:                                  \
        body(row, VDNI_ACT_SILU, 0);                         \
        return;                                              \
    default:                                                 \
        body(row, VDNI_ACT_SILU, 1);                         \
        return;                                              \
    }

AVX512 void vdni_norm_avx512_forward(const vdni_norm_row *row){ EACH_LOOP(forward) }

AVX512 void vdni_norm_avx512_sums(const vdni_norm_row *row){ EACH_LOOP(sums) }

AVX512 void vdni_norm_avx512_backward(const vdni_norm_row *row)
{
    EACH_LOOP(backward)
}

#else

int vdni_norm_avx512_usable(vdni_activation act)
{
    (void)act;
    return 0;
}

void vdni_norm_avx512_forward(const vdni_norm_row *row) { (void)row; }

void vdni_norm_avx512_sums(const vdni_norm_row *row) { (void)row; }

void vdni_norm_avx512_backward(const vdni_norm_row *row) { (void)row; }

#endif

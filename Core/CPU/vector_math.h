/* Elementary functions in float that a compiler can vectorise: no branches, no tables, no calls.
 * The coefficients are Chebyshev interpolations computed for this file; the errors named are of the
 * approximation, rounding adds about one unit of 6e-8. NaN gives NaN. */
#ifndef VDNI_VECTOR_MATH_H
#define VDNI_VECTOR_MATH_H

#include <stdint.h>
#include <string.h>

/* A call left in a loop keeps it from being vectorised. */
#if defined(__GNUC__)
#define VDNI_INLINE static inline __attribute__((always_inline))
#else
#define VDNI_INLINE static inline
#endif

/* x, or +-87 when it lies beyond; NaN stays. In integers, because compilers turn a comparison of
 * floats with a constant into a second copy of what follows, worked out for the constant: subnormal
 * there, and slow. */
VDNI_INLINE float vdni_clamp_87(float x)
{
    const uint32_t limit = 0x42ae0000u, infinity = 0x7f800000u;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t size = bits & 0x7fffffffu;
    const uint32_t inside = size < limit ? size : limit;
    const uint32_t kept = size > infinity ? size : inside;
    bits = (bits & 0x80000000u) | kept;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* x = n ln 2 + r with |r| <= ln 2 / 2: 2^n, and exp(r) - 1 to 1e-8; x clamped to +-87. */
typedef struct vdni_exp_parts {
    float power, rest;
} vdni_exp_parts;

VDNI_INLINE vdni_exp_parts vdni_exp_split(float x)
{
    const float nearest = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    const float inside = vdni_clamp_87(x);
    const float shifted = inside * 1.44269504f + nearest;
    const float n = shifted - nearest;
    const float r = (inside - n * 0.693359375f) + n * 2.12194440e-4f;
    const float tail =
        0.5f + r * (0.166665733819f +
                    r * (0.0416665501103f + r * (0.00836377387441f + r * 0.0013926926614f)));
    uint32_t bits, zero_bits;
    vdni_exp_parts parts;
    memcpy(&bits, &shifted, sizeof bits);
    memcpy(&zero_bits, &nearest, sizeof zero_bits);
    bits = (bits - zero_bits + 127u) << 23;
    memcpy(&parts.power, &bits, sizeof bits);
    parts.rest = r + r * r * tail;
    return parts;
}

/* exp(x), from exp(-87) to exp(87). */
VDNI_INLINE float vdni_exp(float x)
{
    const vdni_exp_parts e = vdni_exp_split(x);
    return e.power + e.power * e.rest;
}

/* exp(x) - 1, exact in proportion near 0 too. */
VDNI_INLINE float vdni_expm1(float x)
{
    const vdni_exp_parts e = vdni_exp_split(x);
    return e.power * e.rest + (e.power - 1.0f);
}

/* 1 / (1 + exp(-x)) */
VDNI_INLINE float vdni_sigmoid(float x) { return 1.0f / (1.0f + vdni_exp(-x)); }

/* log(1 + exp(x)) = max(x, 0) + log1p(z), z = exp(-|x|), and with s = z / (2 + z) <= 1/3
 * log1p(z) = 2 atanh(s) = 2 s (1 + s^2 p(s^2)), p to 4e-10. */
VDNI_INLINE float vdni_softplus(float x)
{
    const float z = vdni_exp(x > 0.0f ? -x : x);
    const float s = z / (2.0f + z), t = s * s;
    const float p =
        0.333333336603f +
        t * (0.19999853166f + t * (0.142961789972f + t * (0.108532879004f + t * 0.11612164612f)));
    return (x > 0.0f ? x : 0.0f) + 2.0f * (s + s * t * p);
}

/* Standard normal distribution function, Phi(x) = erfc(-x / sqrt 2) / 2. For z >= 0 and
 * t = 1 / (1 + z / 2), erfc(z) = exp(-z^2) t P(t); P to 6e-9 relative up to z = 12. */
VDNI_INLINE float vdni_normal_cdf(float x)
{
    const float z = (x < 0.0f ? -x : x) * 0.707106781f;
    const float t = 1.0f / (1.0f + 0.5f * z);
    const float p = 0.282090419557f +
                    t * (0.282210588205f +
                         t * (0.245569088249f +
                              t * (0.183564069288f +
                                   t * (0.0614309562271f +
                                        t * (0.0216961306677f +
                                             t * (-0.00310953343145f +
                                                  t * (-0.306404033933f +
                                                       t * (0.390700530184f +
                                                            t * (-0.193876962561f +
                                                                 t * 0.0361287502403f)))))))));
    const float half = 0.5f * t * p * vdni_exp(-z * z);
    return x < 0.0f ? half : 1.0f - half;
}

#endif

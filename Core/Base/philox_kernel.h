/* The arithmetic of philox.h for one block, shared by every twin. Only philox.c and its CUDA twin
 * include this: the compiler must be told not to fuse multiplications with additions there
 * (-ffp-contract=off, -fmad=false), or the bits change.
 *
 *     log u = k log 2 + 2 artanh s,  s = (m - 1) / (m + 1),  u = m 2^k,  m in [1/sqrt 2, sqrt 2)
 *
 * and sine, cosine on [-pi/4, pi/4] are cut Taylor series: relative errors below 2e-7. */
#ifndef VDNI_PHILOX_KERNEL_H
#define VDNI_PHILOX_KERNEL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define VDNI_EVERYWHERE static inline __host__ __device__
#else
#define VDNI_EVERYWHERE static inline
#endif

VDNI_EVERYWHERE void vdni_philox_round(uint32_t x[4], uint32_t key0, uint32_t key1)
{
    const uint64_t a = (uint64_t)x[0] * 0xD2511F53u, b = (uint64_t)x[2] * 0xCD9E8D57u;
    const uint32_t x1 = x[1], x3 = x[3];
    x[0] = (uint32_t)(b >> 32) ^ x1 ^ key0;
    x[1] = (uint32_t)b;
    x[2] = (uint32_t)(a >> 32) ^ x3 ^ key1;
    x[3] = (uint32_t)a;
}

VDNI_EVERYWHERE void vdni_philox_rounds(uint32_t x[4], uint32_t key0, uint32_t key1)
{
    for (int i = 0; i < 10; i++) {
        vdni_philox_round(x, key0, key1);
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

VDNI_EVERYWHERE float vdni_log_of_uniform(uint32_t word)
{
    const float u = ((float)(int32_t)(word >> 1) + 0.5f) * 0x1p-31f; /* [2^-32, 1] */
    uint32_t bits;
    memcpy(&bits, &u, sizeof bits);
    bits += 0x3f800000u - 0x3f3504f3u; /* 0x3f3504f3: 1 / sqrt 2 */
    const float k = (float)((int32_t)(bits >> 23) - 127);
    bits = (bits & 0x7fffffu) + 0x3f3504f3u;
    float m;
    memcpy(&m, &bits, sizeof m);
    const float s = (m - 1.0f) / (m + 1.0f), z = s * s;
    float series = 0.22222222f;        /* 2/9 */
    series = series * z + 0.28571429f; /* 2/7 */
    series = series * z + 0.4f;        /* 2/5 */
    series = series * z + 0.66666667f; /* 2/3 */
    return k * 0.69314718f + (2.0f * s + s * (z * series));
}

/* The pair of normal numbers of two words: radius from the first, angle from the second. */
VDNI_EVERYWHERE void vdni_box_muller(float *first, float *second, uint32_t word0, uint32_t word1)
{
    const float radius = sqrtf(-2.0f * vdni_log_of_uniform(word0));
    const uint32_t quadrant = (word1 + 0x20000000u) >> 30;
    const float x = (float)(int32_t)(word1 - (quadrant << 30)) * 1.46291808e-9f; /* pi / 2^31 */
    const float z = x * x;
    float sine = 2.7557319e-6f;      /* 1/9! */
    sine = sine * z - 1.9841270e-4f; /* 1/7! */
    sine = sine * z + 8.3333333e-3f; /* 1/5! */
    sine = sine * z - 1.6666667e-1f; /* 1/3! */
    sine = x + x * (z * sine);
    float cosine = -2.7557319e-7f;       /* 1/10! */
    cosine = cosine * z + 2.4801587e-5f; /* 1/8! */
    cosine = cosine * z - 1.3888889e-3f; /* 1/6! */
    cosine = cosine * z + 4.1666667e-2f; /* 1/4! */
    cosine = (1.0f - 0.5f * z) + z * (z * cosine);
    const float c = quadrant & 1u ? sine : cosine, s = quadrant & 1u ? cosine : sine;
    *first = radius * (quadrant == 1u || quadrant == 2u ? -c : c);
    *second = radius * (quadrant >= 2u ? -s : s);
}

#endif

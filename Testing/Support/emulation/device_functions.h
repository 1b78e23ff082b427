/* Functions device code may call beyond those of math.h. */
#ifndef VERDIFF_EMULATION_DEVICE_FUNCTIONS_H
#define VERDIFF_EMULATION_DEVICE_FUNCTIONS_H

#include "threads.h"
#include "vectors.h"

/* ---- bits ---- */

template <class To, class From> static inline To verdiff_bits(From from)
{
    static_assert(sizeof(To) == sizeof(From), "same size");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

static inline unsigned __float_as_uint(float x) { return verdiff_bits<unsigned>(x); }
static inline int __float_as_int(float x) { return verdiff_bits<int>(x); }
static inline float __uint_as_float(unsigned x) { return verdiff_bits<float>(x); }
static inline float __int_as_float(int x) { return verdiff_bits<float>(x); }
static inline long long __double_as_longlong(double x) { return verdiff_bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return verdiff_bits<double>(x); }

static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)(((uint64_t)a * b) >> 32);
}

/* ---- arithmetic ---- */

#define VERDIFF_MIN_MAX(a_type, b_type, type)                                                    \
    static inline type min(a_type a, b_type b) { return (type)a < (type)b ? (type)a : (type)b; } \
    static inline type max(a_type a, b_type b) { return (type)a > (type)b ? (type)a : (type)b; }
VERDIFF_MIN_MAX(int, int, int)
VERDIFF_MIN_MAX(unsigned, unsigned, unsigned)
VERDIFF_MIN_MAX(int, unsigned, unsigned)
VERDIFF_MIN_MAX(unsigned, int, unsigned)
VERDIFF_MIN_MAX(long, long, long)
VERDIFF_MIN_MAX(unsigned long, unsigned long, unsigned long)
VERDIFF_MIN_MAX(long, unsigned long, unsigned long)
VERDIFF_MIN_MAX(unsigned long, long, unsigned long)
VERDIFF_MIN_MAX(long long, long long, long long)
VERDIFF_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)

static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }

static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
static inline float normcdff(float x) { return 0.5f * erfcf(-x * 0.70710678f); }
static inline float __frsqrt_rn(float x) { return (float)(1.0 / sqrt((double)x)); }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
#define __expf(x)    expf(x) /* names the C library has for itself */
#define __logf(x)    logf(x)
#define __powf(x, y) powf(x, y)
static inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }
/* Rounded on its own, whatever the compiler would fuse. */
static inline float __fmul_rn(float a, float b)
{
    volatile float product = a * b;
    return product;
}
static inline int __float2int_rn(float x) { return (int)lrintf(x); }
static inline int __float2int_rd(float x) { return (int)floorf(x); }
static inline int __float2int_rz(float x) { return (int)x; }
static inline float __int2float_rn(int x) { return (float)x; }
static inline float __uint2float_rn(unsigned x) { return (float)x; }
static inline float __double2float_rn(double x) { return (float)x; }

/* ---- memory ---- */

template <class T> static inline T __ldg(const T *p) { return *p; }

static inline void __threadfence() {}
static inline void __threadfence_block() {}

template <class T> static inline T atomicAdd(T *p, T x)
{
    const T kept = *p;
    *p = kept + x;
    return kept;
}
template <class T> static inline T atomicMax(T *p, T x)
{
    const T kept = *p;
    if (x > kept) *p = x;
    return kept;
}
template <class T> static inline T atomicMin(T *p, T x)
{
    const T kept = *p;
    if (x < kept) *p = x;
    return kept;
}
template <class T> static inline T atomicCAS(T *p, T expected, T x)
{
    const T kept = *p;
    if (kept == expected) *p = x;
    return kept;
}

/* ---- collectives ---- */

static inline void __syncthreads() { emulation::barrier(); }
static inline void __syncwarp(unsigned mask = 0xffffffffu)
{
    (void)emulation::warp(emulation::WARP_SYNC, mask, 0, 0);
}

template <class T> static inline T verdiff_shuffle(unsigned mask, T x, int from)
{
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &x, sizeof x);
    bits = emulation::warp(emulation::WARP_SHUFFLE, mask, bits, from);
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Lanes that would read outside their part of the warp keep their own value. */
template <class T> static inline T __shfl_sync(unsigned mask, T x, int source, int width = 32)
{
    const int lane = emulation::lane(), first = lane / width * width;
    return verdiff_shuffle(mask, x, first + (int)((unsigned)source % (unsigned)width));
}
template <class T> static inline T __shfl_xor_sync(unsigned mask, T x, int lanes, int width = 32)
{
    const int lane = emulation::lane(), from = lane ^ lanes;
    return verdiff_shuffle(mask, x, from / width > lane / width ? lane : from);
}
template <class T>
static inline T __shfl_down_sync(unsigned mask, T x, unsigned lanes, int width = 32)
{
    const int lane = emulation::lane(), from = lane + (int)lanes;
    return verdiff_shuffle(mask, x, from / width != lane / width ? lane : from);
}
template <class T>
static inline T __shfl_up_sync(unsigned mask, T x, unsigned lanes, int width = 32)
{
    const int lane = emulation::lane(), from = lane - (int)lanes;
    return verdiff_shuffle(mask, x, from < lane / width * width ? lane : from);
}

static inline unsigned __ballot_sync(unsigned mask, int predicate)
{
    return (unsigned)emulation::warp(emulation::WARP_BALLOT, mask, predicate != 0, 0);
}
static inline int __any_sync(unsigned mask, int predicate)
{
    return __ballot_sync(mask, predicate) != 0;
}
static inline int __all_sync(unsigned mask, int predicate)
{
    return __ballot_sync(mask, !predicate) == 0;
}

[[noreturn]] static inline void __trap() { emulation::stop("__trap"); }

#endif

/* Stands in for the toolkit's header of this name. */
#ifndef VERDIFF_EMULATION_CUDA_FP16_H
#define VERDIFF_EMULATION_CUDA_FP16_H

#include "half_bits.h"

struct __attribute__((aligned(2))) __half {
    uint16_t bits;
    __half() = default;
    __half(float x) : bits(emulation::to_half(x)) {}
    operator float() const { return emulation::of_half(bits); }
};

struct __attribute__((aligned(4))) __half2 {
    __half x, y;
};

typedef __half half;
typedef __half2 half2;

static inline __half __float2half_rn(float x) { return __half(x); }
static inline __half __float2half(float x) { return __half(x); }
static inline float __half2float(__half x) { return emulation::of_half(x.bits); }
static inline unsigned short __half_as_ushort(__half x) { return x.bits; }
static inline __half __ushort_as_half(unsigned short x) { return verdiff_bits<__half>(x); }
static inline __half2 __halves2half2(__half x, __half y) { return { x, y }; }
static inline __half2 __floats2half2_rn(float x, float y) { return { __half(x), __half(y) }; }
static inline __half2 __float22half2_rn(float2 v) { return __floats2half2_rn(v.x, v.y); }
static inline float2 __half22float2(__half2 v) { return { __half2float(v.x), __half2float(v.y) }; }
static inline float __low2float(__half2 v) { return __half2float(v.x); }
static inline float __high2float(__half2 v) { return __half2float(v.y); }

#endif

/* Qualifiers and vector types of CUDA C++, with the device's alignments. */
#ifndef VERDIFF_EMULATION_VECTORS_H
#define VERDIFF_EMULATION_VECTORS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <tuple>
#include <utility>

/* Code for the newest device by default; -D__CUDA_ARCH__=750 compiles the other branch. */
#ifndef __CUDA_ARCH__
#define __CUDA_ARCH__ 900
#endif

#define __global__
#define __device__
#define __host__
#define __constant__
#define __shared__      static /* one block runs at a time */
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

#define VERDIFF_VECTOR2(type, element, bytes)     \
    struct __attribute__((aligned(bytes))) type { \
        element x, y;                             \
    };                                            \
    static inline type make_##type(element x, element y) { return { x, y }; }
#define VERDIFF_VECTOR3(type, element) \
    struct type {                      \
        element x, y, z;               \
    };                                 \
    static inline type make_##type(element x, element y, element z) { return { x, y, z }; }
#define VERDIFF_VECTOR4(type, element, bytes)                                  \
    struct __attribute__((aligned(bytes))) type {                              \
        element x, y, z, w;                                                    \
    };                                                                         \
    static inline type make_##type(element x, element y, element z, element w) \
    {                                                                          \
        return { x, y, z, w };                                                 \
    }

VERDIFF_VECTOR2(char2, signed char, 2)
VERDIFF_VECTOR2(uchar2, unsigned char, 2)
VERDIFF_VECTOR2(short2, short, 4)
VERDIFF_VECTOR2(ushort2, unsigned short, 4)
VERDIFF_VECTOR2(int2, int, 8)
VERDIFF_VECTOR2(uint2, unsigned, 8)
VERDIFF_VECTOR2(float2, float, 8)
VERDIFF_VECTOR2(double2, double, 16)
VERDIFF_VECTOR2(longlong2, long long, 16)
VERDIFF_VECTOR2(ulonglong2, unsigned long long, 16)
VERDIFF_VECTOR3(int3, int)
VERDIFF_VECTOR3(uint3, unsigned)
VERDIFF_VECTOR3(float3, float)
VERDIFF_VECTOR4(char4, signed char, 4)
VERDIFF_VECTOR4(uchar4, unsigned char, 4)
VERDIFF_VECTOR4(short4, short, 8)
VERDIFF_VECTOR4(ushort4, unsigned short, 8)
VERDIFF_VECTOR4(int4, int, 16)
VERDIFF_VECTOR4(uint4, unsigned, 16)
VERDIFF_VECTOR4(float4, float, 16)

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

#endif

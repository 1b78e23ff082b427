/* Sixteen floats in as many registers as this instruction set needs; an array where the compiler has
 * no vectors. Part of kernels.h: compiled once per instruction set. Arguments go by pointer, because
 * passing vectors by value would depend on the instruction set. */
#include "Base/bf16.h"
#include "CPU/lanes.h"

#if defined(__GNUC__) && !defined(VDNI_ARRAY_LANES)

#define VDNI_INLINE static inline __attribute__((always_inline))
#if defined(__AVX512F__)
enum { VECTOR_FLOATS = 16, TILE_PIXELS = 10, TILE_BLOCKS = 2, DEPTHWISE_COLUMNS = 8 };
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
enum { VECTOR_FLOATS = 8, TILE_PIXELS = 6, TILE_BLOCKS = 1, DEPTHWISE_COLUMNS = 4 };
#define VECTOR_BYTES 32
#elif defined(__aarch64__)
enum { VECTOR_FLOATS = 4, TILE_PIXELS = 6, TILE_BLOCKS = 1, DEPTHWISE_COLUMNS = 4 };
#define VECTOR_BYTES 16
#else
enum { VECTOR_FLOATS = 4, TILE_PIXELS = 3, TILE_BLOCKS = 1, DEPTHWISE_COLUMNS = 2 };
#define VECTOR_BYTES 16
#endif

typedef float vector __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
typedef uint32_t vector_u32 __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef uint16_t vector_u16 __attribute__((vector_size(VECTOR_BYTES / 2), aligned(2), may_alias));

#else

#define VDNI_INLINE static inline
enum { VECTOR_FLOATS = 1, TILE_PIXELS = 2, TILE_BLOCKS = 1, DEPTHWISE_COLUMNS = 2 };
typedef float vector;

#endif

enum { VECTORS = VDNI_LANES / VECTOR_FLOATS };

typedef struct {
    vector v[VECTORS];
} lanes;

VDNI_INLINE void lanes_load(lanes *a, const float *from)
{
#pragma GCC unroll 16
    for (int i = 0; i < VECTORS; i++) a->v[i] = ((const vector *)from)[i];
}

VDNI_INLINE void lanes_store(float *to, const lanes *a)
{
#pragma GCC unroll 16
    for (int i = 0; i < VECTORS; i++) ((vector *)to)[i] = a->v[i];
}

VDNI_INLINE void lanes_zero(lanes *a)
{
#pragma GCC unroll 16
    for (int i = 0; i < VECTORS; i++) a->v[i] = (vector){ 0 };
}

VDNI_INLINE void lanes_add(lanes *a, const lanes *b)
{
#pragma GCC unroll 16
    for (int i = 0; i < VECTORS; i++) a->v[i] += b->v[i];
}

/* a += s * b */
VDNI_INLINE void lanes_scale_add(lanes *a, float s, const lanes *b)
{
#pragma GCC unroll 16
    for (int i = 0; i < VECTORS; i++) a->v[i] += s * b->v[i];
}

/* a += b * c */
VDNI_INLINE void lanes_multiply_add(lanes *a, const lanes *b, const lanes *c)
{
#pragma GCC unroll 16
    for (int i = 0; i < VECTORS; i++) a->v[i] += b->v[i] * c->v[i];
}

/* bf16 in memory, float in registers; rounding as vdni_f32_to_bf16. */
VDNI_INLINE void lanes_load_bf16(lanes *a, const vdni_bf16 *from)
{
#ifdef VECTOR_BYTES
#pragma GCC unroll 16
    for (int i = 0; i < VECTORS; i++) {
        const vector_u16 bits = ((const vector_u16 *)from)[i];
        a->v[i] = (vector)(__builtin_convertvector(bits, vector_u32) << 16);
    }
#else
    for (int i = 0; i < VECTORS; i++) a->v[i] = vdni_bf16_to_f32(from[i]);
#endif
}

VDNI_INLINE void lanes_store_bf16(vdni_bf16 *to, const lanes *a)
{
#ifdef VECTOR_BYTES
#pragma GCC unroll 16
    for (int i = 0; i < VECTORS; i++) {
        const vector_u32 bits = (vector_u32)a->v[i];
        const vector_u32 is_nan = (vector_u32)((bits & 0x7fffffffu) > 0x7f800000u);
        const vector_u32 rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
        const vector_u32 chosen = ((bits | 0x400000u) & is_nan) | (rounded & ~is_nan);
        ((vector_u16 *)to)[i] = __builtin_convertvector(chosen >> 16, vector_u16);
    }
#else
    for (int i = 0; i < VECTORS; i++) to[i] = vdni_f32_to_bf16(a->v[i]);
#endif
}

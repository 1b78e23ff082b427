/* The vector kernels for AVX2 and FMA. */
#include "CPU/simd/tables.h"

#ifdef VDNI_SIMD_X86
#pragma GCC target("arch=x86-64-v3")
#define VDNI_SIMD_TABLE vdni_simd_avx2
#define VDNI_SIMD_NAME  "avx2"
#include "CPU/simd/kernels.h"
#endif

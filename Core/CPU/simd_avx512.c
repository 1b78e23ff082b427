/* The vector kernels for AVX-512. */
#include "CPU/simd/tables.h"

#ifdef VDNI_SIMD_X86
#pragma GCC target("arch=x86-64-v4")
#define VDNI_SIMD_TABLE vdni_simd_avx512
#define VDNI_SIMD_NAME  "avx512"
#include "CPU/simd/kernels.h"
#endif

/* The tables there are. The x86 ones exist where the compiler can switch instruction sets inside a
 * file; elsewhere the baseline is compiled for what the compiler was told. */
#ifndef VDNI_SIMD_TABLES_H
#define VDNI_SIMD_TABLES_H

#include "CPU/simd.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define VDNI_SIMD_X86 1
extern const vdni_simd vdni_simd_avx512, vdni_simd_avx2;
#endif
extern const vdni_simd vdni_simd_baseline;

#endif

/* The vector kernels for whatever the compiler was told to compile for. */
#include "CPU/simd/tables.h"

#define VDNI_SIMD_TABLE vdni_simd_baseline
#define VDNI_SIMD_NAME  "baseline"
#include "CPU/simd/kernels.h"

#include "CPU/simd.h"

#include "CPU/simd/tables.h"

const vdni_simd *vdni_simd_get(int index)
{
    const vdni_simd *usable[3];
    int count = 0;

#ifdef VDNI_SIMD_X86
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        usable[count++] = &vdni_simd_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        usable[count++] = &vdni_simd_avx2;
#endif
    usable[count++] = &vdni_simd_baseline;
    return index >= 0 && index < count ? usable[index] : 0;
}

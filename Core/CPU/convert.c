#include "CPU/cpu.h"

#include <string.h>

static VDNI_VECTOR void widen(float *to, const vdni_bf16 *from, int64_t count)
{
    for (int64_t i = 0; i < count; i++) to[i] = vdni_bf16_to_f32(from[i]);
}

static VDNI_VECTOR void narrow(vdni_bf16 *to, const float *from, int64_t count)
{
    for (int64_t i = 0; i < count; i++) to[i] = vdni_f32_to_bf16(from[i]);
}

void vdni_cpu_read(float *to, const vdni_tensor *t, int64_t at, int64_t count)
{
    if (t->dtype == VDNI_F32)
        memcpy(to, (const float *)t->data + at, (size_t)count * sizeof *to);
    else
        widen(to, (const vdni_bf16 *)t->data + at, count);
}

void vdni_cpu_write(vdni_tensor *t, int64_t at, const float *from, int64_t count)
{
    if (t->dtype == VDNI_F32)
        memcpy((float *)t->data + at, from, (size_t)count * sizeof *from);
    else
        narrow((vdni_bf16 *)t->data + at, from, count);
}

/* MODULATE and its gradient; part of the arithmetic stem. */
#ifndef VDNI_CUDA_MODULATE_CUH
#define VDNI_CUDA_MODULATE_CUH

#include "CUDA/device.h"

vdni_cuda_run vdni_cuda_run_modulate, vdni_cuda_run_modulate_backward;
vdni_cuda_workspace vdni_cuda_modulate_backward_bytes;

#endif

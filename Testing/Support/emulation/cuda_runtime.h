/* Stands in for the toolkit's header of this name, so that CUDA/ compiles as ordinary C++ and its
 * kernels run on the CPU in tests. Only what CUDA/ may use is here. */
#ifndef VERDIFF_EMULATION_CUDA_RUNTIME_H
#define VERDIFF_EMULATION_CUDA_RUNTIME_H

#include "vectors.h"

#include "runtime_api.h"
#include "threads.h"

#include "device_functions.h"

/* The toolkit takes `__shared__ alignas(16) float x[4]`, where C++ wants the alignas first. All
 * standard headers have been read by now. */
#define alignas(bytes) __attribute__((aligned(bytes)))

#endif

/* cuDNN's headers ask for this one; the emulation has it in one piece. */
#include <cuda_runtime.h>

/* The one symbol the CUDA library exports. */
#ifndef VDNI_CUDA_BACKEND_ENTRY_H
#define VDNI_CUDA_BACKEND_ENTRY_H

extern "C" {
#include "Ops/backend.h"

/* The table, or NULL with the reason in @p why. No CUDA call is made. */
VDN_API const vdni_backend *verdiff_cuda_backend(const vdni_backend_request *request, char *why,
                                                 size_t why_bytes);
}

#endif

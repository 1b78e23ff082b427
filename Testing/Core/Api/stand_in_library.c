/* Libraries that open but are no CUDA back end of this build. STAND_IN: 0 has no such symbol, 1 asks
 * for another interface and says so, 2 does not ask and gives the table of another, 3 gives none and
 * no reason. */
#include "Ops/backend.h"

#include <stdio.h>

#if STAND_IN == 0
__attribute__((visibility("default"))) int stand_in_nothing = 1;
#else
vdni_backend_entry verdiff_cuda_backend;

__attribute__((visibility("default"))) const vdni_backend *
verdiff_cuda_backend(const vdni_backend_request *request, char *why, size_t why_bytes)
{
    static const vdni_backend other = { .abi = VDNI_BACKEND_ABI + 1, .size = sizeof other };
    if (STAND_IN == 2) return &other;
    if (STAND_IN == 1)
        (void)snprintf(why, why_bytes, "of interface %u, asked for %u", other.abi, request->abi);
    return NULL;
}
#endif

/* cuDNN, found at run time: the functions we call, and nothing else of it. */
#ifndef VDNI_CUDA_CUDNN_API_H
#define VDNI_CUDA_CUDNN_API_H

#include <cuda_runtime.h>
#include <cudnn.h>

struct vdni_cudnn_api {
    void *library; /* NULL: not found */
    size_t version;
    char path[512];

    decltype(&cudnnGetVersion) get_version;
    decltype(&cudnnGetErrorString) get_error_string;
    decltype(&cudnnCreate) create;
    decltype(&cudnnDestroy) destroy;
    decltype(&cudnnSetStream) set_stream;
    decltype(&cudnnBackendCreateDescriptor) create_descriptor;
    decltype(&cudnnBackendDestroyDescriptor) destroy_descriptor;
    decltype(&cudnnBackendSetAttribute) set_attribute;
    decltype(&cudnnBackendGetAttribute) get_attribute;
    decltype(&cudnnBackendFinalize) finalize;
    decltype(&cudnnBackendExecute) execute;
};

/* Oldest version whose graph interface we rely on. */
enum { VDNI_CUDNN_OLDEST = 90100 };

/* Find cuDNN 9 and its functions: 1, or 0 with one line in @p why. No CUDA call is made. */
int vdni_cudnn_load(vdni_cudnn_api *api, char *why, size_t why_bytes);
void vdni_cudnn_unload(vdni_cudnn_api *api);

#endif

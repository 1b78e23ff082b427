#include "CUDA/libraries/cudnn_api.h"

#include "CUDA/libraries/search.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

namespace {

template <class F> bool find(F *function, void *library, const char *name)
{
    *function = reinterpret_cast<F>(dlsym(library, name));
    return *function != nullptr;
}

bool find_all(vdni_cudnn_api *api, void *library)
{
    return find(&api->get_version, library, "cudnnGetVersion") &&
           find(&api->get_error_string, library, "cudnnGetErrorString") &&
           find(&api->create, library, "cudnnCreate") &&
           find(&api->destroy, library, "cudnnDestroy") &&
           find(&api->set_stream, library, "cudnnSetStream") &&
           find(&api->create_descriptor, library, "cudnnBackendCreateDescriptor") &&
           find(&api->destroy_descriptor, library, "cudnnBackendDestroyDescriptor") &&
           find(&api->set_attribute, library, "cudnnBackendSetAttribute") &&
           find(&api->get_attribute, library, "cudnnBackendGetAttribute") &&
           find(&api->finalize, library, "cudnnBackendFinalize") &&
           find(&api->execute, library, "cudnnBackendExecute");
}

struct attempt {
    vdni_cudnn_api *api;
    char *why;
    size_t why_bytes;
};

/* Binaries are compatible upward within a major version. */
int is_suitable(void *user, void *library, const char *path)
{
    attempt *a = static_cast<attempt *>(user);
    if (!find_all(a->api, library)) {
        (void)snprintf(a->why, a->why_bytes, "%s lacks functions of cuDNN 9", path);
        return 0;
    }
    a->api->version = a->api->get_version();
    if (a->api->version >= VDNI_CUDNN_OLDEST && a->api->version / 10000 == CUDNN_MAJOR) {
        (void)snprintf(a->api->path, sizeof a->api->path, "%s", path);
        return 1;
    }
    (void)snprintf(a->why, a->why_bytes, "%s is version %zu, needed %d or newer of cuDNN %d", path,
                   a->api->version, (int)VDNI_CUDNN_OLDEST, CUDNN_MAJOR);
    return 0;
}

} // namespace

int vdni_cudnn_load(vdni_cudnn_api *api, char *why, size_t why_bytes)
{
    attempt a = { api, why, why_bytes };
    memset(api, 0, sizeof *api);
    (void)snprintf(why, why_bytes, "libcudnn.so.%d was not found", CUDNN_MAJOR);
    void *library = vdni_library_search("libcudnn.so.9", "cudnn", is_suitable, &a);
    if (!library) memset(api, 0, sizeof *api);
    api->library = library;
    return library != nullptr;
}

void vdni_cudnn_unload(vdni_cudnn_api *api)
{
    if (api->library) (void)dlclose(api->library);
    memset(api, 0, sizeof *api);
}

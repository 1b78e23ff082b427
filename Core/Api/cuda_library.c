#define _GNU_SOURCE /* dladdr */
#include "Api/cuda_library.h"

#ifndef _WIN32

#include "Base/context.h"
#include "Ops/backend.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/auxv.h>
#endif

#define DRIVER  "libcuda.so.1"
#define LIBRARY "libverdiff_cuda.so"

enum { FILE_BYTES = PATH_MAX + 64 };

static vdn_status load(vdn_ctx *ctx, const vdni_backend **out, const char *file)
{
    const vdni_backend_request request = { VDNI_BACKEND_ABI, sizeof(vdni_backend), sizeof(vdn_ctx),
                                           VDN_VERSION };
    vdni_backend_entry *entry;
    char why[512] = "";

    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *reason = dlerror(); /* names the file, or another that the file needs */
        if (strstr(reason, file)) return vdni_fail(ctx, VDN_ERR_DEVICE, "CUDA library %s", reason);
        return vdni_fail(ctx, VDN_ERR_DEVICE, "CUDA library %s: %s", file, reason);
    }
    void *symbol = dlsym(library, VDNI_CUDA_ENTRY);
    if (!symbol)
        return vdni_fail(ctx, VDN_ERR_DEVICE,
                         "CUDA library %s: it has no " VDNI_CUDA_ENTRY ", so it is not Verdiff's",
                         file);
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from an object to a function */
    const vdni_backend *table = entry(&request, why, sizeof why);
    if (!table)
        return vdni_fail(ctx, VDN_ERR_DEVICE, "CUDA library %s: %s", file,
                         why[0] ? why : "it refused and did not say why");
    if (table->abi != VDNI_BACKEND_ABI || table->size != sizeof *table)
        return vdni_fail(ctx, VDN_ERR_DEVICE,
                         "CUDA library %s: its interface is %u of %u bytes, needed %u of %u", file,
                         table->abi, table->size, (unsigned)VDNI_BACKEND_ABI,
                         (unsigned)sizeof *table);
    *out = table;
    return VDN_OK;
}

/* Folder of the program or shared object that holds this code, links resolved; empty when it cannot
 * be told. */
static void find_own_folder(char folder[PATH_MAX])
{
    static const char here = 0;
    Dl_info own;

    folder[0] = '\0';
    if (!dladdr(&here, &own) || !own.dli_fname) return;
    const char *file = own.dli_fname;
#ifdef __linux__
    /* A program's name is argv[0] there, which may lack the folder; the kernel knows better. */
    Dl_info program;
    const void *headers = (const void *)getauxval(AT_PHDR);
    if (headers && dladdr(headers, &program) && program.dli_fbase == own.dli_fbase)
        file = "/proc/self/exe";
#endif
    if (!strchr(file, '/') || !realpath(file, folder)) {
        folder[0] = '\0';
        return;
    }
    *strrchr(folder, '/') = '\0';
}

static vdn_status search(vdn_ctx *ctx, const vdni_backend **out)
{
    static const char *const places[] = { "", "/../lib", "/../lib/verdiff" };
    char own[PATH_MAX], file[FILE_BYTES];

    if (!dlopen(DRIVER, RTLD_LAZY | RTLD_LOCAL))
        return vdni_fail(ctx, VDN_ERR_DEVICE, "no NVIDIA driver: %s", dlerror());
    find_own_folder(own);
    for (size_t i = 0; own[0] && i < sizeof places / sizeof places[0]; i++) {
        (void)snprintf(file, sizeof file, "%s%s/" LIBRARY, own, places[i]);
        if (access(file, F_OK) == 0) return load(ctx, out, file);
    }
    if (!dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL))
        return vdni_fail(ctx, VDN_ERR_DEVICE,
                         "no CUDA library: %s (nor in %s, its ../lib or ../lib/verdiff)", dlerror(),
                         own[0] ? own : "the program's folder, which cannot be told");
    return load(ctx, out, LIBRARY);
}

vdn_status vdni_cuda_library_open(vdn_ctx *ctx, const vdni_backend **out, const char *path)
{
    char file[FILE_BYTES];

    *out = NULL;
    if (!path) return search(ctx, out);
    /* Without a slash the loader would search: this file is meant and no other. */
    const int length = snprintf(file, sizeof file, "%s%s", strchr(path, '/') ? "" : "./", path);
    if (length < 0 || (size_t)length >= sizeof file)
        return vdni_fail(ctx, VDN_ERR_DEVICE, "CUDA library %.64s...: the name is too long", path);
    return load(ctx, out, file);
}

#else

vdn_status vdni_cuda_library_open(vdn_ctx *ctx, const struct vdni_backend **out, const char *path)
{
    (void)path;
    *out = NULL;
    return vdni_fail(ctx, VDN_ERR_DEVICE, "the CUDA back end does not exist on this system");
}

#endif

#include "CUDA/libraries/search.h"

#include <dlfcn.h>
#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

namespace {

enum { PATH_BYTES = 512, USER_BYTES = 16 * 1024 };

struct search {
    const char *name;
    vdni_library_check *check;
    void *user;
};

void *try_path(const search &s, const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return nullptr;
    if (s.check(s.user, library, path)) return library;
    (void)dlclose(library);
    return nullptr;
}

/* Every folder of @p pattern, newest name first: /usr/local/cuda-13.0 before cuda-12.6. */
void *try_folders(const search &s, const char *pattern)
{
    char path[PATH_BYTES];
    glob_t found = {};
    void *library = nullptr;
    if (glob(pattern, GLOB_ONLYDIR, nullptr, &found) == 0)
        for (size_t i = found.gl_pathc; i > 0 && !library; i--) {
            const int length = snprintf(path, sizeof path, "%s/%s", found.gl_pathv[i - 1], s.name);
            if (length > 0 && (size_t)length < sizeof path && access(path, R_OK) == 0)
                library = try_path(s, path);
        }
    globfree(&found);
    return library;
}

/* The wheels' folders below one installation of Python's packages. */
void *try_wheels(const search &s, const char *packages, const char *wheel)
{
    char pattern[PATH_BYTES];
    const char *const folders[] = { wheel, "cu13" };
    for (const char *folder : folders) {
        const int length = snprintf(pattern, sizeof pattern, "%s/nvidia/%s/lib", packages, folder);
        if (length < 0 || (size_t)length >= sizeof pattern) continue;
        void *library = try_folders(s, pattern);
        if (library) return library;
    }
    return nullptr;
}

int home_folder(char *out, size_t bytes)
{
    struct passwd entry, *found = nullptr;
    char *buffer = static_cast<char *>(malloc(USER_BYTES));
    int length = -1;
    if (buffer && getpwuid_r(getuid(), &entry, buffer, USER_BYTES, &found) == 0 && found)
        length = snprintf(out, bytes, "%s", entry.pw_dir);
    free(buffer);
    return length > 0 && (size_t)length < bytes;
}

void *try_home(const search &s, const char *wheel)
{
    char home[PATH_BYTES / 2], packages[PATH_BYTES];
    if (!home_folder(home, sizeof home)) return nullptr;
    (void)snprintf(packages, sizeof packages, "%s/.local/lib/python3*/site-packages", home);
    return try_wheels(s, packages, wheel);
}

} // namespace

void *vdni_library_search(const char *name, const char *wheel, vdni_library_check *check,
                          void *user)
{
    const search s = { name, check, user };
    static const char *const folders[] = { "/usr/local/cuda/lib64", "/usr/local/cuda-*/lib64",
                                           "/usr/lib/x86_64-linux-gnu" };
    static const char *const packages[] = { "/usr/lib/python3*/site-packages",
                                            "/usr/lib/python3*/dist-packages",
                                            "/usr/local/lib/python3*/site-packages",
                                            "/usr/local/lib/python3*/dist-packages" };
    void *library = try_path(s, name);
    for (const char *folder : folders)
        if (!library) library = try_folders(s, folder);
    for (const char *folder : packages)
        if (!library) library = try_wheels(s, folder, wheel);
    return library ? library : try_home(s, wheel);
}

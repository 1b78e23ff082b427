/* Where the vendor's libraries are: the loader's own path, the toolkit's folders, the
 * distribution's, and the folders of Python wheels. No environment variable is read. */
#ifndef VDNI_CUDA_SEARCH_H
#define VDNI_CUDA_SEARCH_H

#include <stddef.h>

/* Called with each library that could be opened; non-zero keeps it and ends the search. */
typedef int vdni_library_check(void *user, void *library, const char *path);

/* Open @p name (such as "libcudnn.so.9") wherever it is found until @p check takes one. @p wheel is
 * the wheel's folder beside cu13 ("cudnn"). Returns the library, or NULL. */
void *vdni_library_search(const char *name, const char *wheel, vdni_library_check *check,
                          void *user);

#endif

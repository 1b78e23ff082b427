/* The CUDA back end is a library of its own that is opened when a device of it is asked for, so that
 * one program runs on machines with and without an NVIDIA driver. */
#ifndef VDNI_CUDA_LIBRARY_H
#define VDNI_CUDA_LIBRARY_H

#include "Base/status.h"

struct vdni_backend;

/* The table of the library in the file @p path; with NULL the driver is looked for first (without
 * one, nothing else costs anything), then libverdiff_cuda.so in the folder of the program or shared
 * object that holds this code, in ../lib and ../lib/verdiff from there, and where the system looks.
 * The first file found counts, also when it cannot be used. What was opened stays open until the
 * process ends: the CUDA runtime does not survive less, and a second call finds the same table.
 * VDN_ERR_DEVICE with what was tried. */
VDN_MUST_USE vdn_status vdni_cuda_library_open(vdn_ctx *ctx, const struct vdni_backend **out,
                                               const char *path);

#endif

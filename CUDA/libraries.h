/* cuDNN and cuBLAS, opened when a device is. Without them the own kernels do all the work. */
#ifndef VDNI_CUDA_LIBRARIES_H
#define VDNI_CUDA_LIBRARIES_H

#include "CUDA/device.h"

/* Look for the libraries (library path, toolkit folders, wheels' folders), check their versions and
 * make their handles on the device's stream. Absent libraries, and such as cannot
 * start, are no failure: one line goes to the host's log and device->libraries stays NULL. */
VDN_MUST_USE vdn_status vdni_cuda_libraries_open(vdn_ctx *ctx, vdni_device *device);
void vdni_cuda_libraries_close(vdn_ctx *ctx, vdni_device *device);

/* CONV, CONV_DX, CONV_DW and LINEAR*: the library's form. prepare leaves op->prepared NULL when there
 * is none under the workspace cap for this shape, type and the device's flags. */
VDN_MUST_USE vdn_status vdni_cuda_library_prepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op);
void vdni_cuda_library_unprepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op);
VDN_MUST_USE vdn_status vdni_cuda_library_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                              void *workspace);

#endif

/* Plans of cuDNN for one convolution: asked for by shape, chosen by what their notes promise.
 *
 * A plan can be built for a device that is not there, from its properties as JSON, which is how the
 * tests prove that every convolution of the networks has one. */
#ifndef VDNI_CUDA_CUDNN_PLAN_H
#define VDNI_CUDA_CUDNN_PLAN_H

#include "CUDA/libraries/cudnn_api.h"

extern "C" {
#include "Ops/conv.h"
}

/* Everything that decides a plan; compared byte by byte, so made by vdni_cudnn_conv_of. */
struct vdni_cudnn_conv {
    int32_t kind;                   /* VDNI_OP_CONV, VDNI_OP_CONV_DX or VDNI_OP_CONV_DW */
    int32_t dtype;                  /* of x, w and y alike */
    int32_t accumulate;             /* the result is added to the output */
    int32_t has_bias, has_residual; /* added to the result (CONV), a residual only with a bias */
    int32_t kernel, stride, dilation, pad, reserved;
    int64_t n, h, w, ci, oh, ow, co;
};

struct vdni_cudnn_rules {
    cudnnHandle_t handle; /* the device, or NULL and its properties: */
    const char *device_json;
    int32_t deterministic;    /* the same bits on every run */
    int32_t strict_f32;       /* f32 products are f32 products */
    int32_t runtime_compiled; /* engines that are compiled for the shape may be taken */
    int64_t workspace_cap;
};

/* What became of the engines the heuristics proposed. */
struct vdni_cudnn_tally {
    int32_t proposed, inexact, nondeterministic, compiled, unfinished, too_large;
    int32_t slow; /* 16-bit products without tensor cores, which even the own kernels use */
};

struct vdni_cudnn_plan {
    cudnnBackendDescriptor_t plan; /* NULL: there is none */
    int64_t workspace_bytes;
    int64_t engine;
    int32_t is_tensor;     /* runs on the tensor cores */
    int32_t is_repeatable; /* the same bits on every run */
    vdni_cudnn_tally tally;
};

enum { VDNI_CUDNN_WORKSPACE_CAP = 64 << 20 };

/* The numbers the tensors have in a variant pack. */
enum {
    VDNI_CUDNN_WIDE = 'x',
    VDNI_CUDNN_NARROW = 'y',
    VDNI_CUDNN_WEIGHT = 'w',
    VDNI_CUDNN_BIAS = 'b',
    VDNI_CUDNN_RESIDUAL = 'r'
};

int vdni_cudnn_is_half(int32_t dtype);

/* The bare product of an operator, in its type. */
vdni_cudnn_conv vdni_cudnn_conv_of(const vdni_op *op);

/* The first engine in the heuristics' order, then in that of their fallback list, that keeps the
 * rules and gives a plan; plan->plan stays NULL when none does. */
void vdni_cudnn_plan_build(const vdni_cudnn_api *api, vdni_cudnn_plan *plan,
                           const vdni_cudnn_conv *conv, const vdni_cudnn_rules *rules);
void vdni_cudnn_plan_drop(const vdni_cudnn_api *api, vdni_cudnn_plan *plan);

/* Which questions to put for an operator, best first; 0 where the own kernels are the better
 * choice. */
enum { VDNI_CUDNN_MOST_FORMS = 2 };
int vdni_cudnn_forms(const vdni_op *op, vdni_cudnn_conv out[VDNI_CUDNN_MOST_FORMS]);

/* The rules of every plan that is run: deterministic, strict in f32, nothing compiled at run
 * time. */
vdni_cudnn_rules vdni_cudnn_device_rules(cudnnHandle_t handle, const char *device_json);

#endif

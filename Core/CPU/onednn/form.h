/* The prepared form of one convolution: up to STRIPS library primitives, packed weights, and where
 * things lie in the workspace. */
#ifndef VDNI_ONEDNN_FORM_H
#define VDNI_ONEDNN_FORM_H

#include "CPU/cpu.h"
#include "CPU/onednn/primitive.h"
#include "Ops/conv.h"

enum { VDNI_ONEDNN_STRIPS = 2, VDNI_ONEDNN_BAD_SHAPES = 64 };

/* device->onednn */
typedef struct vdni_onednn_state {
    vdni_dnnl *dnnl;
    uint64_t bad[VDNI_ONEDNN_BAD_SHAPES]; /* shapes whose result was wrong; never prepared again */
    int32_t bad_count;
} vdni_onednn_state;

/* A piece of workspace. */
typedef struct vdni_onednn_piece {
    int64_t at, bytes;
} vdni_onednn_piece;

typedef struct vdni_onednn_form {
    vdni_dnnl_direction direction;
    int32_t count; /* primitives; more than one only TO_WEIGHT */
    struct {
        vdni_dnnl_conv *conv;
        int64_t wide_row, narrow_row; /* first rows of this strip */
    } strips[VDNI_ONEDNN_STRIPS];
    int32_t flipped;      /* CONV_DX as the forward pass of the turned kernel */
    int32_t same_packing; /* strips can be summed before unpacking */

    void *packed; /* held: weights in the library's order */
    int32_t has_packed;
    uint64_t packed_version;

    vdni_onednn_piece scratch, turned, input_gradient, part, sum, plain, total, bias, bias_total;

    const vdni_cpu_entry *fallback;
    int32_t check;  /* compare the next run with the definition */
    int32_t broken; /* it was wrong: use the fallback */
    uint64_t key;
} vdni_onednn_form;

/* Key of an operator's kind, types, shape and attributes. */
uint64_t vdni_onednn_key(const vdni_op *op);

/* Compare sampled outputs of a run with the definition in double precision. CONV and CONV_DX are
 * read from op's output; CONV_DW from @p dw (co, k, k, ci) and @p db (co), which hold this call's
 * sums alone. Returns non-zero when they agree. */
int vdni_onednn_agrees(const vdni_op *op, vdni_dtype packed, const float *dw, const float *db);

#endif

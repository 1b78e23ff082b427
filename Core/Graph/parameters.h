/* The parameters of a model: named blocks inside one flat float array.
 *
 * Building a network adds each parameter it meets (or finds it again: the condition and the diffusion
 * graph, training and inference, every image size share one table). Offsets are multiples of 16
 * floats, so every block starts on a cache line; the gaps stay zero. */
#ifndef VDNI_PARAMETERS_H
#define VDNI_PARAMETERS_H

#include "Tensor/tensor.h"

enum { VDNI_PARAMETER_NAME_BYTES = 64 };

typedef enum {
    VDNI_INIT_ZERO = 0,
    VDNI_INIT_ONE,
    VDNI_INIT_UNIFORM_FAN_IN, /* U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's convolution default */
    VDNI_INIT_HE_NORMAL,      /* N(0, 2 / ((1 + 0.01^2) fan_in)), for LeakyReLU 0.01 */
    VDNI_INIT_LAYER_SCALE     /* 1e-2 */
} vdni_init;

typedef struct vdni_parameter {
    char name[VDNI_PARAMETER_NAME_BYTES];
    int64_t n, h, w, c;
    int64_t fan_in; /* of the layer; biases carry their weight's */
    int64_t offset; /* in floats */
    vdni_init init;
    int32_t trainable; /* 0: running statistics */
    int32_t decays;    /* weight decay applies: "<prefix>.weight" */
} vdni_parameter;

typedef struct vdni_parameters {
    vdni_parameter *items;
    int64_t count, capacity;
    int64_t total_floats;   /* length of the flat array, gaps included */
    int64_t trainable;      /* values that training changes; what papers call the parameter count */
    int32_t closed;         /* 1: an unknown name is an error */
} vdni_parameters;

void vdni_parameters_free(vdn_ctx *ctx, vdni_parameters *table);

/* Index of @p name, or -1. */
int64_t vdni_parameters_find(const vdni_parameters *table, const char *name);

/* Index of the block like @p item (offset is ignored), added if new.
 * VDN_ERR_ARGUMENT: known with another shape; unknown in a closed table; name too long. */
VDN_MUST_USE vdn_status vdni_parameters_add(vdn_ctx *ctx, int64_t *index, vdni_parameters *table,
                                            const vdni_parameter *item);

/* Trainable values whose names begin with @p prefix. */
int64_t vdni_parameters_count(const vdni_parameters *table, const char *prefix);

/* Fill @p values (total_floats) as each block's init says. Value i of block `name` depends on
 * (seed, name, i) only. */
void vdni_parameters_initialize(const vdni_parameters *table, float *values, uint64_t seed);

/* 1 per value that decays, 0 otherwise; @p mask has total_floats bytes. */
void vdni_parameters_decay_mask(const vdni_parameters *table, uint8_t *mask);

#endif

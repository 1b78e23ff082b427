/* The pieces both U-Nets are made of. Each names its parameters below a prefix, "diff.mid.res0", and
 * gives them their start values. */
#ifndef VDNI_BLOCKS_H
#define VDNI_BLOCKS_H

#include "Graph/graph.h"
#include "Net/config.h"

/* Dense convolution "<prefix>.weight" (+ ".bias"). */
typedef struct vdni_conv_spec {
    int64_t channels;  /* out */
    int32_t kernel, stride;
    int32_t bias;
    vdni_init init;
    int32_t f32;       /* non-zero: f32 result whatever the graph's activation type */
    int32_t dilation;  /* 0 = 1 */
} vdni_conv_spec;
vdni_id vdni_conv_block(vdni_graph *g, const char *prefix, vdni_id x, vdni_id residual,
                        const vdni_conv_spec *spec);

/* Linear layer on (n,1,1,c): "<prefix>.weight" (+ ".bias"). */
vdni_id vdni_linear_block(vdni_graph *g, const char *prefix, vdni_id x, int64_t channels,
                          int32_t bias);

/* Group norm "<prefix>.gamma", ".beta" by the group rule, then act. mod may be VDNI_NONE. */
vdni_id vdni_group_norm_block(vdni_graph *g, const char *prefix, vdni_id x, vdni_id mod,
                              vdni_activation act);

/* Transposed convolution 2 x 2 with stride 2: twice the size, weight (ci,2,2,channels). */
vdni_id vdni_double_block(vdni_graph *g, const char *prefix, vdni_id x, int64_t channels,
                          int32_t bias);

/* Norm of the condition net (instance, batch or none, then without parameters) and activation. */
vdni_id vdni_condition_norm_block(vdni_graph *g, const char *prefix, vdni_id x,
                                  vdni_condition_norm kind, vdni_activation act);

/* RES(ci -> channels) of model.md 2.5; @p embedding is SiLU(e), (n,1,1,4B). */
vdni_id vdni_residual_block(vdni_graph *g, const char *prefix, vdni_id x, vdni_id embedding,
                            int64_t channels, int32_t scale_shift);

/* ATT of model.md 2.5. */
vdni_id vdni_attention_block(vdni_graph *g, const char *prefix, vdni_id x, int32_t head_width);

/* Parameter "<prefix><suffix>". */
vdni_id vdni_block_parameter(vdni_graph *g, const char *prefix, const char *suffix,
                             const int64_t nhwc[4], vdni_init init, int64_t fan_in);

/* "<prefix>.<name><index>" into @p out of VDNI_PARAMETER_NAME_BYTES; index < 0 leaves it out. */
const char *vdni_child(char *out, const char *prefix, const char *name, int32_t index);

#endif

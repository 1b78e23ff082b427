/* Configuration of a Verdiff-Net: everything that decides its shape and its process.
 * Names, values and parameter counts: model.md 2.2 and Appendix B of the design. */
#ifndef VDNI_CONFIG_H
#define VDNI_CONFIG_H

#include "Base/context.h"

enum { VDNI_MAX_LEVELS = 6, VDNI_CONFIG_NAME_BYTES = 16 };

typedef enum { VDNI_PARAM_X0 = 0, VDNI_PARAM_LITERAL } vdni_param; /* output mode, model.md 1.6 */
typedef enum { VDNI_SCHEDULE_LINEAR = 0, VDNI_SCHEDULE_COSINE } vdni_schedule_kind;
typedef enum { VDNI_CONDITION_INSTANCE = 0, VDNI_CONDITION_BATCH } vdni_condition_norm;

typedef struct vdni_config {
    char name[VDNI_CONFIG_NAME_BYTES];
    /* data */
    int32_t image_channels; /* Cb */
    int32_t mask_channels;  /* K: 1 = binary, sigmoid; otherwise classes with background, softmax */
    /* condition U-Net */
    int32_t condition_levels, condition[VDNI_MAX_LEVELS]; /* channels F */
    int32_t condition_convolutions;                       /* per stage */
    int32_t msfm, msfm_width;                             /* switch; d */
    vdni_condition_norm condition_norm;
    /* diffusion U-Net */
    int32_t base, levels, multiplier[VDNI_MAX_LEVELS], blocks; /* B, mult, R per level */
    int32_t stem_down;                                        /* pixel-unshuffle factor */
    int32_t attention_level;  /* attention inside this level and above it in ds; -1: middle only */
    int32_t head_width;       /* channels per head */
    int32_t scale_shift;      /* 1: FiLM on the second norm; 0: added before it */
    int32_t nsa;
    int32_t pad_multiple; /* M */
    /* process */
    vdni_param param;
    vdni_schedule_kind schedule;
    int32_t time_steps; /* T */
    double signal_scale; /* rho */
    int32_t prior_skip;
    /* sampling defaults */
    int32_t sample_steps, sample_start, samples; /* S, t0, N */
} vdni_config;

/* The named configuration with the recommended process.
 * VDN_ERR_ARGUMENT: no such name (the message lists them). */
VDN_MUST_USE vdn_status vdni_config_get(vdn_ctx *ctx, vdni_config *out, const char *name);

/* Every field against its range and against the others (divisibility, level counts).
 * VDN_ERR_ARGUMENT with the field, its value and what it must be. */
VDN_MUST_USE vdn_status vdni_config_check(vdn_ctx *ctx, const vdni_config *config);

/* Channels that enter diffusion level @p level (B, or B * mult[level-1]). */
static inline int32_t vdni_level_in(const vdni_config *c, int32_t level)
{
    return level == 0 ? c->base : c->base * c->multiplier[level - 1];
}

/* Channels inside diffusion level @p level. */
static inline int32_t vdni_level_width(const vdni_config *c, int32_t level)
{
    return c->base * c->multiplier[level];
}

/* Condition level whose resolution diffusion level 0 has: log2(stem_down). */
static inline int32_t vdni_fuse_offset(const vdni_config *c) { return c->stem_down == 2 ? 1 : 0; }

/* Groups of a group norm over @p channels: the largest of 32, 16, 8, 4, 2, 1 that divides them and
 * leaves at least 4 channels a group. */
int32_t vdni_norm_groups(int64_t channels);

#endif

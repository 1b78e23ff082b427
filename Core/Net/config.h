/* Configuration of a Verdiff-Net: everything that decides its shape and its process.
 * Names, values and parameter counts: model.md 2.2 and Appendix B of the design. */
#ifndef VDNI_CONFIG_H
#define VDNI_CONFIG_H

#include "Base/context.h"

enum { VDNI_MAX_LEVELS = 6, VDNI_CONFIG_NAME_BYTES = 16 };

/* What is built: both nets; the condition net alone, whose prior is the result. */
typedef enum {
    VDNI_NETWORK_VERDIFF = 0,
    VDNI_NETWORK_CONDITION,
    VDNI_NETWORK_FCN,     /* Net/fcn.h in its place */
    VDNI_NETWORK_DEEPLAB, /* Net/deeplab.h in its place */
    VDNI_NETWORK_SWIN,    /* Net/swin.h in its place */
    VDNI_NETWORK_KINDS
} vdni_network_kind;

/* Output mode of the diffusion net, model.md 1.6. */
typedef enum {
    VDNI_PARAM_X0 = 0,  /* mask logits */
    VDNI_PARAM_LITERAL, /* noise, as printed, with its sampler */
    VDNI_PARAM_EPS,     /* noise */
    VDNI_PARAM_EPS_BCE, /* noise, with a cross entropy on the mask it means */
    VDNI_PARAM_KINDS
} vdni_param;
/* Where the noised mask drifts: to the prior; to zero, the prior being an input only; flips towards
 * the prior instead of normal noise, and the output are their logits. */
typedef enum {
    VDNI_PROCESS_SHIFTED = 0,
    VDNI_PROCESS_DDPM,
    VDNI_PROCESS_BERNOULLI,
    VDNI_PROCESSES
} vdni_process;
/* How condition features reach the diffusion net, model.md 2.5. */
typedef enum {
    VDNI_FUSE_LEVEL_ADD = 0, /* projected, at every encoder level */
    VDNI_FUSE_STEM_ADD,      /* the two of highest resolution, behind the stem: MedSegDiff-V2 */
    VDNI_FUSE_CONCAT,        /* not: the prior is joined to the input, as always */
    VDNI_FUSE_KINDS
} vdni_fuse;
/* Noise semantic adapter and what decides between its kernels, model.md 2.6. */
typedef enum {
    VDNI_NSA_NONE = 0,
    VDNI_NSA_MASK_SOFT,
    VDNI_NSA_MASK_HARD,
    VDNI_NSA_K3,
    VDNI_NSA_K5,
    VDNI_NSA_SK, /* a map that is learned */
    VDNI_NSA_KINDS
} vdni_nsa_kind;
/* Multi-scale feature fusion at the condition net's bottleneck, model.md 4.2. */
typedef enum {
    VDNI_MSFF_NONE = 0,
    VDNI_MSFF_CASCADE,
    VDNI_MSFF_DILATED,
    VDNI_MSFF_ASPP,
    VDNI_MSFF_KINDS
} vdni_msff_kind;
typedef enum { VDNI_SCHEDULE_LINEAR = 0, VDNI_SCHEDULE_COSINE } vdni_schedule_kind;
typedef enum {
    VDNI_CONDITION_INSTANCE = 0,
    VDNI_CONDITION_BATCH,
    VDNI_CONDITION_NO_NORM,
    VDNI_CONDITION_NORMS
} vdni_condition_norm;
/* How the condition net's decoder doubles the size: by interpolation, or by a transposed convolution
 * that also changes the channels to the level's. */
typedef enum {
    VDNI_UP_BILINEAR = 0,
    VDNI_UP_TRANSPOSED,
    VDNI_UP_TRANSPOSED_BIAS,
    VDNI_UPS
} vdni_condition_up;

/* Of the vector z inside the MSFM, model.md 2.4. */
typedef enum { VDNI_MSFM_LAYER_NORM = 0, VDNI_MSFM_NO_NORM, VDNI_MSFM_NORMS } vdni_msfm_norm;

typedef struct vdni_config {
    char name[VDNI_CONFIG_NAME_BYTES];
    vdni_network_kind network;
    /* data */
    int32_t image_channels; /* Cb */
    int32_t mask_channels;  /* K: 1 = binary, sigmoid; otherwise classes with background, softmax */
    /* condition U-Net */
    int32_t condition_levels, condition[VDNI_MAX_LEVELS]; /* channels F */
    int32_t condition_convolutions;                       /* per stage */
    int32_t msfm, msfm_width;                             /* switch; d */
    vdni_msfm_norm msfm_norm;
    vdni_condition_norm condition_norm;
    vdni_msff_kind msff;
    vdni_condition_up condition_up;
    int32_t condition_strides; /* halve by the first convolution of a stage, not by a max pool */
    int32_t condition_relu;    /* ReLU, not LeakyReLU */
    int32_t condition_bias;    /* convolutions have one */
    int32_t deep_supervision;  /* condition net alone: it also learns from scores of its lower levels */
    int32_t mirror;            /* without a refiner: the result is the mean over the four flips */
    /* diffusion U-Net */
    int32_t base, levels, multiplier[VDNI_MAX_LEVELS], blocks; /* B, mult, R per level */
    int32_t stem_down;                                        /* pixel-unshuffle factor */
    int32_t attention_level;  /* attention inside this level and above it in ds; -1: middle only */
    int32_t head_width;       /* channels per head */
    int32_t scale_shift;      /* 1: FiLM on the second norm; 0: added before it */
    vdni_nsa_kind nsa;
    int32_t nsa_shared;  /* one spatial map for both branches instead of one each */
    int32_t nsa_literal; /* V itself instead of a residual around a norm */
    vdni_fuse fuse;
    int32_t pad_multiple; /* M */
    /* process */
    vdni_process process;
    vdni_param param;
    int32_t learn_sigma; /* K more output channels for the variance of a step */
    int32_t prior_hard;  /* the prior given to the process is 0 or 1 */
    int32_t norm_in;     /* the net reads x_t over its size at t, not x_t */
    vdni_schedule_kind schedule;
    int32_t time_steps; /* T */
    double signal_scale; /* rho */
    int32_t prior_skip;
    /* sampling defaults */
    int32_t sample_steps, sample_start, samples; /* S, t0, N */
    double eta; /* of DDIM: 0 deterministic .. 1 ancestral */
} vdni_config;

/* The named configuration with the recommended process.
 * VDN_ERR_ARGUMENT: no such name (the message lists them). */
VDN_MUST_USE vdn_status vdni_config_get(vdn_ctx *ctx, vdni_config *out, const char *name);

/* Make @p config the network called @p name, keeping the size of its named configuration:
 * verdiff; condition (the condition net alone); msff (the second paper's: model.md 4); unet
 * (Ronneberger et al. 2015, arXiv:1505.04597, padded convolutions: no norm, ReLU, transposed
 * convolutions, 64 channels doubling to 1024 at size full); nnunet2d (the network of Isensee et al.
 * 2021, 2D: instance norm, strided convolutions, transposed ones, 32 channels doubling to at most
 * 480); fcn8s (Net/fcn.h); deeplabv3 (Net/deeplab.h); swinunet (Net/swin.h); medsegdiff (Wu et al. 2023, arXiv:2301.11798: noise with a learned variance, no shift). At
 * smaller sizes the channels shrink with the diffusion net's base.
 * VDN_ERR_ARGUMENT: no such network (the message lists them). */
VDN_MUST_USE vdn_status vdni_config_set_network(vdn_ctx *ctx, vdni_config *config,
                                                const char *name);

/* The network has a refiner: a result is sampled. Without one the prior is the result. */
static inline int vdni_has_refiner(const vdni_config *c)
{
    return c->network == VDNI_NETWORK_VERDIFF;
}

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

/* Decoder levels that are trained on their own scores; the two lowest are not (nnU-Net). 1: the result. */
static inline int32_t vdni_supervised_levels(const vdni_config *c)
{
    return c->deep_supervision && c->condition_levels > 3 ? c->condition_levels - 2 : 1;
}

/* The diffusion net reads condition feature @p i. */
static inline int vdni_reads_feature(const vdni_config *c, int32_t i)
{
    const int32_t level = i - vdni_fuse_offset(c);
    const int32_t most = c->fuse == VDNI_FUSE_LEVEL_ADD  ? c->levels - 1
                         : c->fuse == VDNI_FUSE_STEM_ADD ? 1
                                                         : -1;
    return vdni_has_refiner(c) && level >= 0 && level <= most;
}

/* Something is added at diffusion level @p level. */
static inline int vdni_fuses_at(const vdni_config *c, int32_t level)
{
    return c->fuse == VDNI_FUSE_LEVEL_ADD || (c->fuse == VDNI_FUSE_STEM_ADD && level == 0);
}

/* The adapter's gates follow the prior. */
static inline int vdni_has_gates(const vdni_config *c)
{
    return c->nsa == VDNI_NSA_MASK_SOFT || c->nsa == VDNI_NSA_MASK_HARD;
}

/* The output is normal noise, with the exact sampler. */
static inline int vdni_gives_noise(const vdni_config *c)
{
    return c->param == VDNI_PARAM_EPS || c->param == VDNI_PARAM_EPS_BCE;
}

/* Masks are coded 0 and 1 instead of +-signal_scale. */
static inline int vdni_codes_zero_one(const vdni_config *c)
{
    return c->param == VDNI_PARAM_LITERAL || c->process == VDNI_PROCESS_BERNOULLI;
}

/* Channels of the diffusion net's output. */
static inline int32_t vdni_output_channels(const vdni_config *c)
{
    return c->mask_channels * (c->learn_sigma ? 2 : 1);
}

/* Groups of a group norm over @p channels: the largest of 32, 16, 8, 4, 2, 1 that divides them and
 * leaves at least 4 channels a group. */
int32_t vdni_norm_groups(int64_t channels);

#endif

#include "Net/config_keys.h"

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define AT(field)  offsetof(vdni_config, field)

static const vdni_key keys[] = {
    { "msff", VDNI_KEY_CHOICE, AT(msff), WORDS("none", "cascade", "dilated", "aspp"), 2 },
    { "network", VDNI_KEY_CHOICE, AT(network), WORDS("verdiff", "condition", "fcn8s", "deeplabv3",
                                              "swinunet"), 2 },
    { "msfm", VDNI_KEY_SWITCH, AT(msfm), NULL, 0 },
    { "msfm_width", VDNI_KEY_INT, AT(msfm_width), NULL, 0 },
    { "msfm_norm", VDNI_KEY_CHOICE, AT(msfm_norm), WORDS("ln", "none"), 2 },
    { "norm", VDNI_KEY_CHOICE, AT(condition_norm), WORDS("instance", "batch", "none"), 0 },
    { "cond_up", VDNI_KEY_CHOICE, AT(condition_up),
      WORDS("bilinear", "transposed", "transposed_bias"), 2 },
    { "cond_strides", VDNI_KEY_SWITCH, AT(condition_strides), NULL, 2 },
    { "cond_relu", VDNI_KEY_SWITCH, AT(condition_relu), NULL, 2 },
    { "cond_bias", VDNI_KEY_SWITCH, AT(condition_bias), NULL, 2 },
    { "deep_supervision", VDNI_KEY_SWITCH, AT(deep_supervision), NULL, 2 },
    { "mirror", VDNI_KEY_SWITCH, AT(mirror), NULL, 2 },
    { "process", VDNI_KEY_CHOICE, AT(process), WORDS("shifted", "ddpm", "bernoulli"), 2 },
    { "fuse", VDNI_KEY_CHOICE, AT(fuse), WORDS("level_add", "stem_add", "concat"), 2 },
    { "nsa_gate", VDNI_KEY_CHOICE, AT(nsa_shared), WORDS("per_branch", "shared"), 2 },
    { "nsa_wrap", VDNI_KEY_CHOICE, AT(nsa_literal), WORDS("residual", "literal"), 2 },
    { "learn_sigma", VDNI_KEY_SWITCH, AT(learn_sigma), NULL, 2 },
    { "prior_hard", VDNI_KEY_SWITCH, AT(prior_hard), NULL, 2 },
    { "norm_in", VDNI_KEY_SWITCH, AT(norm_in), NULL, 2 },
    { "nsa", VDNI_KEY_CHOICE, AT(nsa),
      WORDS("none", "mask_soft", "mask_hard", "k3", "k5", "sk"), 0 },
    { "scale_shift", VDNI_KEY_SWITCH, AT(scale_shift), NULL, 0 },
    { "param", VDNI_KEY_CHOICE, AT(param), WORDS("x0", "paper_literal", "eps", "eps_bce"), 0 },
    { "schedule", VDNI_KEY_CHOICE, AT(schedule), WORDS("linear", "cosine"), 0 },
    { "T", VDNI_KEY_INT, AT(time_steps), NULL, 0 },
    { "signal_scale", VDNI_KEY_REAL, AT(signal_scale), NULL, 0 },
    { "prior_skip", VDNI_KEY_SWITCH, AT(prior_skip), NULL, 0 },
    { "S", VDNI_KEY_INT, AT(sample_steps), NULL, 0 },
    { "t0", VDNI_KEY_INT, AT(sample_start), NULL, 0 },
    { "N", VDNI_KEY_INT, AT(samples), NULL, 0 },
    { "eta", VDNI_KEY_REAL, AT(eta), NULL, 2 },
};

/* Enumerations are read and written as int32_t. */
_Static_assert(sizeof(vdni_param) == sizeof(int32_t), "enumerations have the size of int32_t");

vdni_keys vdni_config_keys(void)
{ return (vdni_keys){ keys, (int32_t)(sizeof keys / sizeof keys[0]) }; }

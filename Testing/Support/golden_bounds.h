/* How near to the golden files the engine has to be. */
#ifndef VERDIFF_GOLDEN_BOUNDS_H
#define VERDIFF_GOLDEN_BOUNDS_H

/* Largest allowed max |a - b| / max |b| of a tensor; with bf16 the relative l2 distance, and for
 * `gradient` that of all gradients together. */
typedef struct {
    double prior, cond, act, diff, losses, gradient, gradient_median, adam_losses, adam, sampler;
} bounds;

/* Measured on a Xeon with AVX-512, worst of the four files, both f32 forms: prior 1.2e-6, cond
 * 1.2e-6, act 1.7e-6, diff 1.5e-6, losses 8e-8, gradients 8e-6 (median 2.3e-6), Adam 3.3e-6 and
 * its losses 9e-7, sampler 1.7e-6: as far as PyTorch's own f32. The bounds leave another order
 * of summation a factor of about ten. */
static const bounds exact = { .prior = 1e-5,
                              .cond = 1e-5,
                              .act = 2e-5,
                              .diff = 2e-5,
                              .losses = 1e-6,
                              .gradient = 1e-4,
                              .gradient_median = 2e-5,
                              .adam = 5e-5,
                              .adam_losses = 1e-5,
                              .sampler = 2e-5 };

/* bf16 rounds every activation to 8 bits, 2^-9 relative. Measured: prior 9e-3, cond 8e-3, act
 * 1.2e-2, diff 1.2e-2, losses 7e-4, all gradients 5.3e-2 (median of the tensors 2e-2; single
 * small ones, where large terms cancel, reach 1), Adam 2.3e-2 and its losses 1e-2, sampler
 * 1.2e-2. */
static const bounds rounded = { .prior = 2e-2,
                                .cond = 2e-2,
                                .act = 3e-2,
                                .diff = 3e-2,
                                .losses = 3e-3,
                                .gradient = 0.12,
                                .gradient_median = 5e-2,
                                .adam = 6e-2,
                                .adam_losses = 3e-2,
                                .sampler = 3e-2 };

/* Names of the bounds, for the printed line. */
enum { GROUPS = 10 };
static const char *const groups[GROUPS] = { "prior", "cond",        "act",  "diff",   "losses",
                                            "grad",  "grad median", "adam", "adam_l", "sampler" };

#endif

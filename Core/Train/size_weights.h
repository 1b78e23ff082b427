/* Size-adaptive cross entropy: the weight of a class follows from the share s of the pixels it has.
 * Second paper (ICMLC 2023, doi 10.1145/3587716.3587777, of which only the abstract is public);
 * design: model.md 4.1.
 *
 *     sa_focal   w = (1 - s)^gamma                     gamma 2
 *     sa_invpow  w = s^-gamma                          gamma 0.5
 *     sa_effnum  w = (1 - beta) / (1 - beta^n)         n = s N pixels; Cui et al. 2019, arXiv:1901.05555
 *
 * s is at least 16 / N; w is at most `clip` times the smallest. Then the weights are divided by the
 * sum of s w, so that their mean over the pixels is 1 and the loss has the scale of plain cross
 * entropy. They are constants: no gradient runs through s. */
#ifndef VDNI_SIZE_WEIGHTS_H
#define VDNI_SIZE_WEIGHTS_H

#include "Base/context.h"

typedef enum {
    VDNI_SEG_CE = 0, /* every pixel alike: softmax, or sigmoid for one channel */
    VDNI_SEG_BCE,    /* the same, for one channel only */
    VDNI_SEG_SA_FOCAL,
    VDNI_SEG_SA_INVPOW,
    VDNI_SEG_SA_EFFNUM,
    VDNI_SEG_KINDS
} vdni_seg_loss;

/* Whose pixels are counted: the image's; those of all images of an optimiser step; a moving average
 * of the latter, 0.99 of what was and 0.01 of what is. */
typedef enum {
    VDNI_SIZE_IMAGE = 0,
    VDNI_SIZE_BATCH,
    VDNI_SIZE_AVERAGE,
    VDNI_SIZE_SCOPES
} vdni_size_scope;

typedef struct vdni_size_loss {
    vdni_seg_loss form;
    vdni_size_scope scope;
    double gamma; /* 0 = the form's own */
    double beta;  /* of sa_effnum */
    double clip;  /* largest over smallest weight; 0 = no limit */
    double focal; /* exponent of the factor (1 - q)^focal on every pixel; 0 = none */
} vdni_size_loss;

/* Plain cross entropy with the numbers a size-adaptive form begins with. */
vdni_size_loss vdni_size_loss_plain(void);

static inline int vdni_size_adapts(const vdni_size_loss *loss)
{ return loss->form >= VDNI_SEG_SA_FOCAL; }

/* Add the pixels of each class below @p classes to @p counts; others are padding. */
void vdni_class_counts(double *counts, const uint8_t *target, int64_t pixels, int32_t classes);

/* Counts -> shares of their sum, which is returned; all 0 when it is 0. */
double vdni_class_shares(double *shares, const double *counts, int32_t classes);

/* @p weights of @p classes whose @p shares were found in @p pixels pixels; all 1 without pixels. */
void vdni_size_weights(float *weights, const double *shares, double pixels, int32_t classes,
                       const vdni_size_loss *loss);

/* average = 0.99 average + 0.01 shares; the first shares (an average of all 0) are taken as they are. */
void vdni_shares_follow(double *average, const double *shares, int32_t classes);

#endif

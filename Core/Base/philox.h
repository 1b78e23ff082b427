/* Random numbers as a function, not a stream: Philox4x32-10.
 * Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
 *
 * What a draw is for decides its value, nothing else: not the batch, the order, the thread count or
 * the device. A key names the draw:
 *
 *     philox key      = (low half of seed, high half of seed ^ purpose * 0x9E3779B9)
 *     philox counter  = (block, step, slice << 16 ^ sample, case_key)
 *
 * with slice and sample below 65536 (larger ones repeat the noise of others) and at most 2^34
 * elements. Normal numbers come four to a block, element e from block e / 4, by the method of Box
 * and Muller (1958) from the block's words in pairs. The arithmetic is float additions,
 * multiplications, divisions and square roots, each rounded by itself (no fused multiply-add), so
 * the bits are the same for every compiler, instruction set and for the GPU. */
#ifndef VDNI_PHILOX_H
#define VDNI_PHILOX_H

#include <stdint.h>

/* One number for each use, so that no two uses share numbers. Never renumber: models would no
 * longer reproduce. */
typedef enum {
    VDNI_FOR_SAMPLER_START = 1, /* noise of the start state */
    VDNI_FOR_SAMPLER_STEP,      /* noise added at a denoising step */
    VDNI_FOR_TRAINING_NOISE,    /* epsilon of a training image */
    VDNI_FOR_TRAINING_TIME,     /* its time step t */
    VDNI_FOR_WEIGHTS,           /* initial weights */
    VDNI_FOR_SPLIT,             /* subjects to train, validation, test */
    VDNI_FOR_ORDER,             /* order of the training slices */
    VDNI_FOR_CROP,
    VDNI_FOR_AUGMENTATION,
    VDNI_FOR_ELASTIC, /* displacement grid */
    VDNI_FOR_PRIOR_CORRUPTION,
    VDNI_FOR_CONDITION_DROP,
    VDNI_FOR_VALIDATION,
    VDNI_FOR_SIMULATION,
    VDNI_FOR_BOOTSTRAP
} vdni_noise_purpose;

typedef struct vdni_noise_key {
    uint64_t seed;
    uint32_t purpose;  /* vdni_noise_purpose */
    uint32_t case_key; /* tells two volumes apart */
    uint32_t slice;    /* below 65536 */
    uint32_t step;     /* denoising or training step */
    uint32_t sample;   /* member of the ensemble or of the batch, below 65536 */
} vdni_noise_key;

/* The generator itself: ten rounds. */
void vdni_philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* Standard normal numbers of elements first .. first + count - 1. |value| <= 6.67. */
void vdni_philox_normal(float *out, const vdni_noise_key *key, int64_t first, int64_t count);

/* Number @p index of @p key: uniform in [0, 1), a multiple of 2^-53. Uses block @p index alone. */
double vdni_philox_uniform(const vdni_noise_key *key, uint32_t index);

/* The same as an integer 0 .. n-1, 1 <= n <= 2^31; from the same bits as the uniform number. */
int64_t vdni_philox_below(const vdni_noise_key *key, uint32_t index, int64_t n);

/* A key as a row of the NOISE operator's key tensor, and back. The eighth number is 0. */
enum { VDNI_NOISE_KEY_WORDS = 8 };
void vdni_noise_key_pack(int32_t row[VDNI_NOISE_KEY_WORDS], const vdni_noise_key *key);
vdni_noise_key vdni_noise_key_unpack(const int32_t row[VDNI_NOISE_KEY_WORDS]);

#endif

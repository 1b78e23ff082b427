/* Which slices train, which choose the best weights, which are only scored: 70, 10 and 20 per cent of
 * the subjects, never two slices of one subject in different parts.
 *
 *   1  the n different subject names, sorted by their bytes (strcmp)
 *   2  Fisher and Yates: for i = n-1 .. 1 swap i with vdni_philox_below(key, i, i + 1),
 *      key = { seed, VDNI_FOR_SPLIT }
 *   3  test = max(1, round(0.2 n)), validation = max(1, round(0.1 n)), halves upward; the first
 *      n - validation - test subjects train, the next validate, the last test
 *
 * So the split depends on the subject names and the seed only: not on the order of the slices, nor on
 * how many a subject has. Seed 35 is the one of the published experiments. */
#ifndef VDNI_SPLIT_H
#define VDNI_SPLIT_H

#include "Base/context.h"

typedef enum { VDNI_PART_TRAIN = 0, VDNI_PART_VALIDATION, VDNI_PART_TEST } vdni_part;

enum { VDNI_PARTS = 3 };

/* Subjects of each part, by the rule above; n >= 3. */
void vdni_split_counts(int64_t counts[VDNI_PARTS], int64_t n);

/* @p part[i], a vdni_part, for each of @p count slices with subject @p subject[i].
 * VDN_ERR_ARGUMENT: fewer than 3 different subjects. VDN_ERR_MEMORY. */
VDN_MUST_USE vdn_status vdni_split_subjects(vdn_ctx *ctx, uint8_t *part, const char *const *subject,
                                            int64_t count, uint64_t seed);

#endif

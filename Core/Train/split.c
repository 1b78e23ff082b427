#include "Train/split.h"

#include "Base/memory.h"
#include "Base/philox.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *subject;
    int64_t slice;
} member;

static int by_subject(const void *a, const void *b)
{
    return strcmp(((const member *)a)->subject, ((const member *)b)->subject);
}

void vdni_split_counts(int64_t counts[VDNI_PARTS], int64_t n)
{
    const int64_t test = (2 * n + 5) / 10, validation = (n + 5) / 10;
    counts[VDNI_PART_TEST] = test > 1 ? test : 1;
    counts[VDNI_PART_VALIDATION] = validation > 1 ? validation : 1;
    counts[VDNI_PART_TRAIN] = n - counts[VDNI_PART_TEST] - counts[VDNI_PART_VALIDATION];
}

/* The part of the subject that is @p rank-th in the sorted list. */
static void deal(uint8_t *part_of_rank, int64_t *order, int64_t n, uint64_t seed)
{
    const vdni_noise_key key = { .seed = seed, .purpose = VDNI_FOR_SPLIT };
    int64_t counts[VDNI_PARTS];

    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t k = vdni_philox_below(&key, (uint32_t)i, i + 1);
        const int64_t kept = order[i];
        order[i] = order[k];
        order[k] = kept;
    }
    vdni_split_counts(counts, n);
    for (int64_t i = 0, part = 0, left = counts[0]; i < n; i++) {
        while (left == 0) left = counts[++part];
        part_of_rank[order[i]] = (uint8_t)part;
        left--;
    }
}

vdn_status vdni_split_subjects(vdn_ctx *ctx, uint8_t *part, const char *const *subject,
                               int64_t count, uint64_t seed)
{
    vdn_status status = VDN_OK;
    member *members = NULL;
    int64_t *rank = NULL, *order = NULL, subjects = 0;
    uint8_t *part_of_rank = NULL;

    VDN_TRY(VDNI_NEW(ctx, members, count));
    VDN_TRY(VDNI_NEW(ctx, rank, count));
    for (int64_t i = 0; i < count; i++) members[i] = (member){ subject[i], i };
    if (count > 1) qsort(members, (size_t)count, sizeof *members, by_subject);
    for (int64_t i = 0; i < count; i++) {
        if (i == 0 || by_subject(&members[i - 1], &members[i]) != 0) subjects++;
        rank[members[i].slice] = subjects - 1;
    }
    if (subjects < VDNI_PARTS)
        VDN_TRY(vdni_fail(ctx, VDN_ERR_ARGUMENT,
                          "%lld different subjects in %lld slices; the split into training, "
                          "validation and test needs at least %d",
                          (long long)subjects, (long long)count, VDNI_PARTS));
    VDN_TRY(VDNI_NEW(ctx, order, subjects));
    VDN_TRY(VDNI_NEW(ctx, part_of_rank, subjects));
    deal(part_of_rank, order, subjects, seed);
    for (int64_t i = 0; i < count; i++) part[i] = part_of_rank[rank[i]];
done:
    vdni_free(ctx, part_of_rank);
    vdni_free(ctx, order);
    vdni_free(ctx, rank);
    vdni_free(ctx, members);
    return status;
}

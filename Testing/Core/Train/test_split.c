/* Oracle: the documented rule, written again with another sort. */
#include "Train/split.h"

#include "Base/philox.h"

#include "test.h"

enum { MAX = 400 };

/* Parts by the rule in the header, for names that are different; O(n^2). */
static void oracle(uint8_t *part, const char *const *names, int64_t n, uint64_t seed)
{
    const vdni_noise_key key = { .seed = seed, .purpose = VDNI_FOR_SPLIT };
    int64_t order[MAX];
    for (int64_t i = 0; i < n; i++) {
        int64_t rank = 0;
        for (int64_t k = 0; k < n; k++) rank += strcmp(names[k], names[i]) < 0;
        order[rank] = i;
    }
    for (int64_t i = n - 1; i >= 1; i--) {
        const int64_t k = vdni_philox_below(&key, (uint32_t)i, i + 1), kept = order[i];
        order[i] = order[k];
        order[k] = kept;
    }
    const int64_t test = (int64_t)fmax(1.0, floor(0.2 * (double)n + 0.5 + 1e-9));
    const int64_t validation = (int64_t)fmax(1.0, floor(0.1 * (double)n + 0.5 + 1e-9));
    for (int64_t i = 0; i < n; i++)
        part[order[i]] = i < n - test - validation ? VDNI_PART_TRAIN
                         : i < n - test            ? VDNI_PART_VALIDATION
                                                   : VDNI_PART_TEST;
}

static char names[MAX][16];
static const char *subject[MAX];

static void follows_the_documented_rule(void)
{
    for (int64_t n = 3; n <= 130; n += n < 30 ? 1 : 33) {
        uint8_t found[MAX], needed[MAX];
        vdn_ctx ctx;
        vdni_ctx_init(&ctx);
        for (int64_t i = 0; i < n; i++) {
            (void)snprintf(names[i], sizeof names[i], "p%d", (int)((i * 37) % 131));
            subject[i] = names[i];
        }
        EXPECT(vdni_split_subjects(&ctx, found, subject, n, 35) == VDN_OK);
        oracle(needed, subject, n, 35);
        EXPECT(memcmp(found, needed, (size_t)n) == 0);
        EXPECT(ctx.now_bytes == 0);
    }
}

static void every_part_has_a_subject_and_none_is_lost(void)
{
    for (int64_t n = 3; n < 1000; n++) {
        int64_t counts[VDNI_PARTS];
        vdni_split_counts(counts, n);
        EXPECT(counts[0] >= 1 && counts[1] >= 1 && counts[2] >= 1);
        EXPECT(counts[0] + counts[1] + counts[2] == n);
    }
    int64_t thirty[VDNI_PARTS];
    vdni_split_counts(thirty, 30);
    EXPECT(thirty[0] == 21 && thirty[1] == 3 && thirty[2] == 6);
}

static void depends_on_the_subjects_not_on_their_slices(void)
{
    static const char *const first[7] = { "a", "b", "c", "d", "e", "a", "a" };
    static const char *const second[9] = { "e", "e", "d", "c", "c", "b", "a", "e", "b" };
    uint8_t one[7], two[9];
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    EXPECT(vdni_split_subjects(&ctx, one, first, 7, 35) == VDN_OK);
    EXPECT(vdni_split_subjects(&ctx, two, second, 9, 35) == VDN_OK);
    for (int i = 0; i < 7; i++)
        for (int k = 0; k < 9; k++)
            if (strcmp(first[i], second[k]) == 0) EXPECT(one[i] == two[k]);
}

static void another_seed_gives_another_split(void)
{
    uint8_t a[100], b[100];
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(names[i], sizeof names[i], "%d", i);
        subject[i] = names[i];
    }
    EXPECT(vdni_split_subjects(&ctx, a, subject, 100, 35) == VDN_OK);
    EXPECT(vdni_split_subjects(&ctx, b, subject, 100, 36) == VDN_OK);
    EXPECT(memcmp(a, b, sizeof a) != 0);
}

static void too_few_subjects_are_refused_with_their_number(void)
{
    static const char *const two[4] = { "a", "b", "a", "b" };
    uint8_t part[4] = { 9, 9, 9, 9 };
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    EXPECT(vdni_split_subjects(&ctx, part, two, 4, 35) == VDN_ERR_ARGUMENT);
    EXPECT(strstr(ctx.error, "2 different subjects in 4 slices") != NULL);
    EXPECT(part[0] == 9 && ctx.now_bytes == 0);
    EXPECT(vdni_split_subjects(&ctx, part, two, 0, 35) == VDN_ERR_ARGUMENT);
}

static void survives_every_refused_allocation(void)
{
    static const char *const three[3] = { "a", "b", "c" };
    for (int64_t refuse = 0;; refuse++) {
        uint8_t part[3];
        vdn_ctx ctx;
        vdni_ctx_init(&ctx);
        ctx.refuse_after = refuse;
        const vdn_status status = vdni_split_subjects(&ctx, part, three, 3, 35);
        EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
        EXPECT(ctx.now_bytes == 0);
        if (status == VDN_OK) {
            EXPECT(refuse == 4);
            break;
        }
    }
}

int main(void)
{
    RUN(follows_the_documented_rule);
    RUN(every_part_has_a_subject_and_none_is_lost);
    RUN(depends_on_the_subjects_not_on_their_slices);
    RUN(another_seed_gives_another_split);
    RUN(too_few_subjects_are_refused_with_their_number);
    RUN(survives_every_refused_allocation);
    return test_result();
}

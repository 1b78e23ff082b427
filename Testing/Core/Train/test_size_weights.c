#include "Train/size_weights.h"

#include "net_test.h"

enum { CLASSES = 6, SIDE = 512 };

/* Background, body, lamina, sac, facet, root: the example of model.md 4.1. */
static const double example[CLASSES] = { .86, .095, .025, .015, .004, .001 };

static vdni_size_loss loss_of(vdni_seg_loss form, double gamma)
{
    vdni_size_loss loss = vdni_size_loss_plain();
    loss.form = form;
    loss.gamma = gamma;
    return loss;
}

/* Per cent of the whole weight that each class has: the table of model.md 4.1 (512 x 512 pixels). */
static void the_shares_of_the_design_are_met(void)
{
    static const struct {
        vdni_seg_loss form;
        double gamma, per_cent[CLASSES], bound;
    } rows[] = {
        { VDNI_SEG_CE, 0, { 86, 9.5, 2.5, 1.5, .4, .1 }, 1e-4 },
        { VDNI_SEG_SA_FOCAL, 0, { 12.2, 56.4, 17.2, 10.5, 2.9, .7 }, 0.06 },
        { VDNI_SEG_SA_INVPOW, 0, { 57.6, 19.1, 9.8, 7.6, 3.9, 2.0 }, 0.06 },
        { VDNI_SEG_SA_INVPOW, 1, { 16.7, 16.7, 16.7, 16.7, 16.7, 16.7 }, 0.06 },
        { VDNI_SEG_SA_EFFNUM, 0, { 75, 9.1, 4.6, 4.0, 3.5, 3.4 }, 0.5 },
    };
    for (int i = 0; i < 5; i++) {
        vdni_size_loss loss = loss_of(rows[i].form, rows[i].gamma);
        float w[CLASSES];
        double sum = 0.0;
        loss.clip = 0.0; /* the table has none */
        vdni_size_weights(w, example, SIDE * SIDE, CLASSES, &loss);
        for (int c = 0; c < CLASSES; c++) {
            sum += example[c] * w[c];
            EXPECT_LE(fabs(100.0 * example[c] * w[c] - rows[i].per_cent[c]), rows[i].bound);
        }
        EXPECT_LE(fabs(sum - 1.0), 1e-6); /* the loss keeps the scale of cross entropy */
    }
}

static void the_ratio_is_clipped(void)
{
    vdni_size_loss loss = loss_of(VDNI_SEG_SA_INVPOW, 1.0);
    float w[CLASSES];
    double sum = 0.0;
    vdni_size_weights(w, example, SIDE * SIDE, CLASSES, &loss);
    EXPECT_LE(fabs(w[5] / w[0] - 50.0), 1e-3); /* 860 without */
    EXPECT_LE(fabs(w[2] / w[0] - .86 / .025), 1e-3);
    for (int c = 0; c < CLASSES; c++) sum += example[c] * w[c];
    EXPECT_LE(fabs(sum - 1.0), 1e-6);
}

/* A class of one pixel, and one that is not there, weigh as one of 16. */
static void small_classes_have_a_floor(void)
{
    const double shares[3] = { 1.0 - 1.0 / 4096.0, 1.0 / 4096.0, 0.0 };
    vdni_size_loss loss = loss_of(VDNI_SEG_SA_INVPOW, 0.5);
    float w[3];
    vdni_size_weights(w, shares, 4096, 3, &loss);
    EXPECT_LE(fabs(w[1] / w[0] - sqrt((1.0 - 1.0 / 4096.0) * 256.0)), 1e-4);
    EXPECT(w[1] == w[2] && isfinite(w[2]));
}

static void extremes_stay_finite(void)
{
    static const double all[2] = { 1.0, 0.0 }, none[2] = { 0.0, 0.0 };
    for (int form = 0; form < VDNI_SEG_KINDS; form++) {
        const vdni_size_loss loss = loss_of((vdni_seg_loss)form, 0.0);
        float w[2];
        vdni_size_weights(w, all, 1000, 2, &loss);
        EXPECT_LE(fabs(w[0] - 1.0), 1e-6); /* the only class has weight 1 */
        EXPECT(isfinite(w[1]) && w[1] > 0.0f);
        vdni_size_weights(w, all, 3, 2, &loss); /* fewer pixels than the floor */
        EXPECT_LE(fabs(w[0] - 1.0), 1e-6);
        vdni_size_weights(w, none, 0, 2, &loss);
        EXPECT(w[0] == 1.0f && w[1] == 1.0f);
    }
}

static void padding_is_not_counted(void)
{
    static const uint8_t target[8] = { 0, 1, 255, 2, 1, 3, 200, 0 };
    double counts[3] = { 1.0, 0.0, 0.0 }, shares[3];
    vdni_class_counts(counts, target, 8, 3);
    EXPECT(counts[0] == 3.0 && counts[1] == 2.0 && counts[2] == 1.0);
    EXPECT(vdni_class_shares(shares, counts, 3) == 6.0);
    EXPECT(shares[0] == 0.5 && shares[2] == 1.0 / 6.0);
    counts[0] = counts[1] = counts[2] = 0.0;
    EXPECT(vdni_class_shares(shares, counts, 3) == 0.0 && shares[0] == 0.0);
}

static void the_average_begins_with_the_first_and_follows(void)
{
    static const double first[2] = { 0.75, 0.25 }, then[2] = { 0.5, 0.5 };
    double average[2] = { 0.0, 0.0 };
    vdni_shares_follow(average, first, 2);
    EXPECT(average[0] == 0.75 && average[1] == 0.25);
    vdni_shares_follow(average, then, 2);
    EXPECT_LE(fabs(average[0] - (0.99 * 0.75 + 0.01 * 0.5)), 1e-15);
    for (int i = 0; i < 3000; i++) vdni_shares_follow(average, then, 2);
    EXPECT_LE(fabs(average[0] - 0.5), 1e-9);
}

int main(void)
{
    RUN(the_shares_of_the_design_are_met);
    RUN(the_ratio_is_clipped);
    RUN(small_classes_have_a_floor);
    RUN(extremes_stay_finite);
    RUN(padding_is_not_counted);
    RUN(the_average_begins_with_the_first_and_follows);
    return test_result();
}

#include "Eval/overlap.h"

#include "test.h"

static void dice_and_iou_are_ratios_of_counts(void)
{
    static const struct {
        int64_t tp, fp, fn;
        double dice, iou;
    } known[] = { { 3, 1, 2, 6.0 / 9, 3.0 / 6 },
                  { 0, 0, 0, 1, 1 },
                  { 0, 5, 0, 0, 0 },
                  { 0, 0, 5, 0, 0 },
                  { 7, 0, 0, 1, 1 },
                  { 1, 0, 1, 2.0 / 3, 0.5 } };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const vdni_overlap o = { known[i].tp, known[i].fp, known[i].fn };
        EXPECT_LE(fabs(vdni_dice(&o) - known[i].dice), 1e-15);
        EXPECT_LE(fabs(vdni_iou(&o) - known[i].iou), 1e-15);
        EXPECT_LE(fabs(vdni_iou(&o) - vdni_dice(&o) / (2 - vdni_dice(&o))), 1e-15);
    }
}

static void labels_are_counted_and_ignored_ones_are_not(void)
{
    static const uint8_t reference[] = { 0, 1, 1, 2, 255, 255, 1, 0 };
    static const uint8_t prediction[] = { 1, 1, 2, 2, 1, 0, 0, 0 };
    vdni_overlap o = { -1, -1, -1 }, sum = { 10, 20, 30 };
    vdni_overlap_labels(&o, reference, prediction, 8, 1);
    EXPECT(o.true_positive == 1 && o.false_positive == 1 && o.false_negative == 2);
    vdni_overlap_add(&sum, &o);
    EXPECT(sum.true_positive == 11 && sum.false_positive == 21 && sum.false_negative == 32);
}

static void the_largest_probability_wins_and_ties_go_down(void)
{
    static const float one[] = { 0.5f, 0.51f, 0, 1 };
    static const float three[] = { 0.2f, 0.4f, 0.4f, 0.1f, 0.2f, 0.7f, 0.5f, 0.5f, 0 };
    uint8_t out[4];
    vdni_argmax(out, one, 4, 1);
    EXPECT(out[0] == 0 && out[1] == 1 && out[2] == 0 && out[3] == 1);
    vdni_argmax(out, three, 3, 3);
    EXPECT(out[0] == 1 && out[1] == 2 && out[2] == 0);
}

/* The mean over foreground classes of the Dice of each label. */
static void the_mean_dice_is_that_of_the_labels(void)
{
    for (int32_t k = 1; k <= 5; k++) {
        enum { COUNT = 500 };
        const int32_t classes = k == 1 ? 2 : k;
        float p[COUNT * 5];
        uint8_t reference[COUNT], found[COUNT];
        uint64_t seed = (uint64_t)k;
        for (int i = 0; i < COUNT * k; i++) p[i] = (float)(0.5 + 0.5 * test_random(&seed));
        for (int i = 0; i < COUNT; i++) {
            const uint64_t draw = test_random_bits(&seed);
            reference[i] = draw % 7 == 0 ? 255 : (uint8_t)(draw / 8 % (uint64_t)classes);
        }
        vdni_argmax(found, p, COUNT, k);
        double sum = 0;
        for (int32_t c = 1; c < classes; c++) {
            vdni_overlap o;
            vdni_overlap_labels(&o, reference, found, COUNT, (uint8_t)c);
            sum += vdni_dice(&o);
        }
        EXPECT_LE(fabs(vdni_mean_dice(p, reference, COUNT, k) - sum / (classes - 1)), 1e-12);
    }
}

static void the_deviation_divides_by_one_less(void)
{
    static const double values[] = { 2, 4, 4, 4, 5, 5, 7, 9 };
    double mean = 0, sd = 0;
    vdni_mean_sd(&mean, &sd, values, 8);
    EXPECT_LE(fabs(mean - 5), 1e-15);
    EXPECT_LE(fabs(sd - sqrt(32.0 / 7)), 1e-15);
    vdni_mean_sd(&mean, &sd, values, 1);
    EXPECT(mean == 2 && sd == 0);
}

int main(void)
{
    RUN(dice_and_iou_are_ratios_of_counts);
    RUN(labels_are_counted_and_ignored_ones_are_not);
    RUN(the_largest_probability_wins_and_ties_go_down);
    RUN(the_mean_dice_is_that_of_the_labels);
    RUN(the_deviation_divides_by_one_less);
    return test_result();
}

/* test_json.c compares long numbers with the C library; here are the grammar, the edges of double
 * and the way back. */
#include "Base/decimal.h"
#include "test.h"

#include <float.h>

static int parses(const char *text, double *out)
{
    return vdni_parse_double(out, text, (int64_t)strlen(text)) == VDN_OK;
}

static int same_bits(double a, double b) { return memcmp(&a, &b, sizeof a) == 0; }

static void known_numbers_are_read(void)
{
    static const struct {
        const char *text;
        double value;
    } known[] = {
        { "0", 0.0 },
        { "-0", -0.0 },
        { "-0.0e5", -0.0 },
        { "7", 7.0 },
        { "-12.5e3", -12500.0 },
        { "12.5E+3", 12500.0 },
        { "0.001", 1e-3 },
        { "0e999999999999999999999", 0.0 },
        { "1e-999999999999999999999", 0.0 },
        { "9007199254740993", 9007199254740992.0 }, /* a tie: to even */
        { "9007199254740995", 9007199254740996.0 }, /* a tie: to even, upwards */
        { "1.7976931348623157e308", DBL_MAX },
        { "1.79769313486231580793e308", DBL_MAX }, /* just below the next step */
        { "2.2250738585072014e-308", DBL_MIN },
        { "4.9406564584124654e-324", 0x1p-1074 },
        { "2.4703282292062327e-324", 0.0 },       /* just below half of it */
        { "2.4703282292062328e-324", 0x1p-1074 }, /* just above half of it */
        { "9.9999999999999999999e-1", 1.0 },
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        double x = -1.0;
        EXPECT(parses(known[i].text, &x) && same_bits(x, known[i].value));
        if (!same_bits(x, known[i].value)) printf("  %s is %.17g\n", known[i].text, x);
    }
}

static void what_is_no_number_is_refused_and_nothing_is_written(void)
{
    static const char *const bad[] = { "",      "-",
                                       "+1",    "--1",
                                       ".5",    "1.",
                                       "1.e3",  "01",
                                       "-01",   "1e",
                                       "1e+",   "1e1.5",
                                       "0x10",  " 1",
                                       "1 ",    "1,5",
                                       "nan",   "inf",
                                       "1e309", "-1e309",
                                       "1d3",   "1_0",
                                       "1e+-3", "12a",
                                       "1.2.3", "1.7976931348623159e308" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        double x = 42.0;
        EXPECT(!parses(bad[i], &x) && x == 42.0);
        if (x != 42.0) printf("  \"%s\" is %.17g\n", bad[i], x);
    }
}

/* The text is not terminated: what lies behind @p bytes is not looked at. */
static void no_byte_behind_the_end_is_read(void)
{
    char *text = malloc(3); /* exact size: a sanitizer sees any overrun */
    double x = 0.0;
    memcpy(text, "125", 3);
    EXPECT(vdni_parse_double(&x, text, 3) == VDN_OK && x == 125.0);
    EXPECT(vdni_parse_double(&x, text, 2) == VDN_OK && x == 12.0);
    memcpy(text, "1e5", 3);
    EXPECT(vdni_parse_double(&x, text, 2) == VDN_ERR_FORMAT);
    EXPECT(vdni_parse_double(&x, text, 0) == VDN_ERR_FORMAT);
    free(text);
}

static void the_shortest_of_15_to_17_digits_is_printed(void)
{
    static const struct {
        double value;
        const char *text;
    } known[] = { { 0.0, "0" },
                  { -0.0, "-0" },
                  { 0.1, "0.1" },
                  { 1e22, "1e+22" },
                  { 1.0 / 3.0, "0.3333333333333333" },
                  { 0.1 + 0.2, "0.30000000000000004" },
                  { 0x1p-1074, "4.94065645841247e-324" },
                  { DBL_MAX, "1.7976931348623157e+308" },
                  { (double)NAN, "null" },
                  { (double)INFINITY, "null" },
                  { -(double)INFINITY, "null" } };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char text[VDNI_DOUBLE_BYTES];
        EXPECT(vdni_print_double(text, known[i].value) == text);
        EXPECT(strcmp(text, known[i].text) == 0);
        if (strcmp(text, known[i].text) != 0) printf("  %s, not %s\n", text, known[i].text);
    }
}

static void what_is_printed_reads_back(void)
{
    uint64_t seed = 3;
    for (int i = 0; i < 5000; i++) {
        const uint64_t bits = test_random_bits(&seed) & (i % 3 ? UINT64_MAX : 0x800fffffffffffffu);
        char text[VDNI_DOUBLE_BYTES];
        double value, back = 0.0;
        memcpy(&value, &bits, sizeof value); /* every third one is subnormal */
        if (!isfinite(value)) continue;
        EXPECT(parses(vdni_print_double(text, value), &back) && same_bits(back, value));
    }
}

int main(void)
{
    RUN(known_numbers_are_read);
    RUN(what_is_no_number_is_refused_and_nothing_is_written);
    RUN(no_byte_behind_the_end_is_read);
    RUN(the_shortest_of_15_to_17_digits_is_printed);
    RUN(what_is_printed_reads_back);
    return test_result();
}

/* A test program is a list of claims. Each claim is a function whose name is the sentence; EXPECT
 * counts failures and says where. Comparisons are written EXPECT(err <= bound) so that NaN fails. */
#ifndef VERDIFF_TEST_H
#define VERDIFF_TEST_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_failures;
static int test_checks;

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        test_checks++;                                                                             \
        if (!(condition)) {                                                                        \
            if (test_failures++ < 20)                                                              \
                printf("%s:%d: EXPECT(%s)\n", __FILE__, __LINE__, #condition);                     \
        }                                                                                          \
    } while (0)

/* As EXPECT, with the two numbers of a comparison a <= b. */
#define EXPECT_LE(a, b)                                                                            \
    do {                                                                                           \
        const double test_a_ = (double)(a), test_b_ = (double)(b);                                 \
        test_checks++;                                                                             \
        if (!(test_a_ <= test_b_)) {                                                               \
            if (test_failures++ < 20)                                                              \
                printf("%s:%d: %s = %.6g, needed <= %.6g\n", __FILE__, __LINE__, #a, test_a_,      \
                       test_b_);                                                                   \
        }                                                                                          \
    } while (0)

#define RUN(claim)                                                                                 \
    do {                                                                                           \
        const int test_before_ = test_failures;                                                    \
        claim();                                                                                   \
        printf("%s %s\n", test_failures == test_before_ ? "ok  " : "FAIL", #claim);                \
    } while (0)

/* Exit status of a test program; a program that checked nothing has failed. */
static inline int test_result(void)
{
    printf("%d checks, %d failures\n", test_checks, test_failures);
    return test_failures != 0 || test_checks == 0;
}

/* Exit status that CTest counts as skipped, with the reason. */
static inline int test_skip(const char *why)
{
    printf("skipped: %s\n", why);
    return 77;
}

/* Repeatable numbers for test data: SplitMix64. */
static inline uint64_t test_random_bits(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Uniform in [-1, 1). */
static inline double test_random(uint64_t *state)
{
    return (double)(test_random_bits(state) >> 11) / 4503599627370496.0 - 1.0;
}

#endif

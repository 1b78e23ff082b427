#include "Base/philox.h"
#include "test.h"

enum { COUNT = 1 << 16 };

/* Known answers of the Random123 distribution for philox4x32, 10 rounds. */
static void the_generator_gives_the_published_answers(void)
{
    static const struct {
        uint32_t counter[4], key[2], answer[4];
    } known[] = {
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
          { 0xffffffff, 0xffffffff },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint32_t out[4];
        vdni_philox4x32(out, known[i].counter, known[i].key);
        EXPECT(memcmp(out, known[i].answer, sizeof out) == 0);
    }
}

static const vdni_noise_key sample_key = { 0x123456789abcdef0u, 3, 7, 11, 500, 2 };

/* Box and Muller in double from the generator's words, with the layout philox.h documents. */
static double oracle(double *radius, const vdni_noise_key *k, int64_t element)
{
    const uint32_t key[2] = { (uint32_t)k->seed,
                              (uint32_t)(k->seed >> 32) ^ (k->purpose * 0x9E3779B9u) };
    const uint32_t counter[4] = { (uint32_t)(element / 4), k->step, k->slice * 65536u ^ k->sample,
                                  k->case_key };
    uint32_t x[4];
    vdni_philox4x32(x, counter, key);
    const int pair = (int)(element % 4) / 2 * 2;
    const double u = ((double)(x[pair] / 2) + 0.5) / 2147483648.0;
    const double angle = 2.0 * 3.14159265358979323846 * x[pair + 1] / 4294967296.0;
    *radius = sqrt(-2.0 * log(u));
    return *radius * (element % 2 ? sin(angle) : cos(angle));
}

static void normal_numbers_are_box_muller_of_the_documented_counter(void)
{
    static float x[COUNT];
    vdni_philox_normal(x, &sample_key, 0, COUNT);
    for (int64_t i = 0; i < COUNT; i++) {
        double radius = 0;
        const double y = oracle(&radius, &sample_key, i);
        /* Float rounds u by up to 2^-25 near 1, which moves the radius by that over itself. */
        EXPECT_LE(fabs(x[i] - y), 3e-7 * (1 + fabs(y)) + 6e-8 / radius);
    }
}

static void normal_numbers_are_the_same_bits_everywhere(void)
{
    static float x[COUNT];
    uint64_t hash = 14695981039346656037u; /* FNV-1a over the bytes, little endian */
    vdni_philox_normal(x, &sample_key, 0, COUNT);
    for (int i = 0; i < COUNT; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        for (int k = 0; k < 4; k++) hash = (hash ^ (bits >> (8 * k) & 255u)) * 1099511628211u;
    }
    EXPECT(hash == 0x5cba21736edf1c60u);
}

static void a_piece_is_a_piece_of_the_whole(void)
{
    static float whole[1000], part[1000];
    vdni_philox_normal(whole, &sample_key, 0, 1000);
    for (int64_t first = 0; first < 200; first += 7) {
        for (int64_t count = 0; count <= 800; count += 61) {
            part[count] = 123.0f;
            vdni_philox_normal(part, &sample_key, first, count);
            EXPECT(memcmp(part, whole + first, (size_t)count * sizeof part[0]) == 0);
            EXPECT(part[count] == 123.0f);
        }
    }
}

static void normal_numbers_have_the_moments_of_the_normal_law(void)
{
    static float x[COUNT];
    double sum[5] = { 0 };
    int below[3] = { 0 };
    for (uint32_t sample = 0; sample < 16; sample++) {
        vdni_noise_key key = sample_key;
        key.sample = sample;
        vdni_philox_normal(x, &key, 0, COUNT);
        for (int i = 0; i < COUNT; i++) {
            double power = 1;
            for (int k = 1; k <= 4; k++) sum[k] += power *= x[i];
            for (int k = 0; k < 3; k++) below[k] += fabs(x[i]) < k + 1;
            EXPECT(fabs(x[i]) <= 6.67);
        }
    }
    const double n = 16.0 * COUNT; /* five standard errors each */
    EXPECT_LE(fabs(sum[1] / n), 5 / sqrt(n));
    EXPECT_LE(fabs(sum[2] / n - 1), 5 * sqrt(2 / n));
    EXPECT_LE(fabs(sum[3] / n), 5 * sqrt(15 / n));
    EXPECT_LE(fabs(sum[4] / n - 3), 5 * sqrt(96 / n));
    for (int k = 0; k < 3; k++) {
        const double p = erf((k + 1) / sqrt(2.0));
        EXPECT_LE(fabs(below[k] / n - p), 5 * sqrt(p * (1 - p) / n));
    }
}

/* Correlation of the noise of two keys that differ in one field. */
static void every_field_of_the_key_matters(void)
{
    static float x[COUNT], y[COUNT];
    vdni_philox_normal(x, &sample_key, 0, COUNT);
    for (int field = 0; field < 7; field++) {
        vdni_noise_key key = sample_key;
        if (field == 0) key.seed++;
        if (field == 1) key.seed += (uint64_t)1 << 32;
        if (field == 2) key.purpose++;
        if (field == 3) key.case_key++;
        if (field == 4) key.slice++;
        if (field == 5) key.step++;
        if (field == 6) key.sample++;
        vdni_philox_normal(y, &key, 0, COUNT);
        double sum = 0;
        for (int i = 0; i < COUNT; i++) sum += (double)x[i] * y[i];
        EXPECT_LE(fabs(sum), 5 * sqrt((double)COUNT));
    }
}

static void uniform_numbers_and_integers_agree_and_cover(void)
{
    int count[7] = { 0 };
    double sum = 0, squares = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        const double u = vdni_philox_uniform(&sample_key, i);
        const int64_t k = vdni_philox_below(&sample_key, i, 7);
        EXPECT(u >= 0 && u < 1);
        EXPECT(k >= 0 && k < 7);
        EXPECT_LE(fabs((double)k - floor(7 * u)), 0);
        EXPECT(vdni_philox_below(&sample_key, i, 1) == 0);
        EXPECT(vdni_philox_below(&sample_key, i, (int64_t)1 << 31) == (int64_t)(u * 2147483648.0));
        count[k]++;
        sum += u;
        squares += u * u;
    }
    for (int k = 0; k < 7; k++) EXPECT_LE(abs(count[k] - COUNT / 7), 5 * sqrt(COUNT / 7.0));
    EXPECT_LE(fabs(sum / COUNT - 0.5), 5 * sqrt(1.0 / 12 / COUNT));
    EXPECT_LE(fabs(squares / COUNT - 1.0 / 3), 5 * sqrt(4.0 / 45 / COUNT));
}

static void a_key_survives_packing(void)
{
    int32_t row[VDNI_NOISE_KEY_WORDS];
    const vdni_noise_key key = {
        0xfedcba9876543210u, 0xf0000001u, 0xffffffffu, 65535u, 9u, 65534u
    };
    vdni_noise_key_pack(row, &key);
    const vdni_noise_key back = vdni_noise_key_unpack(row);
    EXPECT(back.seed == key.seed && back.purpose == key.purpose && back.case_key == key.case_key);
    EXPECT(back.slice == key.slice && back.step == key.step && back.sample == key.sample);
    EXPECT(row[7] == 0);
}

int main(void)
{
    RUN(the_generator_gives_the_published_answers);
    RUN(normal_numbers_are_box_muller_of_the_documented_counter);
    RUN(normal_numbers_are_the_same_bits_everywhere);
    RUN(a_piece_is_a_piece_of_the_whole);
    RUN(normal_numbers_have_the_moments_of_the_normal_law);
    RUN(every_field_of_the_key_matters);
    RUN(uniform_numbers_and_integers_agree_and_cover);
    RUN(a_key_survives_packing);
    return test_result();
}

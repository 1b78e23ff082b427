#include "Base/philox.h"

#include "Base/philox_kernel.h"

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

/* Blocks computed together; the loops over them are what the compiler vectorises. */
enum { LANES = 16 };

typedef struct {
    uint32_t key[2], counter[4];
} generator;

static generator generator_of(const vdni_noise_key *k)
{
    const generator g = { { (uint32_t)k->seed,
                            (uint32_t)(k->seed >> 32) ^ k->purpose * 0x9E3779B9u },
                          { 0, k->step, k->slice << 16 ^ k->sample, k->case_key } };
    return g;
}

void vdni_philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    memcpy(out, counter, 4 * sizeof out[0]);
    vdni_philox_rounds(out, key[0], key[1]);
}

static void normal_lanes(float out[4 * LANES], const generator *g, uint32_t block)
{
    uint32_t word[4][LANES];
    float normal[4][LANES];
    for (uint32_t i = 0; i < LANES; i++) {
        uint32_t x[4] = { block + i, g->counter[1], g->counter[2], g->counter[3] };
        vdni_philox_rounds(x, g->key[0], g->key[1]);
        for (int k = 0; k < 4; k++) word[k][i] = x[k];
    }
    for (int i = 0; i < LANES; i++) {
        vdni_box_muller(&normal[0][i], &normal[1][i], word[0][i], word[1][i]);
        vdni_box_muller(&normal[2][i], &normal[3][i], word[2][i], word[3][i]);
    }
    for (int i = 0; i < LANES; i++)
        for (int k = 0; k < 4; k++) out[4 * i + k] = normal[k][i];
}

void vdni_philox_normal(float *out, const vdni_noise_key *key, int64_t first, int64_t count)
{
    const generator g = generator_of(key);
    const int64_t end = first + count;
    for (int64_t at = first; at < end;) {
        float lanes[4 * LANES];
        const int64_t begin = at / (4 * LANES) * (4 * LANES);
        const int64_t stop = begin + 4 * LANES < end ? begin + 4 * LANES : end;
        normal_lanes(lanes, &g, (uint32_t)(begin / 4));
        memcpy(out + (at - first), lanes + (at - begin), (size_t)(stop - at) * sizeof *out);
        at = stop;
    }
}

/* 64 bits of block @p index. */
static uint64_t bits_of(const vdni_noise_key *key, uint32_t index)
{
    const generator g = generator_of(key);
    uint32_t x[4] = { index, g.counter[1], g.counter[2], g.counter[3] };
    vdni_philox_rounds(x, g.key[0], g.key[1]);
    return (uint64_t)x[0] << 32 | x[1];
}

double vdni_philox_uniform(const vdni_noise_key *key, uint32_t index)
{
    return (double)(bits_of(key, index) >> 11) / 9007199254740992.0;
}

int64_t vdni_philox_below(const vdni_noise_key *key, uint32_t index, int64_t n)
{
    const uint64_t bits = bits_of(key, index);
    const uint64_t low = (bits & 0xffffffffu) * (uint64_t)n, high = (bits >> 32) * (uint64_t)n;
    return (int64_t)((high + (low >> 32)) >> 32);
}

void vdni_noise_key_pack(int32_t row[VDNI_NOISE_KEY_WORDS], const vdni_noise_key *key)
{
    const uint32_t word[VDNI_NOISE_KEY_WORDS] = { (uint32_t)key->seed, (uint32_t)(key->seed >> 32),
                                                  key->purpose,        key->case_key,
                                                  key->slice,          key->step,
                                                  key->sample,         0 };
    memcpy(row, word, sizeof word);
}

vdni_noise_key vdni_noise_key_unpack(const int32_t row[VDNI_NOISE_KEY_WORDS])
{
    uint32_t word[VDNI_NOISE_KEY_WORDS];
    memcpy(word, row, sizeof word);
    const vdni_noise_key key = {
        (uint64_t)word[1] << 32 | word[0], word[2], word[3], word[4], word[5], word[6]
    };
    return key;
}

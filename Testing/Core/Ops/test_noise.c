#include "Base/philox.h"
#include "Ops/noise.h"
#include "op_test.h"

static vdni_noise_key key_of_image(int64_t n)
{
    const vdni_noise_key key = {
        35 + ((uint64_t)1 << 40), VDNI_FOR_SAMPLER_STEP, 7, (uint32_t)(n / 2), 12, (uint32_t)(n % 2)
    };
    return key;
}

static vdni_tensor make_keys(int64_t images)
{
    vdni_tensor keys = op_tensor(images, 1, 1, VDNI_NOISE_KEY_WORDS, VDNI_I32);
    for (int64_t n = 0; n < images; n++) {
        const vdni_noise_key key = key_of_image(n);
        vdni_noise_key_pack((int32_t *)keys.data + VDNI_NOISE_KEY_WORDS * n, &key);
    }
    return keys;
}

static void noise_is_the_named_function_of_the_element(void)
{
    static const int64_t sizes[][4] = {
        { 1, 1, 1, 1 }, { 3, 7, 5, 3 }, { 2, 37, 53, 1 }, { 1, 131, 127, 1 }, { 4, 65, 3, 130 }
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const int64_t *s = sizes[i];
        vdni_tensor keys = make_keys(s[0]), y = op_tensor(s[0], s[1], s[2], s[3], VDNI_F32);
        vdni_op op = { .kind = VDNI_OP_NOISE, .in = { &keys }, .out = { &y } };
        EXPECT(op_run(&op, 1) == VDN_OK);
        for (int64_t n = 0; n < s[0]; n++)
            for (int64_t h = 0; h < s[1]; h++)
                for (int64_t w = 0; w < s[2]; w++)
                    for (int64_t c = 0; c < s[3]; c++) {
                        const vdni_noise_key key = key_of_image(n);
                        float value = 0;
                        vdni_philox_normal(&value, &key, (h * s[2] + w) * s[3] + c, 1);
                        EXPECT_LE(fabs(op_get(&y, op_index(&y, n, c, h, w)) - value), 0);
                    }
        op_expect_same_for_threads(&op, NULL);
        op_free(&keys);
        op_free(&y);
    }
}

static void an_image_does_not_depend_on_its_batch(void)
{
    vdni_tensor keys = make_keys(4), y = op_tensor(4, 9, 8, 2, VDNI_F32);
    vdni_tensor third = { 1, 1, 1, VDNI_NOISE_KEY_WORDS, VDNI_I32, NULL, NULL };
    vdni_tensor alone = op_tensor(1, 9, 8, 2, VDNI_F32);
    vdni_op op = { .kind = VDNI_OP_NOISE, .in = { &keys }, .out = { &y } };
    EXPECT(op_run(&op, 2) == VDN_OK);
    third.data = (int32_t *)keys.data + 2 * VDNI_NOISE_KEY_WORDS;
    op.in[0] = &third;
    op.out[0] = &alone;
    EXPECT(op_run(&op, 1) == VDN_OK);
    EXPECT(memcmp(alone.data, (float *)y.data + 2 * 144, 144 * sizeof(float)) == 0);
    op_free(&keys);
    op_free(&y);
    op_free(&alone);
}

static void wrong_tensors_are_refused(void)
{
    vdni_tensor keys = make_keys(2), y = op_tensor(2, 3, 3, 1, VDNI_F32);
    vdni_tensor three = op_tensor(3, 3, 3, 1, VDNI_F32), half = op_tensor(2, 3, 3, 1, VDNI_BF16);
    vdni_tensor six = op_tensor(2, 1, 1, 6, VDNI_I32), real = op_tensor(2, 1, 1, 8, VDNI_F32);
    vdni_op op = { .kind = VDNI_OP_NOISE, .in = { &keys }, .out = { &three } };
    op_expect_refused(&op);
    op.out[0] = &half;
    op_expect_refused(&op);
    op.out[0] = &y;
    op.in[0] = &six;
    op_expect_refused(&op);
    op.in[0] = &real;
    op_expect_refused(&op);
    op_free(&keys);
    op_free(&y);
    op_free(&three);
    op_free(&half);
    op_free(&six);
    op_free(&real);
}

int main(void)
{
    RUN(noise_is_the_named_function_of_the_element);
    RUN(an_image_does_not_depend_on_its_batch);
    RUN(wrong_tensors_are_refused);
    return test_result();
}

#include "Tensor/tensor.h"
#include "test.h"

static void types_have_sizes_and_names(void)
{
    static const struct {
        vdni_dtype dtype;
        int64_t bytes;
        const char *name;
    } known[] = { { VDNI_F32, 4, "f32" },
                  { VDNI_BF16, 2, "bf16" },
                  { VDNI_U8, 1, "u8" },
                  { VDNI_U16, 2, "u16" },
                  { VDNI_I32, 4, "i32" } };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const vdni_tensor t = { 2, 3, 5, 7, known[i].dtype, NULL, NULL };
        EXPECT(vdni_dtype_bytes(known[i].dtype) == known[i].bytes);
        EXPECT(strcmp(vdni_dtype_name(known[i].dtype), known[i].name) == 0);
        EXPECT(vdni_tensor_count(&t) == 210 && vdni_tensor_bytes(&t) == 210 * known[i].bytes);
    }
    EXPECT(vdni_dtype_bytes((vdni_dtype)99) == 0);
    EXPECT(strcmp(vdni_dtype_name((vdni_dtype)99), "unknown type") == 0);
}

static void shapes_are_printed(void)
{
    const vdni_tensor t = { 2, 16, 12, 8, VDNI_BF16, NULL, NULL };
    char text[64], small[8];
    EXPECT(vdni_tensor_print(&t, text, sizeof text) == text);
    EXPECT(strcmp(text, "(2, 16, 12, 8) bf16") == 0);
    EXPECT(strcmp(vdni_tensor_print(&t, small, sizeof small), "(2, 16,") == 0);
}

static void shapes_are_compared_in_every_extent(void)
{
    const vdni_tensor a = { 2, 3, 4, 5, VDNI_F32, NULL, NULL };
    vdni_tensor b = { 2, 3, 4, 5, VDNI_BF16, NULL, NULL }; /* the type is no part of the shape */
    int64_t *const extent[4] = { &b.n, &b.h, &b.w, &b.c };
    EXPECT(vdni_same_shape(&a, &b));
    for (int i = 0; i < 4; i++) {
        (*extent[i])++;
        EXPECT(!vdni_same_shape(&a, &b));
        (*extent[i])--;
    }
}

static void impossible_extents_are_refused_with_their_name(void)
{
    static const int64_t bad[] = { 0, -1, INT64_MIN, INT64_MAX };
    vdn_ctx ctx;
    for (int i = 0; i < 4; i++)
        for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
            vdni_tensor t = { 2, 3, 4, 5, VDNI_F32, NULL, NULL };
            int64_t *const extent[4] = { &t.n, &t.h, &t.w, &t.c };
            vdni_ctx_init(&ctx);
            EXPECT(vdni_tensor_check(&ctx, &t, "image") == VDN_OK && ctx.error[0] == '\0');
            *extent[i] = bad[k];
            EXPECT(vdni_tensor_check(&ctx, &t, "image") == VDN_ERR_ARGUMENT);
            EXPECT(strncmp(ctx.error, "image has shape (", 17) == 0);
            EXPECT(strstr(ctx.error, " f32; extents must be 1 or more") != NULL);
        }
}

/* 2^61 - 1 elements of 4 bytes are the most that fit. */
static void a_product_beyond_int64_is_refused(void)
{
    const int64_t side = INT64_C(1) << 15, over = INT64_C(1) << 31;
    const vdni_tensor largest = { side, side, side, side / 2 - 1, VDNI_F32, NULL, NULL };
    const vdni_tensor wraps_to_zero = { over, over, 4, 1, VDNI_F32, NULL, NULL };
    const vdni_tensor wraps_to_one = {
        3, INT64_C(6148914691236517205), 1, 1, VDNI_F32, NULL, NULL
    };
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    EXPECT(vdni_tensor_check(&ctx, &largest, "t") == VDN_OK);
    EXPECT(vdni_tensor_bytes(&largest) > 0);
    EXPECT(vdni_tensor_check(&ctx, &wraps_to_zero, "t") == VDN_ERR_ARGUMENT);
    EXPECT(vdni_tensor_check(&ctx, &wraps_to_one, "t") == VDN_ERR_ARGUMENT);
}

int main(void)
{
    RUN(types_have_sizes_and_names);
    RUN(shapes_are_printed);
    RUN(shapes_are_compared_in_every_extent);
    RUN(impossible_extents_are_refused_with_their_name);
    RUN(a_product_beyond_int64_is_refused);
    return test_result();
}

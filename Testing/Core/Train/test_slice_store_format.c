/* Numbers and names of the format, against bytes written out by hand. */
#include "Train/slice_store_format.h"

#include "test.h"

static void numbers_are_little_endian(void)
{
    uint8_t b[8];
    vdni_store_put_u32(b, 0x01020304u);
    EXPECT(memcmp(b, "\4\3\2\1", 4) == 0);
    EXPECT(vdni_store_get_u32(b) == 0x01020304u);
    vdni_store_put_u64(b, 0x0102030405060708u);
    EXPECT(memcmp(b, "\10\7\6\5\4\3\2\1", 8) == 0);
    EXPECT(vdni_store_get_u64(b) == 0x0102030405060708u);
    vdni_store_put_f32(b, -2.0f);
    EXPECT(memcmp(b, "\0\0\0\xc0", 4) == 0);
    EXPECT(vdni_store_get_f32(b) == -2.0f);
    EXPECT(vdni_store_get_i32((const uint8_t *)"\xfe\xff\xff\xff") == -2);
}

static void records_are_blocks_of_64_bytes(void)
{
    const vdn_store_slice s = { .height = 5, .width = 7, .native_height = 8, .native_width = 8 };
    const vdni_store_layout l = vdni_store_layout_of(&s, 2);
    EXPECT(l.labels == 320 && l.native == 384 && l.bytes == 448);
    EXPECT(vdni_store_align(0) == 0 && vdni_store_align(1) == 64 && vdni_store_align(64) == 64);
}

static void names_are_plain_text(void)
{
    EXPECT(vdni_store_is_name("a", 1, 1));
    EXPECT(!vdni_store_is_name("ab", 2, 1));
    EXPECT(!vdni_store_is_name("", 0, 9));
    EXPECT(!vdni_store_is_name("a\tb", 3, 9));
    EXPECT(!vdni_store_is_name("a\0b", 3, 9));
    EXPECT(!vdni_store_is_name("\x7f", 1, 9));
    EXPECT(vdni_store_is_name("\xc3\xa9", 2, 9));
    EXPECT(!vdni_store_is_name("\xc3", 1, 9));
    EXPECT(!vdni_store_is_name("\xe9t\xe9", 3, 9));
}

int main(void)
{
    RUN(numbers_are_little_endian);
    RUN(records_are_blocks_of_64_bytes);
    RUN(names_are_plain_text);
    return test_result();
}

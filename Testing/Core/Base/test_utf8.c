#include "Base/utf8.h"
#include "test.h"

/* The shortest form by the bit patterns of the standard, written by division. */
static int encode(unsigned char out[4], uint32_t code)
{
    const int length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[5] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    for (int i = length - 1; i > 0; i--) {
        out[i] = (unsigned char)(128 + code % 64);
        code /= 64;
    }
    out[0] = (unsigned char)(lead[length] + code);
    return length;
}

static void every_code_point_is_written_and_recognised(void)
{
    int64_t wrong = 0;
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        unsigned char wanted[4];
        char text[4];
        const int length = encode(wanted, code), surrogate = code >= 0xd800 && code <= 0xdfff;
        wrong +=
            vdni_utf8_put(text, code) != text + length || memcmp(text, wanted, (size_t)length) != 0;
        wrong += vdni_utf8_length(text, length) != (surrogate ? 0 : length);
        if (length > 1) wrong += vdni_utf8_length(text, length - 1) != 0;
    }
    EXPECT(wrong == 0);
}

/* All one- and two-byte texts, and longer ones whose two first bytes decide. */
static void everything_else_is_refused(void)
{
    int64_t valid2 = 0, valid3 = 0, valid4 = 0;
    for (int a = 0; a < 256; a++)
        for (int b = 0; b < 256; b++) {
            const char text[4] = { (char)a, (char)b, (char)0x80, (char)0xbf };
            EXPECT(vdni_utf8_length(text, 1) == (a < 0x80));
            valid2 += vdni_utf8_length(text, 2) == 2;
            valid3 += vdni_utf8_length(text, 3) == 3;
            valid4 += vdni_utf8_length(text, 4) == 4;
        }
    EXPECT(valid2 == (0x800 - 0x80));                 /* one per code point */
    EXPECT(valid3 == (0x10000 - 0x800 - 0x800) / 64); /* without surrogates */
    EXPECT(valid4 == 0x100000 / 4096);
}

static void broken_tails_are_refused(void)
{
    static const char *const bad[] = { "\xc2\x7f",         "\xc2\xc0",         "\xe2\x82\x7f",
                                       "\xe2\x82\xc0",     "\xf0\x9f\x98\x7f", "\xf0\x9f\x98\xc0",
                                       "\xf0\x9f\x7f\x80", "\xc0\x80",         "\xe0\x80\x80",
                                       "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        EXPECT(vdni_utf8_length(bad[i], (int64_t)strlen(bad[i])) == 0);
}

int main(void)
{
    RUN(every_code_point_is_written_and_recognised);
    RUN(everything_else_is_refused);
    RUN(broken_tails_are_refused);
    return test_result();
}

#include "Base/checksum.h"
#include "test.h"

static void known_values_come_out(void)
{
    unsigned char zeros[32] = { 0 };
    EXPECT(vdni_crc32(0, "", 0) == 0);
    EXPECT(vdni_crc32(0, "123456789", 9) == 0xcbf43926u); /* the check value of every CRC table */
    EXPECT(vdni_crc32(0, "a", 1) == 0xe8b7be43u);
    EXPECT(vdni_crc32(0, zeros, 32) == 0x190a55adu);
}

/* One bit at a time, straight from the definition. */
static uint32_t slow(const unsigned char *data, int64_t bytes)
{
    uint32_t crc = 0xffffffffu;
    for (int64_t i = 0; i < 8 * bytes; i++) {
        const uint32_t bit = (crc ^ (uint32_t)(data[i / 8] >> (i % 8))) & 1u;
        crc >>= 1;
        if (bit) crc ^= 0xedb88320u;
    }
    return ~crc;
}

static void every_length_and_cut_gives_the_same(void)
{
    static unsigned char data[9000];
    uint64_t seed = 3;
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)test_random_bits(&seed);
    for (int64_t bytes = 0; bytes <= 9000; bytes += bytes < 20 ? 1 : 449) {
        const uint32_t whole = vdni_crc32(0, data, bytes);
        EXPECT(whole == slow(data, bytes));
        const int64_t cut = bytes / 3;
        EXPECT(vdni_crc32(vdni_crc32(0, data, cut), data + cut, bytes - cut) == whole);
    }
}

int main(void)
{
    RUN(known_values_come_out);
    RUN(every_length_and_cut_gives_the_same);
    return test_result();
}

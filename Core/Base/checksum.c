#include "Base/checksum.h"

#include <string.h>

enum { SLICES = 8, WORTH_A_TABLE = 4096 };
static const uint32_t polynomial = 0xedb88320u;

static uint32_t shift_byte(uint32_t crc)
{
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (polynomial & (0u - (crc & 1u)));
    return crc;
}

/* table[k][b]: effect of byte b after k more bytes. Eight bytes then cost eight look-ups. */
static void fill(uint32_t table[SLICES][256])
{
    for (uint32_t b = 0; b < 256; b++) table[0][b] = shift_byte(b);
    for (int k = 1; k < SLICES; k++)
        for (int b = 0; b < 256; b++)
            table[k][b] = (table[k - 1][b] >> 8) ^ table[0][table[k - 1][b] & 255u];
}

static uint32_t update(uint32_t crc, const unsigned char *at, int64_t blocks)
{
    uint32_t table[SLICES][256];
    fill(table);
    for (int64_t i = 0; i < blocks; i++, at += SLICES) {
        unsigned char byte[SLICES];
        for (int k = 0; k < SLICES; k++)
            byte[k] = (unsigned char)(at[k] ^ (k < 4 ? crc >> (8 * k) & 255u : 0u));
        crc = 0;
        for (int k = 0; k < SLICES; k++) crc ^= table[SLICES - 1 - k][byte[k]];
    }
    return crc;
}

uint32_t vdni_crc32(uint32_t crc, const void *data, int64_t bytes)
{
    const unsigned char *at = data;
    crc = ~crc;
    if (bytes >= WORTH_A_TABLE) {
        const int64_t blocks = bytes / SLICES;
        crc = update(crc, at, blocks);
        at += blocks * SLICES;
        bytes -= blocks * SLICES;
    }
    for (int64_t i = 0; i < bytes; i++) crc = shift_byte((crc ^ at[i]) & 255u) ^ (crc >> 8);
    return ~crc;
}

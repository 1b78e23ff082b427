/* CRC-32 as in gzip, PNG and zlib (polynomial 0x04C11DB7, reflected): guards stored blocks against
 * damage, not against intent. */
#ifndef VDNI_CHECKSUM_H
#define VDNI_CHECKSUM_H

#include <stdint.h>

/* CRC of @p bytes of @p data following data whose CRC was @p crc; 0 to begin. */
uint32_t vdni_crc32(uint32_t crc, const void *data, int64_t bytes);

#endif

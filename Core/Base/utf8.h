/* UTF-8 as the Unicode standard defines it (table 3-7). */
#ifndef VDNI_UTF8_H
#define VDNI_UTF8_H

#include <stdint.h>

/* Length 1..4 of the sequence at @p text, of which @p left bytes remain (1 or more); 0 when it is
 * not one: over-long, a surrogate, beyond U+10FFFF, cut short. */
int vdni_utf8_length(const char *text, int64_t left);

/* Write the sequence of @p code and return the position after it. */
char *vdni_utf8_put(char *to, uint32_t code);

#endif

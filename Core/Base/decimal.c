/* Decimal text to double and back, without the C library's locale.
 *
 * A number is D * 10^E with D of at most DIGITS digits. With a shift k that leaves 64 bits or more,
 * floor(D * 2^k / 10^-E) is exact under repeated division by small numbers (floor of floor), and
 * "some remainder was not 0" is all that rounding to nearest needs to know besides. */
#include "Base/decimal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Halfway points between doubles have at most 767 digits; later digits only break ties. */
enum { DIGITS = 770, LIMBS = 256, EXPONENT_LIMIT = 1000000000 };

typedef struct {
    uint32_t limb[LIMBS]; /* little endian */
    int32_t count;
    int32_t lost; /* a remainder was not 0 */
} big;

static void big_multiply_add(big *b, uint32_t factor, uint32_t addend)
{
    uint64_t carry = addend;
    for (int32_t i = 0; i < b->count; i++) {
        carry += (uint64_t)b->limb[i] * factor;
        b->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry) b->limb[b->count++] = (uint32_t)carry;
}

static void big_divide(big *b, uint32_t divisor)
{
    uint64_t rest = 0;
    for (int32_t i = b->count - 1; i >= 0; i--) {
        rest = rest << 32 | b->limb[i];
        b->limb[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    while (b->count > 0 && b->limb[b->count - 1] == 0) b->count--;
    if (rest) b->lost = 1;
}

static void big_shift_limbs(big *b, int32_t limbs)
{
    memmove(b->limb + limbs, b->limb, (size_t)b->count * sizeof b->limb[0]);
    memset(b->limb, 0, (size_t)limbs * sizeof b->limb[0]);
    b->count += limbs;
}

static int64_t big_bits(const big *b)
{
    if (b->count == 0) return 0;
    int64_t bits = 32 * ((int64_t)b->count - 1);
    for (uint32_t top = b->limb[b->count - 1]; top; top >>= 1) bits++;
    return bits;
}

static int big_bit(const big *b, int64_t i) { return (int)(b->limb[i / 32] >> (i % 32) & 1u); }

/* b * 2^-shift (+ something smaller when lost), rounded to nearest, ties to even. */
static double big_round(const big *b, int64_t shift)
{
    const int64_t bits = big_bits(b);
    int64_t keep = 53;
    if (bits - shift - 53 < -1074) keep = bits - shift + 1074; /* subnormal */
    if (bits == 0 || keep < 0) return 0.0;
    if (keep > bits) keep = bits;

    uint64_t top = 0;
    for (int64_t i = 0; i < keep; i++) top = top << 1 | (uint64_t)big_bit(b, bits - 1 - i);
    const int64_t dropped = bits - keep;
    if (dropped > 0) {
        int below = b->lost;
        for (int64_t i = 0; i < dropped - 1 && !below; i++) below = big_bit(b, i);
        if (big_bit(b, dropped - 1) && (below || (top & 1u))) top++;
    }
    return ldexp((double)top, (int)(dropped - shift));
}

typedef struct {
    uint8_t digit[DIGITS];
    int32_t digits;
    int64_t exponent; /* of the last kept digit */
    int32_t more;     /* dropped digits were not all 0 */
} decimal;

static void take_digit(decimal *d, char c, int after_point)
{
    if (d->digits == 0 && c == '0') {
        d->exponent -= after_point; /* leading zero */
        return;
    }
    if (d->digits < DIGITS) {
        d->digit[d->digits++] = (uint8_t)(c - '0');
        d->exponent -= after_point;
    } else {
        d->more |= c != '0';
        d->exponent += !after_point;
    }
}

static double decimal_value(const decimal *d)
{
    big b = { .count = 0, .lost = d->more };
    int64_t shift = 0;

    for (int32_t i = 0; i < d->digits; i++) big_multiply_add(&b, 10, d->digit[i]);
    int64_t e = d->exponent;
    for (; e >= 9; e -= 9) big_multiply_add(&b, 1000000000u, 0);
    for (; e > 0; e--) big_multiply_add(&b, 10, 0);
    if (e < 0) { /* log2(10) < 3.33 */
        const int32_t limbs = (int32_t)((-e * 333 / 100 + 96) / 32);
        big_shift_limbs(&b, limbs);
        shift = 32 * (int64_t)limbs;
    }
    for (; e <= -9; e += 9) big_divide(&b, 1000000000u);
    for (; e < 0; e++) big_divide(&b, 10);
    return big_round(&b, shift);
}

/* "-"? int frac? exp? of RFC 8259; NULL when @p text does not follow it to the end. */
static const char *read_decimal(decimal *d, const char *text, const char *end)
{
    const char *c = text;
    memset(d, 0, sizeof *d);
    if (c == end || *c < '0' || *c > '9') return NULL;
    if (*c == '0' && end - c > 1 && c[1] >= '0' && c[1] <= '9') return NULL;
    for (; c < end && *c >= '0' && *c <= '9'; c++) take_digit(d, *c, 0);
    if (c < end && *c == '.') {
        const char *const fraction = ++c;
        for (; c < end && *c >= '0' && *c <= '9'; c++) take_digit(d, *c, 1);
        if (c == fraction) return NULL;
    }
    if (c < end && (*c == 'e' || *c == 'E')) {
        c++;
        const int negative = c < end && *c == '-';
        if (c < end && (*c == '-' || *c == '+')) c++;
        const char *const digits = c;
        int64_t e = 0;
        for (; c < end && *c >= '0' && *c <= '9'; c++)
            if (e < EXPONENT_LIMIT) e = 10 * e + (*c - '0');
        if (c == digits) return NULL;
        d->exponent += negative ? -e : e;
    }
    return c == end ? c : NULL;
}

vdn_status vdni_parse_double(double *out, const char *text, int64_t bytes)
{
    decimal d;
    const char *const end = text + bytes;
    const int negative = bytes > 0 && *text == '-';

    if (!read_decimal(&d, text + negative, end)) return VDN_ERR_FORMAT;
    double value = 0.0;
    const int64_t magnitude = d.digits + d.exponent; /* value < 10^magnitude */
    if (d.digits > 0 && magnitude > 310) return VDN_ERR_FORMAT;
    if (d.digits > 0 && magnitude > -330) value = decimal_value(&d);
    if (isinf(value)) return VDN_ERR_FORMAT;
    *out = negative ? -value : value;
    return VDN_OK;
}

/* Replace the locale's decimal point, of whatever length, by a full stop; the new length. */
static int64_t plain_point(char *text)
{
    int64_t n = 0;
    for (const char *c = text; *c; c++) {
        if (strchr("0123456789+-eE", *c))
            text[n++] = *c;
        else if (n == 0 || text[n - 1] != '.')
            text[n++] = '.';
    }
    text[n] = 0;
    return n;
}

const char *vdni_print_double(char *text, double value)
{
    if (!isfinite(value)) return strcpy(text, "null");
    for (int digits = 15; digits <= 17; digits++) {
        double back = 0.0;
        (void)snprintf(text, VDNI_DOUBLE_BYTES, "%.*g", digits, value);
        if (vdni_parse_double(&back, text, plain_point(text)) == VDN_OK && back == value) break;
    }
    return text;
}

/* Decimal text to the nearest double and back, the same in every locale. */
#ifndef VDNI_DECIMAL_H
#define VDNI_DECIMAL_H

#include "vdn.h"

/* Nearest double (ties to even) of @p bytes bytes of @p text in the grammar of JSON: -12.5e3.
 * VDN_ERR_FORMAT, *out untouched, when it is not one or its magnitude is beyond double. */
VDN_MUST_USE vdn_status vdni_parse_double(double *out, const char *text, int64_t bytes);

enum { VDNI_DOUBLE_BYTES = 40 };

/* Shortest of 15, 16, 17 significant digits that reads back as the same double; "null" for NaN and
 * infinities, as JSON has no word for them. @p text holds VDNI_DOUBLE_BYTES. Returns @p text. */
const char *vdni_print_double(char *text, double value);

#endif

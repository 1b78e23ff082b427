/* Monotonic time, for progress and for the stop-after-minutes option of training. */
#ifndef VDNI_CLOCK_H
#define VDNI_CLOCK_H

#include <stdint.h>

/* Nanoseconds since an arbitrary fixed moment; never runs backwards. */
int64_t vdni_clock_ns(void);

#endif

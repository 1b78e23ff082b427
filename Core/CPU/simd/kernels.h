/* All vector kernels and their table. Included once per instruction set, by a file that has defined
 * VDNI_SIMD_TABLE and VDNI_SIMD_NAME; no include guard on purpose. */
#include "CPU/cpu.h"

#include <string.h>

#include "CPU/simd/vector.h"

#include "CPU/simd/tile.h"

#include "CPU/simd/depthwise.h"

#include "CPU/simd/winograd.h"

const vdni_simd VDNI_SIMD_TABLE = {
    .name = VDNI_SIMD_NAME,
    .tile = tile,
    .winograd_input = winograd_input,
    .winograd_output = winograd_output,
    .winograd_weight = winograd_weight,
    .winograd_gradient = winograd_gradient,
    .winograd_taps = winograd_taps,
    .depthwise_row = depthwise_row,
    .depthwise_gradient = depthwise_gradient,
    .sum_columns = sum_columns,
    .dot = dot,
};

// Raw pixel bytes of any number type to float.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace verdiff
{

enum class PixelType
{
  UInt8,
  Int8,
  UInt16,
  Int16,
  UInt32,
  Int32,
  UInt64,
  Int64,
  Float32,
  Float64
};

size_t
PixelBytes(PixelType type);

const char *
PixelTypeName(PixelType type);

/// out[i] = in[i] * slope + intercept, computed in double.
/// @param swapped  the bytes are in the other order than this machine's
void
ConvertPixels(float *               out,
              const unsigned char * in,
              size_t                count,
              PixelType             type,
              bool                  swapped = false,
              double                slope = 1.0,
              double                intercept = 0.0);

/// Reverse the bytes of @p count values of @p width bytes each.
void
SwapBytes(unsigned char * bytes, size_t count, size_t width);

} // namespace verdiff

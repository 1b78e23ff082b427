#include "pixels.h"

#include <algorithm>
#include <cstring>

namespace verdiff
{

size_t
PixelBytes(PixelType type)
{
  switch (type)
  {
    case PixelType::UInt8:
    case PixelType::Int8:
      return 1;
    case PixelType::UInt16:
    case PixelType::Int16:
      return 2;
    case PixelType::UInt32:
    case PixelType::Int32:
    case PixelType::Float32:
      return 4;
    default:
      return 8;
  }
}

const char *
PixelTypeName(PixelType type)
{
  static const char * const names[] = { "uint8", "int8",   "uint16", "int16",   "uint32",
                                        "int32", "uint64", "int64",  "float32", "float64" };
  return names[static_cast<int>(type)];
}

void
SwapBytes(unsigned char * bytes, size_t count, size_t width)
{
  for (size_t i = 0; i < count; ++i)
  {
    std::reverse(bytes + i * width, bytes + (i + 1) * width);
  }
}

template <typename T>
static void
Convert(float * out, const unsigned char * in, size_t count, bool swapped, double slope, double intercept)
{
  for (size_t i = 0; i < count; ++i)
  {
    unsigned char bytes[sizeof(T)];
    std::memcpy(bytes, in + i * sizeof(T), sizeof(T));
    if (swapped)
    {
      std::reverse(bytes, bytes + sizeof(T));
    }
    T value;
    std::memcpy(&value, bytes, sizeof(T));
    out[i] = static_cast<float>(static_cast<double>(value) * slope + intercept);
  }
}

void
ConvertPixels(float *               out,
              const unsigned char * in,
              size_t                count,
              PixelType             type,
              bool                  swapped,
              double                slope,
              double                intercept)
{
  switch (type)
  {
    case PixelType::UInt8:
      return Convert<std::uint8_t>(out, in, count, swapped, slope, intercept);
    case PixelType::Int8:
      return Convert<std::int8_t>(out, in, count, swapped, slope, intercept);
    case PixelType::UInt16:
      return Convert<std::uint16_t>(out, in, count, swapped, slope, intercept);
    case PixelType::Int16:
      return Convert<std::int16_t>(out, in, count, swapped, slope, intercept);
    case PixelType::UInt32:
      return Convert<std::uint32_t>(out, in, count, swapped, slope, intercept);
    case PixelType::Int32:
      return Convert<std::int32_t>(out, in, count, swapped, slope, intercept);
    case PixelType::UInt64:
      return Convert<std::uint64_t>(out, in, count, swapped, slope, intercept);
    case PixelType::Int64:
      return Convert<std::int64_t>(out, in, count, swapped, slope, intercept);
    case PixelType::Float32:
      return Convert<float>(out, in, count, swapped, slope, intercept);
    case PixelType::Float64:
      return Convert<double>(out, in, count, swapped, slope, intercept);
  }
}

} // namespace verdiff

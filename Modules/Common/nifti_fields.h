// The header's fields, read and set in the byte order of the file. Shared by the NIfTI reader and writer.
#pragma once

#include "nifti.h"
#include "pixels.h"

#include <cstdint>
#include <cstring>

namespace verdiff
{
namespace nifti
{

// Byte offsets of the header's fields.
enum Offset : size_t
{
  SizeofHeader = 0,
  Dim = 40,
  IntentParameters = 56,
  IntentCode = 68,
  DataType = 70,
  BitsPerPixel = 72,
  PixelDimensions = 76,
  VoxelOffset = 108,
  Slope = 112,
  Intercept = 116,
  Units = 123,
  CalibrationMaximum = 124,
  CalibrationMinimum = 128,
  GlobalMaximum = 140,
  GlobalMinimum = 144,
  Description = 148,
  AuxiliaryFile = 228,
  QformCode = 252,
  SformCode = 254,
  Quaternion = 256,
  QOffset = 268,
  SRows = 280,
  IntentName = 328,
  Magic = 344
};

enum DataTypeCode
{
  CodeUInt8 = 2,
  CodeUInt16 = 512,
  CodeFloat32 = 16
};

using Header = std::vector<unsigned char>;

class Fields
{
public:
  explicit Fields(const Header & header)
    : m_Header(header)
  {
    std::int32_t size;
    std::memcpy(&size, header.data(), 4);
    m_Swapped = size != niftiHeaderBytes;
  }

  bool
  Swapped() const
  {
    return m_Swapped;
  }

  template <typename T>
  T
  Get(size_t offset) const
  {
    unsigned char bytes[sizeof(T)];
    std::memcpy(bytes, m_Header.data() + offset, sizeof(T));
    if (m_Swapped)
    {
      SwapBytes(bytes, 1, sizeof(T));
    }
    T value;
    std::memcpy(&value, bytes, sizeof(T));
    return value;
  }

  int
  Short(size_t offset) const
  {
    return Get<std::int16_t>(offset);
  }

  double
  Float(size_t offset) const
  {
    return Get<float>(offset);
  }

private:
  const Header & m_Header;
  bool           m_Swapped = false;
};

template <typename T>
void
Set(Header & header, size_t offset, T value)
{
  unsigned char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  if (Fields(header).Swapped())
  {
    SwapBytes(bytes, 1, sizeof(T));
  }
  std::memcpy(header.data() + offset, bytes, sizeof(T));
}

} // namespace nifti
} // namespace verdiff

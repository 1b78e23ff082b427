// Three numbers as a vector.
#pragma once

#include "dicom_index.h"
#include "text.h"

#include <cmath>
#include <filesystem>
#include <string>

namespace verdiff
{
namespace dicom
{

inline double
Dot(const Vector3 & a, const Vector3 & b)
{
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

inline Vector3
Cross(const Vector3 & a, const Vector3 & b)
{
  return { a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0] };
}

inline Vector3
Scaled(const Vector3 & a, double factor)
{
  return { a[0] * factor, a[1] * factor, a[2] * factor };
}

inline Vector3
Difference(const Vector3 & a, const Vector3 & b)
{
  return { a[0] - b[0], a[1] - b[1], a[2] - b[2] };
}

inline double
Length(const Vector3 & a)
{
  return std::sqrt(Dot(a, a));
}

inline std::string
VectorText(const Vector3 & v)
{
  return FormatNumber(v[0]) + " " + FormatNumber(v[1]) + " " + FormatNumber(v[2]);
}

inline std::string
FileName(const std::string & path)
{
  return std::filesystem::path(path).filename().string();
}

/// "12.dcm", or "12.dcm frame 3".
inline std::string
FrameName(const DicomFrame & frame)
{
  return FileName(frame.path) + (frame.number > 0 ? Format(" frame %d", frame.number + 1) : std::string());
}

} // namespace dicom
} // namespace verdiff

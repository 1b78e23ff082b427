// What the tests of the C++ side share: folders that vanish, volumes, files and programs.
#pragma once

#include "volume.h"

#include <array>
#include <functional>
#include <string>
#include <vector>

namespace verdiff_test
{

/// A new empty folder, removed with everything in it.
class TempFolder
{
public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder &) = delete;
  TempFolder &
  operator=(const TempFolder &) = delete;

  std::string
  operator/(const std::string & name) const
  {
    return m_Path + "/" + name;
  }
  const std::string &
  Path() const
  {
    return m_Path;
  }
  /// Names of the entries, hidden ones included, sorted.
  std::vector<std::string>
  Entries() const;

private:
  std::string m_Path;
};

struct Outcome
{
  int         code = -1;
  std::string out;
  std::string err;
};

/// Run build/bin/<program> with @p arguments. @p prefix goes before it in the shell ("ulimit -f 8;").
Outcome
RunTool(const std::string & program, const std::vector<std::string> & arguments, const std::string & prefix = "");

std::string
ReadFile(const std::string & path);
void
WriteFile(const std::string & path, const std::string & bytes);

/// The bundled model, VERDIFF_TEST_MODEL if set, or "" when there is none.
std::string
TestModel();

using Size = std::array<long, 3>;
using Matrix3 = std::array<std::array<double, 3>, 3>;

constexpr Matrix3 identity = { { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } } };

Matrix3
Product(const Matrix3 & a, const Matrix3 & b);

/// Rotation by @p degrees about axis 0, 1 or 2.
Matrix3
Rotation(int axis, double degrees);

/// A volume whose voxels are value(physical point).
verdiff::VolumeImage::Pointer
MakeImage(const Size &                                                          size,
          const std::array<double, 3> &                                         spacing,
          const std::array<double, 3> &                                         origin,
          const Matrix3 &                                                       direction,
          const std::function<float(const verdiff::VolumeImage::PointType &)> & value);

/// Write through ITK (independent of the readers and writers under test): .nrrd, .mha, .nii.gz, .png.
template <typename TPixel>
void
WriteWithItk(const std::string & path, const verdiff::VolumeImage & image);
extern template void
WriteWithItk<float>(const std::string &, const verdiff::VolumeImage &);
extern template void
WriteWithItk<short>(const std::string &, const verdiff::VolumeImage &);
extern template void
WriteWithItk<unsigned char>(const std::string &, const verdiff::VolumeImage &);

/// An 8-bit PNG with @p channels of 1 or 3 samples, from value(x, y, channel).
void
WritePng(const std::string &                       path,
         int                                       width,
         int                                       height,
         int                                       channels,
         const std::function<int(int, int, int)> & value);

/// One DICOM slice, explicit VR little endian, 16 bits.
struct DicomSlice
{
  std::string        series = "1.2.3.4";
  std::string        modality = "MR";
  std::string        photometric = "MONOCHROME2";
  std::string        position = "0\\0\\0";
  std::string        orientation = "1\\0\\0\\0\\1\\0";
  std::string        spacing = "0.5\\0.5";
  std::string        slope = "1";
  std::string        intercept = "0";
  int                rows = 6;
  int                columns = 5;
  int                samples = 1;
  int                instance = 1;
  std::vector<short> pixels; // rows * columns * samples; filled with 7 when empty
};

std::string
DicomBytes(const DicomSlice & slice);

/// What the call throws as a Failure: its message and code; ("", -1) when it does not.
struct Thrown
{
  std::string message;
  int         code = -1;
};
Thrown
FailureOf(const std::function<void()> & call);

} // namespace verdiff_test

#include "nifti.h"

#include "failure.h"
#include "nifti_fields.h"
#include "text.h"

#include <vnl/algo/vnl_determinant.h>
#include <vnl/vnl_matrix.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace verdiff
{

using namespace nifti;
using Matrix = vnl_matrix<double>;

// What every output header says, whatever grid it is on.
static void
SetVoxelFields(Header & header, bool labels, int bytesPerVoxel)
{
  const int type = !labels ? CodeFloat32 : (bytesPerVoxel == 1 ? CodeUInt8 : CodeUInt16);
  Set<std::int16_t>(header, DataType, static_cast<std::int16_t>(type));
  Set<std::int16_t>(header, BitsPerPixel, static_cast<std::int16_t>(8 * bytesPerVoxel));
  Set<float>(header, VoxelOffset, 352.0f);
  Set<float>(header, Slope, 1.0f);
  Set<float>(header, Intercept, 0.0f);
  Set<float>(header, CalibrationMaximum, 0.0f);
  Set<float>(header, CalibrationMinimum, 0.0f);
  Set<std::int32_t>(header, GlobalMaximum, 0);
  Set<std::int32_t>(header, GlobalMinimum, 0);
  Set<std::int16_t>(header, IntentCode, 0);
  std::memset(header.data() + IntentParameters, 0, 12);
  std::memset(header.data() + IntentName, 0, 16);
  std::memset(header.data() + AuxiliaryFile, 0, 24);
  std::memset(header.data() + Description, 0, 80);
  std::snprintf(reinterpret_cast<char *>(header.data()) + Description, 80, "Verdiff %s", VDN_VERSION);
  std::memcpy(header.data() + Magic, "n+1\0", 4);
}

std::vector<unsigned char>
NiftiHeaderLike(const std::vector<unsigned char> & original, bool labels, int bytesPerVoxel)
{
  Header header = original;
  SetVoxelFields(header, labels, bytesPerVoxel);
  return header;
}

// Quaternion (b, c, d) of a proper rotation; a is kept non-negative, as the format wants.
static std::array<double, 3>
QuaternionOf(const Matrix & r)
{
  double w = 1.0 + r(0, 0) + r(1, 1) + r(2, 2);
  double x, y, z;
  if (w > 0.5)
  {
    w = 0.5 * std::sqrt(w);
    x = 0.25 * (r(2, 1) - r(1, 2)) / w;
    y = 0.25 * (r(0, 2) - r(2, 0)) / w;
    z = 0.25 * (r(1, 0) - r(0, 1)) / w;
    return { x, y, z };
  }
  const double xx = 1.0 + r(0, 0) - r(1, 1) - r(2, 2);
  const double yy = 1.0 + r(1, 1) - r(0, 0) - r(2, 2);
  const double zz = 1.0 + r(2, 2) - r(0, 0) - r(1, 1);
  if (xx >= yy && xx >= zz)
  {
    x = 0.5 * std::sqrt(xx);
    y = 0.25 * (r(0, 1) + r(1, 0)) / x;
    z = 0.25 * (r(0, 2) + r(2, 0)) / x;
    w = 0.25 * (r(2, 1) - r(1, 2)) / x;
  }
  else if (yy >= zz)
  {
    y = 0.5 * std::sqrt(yy);
    x = 0.25 * (r(0, 1) + r(1, 0)) / y;
    z = 0.25 * (r(1, 2) + r(2, 1)) / y;
    w = 0.25 * (r(0, 2) - r(2, 0)) / y;
  }
  else
  {
    z = 0.5 * std::sqrt(zz);
    x = 0.25 * (r(0, 2) + r(2, 0)) / z;
    y = 0.25 * (r(1, 2) + r(2, 1)) / z;
    w = 0.25 * (r(1, 0) - r(0, 1)) / z;
  }
  const double sign = w < 0.0 ? -1.0 : 1.0;
  return { sign * x, sign * y, sign * z };
}

// Both forms of a grid that did not come from NIfTI.
static void
SetForms(Header & header, const itk::ImageBase<3> & image)
{
  const double sign[3] = { -1.0, -1.0, 1.0 };
  Matrix       rotation(3, 3);
  for (unsigned int i = 0; i < 3; ++i)
  {
    for (unsigned int j = 0; j < 3; ++j)
    {
      rotation(i, j) = sign[i] * image.GetDirection()[i][j];
      Set<float>(header, SRows + 16 * i + 4 * j, static_cast<float>(rotation(i, j) * image.GetSpacing()[j]));
    }
    const float offset = static_cast<float>(sign[i] * FirstVoxel(image)[i]);
    Set<float>(header, SRows + 16 * i + 12, offset);
    Set<float>(header, QOffset + 4 * i, offset);
    Set<float>(header, PixelDimensions + 4 * (i + 1), static_cast<float>(image.GetSpacing()[i]));
  }
  const bool leftHanded = vnl_determinant(rotation) < 0.0;
  if (leftHanded)
  {
    rotation.set_column(2, -1.0 * rotation.get_column(2));
  }
  const auto quaternion = QuaternionOf(rotation);
  for (size_t k = 0; k < 3; ++k)
  {
    Set<float>(header, Quaternion + 4 * k, static_cast<float>(quaternion[k]));
  }
  Set<float>(header, PixelDimensions, leftHanded ? -1.0f : 1.0f);
  Set<std::int16_t>(header, QformCode, 1);
  Set<std::int16_t>(header, SformCode, 1);
}

std::vector<unsigned char>
NiftiHeaderFor(const itk::ImageBase<3> & image, int dimension, bool labels, int bytesPerVoxel)
{
  Header             header(niftiHeaderBytes, 0);
  const std::int32_t headerSize = niftiHeaderBytes;
  std::memcpy(header.data(), &headerSize, 4);
  Set<unsigned char>(header, Units, 2); // mm
  Set<std::int16_t>(header, Dim, static_cast<std::int16_t>(dimension));
  const auto size = image.GetLargestPossibleRegion().GetSize();
  for (unsigned int axis = 0; axis < 7; ++axis)
  {
    const long count = axis < 3 ? static_cast<long>(size[axis]) : 1;
    if (count > 32767)
    {
      throw Failure(ExitCode::Output, Format("NIfTI holds at most 32767 voxels along an axis, not %ld", count));
    }
    Set<std::int16_t>(header, Dim + 2 * (axis + 1), static_cast<std::int16_t>(count));
    Set<float>(header, PixelDimensions + 4 * (axis + 1), 1.0f);
  }
  SetForms(header, image);
  SetVoxelFields(header, labels, bytesPerVoxel);
  return header;
}

static bool
WriteAll(gzFile file, const unsigned char * bytes, size_t count)
{
  for (size_t done = 0; done < count;)
  {
    const unsigned chunk = static_cast<unsigned>(std::min<size_t>(count - done, 1 << 28));
    if (gzwrite(file, bytes + done, chunk) != static_cast<int>(chunk))
    {
      return false;
    }
    done += chunk;
  }
  return true;
}

void
WriteNifti(const std::string &                path,
           const std::vector<unsigned char> & header,
           std::vector<unsigned char> &&      voxels,
           int                                bytesPerVoxel,
           bool                               compressed)
{
  if (Fields(header).Swapped())
  {
    SwapBytes(voxels.data(), voxels.size() / size_t(bytesPerVoxel), size_t(bytesPerVoxel));
  }
  const gzFile file = gzopen(path.c_str(), compressed ? "wb6" : "wbT");
  if (!file)
  {
    throw Failure(ExitCode::Output, path + ": cannot be written");
  }
  const unsigned char noExtension[4] = { 0, 0, 0, 0 };
  const bool          written = WriteAll(file, header.data(), header.size()) && WriteAll(file, noExtension, 4) &&
                       WriteAll(file, voxels.data(), voxels.size());
  if (gzclose(file) != Z_OK || !written)
  {
    throw Failure(ExitCode::Output, path + ": cannot be written: the disk may be full");
  }
}

} // namespace verdiff

#include "nifti.h"

#include "failure.h"
#include "integrity.h"
#include "nifti_fields.h"
#include "text.h"

#include <vnl/vnl_matrix.h>

#include <algorithm>
#include <cmath>

namespace verdiff
{

using namespace nifti;

namespace
{

using Matrix = vnl_matrix<double>;

[[noreturn]] void
Refuse(const std::string & path, const std::string & reason)
{
  throw Failure(ExitCode::Input, path + ": " + reason);
}

bool
KnownType(int code, PixelType & type)
{
  switch (code)
  {
    case CodeUInt8:
      type = PixelType::UInt8;
      return true;
    case 4:
      type = PixelType::Int16;
      return true;
    case 8:
      type = PixelType::Int32;
      return true;
    case CodeFloat32:
      type = PixelType::Float32;
      return true;
    case 64:
      type = PixelType::Float64;
      return true;
    case 256:
      type = PixelType::Int8;
      return true;
    case CodeUInt16:
      type = PixelType::UInt16;
      return true;
    case 768:
      type = PixelType::UInt32;
      return true;
    case 1024:
      type = PixelType::Int64;
      return true;
    case 1280:
      type = PixelType::UInt64;
      return true;
    default:
      return false;
  }
}

PixelType
TypeOf(const std::string & path, const Fields & fields)
{
  const int code = fields.Short(DataType);
  PixelType type;
  if (code == 128 || code == 2304)
  {
    Refuse(path, Format("datatype is %d (colour), must be a grey-value type", code));
  }
  if (!KnownType(code, type))
  {
    Refuse(path, Format("datatype is %d, must be an integer type, float32 or float64", code));
  }
  return type;
}

// Sizes of the three axes; refuses more than one volume.
std::array<std::int64_t, 3>
SizeOf(const std::string & path, const Fields & fields)
{
  const int dimensions = fields.Short(Dim);
  if (dimensions < 2 || dimensions > 7)
  {
    Refuse(path, Format("dim[0] is %d, must be 2 or 3", dimensions));
  }
  for (int axis = 4; axis <= dimensions; ++axis)
  {
    const int count = fields.Short(Dim + 2 * size_t(axis));
    if (count != 1)
    {
      Refuse(path,
             axis == 4 ? Format("4-D volume: dim[4] is %d, must be 1; save one time point", count)
                       : Format("vector volume: dim[%d] is %d, must be 1", axis, count));
    }
  }
  std::array<std::int64_t, 3> size = { 1, 1, 1 };
  std::int64_t                voxels = 1;
  for (int axis = 0; axis < std::min(dimensions, 3); ++axis)
  {
    size[size_t(axis)] = fields.Short(Dim + 2 * size_t(axis + 1));
    if (size[size_t(axis)] < 1)
    {
      Refuse(path, Format("dim[%d] is %lld, must be at least 1", axis + 1, (long long)size[size_t(axis)]));
    }
    voxels *= size[size_t(axis)];
  }
  if (voxels > (std::int64_t(1) << 40))
  {
    Refuse(path, "dim describes more than 2^40 voxels");
  }
  return size;
}

double
MillimetresPerUnit(const Fields & fields)
{
  switch (fields.Get<unsigned char>(Units) & 7)
  {
    case 1:
      return 1000.0;
    case 3:
      return 0.001;
    default:
      return 1.0;
  }
}

void
CheckSpacing(const std::string & path, const Fields & fields)
{
  for (int axis = 1; axis <= std::min(fields.Short(Dim), 3); ++axis)
  {
    const double value = fields.Float(PixelDimensions + 4 * size_t(axis));
    if (!(std::isfinite(value) && value > 0.0))
    {
      Refuse(path, Format("pixdim[%d] is %s, must be above 0", axis, FormatNumber(value).c_str()));
    }
  }
}

// Affine index -> RAS mm of the quaternion form; columns carry the spacing.
Matrix
QformAffine(const Fields & fields)
{
  const double b = fields.Float(Quaternion);
  const double c = fields.Float(Quaternion + 4);
  const double d = fields.Float(Quaternion + 8);
  const double rest = 1.0 - (b * b + c * c + d * d);
  const double a = std::sqrt(std::max(rest, 0.0));
  // The header holds floats; a quaternion of length 1 + 1e-7 is normal and is scaled back.
  const double norm = 1.0 / std::sqrt(a * a + b * b + c * c + d * d);
  const double w = a * norm, x = b * norm, y = c * norm, z = d * norm;
  const double rotation[3][3] = { { w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y) },
                                  { 2 * (x * y + w * z), w * w + y * y - x * x - z * z, 2 * (y * z - w * x) },
                                  { 2 * (x * z - w * y), 2 * (y * z + w * x), w * w + z * z - x * x - y * y } };
  const double handedness = fields.Float(PixelDimensions) < 0.0 ? -1.0 : 1.0;
  Matrix       affine(3, 4);
  for (unsigned int i = 0; i < 3; ++i)
  {
    for (unsigned int j = 0; j < 3; ++j)
    {
      affine(i, j) = rotation[i][j] * fields.Float(PixelDimensions + 4 * (j + 1)) * (j == 2 ? handedness : 1.0);
    }
    affine(i, 3) = fields.Float(QOffset + 4 * i);
  }
  return affine;
}

Matrix
SformAffine(const Fields & fields)
{
  Matrix affine(3, 4);
  for (unsigned int i = 0; i < 3; ++i)
  {
    for (unsigned int j = 0; j < 4; ++j)
    {
      affine(i, j) = fields.Float(SRows + 16 * i + 4 * j);
    }
  }
  return affine;
}

bool
Usable(const Matrix & affine)
{
  for (unsigned int j = 0; j < 3; ++j)
  {
    if (!(affine.get_column(j).two_norm() > 0.0))
    {
      return false;
    }
  }
  return std::isfinite(affine.frobenius_norm());
}

Matrix
PlainAffine(const Fields & fields)
{
  Matrix affine(3, 4, 0.0);
  for (unsigned int j = 0; j < 3; ++j)
  {
    affine(j, j) = fields.Float(PixelDimensions + 4 * (j + 1));
  }
  return affine;
}

double
LargestCornerDistance(const Matrix & a, const Matrix & b, const std::array<std::int64_t, 3> & size)
{
  double largest = 0.0;
  for (int corner = 0; corner < 8; ++corner)
  {
    vnl_vector<double> index(4, 1.0);
    for (unsigned int k = 0; k < 3; ++k)
    {
      index[k] = (corner >> k) & 1 ? double(size[k] - 1) : 0.0;
    }
    largest = std::max(largest, (a * index - b * index).two_norm());
  }
  return largest;
}

// Columns of the sform and pixdim are to say the same lengths.
void
CompareSpacing(Volume & volume, const Matrix & sform, const Fields & fields)
{
  std::string found, stated;
  bool        differ = false;
  for (unsigned int j = 0; j < 3; ++j)
  {
    const double length = sform.get_column(j).two_norm();
    const double pixdim = fields.Float(PixelDimensions + 4 * (j + 1));
    differ = differ || (j < unsigned(fields.Short(Dim)) && std::abs(length - pixdim) > 0.01 * length);
    found += (j > 0 ? " " : "") + FormatNumber(length, 5);
    stated += (j > 0 ? " " : "") + FormatNumber(pixdim, 5);
  }
  if (differ)
  {
    volume.warnings.push_back(volume.path + ": voxels are " + found + " mm by the sform and " + stated +
                              " mm by pixdim; the sform is used");
  }
}

// The sform where there is one, as nibabel and FSL choose; the qform otherwise.
Matrix
ChooseAffine(Volume & volume, const Fields & fields, const std::array<std::int64_t, 3> & size)
{
  const bool hasSform = fields.Short(SformCode) > 0;
  const bool hasQform = fields.Short(QformCode) > 0;
  if (hasSform)
  {
    const Matrix sform = SformAffine(fields);
    if (!Usable(sform))
    {
      Refuse(volume.path, "srow_x, srow_y, srow_z hold a column of length 0 or a value that is no number");
    }
    const double distance = hasQform ? LargestCornerDistance(sform, QformAffine(fields), size) : 0.0;
    if (distance > 0.01)
    {
      volume.warnings.push_back(volume.path + ": qform and sform differ by up to " + FormatNumber(distance, 3) +
                                " mm; the sform is used");
    }
    CompareSpacing(volume, sform, fields);
    return sform;
  }
  if (hasQform)
  {
    const Matrix qform = QformAffine(fields);
    if (!Usable(qform))
    {
      Refuse(volume.path, "the quaternion form holds a value that is no number");
    }
    return qform;
  }
  volume.orientationKnown = false;
  volume.warnings.push_back(volume.path + ": qform_code and sform_code are 0; axes are taken as right, anterior, "
                                          "superior");
  return PlainAffine(fields);
}

// RAS affine to LPS geometry.
void
SetGeometry(VolumeImage & image, const Matrix & affine, double unit)
{
  VolumeImage::SpacingType   spacing;
  VolumeImage::PointType     origin;
  VolumeImage::DirectionType direction;
  const double               sign[3] = { -1.0, -1.0, 1.0 };
  for (unsigned int j = 0; j < 3; ++j)
  {
    const double length = affine.get_column(j).two_norm();
    spacing[j] = length * unit;
    origin[j] = sign[j] * affine(j, 3) * unit;
    for (unsigned int i = 0; i < 3; ++i)
    {
      // Adding 0 turns -0 into 0, which files and messages show better.
      direction[i][j] = sign[i] * affine(i, j) / length + 0.0;
    }
  }
  image.SetSpacing(spacing);
  image.SetOrigin(origin);
  image.SetDirection(direction);
}

Header
ReadHeader(const std::string & path, GzipFile & file)
{
  Header             header(niftiHeaderBytes);
  const std::int64_t count = file.Read(header.data(), niftiHeaderBytes);
  if (count < niftiHeaderBytes)
  {
    Refuse(path, Format("truncated: %lld bytes, a NIfTI header needs 348", (long long)count));
  }
  if (!LooksLikeNifti(std::string(header.begin(), header.end())))
  {
    std::int32_t size;
    std::memcpy(&size, header.data(), 4);
    const bool analyze = size == niftiHeaderBytes || size == 0x5c010000;
    if (analyze)
    {
      Refuse(path, "not NIfTI: magic is not \"n+1\" (an ANALYZE file does not say where left is; convert it)");
    }
    Refuse(path,
           size == 540 || size == 469893120 ? "NIfTI-2 is not supported, save it as NIfTI-1"
                                            : Format("not NIfTI: sizeof_hdr is %d, must be 348", size));
  }
  if (std::memcmp(header.data() + Magic, "ni1", 3) == 0)
  {
    Refuse(path, "a header without its voxels (.hdr and .img pair); save it as one .nii.gz file");
  }
  return header;
}

void
ReadVoxels(Volume & volume, const Fields & fields, GzipFile & file, std::int64_t voxels)
{
  const PixelType    type = TypeOf(volume.path, fields);
  const std::int64_t width = static_cast<std::int64_t>(PixelBytes(type));
  const double       offset = fields.Float(VoxelOffset);
  if (!(offset >= 352.0 && offset < 1e8))
  {
    Refuse(volume.path, "vox_offset is " + FormatNumber(offset) + ", must be at least 352");
  }
  std::vector<unsigned char> skipped(static_cast<size_t>(offset) - niftiHeaderBytes);
  const std::int64_t         extension = file.Read(skipped.data(), static_cast<std::int64_t>(skipped.size()));
  // Converted in pieces, so that the file's bytes and the floats are never both in memory.
  constexpr std::int64_t     piece = 1 << 20;
  std::vector<unsigned char> bytes(static_cast<size_t>(std::min(piece, voxels) * width));
  double                     slope = fields.Float(Slope);
  double                     intercept = fields.Float(Intercept);
  if (!std::isfinite(slope) || slope == 0.0 || !std::isfinite(intercept))
  {
    slope = 1.0;
    intercept = 0.0;
  }
  float * out = volume.image->GetBufferPointer();
  for (std::int64_t done = 0; done < voxels;)
  {
    const std::int64_t count = std::min(piece, voxels - done);
    const std::int64_t got = file.Read(bytes.data(), count * width);
    if (got < count * width)
    {
      Refuse(volume.path,
             Format("truncated: %lld bytes, the header needs %lld",
                    (long long)(niftiHeaderBytes + extension + done * width + got),
                    (long long)(static_cast<std::int64_t>(offset) + voxels * width)));
    }
    ConvertPixels(out + done, bytes.data(), static_cast<size_t>(count), type, fields.Swapped(), slope, intercept);
    done += count;
  }
  file.Drain(); // The checksum stands at the end.
}

} // namespace

bool
LooksLikeNifti(const std::string & head)
{
  if (head.size() < niftiHeaderBytes)
  {
    return false;
  }
  std::int32_t size;
  std::memcpy(&size, head.data(), 4);
  const bool magic = head.compare(Magic, 3, "n+1") == 0 || head.compare(Magic, 3, "ni1") == 0;
  return magic && (size == niftiHeaderBytes || size == 0x5c010000);
}

Volume
ReadNifti(const std::string & path)
{
  Volume   volume;
  GzipFile file(path);
  volume.path = path;
  volume.format = VolumeFormat::Nifti;
  volume.niftiHeader = ReadHeader(path, file);
  const Fields fields(volume.niftiHeader);
  const auto   size = SizeOf(path, fields);
  TypeOf(path, fields);
  CheckSpacing(path, fields);

  volume.fileDimension = fields.Short(Dim) == 2 ? 2 : 3;
  volume.image = VolumeImage::New();
  VolumeImage::SizeType regionSize;
  std::copy(size.begin(), size.end(), regionSize.begin());
  volume.image->SetRegions(regionSize);
  Matrix affine = ChooseAffine(volume, fields, size);
  if (volume.fileDimension == 2 && affine.get_column(2).two_norm() == 0.0)
  {
    affine(2, 2) = 1.0; // A plane has no third pixdim.
  }
  SetGeometry(*volume.image, affine, MillimetresPerUnit(fields));
  const std::int64_t voxels = size[0] * size[1] * size[2];
  CheckCanHold(path, niftiHeaderBytes + voxels * static_cast<std::int64_t>(PixelBytes(TypeOf(path, fields))));
  volume.image->Allocate();
  ReadVoxels(volume, fields, file, voxels);
  return volume;
}

} // namespace verdiff

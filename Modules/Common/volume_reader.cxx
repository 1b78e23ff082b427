#include "volume_reader.h"

#include "dicom.h"
#include "dicom_index.h"
#include "failure.h"
#include "integrity.h"
#include "nifti.h"
#include "pixels.h"
#include "text.h"

#include <itkJPEGImageIO.h>
#include <itkMetaImageIO.h>
#include <itkNrrdImageIO.h>
#include <itkPNGImageIO.h>
#include <vnl/algo/vnl_svd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace verdiff
{
namespace
{

constexpr double repairDegrees = 1.0;
constexpr double silentDegrees = 1e-3;
constexpr double lengthTolerance = 0.01; // of direction vectors

[[noreturn]] void
Refuse(const std::string & path, const std::string & reason)
{
  throw Failure(ExitCode::Input, path + ": " + reason);
}

VolumeFormat
FormatOf(const std::string & path)
{
  std::error_code error;
  if (!std::filesystem::exists(path, error))
  {
    Refuse(path, "no such file or folder");
  }
  if (std::filesystem::is_directory(path))
  {
    return VolumeFormat::Dicom;
  }
  const std::string head = ReadHead(path, 1024);
  if (head.empty())
  {
    Refuse(path, "the file is empty (0 bytes)");
  }
  const std::string extension = ImageExtension(path);
  if (head.compare(0, 7, "NRRD000") == 0)
  {
    return VolumeFormat::Nrrd;
  }
  if (head.compare(0, 8, "\x89PNG\r\n\x1a\n") == 0)
  {
    return VolumeFormat::Png;
  }
  if (head.compare(0, 3, "\xff\xd8\xff") == 0)
  {
    return VolumeFormat::Jpeg;
  }
  if (LooksLikeNifti(head) || extension == ".nii" || extension == ".nii.gz")
  {
    return VolumeFormat::Nifti;
  }
  if (head.find("NDims") != std::string::npos && head.find("DimSize") != std::string::npos)
  {
    return VolumeFormat::MetaImage;
  }
  if (head.compare(0, 2, "\x1f\x8b") == 0)
  {
    return VolumeFormat::Nifti; // Its reader says what is inside.
  }
  if (LooksLikeDicom(path))
  {
    return VolumeFormat::Dicom;
  }
  Refuse(path,
         "unknown format (" + (extension.empty() ? std::string("no extension") : extension) +
           "); needs NIfTI, NRRD, MetaImage, DICOM, PNG or JPEG");
}

PixelType
TypeOf(const std::string & path, itk::IOComponentEnum component)
{
  switch (component)
  {
    case itk::IOComponentEnum::UCHAR:
      return PixelType::UInt8;
    case itk::IOComponentEnum::CHAR:
      return PixelType::Int8;
    case itk::IOComponentEnum::USHORT:
      return PixelType::UInt16;
    case itk::IOComponentEnum::SHORT:
      return PixelType::Int16;
    case itk::IOComponentEnum::UINT:
      return PixelType::UInt32;
    case itk::IOComponentEnum::INT:
      return PixelType::Int32;
    case itk::IOComponentEnum::ULONG:
      return sizeof(long) == 8 ? PixelType::UInt64 : PixelType::UInt32;
    case itk::IOComponentEnum::LONG:
      return sizeof(long) == 8 ? PixelType::Int64 : PixelType::Int32;
    case itk::IOComponentEnum::ULONGLONG:
      return PixelType::UInt64;
    case itk::IOComponentEnum::LONGLONG:
      return PixelType::Int64;
    case itk::IOComponentEnum::FLOAT:
      return PixelType::Float32;
    case itk::IOComponentEnum::DOUBLE:
      return PixelType::Float64;
    default:
      Refuse(path, "its pixel type is not supported, must be an integer or float type");
  }
}

void
CheckAxes(const std::string & path, const itk::ImageIOBase & io)
{
  const unsigned int dimensions = io.GetNumberOfDimensions();
  for (unsigned int axis = 3; axis < dimensions; ++axis)
  {
    if (io.GetDimensions(axis) != 1)
    {
      Refuse(path,
             Format("%u-D volume: axis %u has %ld values, must be 1; save one time point",
                    dimensions,
                    axis + 1,
                    long(io.GetDimensions(axis))));
    }
  }
}

void
SetGeometry(VolumeImage & image, const itk::ImageIOBase & io)
{
  VolumeImage::SizeType      size;
  VolumeImage::SpacingType   spacing;
  VolumeImage::PointType     origin;
  VolumeImage::DirectionType direction;
  size.Fill(1);
  spacing.Fill(1.0);
  origin.Fill(0.0);
  direction.SetIdentity();
  const unsigned int dimensions = std::min(io.GetNumberOfDimensions(), 3u);
  for (unsigned int axis = 0; axis < dimensions; ++axis)
  {
    size[axis] = io.GetDimensions(axis);
    spacing[axis] = std::abs(io.GetSpacing(axis));
    origin[axis] = io.GetOrigin(axis);
    const double sign = io.GetSpacing(axis) < 0.0 ? -1.0 : 1.0;
    const auto   column = io.GetDirection(axis);
    for (unsigned int i = 0; i < dimensions; ++i)
    {
      direction[i][axis] = sign * column[i];
    }
  }
  image.SetRegions(size);
  image.SetSpacing(spacing);
  image.SetOrigin(origin);
  image.SetDirection(direction);
}

// One grey value per pixel from what a PNG or JPEG stores; colour is refused, alpha is left out.
void
ToGrey(Volume & volume, const std::vector<float> & values, unsigned int channels)
{
  const bool   alpha = channels == 2 || channels == 4;
  const size_t count = volume.image->GetBufferedRegion().GetNumberOfPixels();
  float *      out = volume.image->GetBufferPointer();
  // JPEG stores grey as luma and chroma; rounding may differ by one on the way back.
  const float tolerance = volume.format == VolumeFormat::Jpeg ? 2.0f : 0.0f;
  for (size_t i = 0; i < count; ++i)
  {
    const float * pixel = values.data() + i * channels;
    if (channels >= 3 && !(std::abs(pixel[0] - pixel[1]) <= tolerance && std::abs(pixel[0] - pixel[2]) <= tolerance))
    {
      const size_t width = volume.image->GetBufferedRegion().GetSize()[0];
      Refuse(volume.path,
             Format("colour image: pixel %zu, %zu is %g %g %g, must be grey",
                    i % width,
                    i / width,
                    double(pixel[0]),
                    double(pixel[1]),
                    double(pixel[2])));
    }
    out[i] = pixel[0];
  }
  if (alpha)
  {
    volume.warnings.push_back(volume.path + ": the transparency channel is left out");
  }
}

void
ReadPixels(Volume & volume, itk::ImageIOBase & io)
{
  const unsigned int channels = io.GetNumberOfComponents();
  const bool         picture = volume.format == VolumeFormat::Png || volume.format == VolumeFormat::Jpeg;
  if (channels != 1 && !(picture && channels <= 4))
  {
    Refuse(volume.path, Format("colour or vector volume: %u values per voxel, must be 1", channels));
  }
  const PixelType            type = TypeOf(volume.path, io.GetComponentType());
  const size_t               count = volume.image->GetLargestPossibleRegion().GetNumberOfPixels();
  std::vector<unsigned char> bytes(count * channels * PixelBytes(type));
  io.Read(bytes.data());
  volume.image->Allocate();
  if (channels == 1)
  {
    ConvertPixels(volume.image->GetBufferPointer(), bytes.data(), count, type);
    return;
  }
  std::vector<float> values(count * channels);
  ConvertPixels(values.data(), bytes.data(), values.size(), type);
  ToGrey(volume, values, channels);
}

Volume
ReadThroughItk(const std::string & path, VolumeFormat format, bool labels)
{
  Volume volume;
  volume.path = path;
  volume.format = format;
  const auto io = MakeImageIO(format);
  io->SetFileName(path);
  io->SetExpandRGBPalette(!labels);
  try
  {
    io->ReadImageInformation();
    CheckAxes(path, *io);
    volume.fileDimension = io->GetNumberOfDimensions() < 3 ? 2 : 3;
    volume.image = VolumeImage::New();
    SetGeometry(*volume.image, *io);
    itk::ImageIORegion region(io->GetNumberOfDimensions());
    for (unsigned int axis = 0; axis < io->GetNumberOfDimensions(); ++axis)
    {
      region.SetSize(axis, io->GetDimensions(axis));
      region.SetIndex(axis, 0);
    }
    io->SetIORegion(region);
    ReadPixels(volume, *io);
  }
  catch (const itk::ExceptionObject & exception)
  {
    std::string reason = exception.GetDescription();
    std::replace(reason.begin(), reason.end(), '\n', ' ');
    Refuse(path, std::string("damaged ") + FormatName(format) + ": " + Trim(reason));
  }
  return volume;
}

// ITK spreads grey PNG values of 1, 2 or 4 bits over 0..255; labels need the stored value back.
void
UndoBitExpansion(Volume & volume)
{
  const std::string head = ReadHead(volume.path, 32);
  const int         bits = head.size() > 25 ? head[24] : 8;
  const int         colourType = head.size() > 25 ? head[25] : 0;
  if (colourType != 0 || bits >= 8)
  {
    return;
  }
  const float  scale = static_cast<float>((1 << bits) - 1) / 255.0f;
  float *      pixels = volume.image->GetBufferPointer();
  const size_t count = volume.image->GetBufferedRegion().GetNumberOfPixels();
  std::transform(pixels, pixels + count, pixels, [scale](float v) { return std::round(v * scale); });
}

Volume
ReadAny(const std::string & path, const std::string & series, bool labels)
{
  const VolumeFormat format = FormatOf(path);
  switch (format)
  {
    case VolumeFormat::Dicom:
      return ReadDicom(path, series);
    case VolumeFormat::Nifti:
      return ReadNifti(path);
    case VolumeFormat::Nrrd:
      CheckNrrd(path);
      break;
    case VolumeFormat::MetaImage:
      CheckMetaImage(path);
      break;
    case VolumeFormat::Png:
      CheckPng(path);
      break;
    case VolumeFormat::Jpeg:
      CheckJpeg(path);
      break;
  }
  Volume volume = ReadThroughItk(path, format, labels);
  if (format == VolumeFormat::Png || format == VolumeFormat::Jpeg)
  {
    volume.spacingKnown = false;
    volume.orientationKnown = false;
    volume.image->SetSpacing(VolumeImage::SpacingType(1.0));
  }
  if (labels && format == VolumeFormat::Png)
  {
    UndoBitExpansion(volume);
  }
  return volume;
}

void
CheckSpacing(const Volume & volume)
{
  for (unsigned int axis = 0; axis < 3; ++axis)
  {
    const double spacing = volume.image->GetSpacing()[axis];
    if (!(std::isfinite(spacing) && spacing > 0.0))
    {
      Refuse(volume.path,
             Format("spacing of axis %u is %s mm, must be above 0", axis + 1, FormatNumber(spacing).c_str()));
    }
    if (!std::isfinite(volume.image->GetOrigin()[axis]))
    {
      Refuse(volume.path, Format("origin of axis %u is no number", axis + 1));
    }
    for (unsigned int i = 0; i < 3; ++i)
    {
      if (!std::isfinite(volume.image->GetDirection()[i][axis]))
      {
        Refuse(volume.path, Format("direction of axis %u is no number", axis + 1));
      }
    }
  }
}

} // namespace

itk::ImageIOBase::Pointer
MakeImageIO(VolumeFormat format)
{
  switch (format)
  {
    case VolumeFormat::Nrrd:
      return itk::NrrdImageIO::New().GetPointer();
    case VolumeFormat::MetaImage:
      return itk::MetaImageIO::New().GetPointer();
    case VolumeFormat::Png:
      return itk::PNGImageIO::New().GetPointer();
    default:
      return itk::JPEGImageIO::New().GetPointer();
  }
}

void
CheckFinite(const Volume & volume)
{
  const float * pixels = volume.image->GetBufferPointer();
  const size_t  count = volume.image->GetBufferedRegion().GetNumberOfPixels();
  const auto    broken = [](float v) {
    return !std::isfinite(v);
  };
  const float * first = std::find_if(pixels, pixels + count, broken);
  if (first == pixels + count)
  {
    return;
  }
  const auto   index = volume.image->ComputeIndex(first - pixels);
  const size_t number = static_cast<size_t>(std::count_if(first, pixels + count, broken));
  Refuse(volume.path,
         Format("%zu of %zu voxels are NaN or infinite, the first at index %ld %ld %ld; all must be numbers",
                number,
                count,
                long(index[0]),
                long(index[1]),
                long(index[2])));
}

// Farthest way in mm that a corner of the volume moves when the axes change by @p difference.
static double
CornerShift(const VolumeImage & image, const vnl_matrix<double> & difference)
{
  double     largest = 0.0;
  const auto size = image.GetLargestPossibleRegion().GetSize();
  for (int corner = 1; corner < 8; ++corner)
  {
    vnl_vector<double> mm(3, 0.0);
    for (unsigned int k = 0; k < 3; ++k)
    {
      mm[k] = (corner >> k) & 1 ? double(size[k] - 1) * image.GetSpacing()[k] : 0.0;
    }
    largest = std::max(largest, (difference * mm).two_norm());
  }
  return largest;
}

void
RepairDirection(Volume & volume)
{
  vnl_matrix<double> found = volume.image->GetDirection().GetVnlMatrix().as_matrix();
  for (unsigned int j = 0; j < 3; ++j)
  {
    const double length = found.get_column(j).two_norm();
    if (!(std::abs(length - 1.0) <= lengthTolerance))
    {
      Refuse(volume.path,
             Format("the direction of axis %u has length %s, must be 1", j + 1, FormatNumber(length, 4).c_str()));
    }
    found.set_column(j, found.get_column(j) / length);
  }
  vnl_svd<double>    svd(found);
  vnl_matrix<double> nearest = svd.U() * svd.V().transpose();
  double             cosine = 1.0;
  for (unsigned int j = 0; j < 3; ++j)
  {
    cosine = std::min(cosine, dot_product(found.get_column(j), nearest.get_column(j)));
  }
  const double degrees = std::acos(std::clamp(cosine, -1.0, 1.0)) * 180.0 / M_PI;
  if (!(degrees <= repairDegrees))
  {
    Refuse(volume.path,
           "the axes are sheared: they are " + FormatNumber(degrees, 3) +
             " degrees from the nearest rotation, at most " + FormatNumber(repairDegrees) + " is accepted");
  }
  if (degrees <= silentDegrees)
  {
    return; // A rotation but for rounding; keep its digits.
  }
  const std::string finding = volume.path + ": the axes are not exactly at right angles; the nearest rotation, " +
                              FormatNumber(degrees, 3) + " degrees or up to " +
                              FormatNumber(CornerShift(*volume.image, found - nearest), 2) + " mm away, is ";
  if (volume.format != VolumeFormat::Nifti)
  {
    volume.warnings.push_back(finding + "used to cut slices, the output keeps the axes of the file");
    return;
  }
  VolumeImage::DirectionType repaired;
  for (unsigned int i = 0; i < 3; ++i)
  {
    for (unsigned int j = 0; j < 3; ++j)
    {
      repaired[i][j] = nearest(i, j);
    }
  }
  volume.image->SetDirection(repaired);
  volume.warnings.push_back(finding + "used");
}

static Volume
ReadChecked(const std::string & path, const std::string & series, bool labels)
{
  Volume volume = ReadAny(path, series, labels);
  CheckSpacing(volume);
  RepairDirection(volume);
  CheckFinite(volume);
  return volume;
}

Volume
ReadVolume(const std::string & path, const std::string & series)
{
  return ReadChecked(path, series, false);
}

LabelVolume
ReadLabels(const std::string & path)
{
  const Volume volume = ReadChecked(path, "", true);
  LabelVolume  labels;
  labels.path = path;
  labels.spacingKnown = volume.spacingKnown;
  labels.orientationKnown = volume.orientationKnown;
  labels.image = LabelImage::New();
  labels.image->CopyInformation(volume.image);
  labels.image->SetRegions(volume.image->GetLargestPossibleRegion());
  labels.image->Allocate();
  const float *   in = volume.image->GetBufferPointer();
  std::uint16_t * out = labels.image->GetBufferPointer();
  const size_t    count = volume.image->GetBufferedRegion().GetNumberOfPixels();
  for (size_t i = 0; i < count; ++i)
  {
    if (!(in[i] >= 0.0f && in[i] <= 65535.0f && in[i] == std::floor(in[i])))
    {
      const auto index = volume.image->ComputeIndex(static_cast<long>(i));
      Refuse(path,
             "label " + FormatNumber(double(in[i])) +
               Format(" at index %ld %ld %ld, must be an integer from 0 to 65535",
                      long(index[0]),
                      long(index[1]),
                      long(index[2])));
    }
    out[i] = static_cast<std::uint16_t>(in[i]);
  }
  return labels;
}

} // namespace verdiff

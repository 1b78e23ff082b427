#include "dicom_pixels.h"

#include "failure.h"
#include "interrupt.h"
#include "pixels.h"
#include "text.h"

#include <gdcmImageReader.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace verdiff
{
namespace
{

[[noreturn]] void
Refuse(const std::string & path, const std::string & reason)
{
  throw Failure(ExitCode::Input, path + ": " + reason);
}

PixelType
TypeOf(const std::string & path, const gdcm::PixelFormat & format)
{
  switch (format.GetScalarType())
  {
    case gdcm::PixelFormat::UINT8:
      return PixelType::UInt8;
    case gdcm::PixelFormat::INT8:
      return PixelType::Int8;
    case gdcm::PixelFormat::UINT12:
    case gdcm::PixelFormat::UINT16:
      return PixelType::UInt16;
    case gdcm::PixelFormat::INT12:
    case gdcm::PixelFormat::INT16:
      return PixelType::Int16;
    case gdcm::PixelFormat::UINT32:
      return PixelType::UInt32;
    case gdcm::PixelFormat::INT32:
      return PixelType::Int32;
    case gdcm::PixelFormat::FLOAT32:
      return PixelType::Float32;
    case gdcm::PixelFormat::FLOAT64:
      return PixelType::Float64;
    default:
      Refuse(path, std::string("pixel type ") + format.GetScalarTypeAsString() + " is not supported");
  }
}

// The bits above BitsStored may hold anything, or repeat no sign.
template <typename T>
void
CleanBitsAs(std::vector<char> & bytes, int stored, bool isSigned)
{
  const T mask = static_cast<T>((T(1) << stored) - 1);
  const T sign = static_cast<T>(T(1) << (stored - 1));
  for (size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T))
  {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    value = static_cast<T>(value & mask);
    value = isSigned && (value & sign) ? static_cast<T>(value | T(~mask)) : value;
    std::memcpy(bytes.data() + at, &value, sizeof(T));
  }
}

void
CleanBits(std::vector<char> & bytes, const gdcm::PixelFormat & format)
{
  const int allocated = format.GetBitsAllocated();
  const int stored = format.GetBitsStored();
  if (stored < 1 || stored >= allocated)
  {
    return;
  }
  const bool isSigned = format.GetPixelRepresentation() == 1;
  switch (allocated)
  {
    case 8:
      return CleanBitsAs<std::uint8_t>(bytes, stored, isSigned);
    case 16:
      return CleanBitsAs<std::uint16_t>(bytes, stored, isSigned);
    case 32:
      return CleanBitsAs<std::uint32_t>(bytes, stored, isSigned);
    default:
      return;
  }
}

// Decoded bytes of all frames of one file.
std::vector<char>
DecodeFile(const DicomFile & file, PixelType & type)
{
  gdcm::ImageReader reader;
  reader.SetFileName(file.path.c_str());
  if (!reader.Read())
  {
    Refuse(file.path, "its pixels cannot be read (transfer syntax " + file.transferSyntax + ")");
  }
  const gdcm::Image & image = reader.GetImage();
  type = TypeOf(file.path, image.GetPixelFormat());
  const size_t needed = size_t(file.rows) * size_t(file.columns) * file.frames.size() * PixelBytes(type);
  // A native pixel element that was cut is filled up silently by the decoder.
  const gdcm::ByteValue * stored = image.GetDataElement().GetByteValue();
  if (stored && !image.GetTransferSyntax().IsEncapsulated() && stored->GetLength() < needed)
  {
    Refuse(file.path,
           Format("truncated: %u bytes of pixels, the header needs %zu", unsigned(stored->GetLength()), needed));
  }
  std::vector<char> bytes(std::max<size_t>(image.GetBufferLength(), needed));
  if (image.GetBufferLength() < needed || !image.GetBuffer(bytes.data()))
  {
    Refuse(file.path, "damaged: its pixels cannot be decoded (transfer syntax " + file.transferSyntax + ")");
  }
  CleanBits(bytes, image.GetPixelFormat());
  return bytes;
}

// One frame, rescaled; padding becomes NaN until the smallest true value is known.
void
ConvertFrame(float *               out,
             const unsigned char * in,
             size_t                count,
             PixelType             type,
             const DicomFile &     file,
             const DicomFrame &    frame)
{
  ConvertPixels(out, in, count, type, false, frame.slope, frame.intercept);
  if (!file.padding)
  {
    return;
  }
  std::vector<float> stored(count);
  ConvertPixels(stored.data(), in, count, type);
  for (size_t i = 0; i < count; ++i)
  {
    if (double(stored[i]) >= file.padding->low && double(stored[i]) <= file.padding->high)
    {
      out[i] = std::numeric_limits<float>::quiet_NaN();
    }
  }
}

void
ReadFile(VolumeImage & image, const DicomFile & file, const std::vector<DicomFrame> & frames)
{
  const size_t      plane = size_t(file.rows) * size_t(file.columns);
  std::vector<char> bytes;
  PixelType         type = PixelType::UInt16;
  for (size_t slice = 0; slice < frames.size(); ++slice)
  {
    if (frames[slice].path != file.path)
    {
      continue;
    }
    if (bytes.empty())
    {
      ThrowIfInterrupted();
      bytes = DecodeFile(file, type);
    }
    ConvertFrame(image.GetBufferPointer() + slice * plane,
                 reinterpret_cast<const unsigned char *>(bytes.data()) +
                   size_t(frames[slice].number) * plane * PixelBytes(type),
                 plane,
                 type,
                 file,
                 frames[slice]);
  }
}

// Smallest and largest value that is no padding.
std::pair<float, float>
RangeOf(const VolumeImage & image)
{
  const float *           pixels = image.GetBufferPointer();
  std::pair<float, float> range{ std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity() };
  for (size_t i = 0; i < image.GetBufferedRegion().GetNumberOfPixels(); ++i)
  {
    range.first = pixels[i] < range.first ? pixels[i] : range.first;
    range.second = pixels[i] > range.second ? pixels[i] : range.second;
  }
  return range;
}

// MONOCHROME1 shows its lowest value white; the models know bone bright. Hounsfield units stay what they are.
void
Invert(VolumeImage & image)
{
  float *     pixels = image.GetBufferPointer();
  const auto  range = RangeOf(image);
  const float sum = range.first + range.second;
  std::transform(
    pixels, pixels + image.GetBufferedRegion().GetNumberOfPixels(), pixels, [sum](float v) { return sum - v; });
}

// Padding takes the smallest true value, as air around the patient has.
size_t
FillPadding(VolumeImage & image)
{
  float *      pixels = image.GetBufferPointer();
  const size_t count = image.GetBufferedRegion().GetNumberOfPixels();
  const float  smallest = RangeOf(image).first;
  const float  fill = std::isfinite(smallest) ? smallest : 0.0f;
  size_t       filled = 0;
  for (size_t i = 0; i < count; ++i)
  {
    if (std::isnan(pixels[i]))
    {
      pixels[i] = fill;
      ++filled;
    }
  }
  return filled;
}

} // namespace

void
ReadDicomPixels(Volume & volume, const std::vector<DicomFile> & files, const std::vector<DicomFrame> & frames)
{
  bool              padded = false;
  const DicomFile * first = nullptr;
  for (const DicomFile & file : files)
  {
    const bool used =
      std::any_of(frames.begin(), frames.end(), [&](const DicomFrame & frame) { return frame.path == file.path; });
    if (used)
    {
      ReadFile(*volume.image, file, frames);
      padded = padded || file.padding.has_value();
      first = first ? first : &file;
    }
  }
  if (first->lookUpTable)
  {
    volume.warnings.push_back(volume.path + ": the Modality LUT (0028,3000) is not applied; stored values are used");
  }
  if (first->photometric == "MONOCHROME1")
  {
    const bool hounsfield = first->modality == "CT";
    if (!hounsfield)
    {
      Invert(*volume.image);
    }
    volume.warnings.push_back(volume.path + (hounsfield ? ": MONOCHROME1, Hounsfield units are not inverted"
                                                        : ": MONOCHROME1, intensities were inverted"));
  }
  const size_t filled = padded ? FillPadding(*volume.image) : 0;
  if (filled > 0)
  {
    volume.warnings.push_back(volume.path + Format(": %zu voxels hold the padding value ", filled) +
                              FormatNumber(first->padding ? first->padding->low : 0.0) +
                              "; they count as the smallest other value");
  }
}

} // namespace verdiff

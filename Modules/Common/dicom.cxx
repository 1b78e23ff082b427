#include "dicom.h"

#include "dicom_index.h"
#include "failure.h"
#include "interrupt.h"
#include "pixels.h"
#include "text.h"

#include <gdcmImageReader.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

namespace verdiff
{
namespace
{

constexpr double gapTolerance = 0.01;    // of the mean gap; never below 0.01 mm
constexpr double tiltTolerance = 0.5;    // degrees between the stack and the slice normal
constexpr double cosineTolerance = 1e-3; // between the orientations of two slices

[[noreturn]] void
Refuse(const std::string & path, const std::string & reason)
{
  throw Failure(ExitCode::Input, path + ": " + reason);
}

double
Dot(const Vector3 & a, const Vector3 & b)
{
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

Vector3
Cross(const Vector3 & a, const Vector3 & b)
{
  return { a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0] };
}

Vector3
Scaled(const Vector3 & a, double factor)
{
  return { a[0] * factor, a[1] * factor, a[2] * factor };
}

Vector3
Difference(const Vector3 & a, const Vector3 & b)
{
  return { a[0] - b[0], a[1] - b[1], a[2] - b[2] };
}

double
Length(const Vector3 & a)
{
  return std::sqrt(Dot(a, a));
}

std::string
NameOf(const std::string & path)
{
  return std::filesystem::path(path).filename().string();
}

std::string
VectorText(const Vector3 & v)
{
  return FormatNumber(v[0]) + " " + FormatNumber(v[1]) + " " + FormatNumber(v[2]);
}

// The files of the one series that is there, or of the one that was asked for.
std::vector<DicomFile>
OneSeries(const std::string & path, std::vector<DicomFile> files, const std::string & wanted)
{
  std::map<std::string, std::vector<DicomFile>> bySeries;
  for (DicomFile & file : files)
  {
    const std::string series = file.series;
    bySeries[series].push_back(std::move(file));
  }
  if (!wanted.empty() && bySeries.count(wanted) == 1)
  {
    return bySeries[wanted];
  }
  if (wanted.empty() && bySeries.size() == 1)
  {
    return bySeries.begin()->second;
  }
  std::string list;
  for (const auto & [uid, members] : bySeries)
  {
    list += (list.empty() ? "" : "; ") + uid + " (" + members[0].modality + ", \"" + members[0].description + "\", " +
            Format("%zu files)", members.size());
  }
  Refuse(path,
         (wanted.empty()
            ? Format("holds %zu series, needs one; choose with --series or move one away: ", bySeries.size())
            : "has no series " + wanted + ", but ") +
           list);
}

void
CheckSameKind(const std::vector<DicomFile> & files)
{
  const DicomFile & first = files[0];
  for (const DicomFile & file : files)
  {
    if (file.samples != 1 || (file.photometric != "MONOCHROME1" && file.photometric != "MONOCHROME2"))
    {
      Refuse(file.path,
             Format("colour image: %d samples per pixel, photometric interpretation %s; must be 1 and MONOCHROME",
                    file.samples,
                    file.photometric.c_str()));
    }
    if (file.rows != first.rows || file.columns != first.columns)
    {
      Refuse(file.path,
             Format("%d x %d pixels, but %s has %d x %d; slices of one volume must be alike",
                    file.columns,
                    file.rows,
                    NameOf(first.path).c_str(),
                    first.columns,
                    first.rows));
    }
    if (file.rowSpacing.has_value() != first.rowSpacing.has_value() ||
        (file.rowSpacing && (std::abs(*file.rowSpacing - *first.rowSpacing) > 1e-3 * *first.rowSpacing ||
                             std::abs(*file.columnSpacing - *first.columnSpacing) > 1e-3 * *first.columnSpacing)))
    {
      Refuse(file.path, "another pixel spacing than " + NameOf(first.path) + "; slices of one volume must be alike");
    }
  }
  if (first.rowSpacing && !(*first.rowSpacing > 0.0 && *first.columnSpacing > 0.0))
  {
    Refuse(first.path,
           "PixelSpacing is " + FormatNumber(*first.rowSpacing) + "\\" + FormatNumber(*first.columnSpacing) +
             ", must be above 0");
  }
}

std::vector<DicomFrame>
AllFrames(const std::vector<DicomFile> & files)
{
  std::vector<DicomFrame> frames;
  for (const DicomFile & file : files)
  {
    frames.insert(frames.end(), file.frames.begin(), file.frames.end());
  }
  return frames;
}

struct Stack
{
  std::vector<DicomFrame> frames; // in the order of the slice normal
  Vector3                 row{ 1, 0, 0 };
  Vector3                 column{ 0, 1, 0 };
  Vector3                 normal{ 0, 0, 1 };
  double                  gap = 0.0; // mm; 0 for a single slice
  bool                    oriented = false;
};

std::string
FrameName(const DicomFrame & frame)
{
  return NameOf(frame.path) + (frame.number > 0 ? Format(" frame %d", frame.number + 1) : std::string());
}

// Axes of a slice as a right-handed orthonormal frame; refuses axes that are not nearly so.
void
SetAxes(Stack & stack, const DicomFrame & frame)
{
  const double a = Length(*frame.rowAxis);
  const double b = Length(*frame.columnAxis);
  const double angle = Dot(*frame.rowAxis, *frame.columnAxis);
  if (!(std::abs(a - 1.0) <= 0.01 && std::abs(b - 1.0) <= 0.01 && std::abs(angle) <= 0.01))
  {
    Refuse(frame.path,
           "ImageOrientationPatient is " + VectorText(*frame.rowAxis) + " " + VectorText(*frame.columnAxis) +
             ", must be two unit vectors at a right angle");
  }
  stack.row = Scaled(*frame.rowAxis, 1.0 / a);
  stack.normal = Cross(stack.row, *frame.columnAxis);
  stack.normal = Scaled(stack.normal, 1.0 / Length(stack.normal));
  stack.column = Cross(stack.normal, stack.row);
  stack.oriented = true;
}

void
CheckOrientations(const Stack & stack)
{
  const DicomFrame & first = stack.frames[0];
  for (const DicomFrame & frame : stack.frames)
  {
    if (!frame.position || !frame.rowAxis)
    {
      Refuse(frame.path,
             frame.number > 0 || stack.frames.size() > 1
               ? "no ImagePositionPatient (0020,0032) or ImageOrientationPatient (0020,0037) for " + FrameName(frame) +
                   "; slices without them cannot be put in order"
               : std::string("no position"));
    }
    for (size_t i = 0; i < 3; ++i)
    {
      if (!(std::abs((*frame.rowAxis)[i] - (*first.rowAxis)[i]) <= cosineTolerance &&
            std::abs((*frame.columnAxis)[i] - (*first.columnAxis)[i]) <= cosineTolerance))
      {
        Refuse(frame.path,
               "mixed orientations: " + FrameName(frame) + " has " + VectorText(*frame.rowAxis) + " " +
                 VectorText(*frame.columnAxis) + ", " + FrameName(first) + " has " + VectorText(*first.rowAxis) + " " +
                 VectorText(*first.columnAxis));
      }
    }
  }
}

// Every gap the same, nothing twice.
void
CheckGaps(const std::string & path, Stack & stack)
{
  const auto height = [&](const DicomFrame & f) {
    return Dot(*f.position, stack.normal);
  };
  const size_t gaps = stack.frames.size() - 1;
  stack.gap = (height(stack.frames.back()) - height(stack.frames.front())) / static_cast<double>(gaps);
  double smallest = INFINITY;
  double largest = 0.0;
  size_t at = 0;
  for (size_t i = 0; i < gaps; ++i)
  {
    const double gap = height(stack.frames[i + 1]) - height(stack.frames[i]);
    if (gap < 1e-3)
    {
      Refuse(path,
             FrameName(stack.frames[i]) + " and " + FrameName(stack.frames[i + 1]) +
               " are at the same place (echoes, time points or copies); give a folder with one of each");
    }
    if (gap > largest)
    {
      largest = gap;
      at = i;
    }
    smallest = std::min(smallest, gap);
  }
  const double tolerance = std::max(gapTolerance * stack.gap, 0.01);
  if (largest - stack.gap > tolerance || stack.gap - smallest > tolerance)
  {
    Refuse(path,
           "uneven slices: gaps from " + FormatNumber(smallest) + " to " + FormatNumber(largest) +
             " mm (largest between " + FrameName(stack.frames[at]) + " and " + FrameName(stack.frames[at + 1]) +
             "), must agree to " + FormatNumber(tolerance, 3) + " mm; a slice may be missing");
  }
}

void
CheckTilt(const std::string & path, const Stack & stack)
{
  const Vector3 along = Difference(*stack.frames.back().position, *stack.frames.front().position);
  const double  up = Dot(along, stack.normal);
  const double  aside = Length(Difference(along, Scaled(stack.normal, up)));
  const double  degrees = std::atan2(aside, up) * 180.0 / M_PI;
  if (degrees > tiltTolerance)
  {
    Refuse(path,
           "gantry tilt: the stack leans by " + FormatNumber(degrees, 3) + " degrees, at most " +
             FormatNumber(tiltTolerance) + " is accepted; resample it to upright slices first");
  }
  for (const DicomFrame & frame : stack.frames)
  {
    const Vector3 offset = Difference(*frame.position, *stack.frames.front().position);
    const double  drift = Length(Difference(offset, Scaled(along, Dot(offset, stack.normal) / up)));
    if (drift > std::max(0.1 * stack.gap, 0.1))
    {
      Refuse(path, "slices are shifted sideways: " + FrameName(frame) + " by " + FormatNumber(drift, 3) + " mm");
    }
  }
}

Stack
MakeStack(const std::string & path, std::vector<DicomFrame> frames)
{
  Stack stack;
  stack.frames = std::move(frames);
  if (stack.frames.size() == 1)
  {
    if (stack.frames[0].rowAxis && stack.frames[0].position)
    {
      SetAxes(stack, stack.frames[0]);
    }
    return stack;
  }
  CheckOrientations(stack);
  SetAxes(stack, stack.frames[0]);
  std::stable_sort(stack.frames.begin(), stack.frames.end(), [&](const DicomFrame & a, const DicomFrame & b) {
    return Dot(*a.position, stack.normal) < Dot(*b.position, stack.normal);
  });
  CheckGaps(path, stack);
  CheckTilt(path, stack);
  return stack;
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
  return bytes;
}

void
ReadPixels(VolumeImage & image, const std::vector<DicomFile> & files, const Stack & stack)
{
  const size_t plane = size_t(files[0].rows) * size_t(files[0].columns);
  for (const DicomFile & file : files)
  {
    ThrowIfInterrupted();
    PixelType               type = PixelType::UInt16;
    const std::vector<char> bytes = DecodeFile(file, type);
    for (size_t slice = 0; slice < stack.frames.size(); ++slice)
    {
      const DicomFrame & frame = stack.frames[slice];
      if (frame.path == file.path)
      {
        ConvertPixels(image.GetBufferPointer() + slice * plane,
                      reinterpret_cast<const unsigned char *>(bytes.data()) +
                        size_t(frame.number) * plane * PixelBytes(type),
                      plane,
                      type,
                      false,
                      frame.slope,
                      frame.intercept);
      }
    }
  }
}

// MONOCHROME1 shows its lowest value white; the models know bone bright.
void
Invert(VolumeImage & image)
{
  float *      pixels = image.GetBufferPointer();
  const size_t count = image.GetBufferedRegion().GetNumberOfPixels();
  const auto   range = std::minmax_element(pixels, pixels + count);
  const float  sum = *range.first + *range.second;
  std::transform(pixels, pixels + count, pixels, [sum](float v) { return sum - v; });
}

void
SetGeometry(Volume & volume, const DicomFile & file, const Stack & stack)
{
  VolumeImage::SpacingType   spacing;
  VolumeImage::DirectionType direction;
  spacing[0] = file.columnSpacing.value_or(1.0);
  spacing[1] = file.rowSpacing.value_or(1.0);
  spacing[2] = stack.gap > 0.0 ? stack.gap : (file.thickness > 0.0 ? file.thickness : 1.0);
  for (unsigned int i = 0; i < 3; ++i)
  {
    direction[i][0] = stack.row[i];
    direction[i][1] = stack.column[i];
    direction[i][2] = stack.normal[i];
  }
  volume.image->SetSpacing(spacing);
  volume.image->SetDirection(direction);
  if (stack.oriented)
  {
    volume.image->SetOrigin(VolumeImage::PointType(stack.frames[0].position->data()));
  }
  volume.spacingKnown = file.rowSpacing.has_value();
  volume.orientationKnown = stack.oriented;
  if (file.spacingAtDetector)
  {
    volume.warnings.push_back(file.path + ": pixel size is that of the detector (ImagerPixelSpacing); lengths in the "
                                          "patient are shorter");
  }
}

std::optional<vdn_modality>
ModalityOf(const std::string & dicom)
{
  if (dicom == "CT")
  {
    return VDN_MODALITY_CT;
  }
  if (dicom == "MR")
  {
    return VDN_MODALITY_MR;
  }
  if (dicom == "CR" || dicom == "DX" || dicom == "XA" || dicom == "RF" || dicom == "RG")
  {
    return VDN_MODALITY_XRAY;
  }
  return std::nullopt;
}

} // namespace

Volume
ReadDicom(const std::string & path, const std::string & series)
{
  Volume                 volume;
  std::vector<DicomFile> files;
  volume.path = path;
  volume.format = VolumeFormat::Dicom;
  if (std::filesystem::is_directory(path))
  {
    int others = 0;
    files = OneSeries(path, ReadDicomFolder(path, others), series);
    if (others > 0)
    {
      volume.warnings.push_back(path + Format(": %d files that are no DICOM images were left out", others));
    }
  }
  else if (auto file = ReadDicomHeader(path))
  {
    files.push_back(std::move(*file));
  }
  else
  {
    Refuse(path, "DICOM, but it holds no image");
  }
  CheckSameKind(files);
  const Stack stack = MakeStack(path, AllFrames(files));
  volume.modality = ModalityOf(files[0].modality);
  volume.fileDimension = stack.frames.size() == 1 ? 2 : 3;
  volume.image = VolumeImage::New();
  volume.image->SetRegions(
    VolumeImage::SizeType{ { size_t(files[0].columns), size_t(files[0].rows), stack.frames.size() } });
  SetGeometry(volume, files[0], stack);
  volume.image->Allocate();
  ReadPixels(*volume.image, files, stack);
  if (files[0].photometric == "MONOCHROME1")
  {
    Invert(*volume.image);
    volume.warnings.push_back(path + ": MONOCHROME1, intensities were inverted");
  }
  return volume;
}

} // namespace verdiff

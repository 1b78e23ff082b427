#include "dicom.h"

#include "dicom_index.h"
#include "dicom_pixels.h"
#include "dicom_stack.h"
#include "failure.h"
#include "text.h"

#include <algorithm>
#include <filesystem>

namespace verdiff
{
namespace
{

[[noreturn]] void
Refuse(const std::string & path, const std::string & reason)
{
  throw Failure(ExitCode::Input, path + ": " + reason);
}

// What no grey slice of a patient is.
void
CheckKind(const DicomFile & file)
{
  if (file.samples != 1 || (file.photometric != "MONOCHROME1" && file.photometric != "MONOCHROME2"))
  {
    Refuse(file.path,
           Format("colour image: %d samples per pixel, photometric interpretation %s; must be 1 and MONOCHROME",
                  file.samples,
                  file.photometric.c_str()));
  }
  // GDCM takes another HighBit for a slip of the pen; which bits are meant cannot be known.
  if (file.highBit != file.bitsStored - 1)
  {
    Refuse(file.path,
           Format("HighBit is %d with %d bits stored, must be %d", file.highBit, file.bitsStored, file.bitsStored - 1));
  }
  const auto words = Split(file.imageType, '\\');
  if (std::find(words.begin(), words.end(), "MOSAIC") != words.end())
  {
    Refuse(file.path, "mosaic: one picture with many slices side by side; export it as single slices");
  }
}

void
CheckSpacing(const DicomFrame & frame)
{
  if (frame.rowSpacing && !(*frame.rowSpacing > 0.0 && *frame.columnSpacing > 0.0))
  {
    Refuse(frame.path,
           "PixelSpacing is " + FormatNumber(*frame.rowSpacing) + "\\" + FormatNumber(*frame.columnSpacing) +
             ", must be above 0");
  }
}

const DicomFile &
FileOf(const std::vector<DicomFile> & files, const DicomFrame & frame)
{
  return *std::find_if(files.begin(), files.end(), [&](const DicomFile & file) { return file.path == frame.path; });
}

void
SetGeometry(Volume & volume, const DicomStack & stack)
{
  const DicomFrame &         first = stack.frames[0];
  VolumeImage::SpacingType   spacing;
  VolumeImage::DirectionType direction;
  spacing[0] = first.columnSpacing.value_or(1.0);
  spacing[1] = first.rowSpacing.value_or(1.0);
  spacing[2] = stack.gap > 0.0 ? stack.gap : (first.thickness > 0.0 ? first.thickness : 1.0);
  for (unsigned int i = 0; i < 3; ++i)
  {
    direction[i][0] = stack.row[i];
    direction[i][1] = stack.column[i];
    direction[i][2] = stack.step[i];
  }
  volume.image->SetSpacing(spacing);
  volume.image->SetDirection(direction);
  if (stack.oriented)
  {
    volume.image->SetOrigin(VolumeImage::PointType(first.position->data()));
  }
  volume.spacingKnown = first.rowSpacing.has_value();
  volume.orientationKnown = stack.oriented;
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

std::vector<DicomFile>
ReadHeaders(Volume & volume)
{
  const std::string & path = volume.path;
  if (std::filesystem::is_directory(path))
  {
    int  others = 0;
    auto files = ReadDicomFolder(path, others);
    if (others > 0)
    {
      volume.warnings.push_back(path + Format(": %d files that are no DICOM images were left out", others));
    }
    return files;
  }
  auto file = ReadDicomHeader(path);
  if (!file)
  {
    Refuse(path, "DICOM, but it holds no image");
  }
  return { std::move(*file) };
}

} // namespace

Volume
ReadDicom(const std::string & path, const std::string & series)
{
  Volume volume;
  volume.path = path;
  volume.format = VolumeFormat::Dicom;
  const auto        files = ReadHeaders(volume);
  const DicomGroup  group = ChooseGroup(GroupFrames(files, path, volume.warnings), path, series);
  const DicomFile & first = FileOf(files, group.frames[0]);
  for (const DicomFrame & frame : group.frames)
  {
    CheckKind(FileOf(files, frame));
  }
  CheckSpacing(group.frames[0]);
  const DicomStack stack = MakeStack(group, path);
  volume.modality = ModalityOf(first.modality);
  volume.fileDimension = stack.frames.size() == 1 ? 2 : 3;
  volume.image = VolumeImage::New();
  volume.image->SetRegions(VolumeImage::SizeType{ { size_t(group.columns), size_t(group.rows), stack.frames.size() } });
  SetGeometry(volume, stack);
  if (first.spacingAtDetector)
  {
    volume.warnings.push_back(first.path + ": pixel size is that of the detector (ImagerPixelSpacing); lengths in the "
                                           "patient are shorter");
  }
  volume.image->Allocate();
  ReadDicomPixels(volume, files, stack.frames);
  return volume;
}

} // namespace verdiff

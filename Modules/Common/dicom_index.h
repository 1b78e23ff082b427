// What the headers of DICOM files say about the frames in them. GDCM decodes; deciding is ours.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace verdiff
{

using Vector3 = std::array<double, 3>;

struct DicomFrame
{
  std::string            path;
  int                    number = 0; // within the file
  std::optional<Vector3> position;   // ImagePositionPatient (0020,0032)
  std::optional<Vector3> rowAxis;    // ImageOrientationPatient (0020,0037), towards higher columns
  std::optional<Vector3> columnAxis; // the same, towards higher rows
  std::optional<double>  rowSpacing; // mm between rows
  std::optional<double>  columnSpacing;
  double                 thickness = 0.0; // SliceThickness, 0 when not there
  double                 slope = 1.0;
  double                 intercept = 0.0;
  // What tells frames at one place apart; "" where the header does not say.
  std::string stack;
  std::string time;        // temporal position
  std::string echo;        // echo time in ms, or the echo's number
  std::string weight;      // diffusion b-value
  std::string kind;        // ImageType or FrameType
  std::string acquisition; // AcquisitionNumber
};

/// Stored values that stand for "no image here".
struct DicomPadding
{
  double low = 0.0;
  double high = 0.0;
};

struct DicomFile
{
  std::string                 path;
  std::string                 instance; // SOPInstanceUID
  std::string                 series;   // SeriesInstanceUID
  std::string                 description;
  std::string                 modality;
  std::string                 photometric;
  std::string                 imageType;
  std::string                 transferSyntax;
  int                         rows = 0;
  int                         columns = 0;
  int                         samples = 1;
  int                         bitsStored = 16;
  int                         highBit = 15;
  bool                        spacingAtDetector = false; // ImagerPixelSpacing: an X-ray before magnification is known
  bool                        lookUpTable = false;       // a Modality LUT takes the place of slope and intercept
  std::optional<DicomPadding> padding;
  std::vector<DicomFrame>     frames;
};

/// True for files that start as DICOM (with or without the 128-byte preamble).
bool
LooksLikeDicom(const std::string & path);

/// Header of one file; nothing when it is not DICOM or holds no image (masks and dose maps are none).
/// @throw Failure (Input) when it is damaged or truncated.
std::optional<DicomFile>
ReadDicomHeader(const std::string & path);

/// Every image in the folder itself; files that are something else are counted in @p others.
/// @throw Failure (Input) when there is no image.
std::vector<DicomFile>
ReadDicomFolder(const std::string & folder, int & others);

} // namespace verdiff

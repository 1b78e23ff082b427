#include "dataset_load.h"

#include "failure.h"
#include "landmarks.h"
#include "nifti.h"
#include "text.h"

#include <algorithm>
#include <cstring>

namespace verdiff
{
namespace
{

constexpr double geometryTolerance = 1e-3;

// What goes into the findings of one case.
struct Report
{
  const DatasetCase & one;
  Findings &          findings;

  void
  Fault(const std::string & kind, const std::string & file, const std::string & text, const std::string & remedy)
  {
    findings.push_back({ Severity::Fault, kind, one.id, file, text, remedy });
  }
};

// The reader's reason without the file's name in front.
std::string
ReasonOf(const Failure & failure, const std::string & path)
{
  const std::string text = failure.what();
  return text.rfind(path + ": ", 0) == 0 ? text.substr(path.size() + 2) : text;
}

template <typename TRead>
auto
TryRead(Report & report, const std::string & path, TRead read) -> std::optional<decltype(read(path))>
{
  try
  {
    return read(path);
  }
  catch (const Failure & failure)
  {
    if (failure.Code() != ExitCode::Input)
    {
      throw;
    }
    const std::string reason = ReasonOf(failure, path);
    if (reason.rfind("label ", 0) == 0)
    {
      report.Fault("dtype", path, reason, "save labels as integers, resampled by nearest neighbour");
    }
    else
    {
      report.Fault("unreadable", path, reason, "copy or download the file again, or take the case away");
    }
    return std::nullopt;
  }
}

bool
SameGrid(Report & report, const itk::ImageBase<3> & image, const itk::ImageBase<3> & other, const std::string & path)
{
  const auto difference = GeometryDifference(image, other, geometryTolerance);
  if (!difference)
  {
    return true;
  }
  const bool        size = difference->rfind("size", 0) == 0;
  const bool        spacing = difference->rfind("spacing", 0) == 0;
  const std::string kind = size ? "size" : (spacing ? "spacing" : "geometry");
  report.Fault(kind,
               path,
               "not on the grid of " + report.one.images[0] + ": " + *difference + " (this file second)",
               size ? "resample it onto the image's grid by nearest neighbour, or take the right file"
                    : "copy the image's header, if the voxels do lie on each other; otherwise resample");
  return false;
}

// One label volume from a file per structure; where two claim a voxel the first keeps it.
std::optional<LabelVolume>
JoinParts(Report & report, const VolumeImage & grid)
{
  LabelVolume joined;
  joined.path = report.one.labels;
  joined.image = LabelImage::New();
  joined.image->CopyInformation(&grid);
  joined.image->SetRegions(grid.GetLargestPossibleRegion());
  joined.image->Allocate(true);
  const size_t    count = grid.GetLargestPossibleRegion().GetNumberOfPixels();
  size_t          claimed = 0;
  std::string     claimedBy;
  std::uint16_t * out = joined.image->GetBufferPointer();
  for (const LabelPart & part : report.one.parts)
  {
    const auto labels = TryRead(report, part.path, [](const std::string & path) { return ReadLabels(path); });
    if (!labels || !SameGrid(report, grid, *labels->image, part.path))
    {
      return std::nullopt;
    }
    const std::uint16_t * in = labels->image->GetBufferPointer();
    for (size_t i = 0; i < count; ++i)
    {
      if (in[i] != 0 && out[i] != 0)
      {
        ++claimed;
        claimedBy = part.path;
      }
      out[i] = in[i] != 0 && out[i] == 0 ? static_cast<std::uint16_t>(part.value) : out[i];
    }
  }
  if (claimed > 0)
  {
    report.findings.push_back({ Severity::Warning,
                                "overlap",
                                report.one.id,
                                claimedBy,
                                Format("%zu voxels belong to a structure of another file as well", claimed),
                                "look at it; the first structure by name keeps such voxels" });
  }
  return joined;
}

LabelVolume
FillCorners(const DatasetCase & one, const Volume & image)
{
  LabelVolume labels;
  const auto  size = image.image->GetLargestPossibleRegion().GetSize();
  labels.path = one.labels;
  labels.spacingKnown = image.spacingKnown;
  labels.orientationKnown = image.orientationKnown;
  labels.image = LabelImage::New();
  labels.image->CopyInformation(image.image);
  labels.image->SetRegions(image.image->GetLargestPossibleRegion());
  labels.image->Allocate(true);
  FillQuadrilaterals(labels.image->GetBufferPointer(), std::int64_t(size[0]), std::int64_t(size[1]), one.corners);
  return labels;
}

std::optional<LabelVolume>
LoadLabels(Report & report, LoadedCase & loaded)
{
  if (!report.one.corners.empty())
  {
    return FillCorners(report.one, loaded.channels[0]);
  }
  if (!report.one.parts.empty())
  {
    return JoinParts(report, *loaded.channels[0].image);
  }
  auto labels = TryRead(report, report.one.labels, [](const std::string & path) { return ReadLabels(path); });
  if (!labels || !SameGrid(report, *loaded.channels[0].image, *labels->image, report.one.labels))
  {
    return std::nullopt;
  }
  return labels;
}

bool
CheckValues(Report & report, const LabelVolume & labels, const Dataset & dataset)
{
  std::vector<bool> known(65536, false);
  for (const auto & entry : dataset.labels)
  {
    known[size_t(entry.first)] = true;
  }
  const std::uint16_t * values = labels.image->GetBufferPointer();
  const size_t          count = labels.image->GetLargestPossibleRegion().GetNumberOfPixels();
  const auto * const    bad = std::find_if(values, values + count, [&](std::uint16_t v) { return !known[v]; });
  if (bad == values + count)
  {
    return true;
  }
  const auto   index = labels.image->ComputeIndex(static_cast<long>(bad - values));
  const size_t number = size_t(std::count_if(bad, values + count, [&](std::uint16_t v) { return !known[v]; }));
  report.Fault(
    "values",
    labels.path,
    Format("label %d at index %ld %ld %ld is not in ", int(*bad), long(index[0]), long(index[1]), long(index[2])) +
      dataset.labelsFrom + Format(" (%zu such voxels)", number),
    "describe the value, or correct the voxels");
  return false;
}

const char *
NiftiType(int code)
{
  switch (code)
  {
    case 2:
      return "uint8";
    case 4:
      return "int16";
    case 8:
      return "int32";
    case 16:
      return "float32";
    case 64:
      return "float64";
    case 256:
      return "int8";
    case 512:
      return "uint16";
    case 768:
      return "uint32";
    default:
      return "";
  }
}

} // namespace

std::string
StoredType(const Volume & volume)
{
  if (volume.format == VolumeFormat::Dicom)
  {
    return "";
  }
  if (volume.format == VolumeFormat::Nifti)
  {
    if (volume.niftiHeader.size() < 72)
    {
      return "";
    }
    std::int16_t code = 0;
    std::memcpy(&code, volume.niftiHeader.data() + 70, 2);
    // Codes are below 2048: a larger one is in the other byte order.
    const auto bytes = static_cast<std::uint16_t>(code);
    return NiftiType(bytes > 2048 ? (bytes >> 8) | ((bytes & 0xff) << 8) : bytes);
  }
  const auto io = MakeImageIO(volume.format);
  io->SetFileName(volume.path);
  io->ReadImageInformation();
  const std::string type = itk::ImageIOBase::GetComponentTypeAsString(io->GetComponentType());
  return type;
}

std::optional<LoadedCase>
LoadCase(const Dataset & dataset, const DatasetCase & one, Findings & findings)
{
  Report     report{ one, findings };
  LoadedCase loaded;
  for (const std::string & path : one.images)
  {
    auto volume = TryRead(report, path, [](const std::string & file) { return ReadVolume(file); });
    if (!volume)
    {
      return std::nullopt;
    }
    loaded.channels.push_back(std::move(*volume));
    if (!SameGrid(report, *loaded.channels[0].image, *loaded.channels.back().image, path))
    {
      return std::nullopt;
    }
  }
  auto labels = LoadLabels(report, loaded);
  if (!labels || !CheckValues(report, *labels, dataset))
  {
    return std::nullopt;
  }
  loaded.labels = std::move(*labels);
  return loaded;
}

} // namespace verdiff

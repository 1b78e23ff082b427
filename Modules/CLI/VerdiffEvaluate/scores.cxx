#include "scores.h"

#include "text.h"
#include "volume_reader.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace verdiff
{
namespace
{

constexpr double geometryTolerance = 1e-4;

void
CheckGeometry(const LabelVolume & reference, const LabelVolume & prediction)
{
  std::optional<std::string> difference;
  if (reference.image->GetLargestPossibleRegion().GetSize() != prediction.image->GetLargestPossibleRegion().GetSize())
  {
    difference = "size " + SizeText(*reference.image) + " and " + SizeText(*prediction.image);
  }
  else if (reference.spacingKnown && prediction.spacingKnown)
  {
    // A picture records no geometry, so there is nothing to compare with.
    difference = GeometryDifference(*reference.image, *prediction.image, geometryTolerance);
  }
  if (difference)
  {
    throw Failure(ExitCode::Input,
                  prediction.path + ": not on the grid of " + reference.path + ": " + *difference +
                    " (prediction second), must agree to 1e-4");
  }
}

std::set<int>
LabelsIn(const LabelVolume & a, const LabelVolume & b)
{
  std::vector<bool> seen(65536, false);
  for (const LabelVolume * volume : { &a, &b })
  {
    const std::uint16_t * labels = volume->image->GetBufferPointer();
    const size_t          count = volume->image->GetLargestPossibleRegion().GetNumberOfPixels();
    for (size_t i = 0; i < count; ++i)
    {
      seen[labels[i]] = true;
    }
  }
  std::set<int> labels;
  for (int label = 1; label < 65536; ++label)
  {
    if (seen[size_t(label)])
    {
      labels.insert(label);
    }
  }
  return labels;
}

// Index ranges of the voxels of a label in either volume, one voxel wider where the grid allows: the
// scores inside are those of the whole grid, at a fraction of the memory and time.
struct Box
{
  std::array<std::int64_t, 3> first{ INT64_MAX, INT64_MAX, INT64_MAX };
  std::array<std::int64_t, 3> last{ -1, -1, -1 };
};

Box
BoxOf(const LabelVolume & a, const LabelVolume & b, std::uint16_t label)
{
  Box                   box;
  const auto            size = a.image->GetLargestPossibleRegion().GetSize();
  const std::uint16_t * x = a.image->GetBufferPointer();
  const std::uint16_t * y = b.image->GetBufferPointer();
  std::int64_t          i = 0;
  for (std::int64_t z = 0; z < std::int64_t(size[2]); ++z)
  {
    for (std::int64_t row = 0; row < std::int64_t(size[1]); ++row)
    {
      for (std::int64_t column = 0; column < std::int64_t(size[0]); ++column, ++i)
      {
        if (x[i] == label || y[i] == label)
        {
          const std::array<std::int64_t, 3> index{ z, row, column };
          for (size_t k = 0; k < 3; ++k)
          {
            box.first[k] = std::min(box.first[k], index[k]);
            box.last[k] = std::max(box.last[k], index[k]);
          }
        }
      }
    }
  }
  for (size_t k = 0; k < 3; ++k)
  {
    box.first[k] = box.last[k] < 0 ? 0 : std::max<std::int64_t>(box.first[k] - 1, 0);
    box.last[k] = box.last[k] < 0 ? 0 : std::min<std::int64_t>(box.last[k] + 1, std::int64_t(size[2 - k]) - 1);
  }
  return box;
}

std::vector<std::uint16_t>
Crop(const LabelVolume & volume, const Box & box)
{
  const auto                 size = volume.image->GetLargestPossibleRegion().GetSize();
  std::vector<std::uint16_t> cropped;
  for (std::int64_t z = box.first[0]; z <= box.last[0]; ++z)
  {
    for (std::int64_t row = box.first[1]; row <= box.last[1]; ++row)
    {
      const std::uint16_t * line =
        volume.image->GetBufferPointer() + (z * std::int64_t(size[1]) + row) * std::int64_t(size[0]);
      cropped.insert(cropped.end(), line + box.first[2], line + box.last[2] + 1);
    }
  }
  return cropped;
}

} // namespace

CaseScores
ScoreCase(vdn_ctx *             ctx,
          const std::string &   reference,
          const std::string &   prediction,
          const std::set<int> & only,
          double                pixelSpacing)
{
  const LabelVolume a = ReadLabels(reference);
  const LabelVolume b = ReadLabels(prediction);
  CheckGeometry(a, b);
  CaseScores scores;
  scores.name = ImageStem(reference);
  scores.reference = reference;
  scores.prediction = prediction;
  const bool known = a.spacingKnown || b.spacingKnown;
  scores.millimetres = known || pixelSpacing > 0.0;
  auto spacing = a.spacingKnown ? a.image->GetSpacing() : b.image->GetSpacing();
  if (!known)
  {
    spacing.Fill(pixelSpacing > 0.0 ? pixelSpacing : 1.0);
  }
  const double lengths[3] = { spacing[2], spacing[1], spacing[0] };
  for (const int label : only.empty() ? LabelsIn(a, b) : only)
  {
    const Box          box = BoxOf(a, b, static_cast<std::uint16_t>(label));
    const std::int64_t size[3] = { box.last[0] - box.first[0] + 1,
                                   box.last[1] - box.first[1] + 1,
                                   box.last[2] - box.first[2] + 1 };
    vdn_score          score;
    Check(ctx,
          vdn_score_labels(
            ctx, &score, Crop(a, box).data(), Crop(b, box).data(), size, lengths, static_cast<std::uint16_t>(label)),
          ExitCode::Processing,
          reference);
    scores.labels[label] = score;
  }
  return scores;
}

Summary
Summarise(const std::vector<double> & values)
{
  Summary summary;
  double  sum = 0.0;
  for (const double value : values)
  {
    if (!std::isnan(value))
    {
      sum += value;
      ++summary.count;
    }
  }
  summary.mean = summary.count > 0 ? sum / double(summary.count) : NAN;
  double squares = 0.0;
  for (const double value : values)
  {
    squares += std::isnan(value) ? 0.0 : (value - summary.mean) * (value - summary.mean);
  }
  summary.deviation = summary.count > 1 ? std::sqrt(squares / double(summary.count - 1)) : NAN;
  return summary;
}

const char *
MeasureName(int measure)
{
  static const char * const names[measureCount] = { "dice", "iou", "hd95", "mean_distance" };
  return names[measure];
}

double
Measure(const vdn_score & score, int measure)
{
  const double values[measureCount] = { score.dice, score.iou, score.hd95_mm, score.mean_distance_mm };
  return values[measure];
}

} // namespace verdiff

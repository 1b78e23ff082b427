// A volume in, a label volume on the same grid out: cut in the model's plane, resample to the model's pixel size,
// segment, resample the probabilities back, take the largest, put the slices together again.
#pragma once

#include "core.h"
#include "sagittal.h"
#include "volume.h"

#include <functional>
#include <vector>

namespace verdiff
{

/// Time against quality, where SegmentSettings::options leaves steps and samples at 0.
enum class Quality
{
  Fast,     // the first estimate alone: no sampling, so no uncertainty
  Standard, // the model's own steps and samples
  Best      // twice as many of both
};

struct SegmentSettings
{
  vdn_segment_options options{};
  Quality             quality = Quality::Standard;
  vdn_modality        modality = VDN_MODALITY_MR;
  double              pixelSpacing = 0.0; // mm, for images that record none; 0: as the model assumes
  bool                probability = false;
  bool                uncertainty = false;
  std::int64_t        firstSlice = 0; // number of the first slice worked on, for a volume that is a part of another
  /// Slices at both ends that are there for their neighbours only and get no result.
  std::int64_t contextBefore = 0, contextAfter = 0;
};

struct SegmentResult
{
  LabelImage::Pointer      labels;
  VolumeImage::Pointer     probability;                       // 1 - background; null unless asked for
  VolumeImage::Pointer     uncertainty;                       // mutual information, nats; null unless asked for
  std::vector<double>      sliceUncertainty;                  // mean of each slice; empty with prior_only
  std::int64_t             slices = 0, height = 0, width = 0; // native
  std::int64_t             workingHeight = 0, workingWidth = 0;
  double                   rowSpacing = 0.0, columnSpacing = 0.0; // mm; 0 when unknown
  std::vector<std::string> notes;
};

/// Told before each batch which part @p from .. @p to of 0..1 the library's next reports cover.
using SegmentRange = std::function<void(double from, double to)>;

/// Memory beyond the results: a batch of slices, never a whole volume of classes.
/// @throw Failure; whatever @p range throws.
SegmentResult
SegmentVolume(vdn_ctx *               ctx,
              const vdn_model *       model,
              const Volume &          volume,
              const SegmentSettings & settings,
              const SegmentRange &    range);

/// What is computed with: the numbers of @p settings with its quality put in where they are 0.
vdn_segment_options
OptionsOf(const SegmentSettings & settings, const vdn_model_info & info);

/// The index of the largest of @p count values; the lower index on ties.
int
LargestClass(const float * values, int count);

} // namespace verdiff

// A volume in, a label volume on the same grid out: cut, resample to the model's pixel size, segment,
// resample the probabilities back, take the largest, put the slices together again.
#pragma once

#include "core.h"
#include "sagittal.h"
#include "volume.h"

#include <vector>

namespace verdiff
{

struct SegmentSettings
{
  vdn_segment_options options{};
  vdn_modality        modality = VDN_MODALITY_MR;
  double              pixelSpacing = 0.0; // mm, for images that record none; 0: as the model assumes
  bool                probability = false;
  bool                uncertainty = false;
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

/// Memory beyond the results: a batch of slices, never a whole volume of classes.
/// @param from, to  the part of the whole run that this is, for @p progress
/// @throw Failure.
SegmentResult
SegmentVolume(vdn_ctx *               ctx,
              const vdn_model *       model,
              const Volume &          volume,
              const SegmentSettings & settings,
              Progress &              progress,
              double                  from,
              double                  to);

/// The index of the largest of @p count values; the lower index on ties.
int
LargestClass(const float * values, int count);

} // namespace verdiff

// Data sets to the slice store that training reads.
#pragma once

#include "core.h"
#include "dataset.h"
#include "dataset_classes.h"

#include <set>
#include <string>
#include <vector>

namespace verdiff
{

struct StoreSettings
{
  double      spacing = 0.0;      // working pixel size in mm; 0: native
  double      pixelSpacing = 0.0; // mm of images that record none; 0: unknown
  std::string modality = "auto";
  int         emptySlices = 1;   // of the slices of a volume without foreground every n-th is kept
  int         slicesPerCase = 0; // most slices of one volume, evenly spread; 0: all
  vdn_plane   plane = VDN_PLANE_SAGITTAL;
  int         neighbours = 1; // slices whose pixels are the channels of one: 1, 3 or 5
  /// Cases of each data set that are left out; empty: none.
  std::vector<std::set<std::string>> without;
};

struct StoreSummary
{
  std::int64_t cases = 0;
  std::int64_t slices = 0;
  std::int64_t leftOut = 0; // slices without foreground or thinned out
};

/// Read every case but those set apart for testing, check image against labels, cut, resample, and write @p path.
/// @throw Failure (Input) naming the file, (Output), (Memory), (Interrupted). Nothing is left then.
StoreSummary
BuildStore(vdn_ctx *                    ctx,
           const std::string &          path,
           const std::vector<Dataset> & datasets,
           const ClassMap &             classes,
           const StoreSettings &        settings,
           Progress &                   progress);

} // namespace verdiff

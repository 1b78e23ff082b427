// One case of a data set in memory, checked by itself.
#pragma once

#include "dataset.h"
#include "volume.h"
#include "volume_reader.h"

#include <optional>
#include <vector>

namespace verdiff
{

struct LoadedCase
{
  std::vector<Volume> channels;
  LabelVolume         labels;
};

/// Read images and labels of @p one. Faults and warnings go to @p findings: unreadable files, another grid, label
/// values that are not described, structures that overlap.
/// @return nothing when there is a fault.
std::optional<LoadedCase>
LoadCase(const Dataset & dataset, const DatasetCase & one, Findings & findings);

/// Type of voxels as stored in @p path, such as "float64"; "" when it cannot be told.
std::string
StoredType(const Volume & volume);

} // namespace verdiff

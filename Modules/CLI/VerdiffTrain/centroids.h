// Centroids of vertebrae that VerSe keeps in a file beside each mask, compared with the mask: the two were written
// together, and where they differ one of them is of another scan, another orientation or another numbering.
#pragma once

#include "dataset.h"
#include "volume_reader.h"

namespace verdiff
{

/// Warnings (kind "centroids") for the file one.centroids against @p labels, which have canonical VerSe values: a file
/// that is no such list, levels that only one of the two has, and, where the file names its axes, a centroid that lies
/// outside the box around its level. Nothing without a file.
void
CheckCentroids(const DatasetCase & one, const LabelVolume & labels, Findings & findings);

} // namespace verdiff

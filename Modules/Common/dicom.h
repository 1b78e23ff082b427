// A DICOM series or a single DICOM image as a volume.
#pragma once

#include "volume.h"

#include <string>

namespace verdiff
{

/// @param path    a folder or one file
/// @param series  SeriesInstanceUID to take when the folder holds several; empty: there must be one
/// @throw Failure (Input): no image, several series, colour, mixed sizes or orientations, slices twice
///        at one place, uneven gaps, gantry tilt, truncated pixels, frames without positions.
Volume
ReadDicom(const std::string & path, const std::string & series);

} // namespace verdiff

// A DICOM series or a single DICOM image as a volume: dicom_index reads headers, dicom_group finds what belongs
// together, dicom_stack puts it in order, dicom_pixels decodes.
#pragma once

#include "volume.h"

#include <string>

namespace verdiff
{

/// @param path    a folder or one file
/// @param series  SeriesInstanceUID to take when the folder holds several, or the number that a refusal gives to
///                one; empty: there must be one
/// @throw Failure (Input): no image, several volumes, colour, mosaics, slices twice at one place, uneven gaps,
///        gantry tilt, truncated pixels, frames without positions.
Volume
ReadDicom(const std::string & path, const std::string & series);

} // namespace verdiff

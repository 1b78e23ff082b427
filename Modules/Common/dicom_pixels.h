// Pixel data of DICOM frames as numbers: decoded, cleaned of unused bits, rescaled frame by frame, padding filled,
// MONOCHROME1 turned.
#pragma once

#include "dicom_index.h"
#include "volume.h"

#include <vector>

namespace verdiff
{

/// Fill the buffer of @p volume with @p frames in their order; what was changed is said in its warnings.
/// @throw Failure (Input): truncated or damaged pixels, a transfer syntax or pixel type that is not supported.
void
ReadDicomPixels(Volume & volume, const std::vector<DicomFile> & files, const std::vector<DicomFrame> & frames);

} // namespace verdiff

// The frames of one file: place, size and scale of each, from the plain attributes of classic images and
// the functional groups of enhanced multi-frame images (DICOM PS3.3 C.7.6.16).
#pragma once

#include "dicom_index.h"

#include <gdcmDataSet.h>

namespace verdiff
{

/// Append @p count frames to @p file, whose path and image type are set.
void
AddFrames(DicomFile & file, const gdcm::DataSet & data, int count);

} // namespace verdiff

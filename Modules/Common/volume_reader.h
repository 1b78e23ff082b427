// Any supported file or DICOM folder as a checked volume or label volume. A file is known by its
// content, not by its name.
#pragma once

#include "volume.h"

#include <itkImageIOBase.h>

#include <string>

namespace verdiff
{

/// @param series  for DICOM folders with several series; see ReadDicom().
/// @throw Failure (Input) with one line naming the file, the field, the value found and the one needed.
Volume
ReadVolume(const std::string & path, const std::string & series = "");

struct LabelVolume
{
  LabelImage::Pointer image;
  std::string         path;
  bool                spacingKnown = true;
  bool                orientationKnown = true;
};

/// Every voxel must be an integer from 0 to 65535; palettes of PNG files are not looked up, the index
/// is the label.
LabelVolume
ReadLabels(const std::string & path);

/// Refuse voxels that are NaN or infinite: how many, and where the first is.
void
CheckFinite(const Volume & volume);

/// Axes must be at right angles to 1 degree; from 0.001 degrees there is a warning, and NIfTI volumes get
/// the nearest rotation (a NIfTI output repeats the input's own forms all the same). Other formats keep
/// their axes, so that the output lies exactly on the input.
void
RepairDirection(Volume & volume);

/// ITK's reader of @p format, which is none of NIfTI and DICOM.
itk::ImageIOBase::Pointer
MakeImageIO(VolumeFormat format);

} // namespace verdiff

// A scan in memory, with what the way back to a file needs.
#pragma once

#include <vdn.h>

#include <itkImage.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace verdiff
{

using VolumeImage = itk::Image<float, 3>;
using LabelImage = itk::Image<std::uint16_t, 3>;

enum class VolumeFormat
{
  Nifti,
  Nrrd,
  MetaImage,
  Png,
  Jpeg,
  Dicom
};

const char *
FormatName(VolumeFormat format);

struct Volume
{
  /// Intensities (HU for CT); geometry in LPS mm. A 2D file is one plane of three axes.
  VolumeImage::Pointer image;
  std::string          path;
  VolumeFormat         format = VolumeFormat::Nrrd;
  int                  fileDimension = 3;
  /// False when the file records no pixel size (PNG, JPEG, some X-rays); spacing is then 1.
  bool spacingKnown = true;
  /// False when the file records no axes (PNG, JPEG, X-rays without orientation).
  bool orientationKnown = true;
  /// What the file itself says; nothing when it does not.
  std::optional<vdn_modality> modality;
  /// NIfTI: the 348 header bytes as in the file.
  std::vector<unsigned char> niftiHeader;
  /// What was repaired or assumed, one line each, to be shown to the user.
  std::vector<std::string> warnings;
};

/// "512 x 512 x 104" from the largest region.
std::string
SizeText(const itk::ImageBase<3> & image);

/// Where the first voxel lies in mm. The origin is that of index 0, and a region may begin elsewhere; files have
/// no start index.
itk::ImageBase<3>::PointType
FirstVoxel(const itk::ImageBase<3> & image);

/// One line with size, spacing, origin and direction.
std::string
GeometryText(const itk::ImageBase<3> & image);

/// Nothing when voxel by voxel, counted from the first, the two grids agree to @p tolerance (mm; direction cosines
/// absolute), otherwise the name of the first thing that differs, with both values.
std::optional<std::string>
GeometryDifference(const itk::ImageBase<3> & a, const itk::ImageBase<3> & b, double tolerance);

} // namespace verdiff

#include "volume.h"

#include "text.h"

#include <cmath>

namespace verdiff
{

const char *
FormatName(VolumeFormat format)
{
  switch (format)
  {
    case VolumeFormat::Nifti:
      return "NIfTI";
    case VolumeFormat::Nrrd:
      return "NRRD";
    case VolumeFormat::MetaImage:
      return "MetaImage";
    case VolumeFormat::Png:
      return "PNG";
    case VolumeFormat::Jpeg:
      return "JPEG";
    case VolumeFormat::Dicom:
      return "DICOM";
  }
  return "";
}

std::string
SizeText(const itk::ImageBase<3> & image)
{
  const auto size = image.GetLargestPossibleRegion().GetSize();
  return Format("%ld x %ld x %ld", long(size[0]), long(size[1]), long(size[2]));
}

itk::ImageBase<3>::PointType
FirstVoxel(const itk::ImageBase<3> & image)
{
  itk::ImageBase<3>::PointType point;
  image.TransformIndexToPhysicalPoint(image.GetLargestPossibleRegion().GetIndex(), point);
  return point;
}

static std::string
Triple(double a, double b, double c)
{
  return FormatNumber(a, 8) + " " + FormatNumber(b, 8) + " " + FormatNumber(c, 8);
}

template <typename TVector>
static std::string
VectorText(const TVector & v)
{
  return Triple(v[0], v[1], v[2]);
}

static std::string
DirectionText(const itk::ImageBase<3>::DirectionType & d)
{
  return Triple(d[0][0], d[0][1], d[0][2]) + "; " + Triple(d[1][0], d[1][1], d[1][2]) + "; " +
         Triple(d[2][0], d[2][1], d[2][2]);
}

std::string
GeometryText(const itk::ImageBase<3> & image)
{
  return SizeText(image) + " voxels, spacing " + VectorText(image.GetSpacing()) + " mm, origin " +
         VectorText(FirstVoxel(image)) + ", direction " + DirectionText(image.GetDirection());
}

std::optional<std::string>
GeometryDifference(const itk::ImageBase<3> & a, const itk::ImageBase<3> & b, double tolerance)
{
  if (a.GetLargestPossibleRegion().GetSize() != b.GetLargestPossibleRegion().GetSize())
  {
    return "size " + SizeText(a) + " and " + SizeText(b);
  }
  const auto near = [tolerance](double x, double y) {
    return std::abs(x - y) <= tolerance;
  };
  for (unsigned int i = 0; i < 3; ++i)
  {
    if (!near(a.GetSpacing()[i], b.GetSpacing()[i]))
    {
      return "spacing " + VectorText(a.GetSpacing()) + " and " + VectorText(b.GetSpacing()) + " mm";
    }
    if (!near(FirstVoxel(a)[i], FirstVoxel(b)[i]))
    {
      return "origin " + VectorText(FirstVoxel(a)) + " and " + VectorText(FirstVoxel(b));
    }
    for (unsigned int j = 0; j < 3; ++j)
    {
      if (!near(a.GetDirection()[i][j], b.GetDirection()[i][j]))
      {
        return "direction " + DirectionText(a.GetDirection()) + " and " + DirectionText(b.GetDirection());
      }
    }
  }
  return std::nullopt;
}

} // namespace verdiff

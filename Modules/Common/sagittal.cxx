#include "sagittal.h"

#include "text.h"

#include <algorithm>
#include <cmath>

namespace verdiff
{
namespace
{

// Two axes whose left-right components are this close are told apart by spacing.
constexpr double tieRatio = 0.9;
// cos 30 degrees: beyond, slices are far from sagittal and the user should know.
constexpr double obliqueCosine = 0.866;

double
Component(const itk::ImageBase<3> & image, int row, int axis)
{
  return image.GetDirection()[static_cast<unsigned int>(row)][static_cast<unsigned int>(axis)];
}

int
SagittalAxis(const itk::ImageBase<3> & image, std::vector<std::string> & notes)
{
  int best = 0;
  for (int axis = 1; axis < 3; ++axis)
  {
    if (std::abs(Component(image, 0, axis)) > std::abs(Component(image, 0, best)))
    {
      best = axis;
    }
  }
  const double largest = std::abs(Component(image, 0, best));
  int          chosen = best;
  for (int axis = 0; axis < 3; ++axis)
  {
    const bool tie = axis != best && std::abs(Component(image, 0, axis)) >= tieRatio * largest;
    // Sagittal series have their largest spacing through the plane.
    if (tie && image.GetSpacing()[unsigned(axis)] > 1.01 * image.GetSpacing()[unsigned(chosen)])
    {
      chosen = axis;
    }
  }
  if (chosen != best)
  {
    notes.push_back(
      Format("two axes are equally near to left-right; axis %d is cut, its spacing is larger", chosen + 1));
  }
  const double cosine = std::abs(Component(image, 0, chosen));
  if (cosine < obliqueCosine)
  {
    notes.push_back("the slices are " + FormatNumber(std::acos(cosine) * 180.0 / M_PI, 3) +
                    " degrees off the sagittal plane; results may be worse");
  }
  return chosen;
}

} // namespace

void
SagittalFrame::Choose(const itk::ImageBase<3> & image, std::array<bool, 3> & flip)
{
  const int slice = SagittalAxis(image, m_Notes);
  const int a = (slice + 1) % 3;
  const int b = (slice + 2) % 3;
  // Rows along the axis that is more superior-inferior, judged on both axes together.
  const double aRows = std::abs(Component(image, 2, a)) + std::abs(Component(image, 1, b));
  const double bRows = std::abs(Component(image, 2, b)) + std::abs(Component(image, 1, a));
  const int    row = aRows > bRows ? a : b;
  const int    column = row == a ? b : a;
  m_Axes = { slice, row, column };
  // LPS: x grows to the left, y to the posterior, z to the superior.
  flip = { Component(image, 0, slice) < 0.0, Component(image, 2, row) > 0.0, Component(image, 1, column) < 0.0 };
}

SagittalFrame::SagittalFrame(const itk::ImageBase<3> & image, bool planar)
{
  const auto          size = image.GetLargestPossibleRegion().GetSize();
  std::array<bool, 3> flip{ false, false, false };
  const std::int64_t  strides[3] = { 1, std::int64_t(size[0]), std::int64_t(size[0] * size[1]) };
  if (planar)
  {
    // The thin axis is cut; of the other two the faster one runs along the columns.
    const int thin = size[2] == 1 ? 2 : (size[1] == 1 ? 1 : 0);
    m_Axes = { thin, thin == 2 ? 1 : 2, thin == 0 ? 1 : 0 };
  }
  else
  {
    Choose(image, flip);
  }
  for (size_t i = 0; i < 3; ++i)
  {
    const auto axis = static_cast<unsigned int>(m_Axes[i]);
    m_Size[i] = static_cast<std::int64_t>(size[axis]);
    m_Spacing[i] = image.GetSpacing()[axis];
    m_Stride[i] = flip[i] ? -strides[axis] : strides[axis];
    m_Start += flip[i] ? strides[axis] * (m_Size[i] - 1) : 0;
  }
}

bool
IsPlanar(const Volume & volume)
{
  const auto size = volume.image->GetLargestPossibleRegion().GetSize();
  if (size[0] != 1 && size[1] != 1 && size[2] != 1)
  {
    return false;
  }
  return !(volume.orientationKnown && SagittalFrame(*volume.image, false).Count() == 1);
}

} // namespace verdiff

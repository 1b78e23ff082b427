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
// Components closer than this differ by rounding: what is chosen must not hang on it.
constexpr double rounding = 1e-6;
// cos 30 degrees: beyond, slices are far from sagittal and the user should know.
constexpr double obliqueCosine = 0.866;

using Vector = std::array<double, 3>;

// Everything below speaks of sagittal slices: left, posterior, superior are components 0, 1, 2. For another plane
// the world's axes change roles: across the slices, along the columns, against the rows.
struct PlaneRoles
{
  const char * name;
  const char * across;
  unsigned int axis[3];
  double       sign[3];
};

constexpr PlaneRoles roles[3] = { { "sagittal", "left-right", { 0, 1, 2 }, { 1.0, 1.0, 1.0 } },
                                  { "axial", "inferior-superior", { 2, 0, 1 }, { 1.0, 1.0, -1.0 } },
                                  { "coronal", "anterior-posterior", { 1, 0, 2 }, { 1.0, 1.0, 1.0 } } };

struct Grid
{
  const itk::ImageBase<3> & image;
  const PlaneRoles &        role;
};

Vector
AxisOf(const Grid & grid, int axis)
{
  const auto & direction = grid.image.GetDirection();
  const auto   column = static_cast<unsigned int>(axis);
  Vector       v{};
  for (size_t i = 0; i < 3; ++i)
  {
    v[i] = grid.role.sign[i] * direction[grid.role.axis[i]][column];
  }
  return v;
}

Vector
Along(Vector v, bool flip)
{
  return flip ? Vector{ -v[0], -v[1], -v[2] } : v;
}

double
Determinant(const Vector & a, const Vector & b, const Vector & c)
{
  return a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0]);
}

// Of two axes as near to left-right, which one? Told by where they point, never by their number: an order of
// storage must not change the slices. The larger spacing first (sagittal series have it through the plane), then
// the axis whose left end lies more to the posterior, then more to the superior.
bool
WinsTie(const Grid & grid, int axis, int other)
{
  const double spacing = grid.image.GetSpacing()[unsigned(axis)];
  const double otherSpacing = grid.image.GetSpacing()[unsigned(other)];
  if (std::abs(spacing - otherSpacing) > 0.01 * std::min(spacing, otherSpacing))
  {
    return spacing > otherSpacing;
  }
  const Vector a = AxisOf(grid, axis);
  const Vector b = AxisOf(grid, other);
  if (std::abs(std::abs(a[0]) - std::abs(b[0])) > rounding)
  {
    return std::abs(a[0]) > std::abs(b[0]);
  }
  const Vector left = Along(a, a[0] < 0.0);
  const Vector otherLeft = Along(b, b[0] < 0.0);
  return std::abs(left[1] - otherLeft[1]) > rounding ? left[1] > otherLeft[1] : left[2] > otherLeft[2];
}

int
SagittalAxis(const Grid & grid, std::vector<std::string> & notes)
{
  double largest = 0.0;
  for (int axis = 0; axis < 3; ++axis)
  {
    largest = std::max(largest, std::abs(AxisOf(grid, axis)[0]));
  }
  int chosen = -1;
  int candidates = 0;
  for (int axis = 0; axis < 3; ++axis)
  {
    if (std::abs(AxisOf(grid, axis)[0]) >= tieRatio * largest)
    {
      ++candidates;
      chosen = chosen < 0 || WinsTie(grid, axis, chosen) ? axis : chosen;
    }
  }
  if (candidates > 1)
  {
    notes.push_back(
      Format("%d axes are equally near to %s; axis %d with spacing ", candidates, grid.role.across, chosen + 1) +
      FormatNumber(grid.image.GetSpacing()[unsigned(chosen)], 4) + " mm is cut");
  }
  const double cosine = std::abs(AxisOf(grid, chosen)[0]);
  if (cosine < obliqueCosine)
  {
    notes.push_back("the slices are " + FormatNumber(std::acos(cosine) * 180.0 / M_PI, 3) + " degrees off the " +
                    grid.role.name + " plane; results may be worse");
  }
  return chosen;
}

} // namespace

// Of the four ways to lay an unmirrored slice, the one whose rows run most to the inferior and whose columns most to
// the posterior. LPS: x grows to the left, y to the posterior, z to the superior.
void
SagittalFrame::Choose(const itk::ImageBase<3> & image, vdn_plane plane, std::array<bool, 3> & flip)
{
  const Grid   grid{ image, roles[plane] };
  const int    slice = SagittalAxis(grid, m_Notes);
  const Vector left = AxisOf(grid, slice);
  flip[0] = left[0] < 0.0;
  double best = -INFINITY;
  double bestLean = 0.0;
  for (int way = 0; way < 8; ++way)
  {
    const int    row = (slice + 1 + (way & 1)) % 3;
    const int    column = (slice + 2 - (way & 1)) % 3;
    const bool   rowFlip = (way & 2) != 0;
    const bool   columnFlip = (way & 4) != 0;
    const Vector inferior = Along(AxisOf(grid, row), rowFlip);
    const Vector posterior = Along(AxisOf(grid, column), columnFlip);
    if (Determinant(Along(left, flip[0]), inferior, posterior) < 0.0)
    {
      continue; // A mirror image.
    }
    const double score = posterior[1] - inferior[2];
    const double lean = inferior[1]; // Tells two ways apart that are 45 degrees off to either side.
    if (score > best + rounding || (score > best - rounding && lean > bestLean))
    {
      best = score;
      bestLean = lean;
      m_Axes = { slice, row, column };
      flip[1] = rowFlip;
      flip[2] = columnFlip;
    }
  }
}

SagittalFrame::SagittalFrame(const itk::ImageBase<3> & image, bool planar, vdn_plane plane)
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
    Choose(image, plane, flip);
  }
  m_Reversed = flip[0];
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
IsPlanar(const Volume & volume, vdn_plane plane)
{
  const auto size = volume.image->GetLargestPossibleRegion().GetSize();
  if (size[0] != 1 && size[1] != 1 && size[2] != 1)
  {
    return false;
  }
  return !(volume.orientationKnown && SagittalFrame(*volume.image, false, plane).Count() == 1);
}

const char *
PlaneName(vdn_plane plane)
{
  return roles[plane].name;
}

} // namespace verdiff

#include "layout_writer.h"

#include <array>
#include <cmath>
#include <limits>
#include <map>

namespace verdiff
{
namespace
{

using Point = std::array<double, 3>;

struct Centre
{
  int   number = 0;
  Point at{};
};

Point
PlaceOf(const Phantom & phantom, size_t voxel)
{
  const auto   width = static_cast<size_t>(phantom.size[0]);
  const auto   height = static_cast<size_t>(phantom.size[1]);
  const double index[3] = { double(voxel % width), double(voxel / width % height), double(voxel / width / height) };
  Point        place{};
  for (size_t row = 0; row < 3; ++row)
  {
    place[row] = phantom.origin[row];
    for (size_t a = 0; a < 3; ++a)
    {
      place[row] += phantom.direction[3 * row + a] * phantom.spacing[a] * index[a];
    }
  }
  return place;
}

// Of vertebrae and sacrum, from the head down.
std::vector<Centre>
Centres(const Phantom & phantom)
{
  struct Sum
  {
    Point  place{};
    double count = 0.0;
  };
  std::map<int, Sum> sums;
  for (size_t i = 0; i < phantom.numbers.size(); ++i)
  {
    const int number = phantom.numbers[i];
    if (number == 0 || number > PhantomSacrumNumber)
    {
      continue;
    }
    const Point place = PlaceOf(phantom, i);
    Sum &       sum = sums[number];
    for (size_t k = 0; k < 3; ++k)
    {
      sum.place[k] += place[k];
    }
    sum.count += 1.0;
  }
  std::vector<Centre> centres;
  for (const auto & [number, sum] : sums)
  {
    centres.push_back({ number, { sum.place[0] / sum.count, sum.place[1] / sum.count, sum.place[2] / sum.count } });
  }
  return centres;
}

double
Distance(const Point & a, const Point & b)
{
  return std::sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) + (a[2] - b[2]) * (a[2] - b[2]));
}

// The vertebra above @p place: that of the pair whose centres are nearest together, or one beyond the ends.
int
LevelAt(const std::vector<Centre> & centres, const Point & place)
{
  double best = std::numeric_limits<double>::infinity();
  size_t pair = 0;
  for (size_t i = 0; i + 1 < centres.size(); ++i)
  {
    const double sum = Distance(centres[i].at, place) + Distance(centres[i + 1].at, place);
    if (sum < best)
    {
      best = sum;
      pair = i;
    }
  }
  // LPS: the third coordinate grows to the head.
  if (pair == 0 && place[2] > centres[0].at[2])
  {
    return centres[0].number - 1;
  }
  const bool below = pair + 2 == centres.size() && place[2] < centres[pair + 1].at[2];
  return below && centres[pair + 1].number < PhantomSacrumNumber ? centres[pair + 1].number : centres[pair].number;
}

} // namespace

std::vector<uint8_t>
DiscLevels(const Phantom & phantom)
{
  std::vector<uint8_t>      levels(phantom.labels.size(), 0);
  const std::vector<Centre> centres = Centres(phantom);
  for (size_t i = 0; centres.size() > 1 && i < levels.size(); ++i)
  {
    if (phantom.labels[i] == PhantomDisc)
    {
      levels[i] = static_cast<uint8_t>(LevelAt(centres, PlaceOf(phantom, i)));
    }
  }
  return levels;
}

} // namespace verdiff

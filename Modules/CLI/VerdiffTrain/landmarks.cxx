#include "landmarks.h"

#include "text.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace verdiff
{
namespace
{

constexpr double largestOverlap = 0.2; // of the smaller of two neighbours
constexpr double largestStep = 1.7;    // between two levels, in units of the steps beside it

struct Point
{
  double x = 0.0, y = 0.0;
};

using Quad = std::array<Point, 4>; // going round

std::string
LevelName(size_t k)
{
  return k < 12 ? Format("T%zu", k + 1) : Format("L%zu", k - 11);
}

// Twice the signed area of a, b, c.
double
Cross(const Point & a, const Point & b, const Point & c)
{
  return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
}

Point
Centre(const Quad & q)
{
  return { (q[0].x + q[1].x + q[2].x + q[3].x) / 4.0, (q[0].y + q[1].y + q[2].y + q[3].y) / 4.0 };
}

double
AreaOf(const std::vector<Point> & polygon)
{
  double twice = 0.0;
  for (size_t i = 0; i < polygon.size(); ++i)
  {
    const Point & a = polygon[i];
    const Point & b = polygon[(i + 1) % polygon.size()];
    twice += a.x * b.y - a.y * b.x;
  }
  return std::abs(twice) / 2.0;
}

bool
IsConvex(const Quad & q)
{
  int turns = 0;
  for (size_t i = 0; i < 4; ++i)
  {
    const double cross = Cross(q[i], q[(i + 1) % 4], q[(i + 2) % 4]);
    turns += cross > 0.0 ? 1 : (cross < 0.0 ? -1 : 0);
  }
  return turns == 4 || turns == -4;
}

// By angle about the centre: what belongs to one convex shape is then in order, whatever the order was.
Quad
Sorted(Quad q)
{
  const Point centre = Centre(q);
  std::sort(q.begin(), q.end(), [&](const Point & a, const Point & b) {
    return std::atan2(a.y - centre.y, a.x - centre.x) < std::atan2(b.y - centre.y, b.x - centre.x);
  });
  return q;
}

// Area that two convex shapes share: one cut by every edge of the other.
double
SharedArea(const Quad & a, const Quad & b)
{
  std::vector<Point> shape(a.begin(), a.end());
  const double       side = Cross(b[0], b[1], b[2]);
  for (size_t i = 0; i < 4 && !shape.empty(); ++i)
  {
    const Point &      from = b[i];
    const Point &      to = b[(i + 1) % 4];
    std::vector<Point> kept;
    for (size_t k = 0; k < shape.size(); ++k)
    {
      const Point & p = shape[k];
      const Point & q = shape[(k + 1) % shape.size()];
      const double  dp = Cross(from, to, p) * side;
      const double  dq = Cross(from, to, q) * side;
      if (dp >= 0.0)
      {
        kept.push_back(p);
      }
      if ((dp < 0.0) != (dq < 0.0))
      {
        const double t = dp / (dp - dq);
        kept.push_back({ p.x + t * (q.x - p.x), p.y + t * (q.y - p.y) });
      }
    }
    shape = kept;
  }
  return shape.size() < 3 ? 0.0 : AreaOf(shape);
}

bool
Descends(const std::vector<Quad> & quads)
{
  return std::is_sorted(
    quads.begin(), quads.end(), [](const Quad & a, const Quad & b) { return Centre(a).y < Centre(b).y; });
}

// One vertebra at the wrong end of the list is a known fault; every other disorder is left alone.
void
RepairRoll(std::vector<Quad> & quads, Landmarks & result)
{
  if (Descends(quads))
  {
    return;
  }
  for (const bool first : { true, false })
  {
    std::vector<Quad> rolled = quads;
    std::rotate(rolled.begin(), first ? rolled.begin() + 1 : rolled.end() - 1, rolled.end());
    if (Descends(rolled))
    {
      quads = rolled;
      result.repaired.push_back(first ? "the first four corners belong to L5, the list was rolled by one vertebra"
                                      : "the last four corners belong to T1, the list was rolled by one vertebra");
      return;
    }
  }
  for (size_t k = 1; k < quads.size(); ++k)
  {
    if (Centre(quads[k]).y <= Centre(quads[k - 1]).y)
    {
      result.faults.push_back(LevelName(k) + " lies above " + LevelName(k - 1));
      return;
    }
  }
}

void
CheckShapes(std::vector<Quad> & quads, Landmarks & result)
{
  for (size_t k = 0; k < quads.size(); ++k)
  {
    if (IsConvex(quads[k]))
    {
      continue;
    }
    quads[k] = Sorted(quads[k]);
    if (IsConvex(quads[k]))
    {
      result.repaired.push_back("corners of vertebra " + std::to_string(k + 1) + " of the row were swapped");
    }
    else
    {
      result.faults.push_back("the corners of vertebra " + std::to_string(k + 1) + " of the row are no convex shape");
    }
  }
}

void
CheckNeighbours(const std::vector<Quad> & quads, Landmarks & result)
{
  for (size_t k = 1; k < quads.size(); ++k)
  {
    const std::vector<Point> a(quads[k - 1].begin(), quads[k - 1].end());
    const std::vector<Point> b(quads[k].begin(), quads[k].end());
    const double             part = SharedArea(quads[k - 1], quads[k]) / std::min(AreaOf(a), AreaOf(b));
    if (!(part <= largestOverlap))
    {
      result.faults.push_back(Format("%s and %s overlap by %.0f %% of the smaller, at most %.0f %% is plausible",
                                     LevelName(k - 1).c_str(),
                                     LevelName(k).c_str(),
                                     100.0 * part,
                                     100.0 * largestOverlap));
    }
  }
}

void
CheckSteps(const std::vector<Quad> & quads, Landmarks & result)
{
  std::vector<double> step;
  for (size_t k = 1; k < quads.size(); ++k)
  {
    step.push_back(Centre(quads[k]).y - Centre(quads[k - 1]).y);
  }
  for (size_t k = 0; k < step.size(); ++k)
  {
    const double before = k > 0 ? step[k - 1] : step[k + 1];
    const double after = k + 1 < step.size() ? step[k + 1] : step[k - 1];
    if (step[k] > largestStep * 0.5 * (before + after))
    {
      result.faults.push_back(Format("%s and %s are %.1f times as far apart as the levels beside them: one is missing",
                                     LevelName(k).c_str(),
                                     LevelName(k + 1).c_str(),
                                     2.0 * step[k] / (before + after)));
    }
  }
}

} // namespace

Landmarks
CheckLandmarks(const std::vector<double> & values)
{
  Landmarks result;
  if (values.size() != 2 * landmarkCount)
  {
    result.faults.push_back(Format("%zu numbers, must be %zu", values.size(), 2 * landmarkCount));
    return result;
  }
  const auto outside = std::find_if(values.begin(), values.end(), [](double v) { return !(v >= 0.0 && v <= 1.0); });
  if (outside != values.end())
  {
    result.faults.push_back("number " + std::to_string(outside - values.begin() + 1) + " is " + FormatNumber(*outside) +
                            ", must lie in 0 to 1");
    return result;
  }
  std::vector<Quad> quads(landmarkVertebrae);
  for (size_t k = 0; k < landmarkVertebrae; ++k)
  {
    constexpr size_t round[4] = { 0, 1, 3, 2 }; // top left, top right, bottom right, bottom left
    for (size_t i = 0; i < 4; ++i)
    {
      quads[k][i] = { values[4 * k + round[i]], values[landmarkCount + 4 * k + round[i]] };
    }
  }
  CheckShapes(quads, result);
  RepairRoll(quads, result);
  if (result.faults.empty())
  {
    CheckNeighbours(quads, result);
    CheckSteps(quads, result);
  }
  for (const Quad & quad : quads)
  {
    for (const Point & p : quad)
    {
      result.corners.push_back(p.x);
      result.corners.push_back(p.y);
    }
  }
  return result;
}

void
FillQuadrilaterals(std::uint16_t * labels, std::int64_t width, std::int64_t height, const std::vector<double> & corners)
{
  for (size_t k = 0; 8 * k + 7 < corners.size(); ++k)
  {
    Quad   q;
    double top = double(height), bottom = 0.0;
    for (size_t i = 0; i < 4; ++i)
    {
      q[i] = { corners[8 * k + 2 * i] * double(width), corners[8 * k + 2 * i + 1] * double(height) };
      top = std::min(top, q[i].y);
      bottom = std::max(bottom, q[i].y);
    }
    const auto   firstRow = std::max<std::int64_t>(0, std::int64_t(top));
    const auto   lastRow = std::min<std::int64_t>(height - 1, std::int64_t(bottom));
    const double side = Cross(q[0], q[1], q[2]) < 0.0 ? -1.0 : 1.0;
    for (std::int64_t row = firstRow; row <= lastRow; ++row)
    {
      for (std::int64_t column = 0; column < width; ++column)
      {
        const Point p{ double(column) + 0.5, double(row) + 0.5 };
        bool        inside = true;
        for (size_t i = 0; inside && i < 4; ++i)
        {
          inside = side * Cross(q[i], q[(i + 1) % 4], p) >= 0.0;
        }
        if (inside)
        {
          labels[row * width + column] = static_cast<std::uint16_t>(k + 1);
        }
      }
    }
  }
}

} // namespace verdiff

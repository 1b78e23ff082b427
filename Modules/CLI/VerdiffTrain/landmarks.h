// Corners of vertebrae on a radiograph, as AASCE / BoostNet give them: checked, put in order, filled.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace verdiff
{

constexpr size_t landmarkVertebrae = 17; // T1 to L5
constexpr size_t landmarkCount = 4 * landmarkVertebrae;

struct Landmarks
{
  /// x, y of four corners of each vertebra, going round it, in parts of width and height.
  std::vector<double>      corners;
  std::vector<std::string> repaired; // what was put right
  std::vector<std::string> faults;   // what cannot be
};

/// @param values  68 x, then 68 y, in parts of width and height; per vertebra top left, top right, bottom left, bottom
///                right, from T1 down.
Landmarks
CheckLandmarks(const std::vector<double> & values);

/// Label k + 1 in every pixel whose centre lies in quadrilateral k of @p corners; later ones win.
void
FillQuadrilaterals(std::uint16_t *             labels,
                   std::int64_t                width,
                   std::int64_t                height,
                   const std::vector<double> & corners);

} // namespace verdiff

// Scores of one case and over cases.
#pragma once

#include "core.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace verdiff
{

struct CaseScores
{
  std::string              name;
  std::string              reference;
  std::string              prediction;
  bool                     millimetres = true; // false: distances are in pixels
  std::map<int, vdn_score> labels;             // that occur in either
};

/// Compare two label files on the same grid (1e-4 mm).
/// @param only          labels to score; empty: all that occur
/// @param pixelSpacing  mm of files that record none; 0: distances in pixels
/// @throw Failure (Input).
CaseScores
ScoreCase(vdn_ctx *             ctx,
          const std::string &   reference,
          const std::string &   prediction,
          const std::set<int> & only,
          double                pixelSpacing);

/// Mean and sample standard deviation (n - 1) of the numbers that are not NaN.
struct Summary
{
  size_t count = 0;
  double mean = 0.0;      // NaN when count is 0
  double deviation = 0.0; // NaN when count is below 2
};

Summary
Summarise(const std::vector<double> & values);

/// What is scored, in the order of tables: "dice", "iou", "hd95", "mean_distance".
constexpr int measureCount = 4;
const char *
MeasureName(int measure);
double
Measure(const vdn_score & score, int measure);

} // namespace verdiff

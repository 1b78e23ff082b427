// The data set doctor: every file of a data set read and checked before anything is learned from it.
#pragma once

#include "dataset.h"

#include "core.h"

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace verdiff
{

/// What was found out about one case that could be read.
struct CaseFacts
{
  std::string                 id;
  std::array<std::int64_t, 3> size{};    // slices, rows, columns in the plane that is cut
  std::array<double, 2>       spacing{}; // row and column, mm; 0 when unknown
  std::string                 type;      // of voxels as stored
  std::map<int, std::int64_t> voxels;    // of each label value
};

struct Checkup
{
  std::vector<CaseFacts> cases;
  Findings               findings; // by case, those about several cases last
};

struct CheckSettings
{
  vdn_plane plane = VDN_PLANE_SAGITTAL;
  double    pixelSpacing = 0.0; // mm of images that record none; 0: unknown
};

/// Read every case of @p dataset. @p from and @p to are the part of the progress.
/// @throw Failure (Interrupted), (Memory): faults of the data are findings.
Checkup
CheckDataset(const Dataset & dataset, const CheckSettings & settings, Progress & progress, double from, double to);

std::int64_t
CountOf(const Findings & findings, Severity severity);

/// Cases that have a fault.
std::set<std::string>
FaultyCases(const Findings & findings);

/// "fault", "warning" or "repaired".
const char *
SeverityName(Severity severity);

/// Lines for the user: layout, labels, every finding with its remedy, a summary.
std::vector<std::string>
CheckupText(const Dataset & dataset, const Checkup & checkup);

/// The same as JSON: Resources/Docs/datasets.md.
std::string
CheckupJson(const std::vector<Dataset> & datasets, const std::vector<Checkup> & checkups);

/// The middle of the pixel sizes (of rows and columns, by their geometric mean) of all cases; 0 when none is known.
/// @param range  the smallest and the largest
double
MedianSpacing(const std::vector<Checkup> & checkups, std::array<double, 2> & range);

} // namespace verdiff

// One numbering for every source of labels: VerSe's, with Resources/Labels/sources.csv as the table of maps.
//   1-7 C1-C7, 8-19 T1-T12, 20-25 L1-L6, 26 sacrum, 27 coccyx, 28 T13, 29 S1
//   30 a vertebra of unknown level, 31 a vertebral body of unknown level, 41-48 its processes
//   60 spinal cord, 61 spinal canal, 62 endplate, 63 the area between canal and arch
//   100 a disc of unknown level, 100 + v the disc below vertebra v
#pragma once

#include <string>
#include <vector>

namespace verdiff
{

struct SourceLabel
{
  int         value = 0; // in the files of the source
  int         canonical = 0;
  std::string name;
};

/// Rows of @p source ("verse", "spider", ...); empty for a source that the table does not have.
const std::vector<SourceLabel> &
SourceLabels(const std::string & source);

/// Canonical number of a label called @p name ("L4", "vertebrae_T12", "disc L4-L5", "spinal canal"); 0 for a name that
/// is no structure of the spine.
int
CanonicalOfName(const std::string & name);

/// "L4", "L4-L5 disc", "sacrum", ...
std::string
CanonicalName(int canonical);

enum class Structure
{
  Other,
  Vertebra,
  Disc,
  Canal,
  Sacrum
};

Structure
StructureOf(int canonical);

/// True for a vertebra whose level is known.
bool
IsLevel(int canonical);

/// Place of a level from the head down, 0 for C1; T13 lies between T12 and L1, the sacrum and S1 come last.
int
LevelOrder(int canonical);

} // namespace verdiff

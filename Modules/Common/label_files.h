// The table of labels in the forms that other programs read. Resources/Labels holds them.
#pragma once

#include <string>
#include <vector>

namespace verdiff
{

struct LabelFile
{
  std::string name;
  std::string bytes;
};

/// Slicer's colour table with codes (.csv), its older one without (.ctbl), and the codes as a terminology
/// context (.term.json, schema segment-context of dcmqi).
std::vector<LabelFile>
MakeLabelFiles();

} // namespace verdiff

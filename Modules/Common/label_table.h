// Names, colours and codes of spine structures: Resources/Labels/labels.csv, embedded at build time.
#pragma once

#include <array>
#include <string>
#include <vector>

namespace verdiff
{

struct Code
{
  std::string scheme;
  std::string value;
  std::string meaning;
};

struct LabelEntry
{
  int                      value = 0; // in the table; files use the values of their model
  std::string              name;
  std::array<double, 3>    color{}; // 0..1
  Code                     category;
  Code                     type;
  Code                     region; // empty when the type says it all
  std::vector<std::string> aliases;
};

const std::vector<LabelEntry> &
LabelTable();

/// The entry whose name or alias is @p name, whatever its case and punctuation ("L4_vertebra", "disc").
/// An unknown name keeps that name, gets a colour of its own by @p label, and the code for tissue, which
/// is what Slicer gives to a segment that it knows nothing about.
LabelEntry
LabelEntryFor(const std::string & name, int label);

/// Slicer's tag: "TerminologyEntry:Segmentation category and type - DICOM master list~SCT^...".
std::string
TerminologyTag(const LabelEntry & entry);

} // namespace verdiff

#include "label_table.h"

#include "text.h"

#include "labels_table.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>

namespace verdiff
{
namespace
{

std::string
Plain(const std::string & name)
{
  std::string plain;
  for (const char c : LowerCase(name))
  {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
    {
      plain += c;
    }
  }
  return plain;
}

std::vector<LabelEntry>
ReadTable(const std::string & csv)
{
  std::vector<LabelEntry>       entries;
  std::map<std::string, size_t> column;
  for (const std::string & line : Split(csv, '\n'))
  {
    const auto cells = Split(Trim(line), ',');
    if (cells.size() < 2)
    {
      continue;
    }
    if (column.empty())
    {
      for (size_t i = 0; i < cells.size(); ++i)
      {
        column[cells[i]] = i;
      }
      continue;
    }
    const auto cell = [&](const std::string & name) {
      return cells.at(column.at(name));
    };
    const auto code = [&](const std::string & name) {
      return Code{ cell(name + "_CodingScheme"), cell(name + "_CodeValue"), cell(name + "_CodeMeaning") };
    };
    const auto component = [&](const char * name) {
      return double(ParseInteger(cell(name)).value_or(128)) / 255.0;
    };
    LabelEntry entry;
    entry.value = static_cast<int>(ParseInteger(cell("LabelValue")).value_or(0));
    entry.name = cell("Name");
    entry.color = { component("Color_R"), component("Color_G"), component("Color_B") };
    entry.category = code("Category");
    entry.type = code("Type");
    entry.region = code("Region");
    entry.aliases = Split(cell("Aliases"), '|');
    entries.push_back(entry);
  }
  return entries;
}

// Well separated hues: steps of the golden angle.
std::array<double, 3>
ColorOf(int label)
{
  const double          hue = std::fmod(label * 0.381966, 1.0) * 6.0;
  std::array<double, 3> color{};
  const double          offsets[3] = { 5.0, 3.0, 1.0 };
  for (size_t i = 0; i < 3; ++i)
  {
    const double k = std::fmod(offsets[i] + hue, 6.0);
    color[i] = 0.9 - 0.9 * 0.6 * std::clamp(std::min(k, 4.0 - k), 0.0, 1.0);
  }
  return color;
}

} // namespace

const std::vector<LabelEntry> &
LabelTable()
{
  static const std::vector<LabelEntry> table = ReadTable(reinterpret_cast<const char *>(kLabelsTable));
  return table;
}

LabelEntry
LabelEntryFor(const std::string & name, int label)
{
  const std::string wanted = Plain(name);
  for (const LabelEntry & entry : LabelTable())
  {
    const bool alias = std::any_of(entry.aliases.begin(), entry.aliases.end(), [&](const std::string & a) {
      return !a.empty() && Plain(a) == wanted;
    });
    if (Plain(entry.name) == wanted || alias)
    {
      return entry;
    }
  }
  LabelEntry unknown;
  unknown.name = name;
  unknown.color = ColorOf(label);
  unknown.category = { "SCT", "85756007", "Tissue" };
  unknown.type = unknown.category;
  return unknown;
}

std::string
TerminologyTag(const LabelEntry & entry)
{
  const auto text = [](const Code & code) {
    return code.scheme + "^" + code.value + "^" + code.meaning;
  };
  return "TerminologyEntry:Segmentation category and type - DICOM master list~" + text(entry.category) + "~" +
         text(entry.type) + "~^^~Anatomic codes - DICOM master list~" + text(entry.region) + "~^^";
}

} // namespace verdiff

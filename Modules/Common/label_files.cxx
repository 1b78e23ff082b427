#include "label_files.h"

#include "label_table.h"
#include "text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>

namespace verdiff
{
namespace
{

using Json = nlohmann::ordered_json;

constexpr const char * contextName = "Verdiff spine structures";

std::array<int, 3>
Bytes(const LabelEntry & entry)
{
  std::array<int, 3> bytes{};
  std::transform(
    entry.color.begin(), entry.color.end(), bytes.begin(), [](double c) { return int(std::lround(255.0 * c)); });
  return bytes;
}

std::string
CodeCells(const Code & code)
{
  return "," + code.scheme + "," + code.value + "," + code.meaning;
}

std::string
ColorCells(const LabelEntry & entry, char separator)
{
  const auto  bytes = Bytes(entry);
  std::string cells;
  for (const int byte : bytes)
  {
    cells += separator + std::to_string(byte);
  }
  return cells + separator + "255";
}

std::string
ColorTable()
{
  std::string text = "LabelValue,Name,Color_R,Color_G,Color_B,Color_A";
  for (const char * part : { "Category", "Type", "TypeModifier", "Region", "RegionModifier" })
  {
    text += Format(",%s_CodingScheme,%s_CodeValue,%s_CodeMeaning", part, part, part);
  }
  text += "\n";
  for (const LabelEntry & entry : LabelTable())
  {
    text += std::to_string(entry.value) + "," + entry.name + ColorCells(entry, ',') + CodeCells(entry.category) +
            CodeCells(entry.type) + CodeCells({}) + CodeCells(entry.region) + CodeCells({}) + "\n";
  }
  return text;
}

// Names end at the first blank there, so Slicer reads underscores as blanks.
std::string
PlainColorTable()
{
  std::string text = "# Color table file\n# label name red green blue opacity\n0 Background 0 0 0 0\n";
  for (const LabelEntry & entry : LabelTable())
  {
    std::string name = entry.name;
    std::replace(name.begin(), name.end(), ' ', '_');
    text += std::to_string(entry.value) + " " + name + ColorCells(entry, ' ') + "\n";
  }
  return text;
}

Json
CodeJson(const Code & code)
{
  Json json;
  json["CodingSchemeDesignator"] = code.scheme;
  json["CodeValue"] = code.value;
  json["CodeMeaning"] = code.meaning;
  return json;
}

// Each code once: levels that share one differ by their region, which is chosen in another list. The
// entry that is named like its code gives the colour.
std::string
Terminology()
{
  Json categories = Json::array();
  for (const LabelEntry & entry : LabelTable())
  {
    const auto holds = [](const Code & code) {
      return [&code](const Json & json) {
        return json["CodeValue"] == code.value && json["CodingSchemeDesignator"] == code.scheme;
      };
    };
    auto category = std::find_if(categories.begin(), categories.end(), holds(entry.category));
    if (category == categories.end())
    {
      Json json = CodeJson(entry.category);
      json["showAnatomy"] = true;
      json["Type"] = Json::array();
      categories.push_back(json);
      category = categories.end() - 1;
    }
    Json & types = (*category)["Type"];
    auto   type = std::find_if(types.begin(), types.end(), holds(entry.type));
    if (type == types.end())
    {
      types.push_back(CodeJson(entry.type));
      type = types.end() - 1;
    }
    if (!type->contains("recommendedDisplayRGBValue") || entry.name == entry.type.meaning)
    {
      (*type)["recommendedDisplayRGBValue"] = Bytes(entry);
      (*type)["3dSlicerLabel"] = entry.type.meaning;
    }
  }
  Json json;
  json["SegmentationCategoryTypeContextName"] = contextName;
  json["@schema"] = "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/schemas/segment-context-schema.json#";
  json["SegmentationCodes"]["Category"] = categories;
  return json.dump(2) + "\n";
}

} // namespace

std::vector<LabelFile>
MakeLabelFiles()
{
  return { { "verdiff-spine.csv", ColorTable() },
           { "verdiff-spine.ctbl", PlainColorTable() },
           { "verdiff-spine.term.json", Terminology() } };
}

} // namespace verdiff

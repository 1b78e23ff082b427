// The table of labels: complete, without contradictions, and the same in every form that is shipped.
#include "support.h"

#include "label_files.h"
#include "label_table.h"
#include "text.h"
#include "volume_writer.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <map>
#include <set>

using namespace verdiff;
using namespace verdiff_test;

namespace
{

std::string
FileNamed(const std::string & name)
{
  for (const LabelFile & file : MakeLabelFiles())
  {
    if (file.name == name)
    {
      return file.bytes;
    }
  }
  return "";
}

std::vector<std::vector<std::string>>
Rows(const std::string & text, char separator)
{
  std::vector<std::vector<std::string>> rows;
  for (const std::string & line : Split(text, '\n'))
  {
    if (!line.empty() && line[0] != '#')
    {
      rows.push_back(Split(line, separator));
    }
  }
  return rows;
}

} // namespace

TEST(Labels, FilesAreMadeFromTheTable)
{
  const std::string folder = std::string(VERDIFF_SOURCE_DIR) + "/Resources/Labels/";
  ASSERT_EQ(MakeLabelFiles().size(), 3U);
  for (const LabelFile & file : MakeLabelFiles())
  {
    EXPECT_EQ(ReadFile(folder + file.name), file.bytes)
      << "labels.csv has changed: cmake --build <build> --target labels";
  }
}

TEST(Labels, TableCoversTheSpine)
{
  std::vector<std::string> wanted = { "Sacrum", "Coccyx", "T13",   "S1",         "Vertebra",   "body",  "disc",
                                      "cord",   "canal",  "Spine", "L5-S1 disc", "C2-C3 disc", "discs", "vertebrae" };
  for (const auto & [letter, count] : std::map<char, int>{ { 'C', 7 }, { 'T', 12 }, { 'L', 6 } })
  {
    for (int i = 1; i <= count; ++i)
    {
      wanted.push_back(letter + std::to_string(i));
    }
  }
  for (const std::string & name : wanted)
  {
    const LabelEntry entry = LabelEntryFor(name, 1);
    EXPECT_GT(entry.value, 0) << name;
    EXPECT_EQ(entry.category.value, "123037004") << name;
    EXPECT_EQ(entry.type.scheme, "SCT") << name;
  }
}

// VerSe (Sekuboyina et al. 2021): 1-7 C1-C7, 8-19 T1-T12, 20-25 L1-L6, 26 sacrum, 27 coccyx, 28 T13.
TEST(Labels, ValuesAreThoseOfVerSe)
{
  const std::map<std::string, int> wanted = { { "C1", 1 },      { "C7", 7 },      { "T1", 8 },
                                              { "T12", 19 },    { "L1", 20 },     { "L6", 25 },
                                              { "Sacrum", 26 }, { "Coccyx", 27 }, { "T13", 28 } };
  for (const auto & [name, value] : wanted)
  {
    EXPECT_EQ(LabelEntryFor(name, 1).value, value) << name;
  }
}

TEST(Labels, ValuesNamesColoursAndAliasesDiffer)
{
  std::set<int>                   values;
  std::set<std::string>           names;
  std::set<std::array<double, 3>> colors;
  for (const LabelEntry & entry : LabelTable())
  {
    EXPECT_TRUE(values.insert(entry.value).second) << entry.name;
    EXPECT_TRUE(names.insert(LowerCase(entry.name)).second) << entry.name;
    if (entry.type.value != "360499006") // shades of one hue for the discs
    {
      EXPECT_TRUE(colors.insert(entry.color).second) << entry.name;
    }
    for (const std::string & alias : entry.aliases)
    {
      EXPECT_EQ(LabelEntryFor(alias.empty() ? entry.name : alias, 1).value, entry.value) << alias;
    }
  }
  EXPECT_EQ(*values.begin(), 1);
  EXPECT_EQ(*values.rbegin(), static_cast<int>(values.size())); // no gaps
}

// Slicer's reader: columns by name, colours 0 .. 255.
TEST(Labels, ColourTableHasSlicersColumns)
{
  const auto rows = Rows(FileNamed("verdiff-spine.csv"), ',');
  ASSERT_EQ(rows.size(), LabelTable().size() + 1);
  std::map<std::string, size_t> column;
  for (size_t i = 0; i < rows[0].size(); ++i)
  {
    column[rows[0][i]] = i;
  }
  for (const char * part : { "Category", "Type", "TypeModifier", "Region", "RegionModifier" })
  {
    for (const char * what : { "CodingScheme", "CodeValue", "CodeMeaning" })
    {
      EXPECT_EQ(column.count(Format("%s_%s", part, what)), 1U);
    }
  }
  for (size_t i = 0; i < LabelTable().size(); ++i)
  {
    const LabelEntry & entry = LabelTable()[i];
    const auto &       row = rows[i + 1];
    ASSERT_EQ(row.size(), rows[0].size()) << entry.name;
    EXPECT_EQ(row[column["LabelValue"]], std::to_string(entry.value));
    EXPECT_EQ(row[column["Name"]], entry.name);
    EXPECT_NEAR(ParseDouble(row[column["Color_G"]]).value_or(-1) / 255, entry.color[1], 1e-12);
    EXPECT_EQ(row[column["Color_A"]], "255");
    EXPECT_EQ(row[column["Type_CodeValue"]], entry.type.value);
    EXPECT_EQ(row[column["Region_CodeMeaning"]], entry.region.meaning);
    EXPECT_EQ(row[column["TypeModifier_CodeValue"]], "");
  }
}

TEST(Labels, PlainColourTableHasOneWordNames)
{
  const auto rows = Rows(FileNamed("verdiff-spine.ctbl"), ' ');
  ASSERT_EQ(rows.size(), LabelTable().size() + 1); // and the background
  EXPECT_EQ(rows[23], (std::vector<std::string>{ "23", "L4_vertebra", "97", "242", "158", "255" }));
  for (const auto & row : rows)
  {
    EXPECT_EQ(row.size(), 6U);
  }
}

TEST(Labels, TerminologyHoldsEveryCodeOnce)
{
  const auto json = nlohmann::json::parse(FileNamed("verdiff-spine.term.json"));
  EXPECT_NE(json.at("@schema").get<std::string>().find("segment-context-schema.json"), std::string::npos);
  EXPECT_FALSE(json.at("SegmentationCategoryTypeContextName").get<std::string>().empty());
  const auto & categories = json.at("SegmentationCodes").at("Category");
  ASSERT_EQ(categories.size(), 1U);
  EXPECT_EQ(categories[0].at("CodeValue"), "123037004");
  std::map<std::string, nlohmann::json> types;
  for (const auto & type : categories[0].at("Type"))
  {
    EXPECT_TRUE(types.emplace(type.at("CodeValue"), type).second) << type;
    EXPECT_EQ(type.at("recommendedDisplayRGBValue").size(), 3U);
  }
  for (const LabelEntry & entry : LabelTable())
  {
    ASSERT_EQ(types.count(entry.type.value), 1U) << entry.name;
    EXPECT_EQ(types[entry.type.value].at("CodeMeaning"), entry.type.meaning);
  }
  EXPECT_EQ(types["51282000"].at("recommendedDisplayRGBValue"), nlohmann::json({ 241, 214, 145 })); // not L6's
}

// 7 parts: context, category, type, its modifier, context of regions, region, its modifier.
TEST(Labels, TagsHaveSevenParts)
{
  for (const char * name : { "L4", "L4-L5 disc", "something else" })
  {
    const std::string tag = TerminologyTag(LabelEntryFor(name, 5));
    EXPECT_EQ(tag.compare(0, 17, "TerminologyEntry:"), 0);
    const auto parts = Split(tag, '~');
    ASSERT_EQ(parts.size(), 7U) << name;
    for (const size_t code : { 1, 2, 3, 5, 6 })
    {
      EXPECT_EQ(Split(parts[code], '^').size(), 3U) << tag;
    }
    EXPECT_EQ(tag.find('|'), std::string::npos);
  }
}

// The header as text, since what Slicer finds there decides whether a file is a segmentation.
TEST(Labels, NrrdHeaderHasEveryKeyThatSlicerReads)
{
  const TempFolder folder;
  Volume           reference;
  reference.image = MakeImage({ 5, 4, 3 }, { 1, 2, 3 }, { 0, 0, 0 }, identity, [](const auto &) { return 0.0F; });
  const auto labels = LabelImage::New();
  labels->CopyInformation(reference.image);
  labels->SetRegions(reference.image->GetLargestPossibleRegion());
  labels->Allocate(true);
  for (const char * name : { "a.nrrd", "a.seg.nrrd" })
  {
    OutputFile file(folder / name);
    WriteLabels(file, *labels, reference, { { 23, "L4" }, { 57, "L4-L5 disc" } });
    const std::string bytes = ReadFile(folder / name);
    const std::string header = bytes.substr(0, bytes.find("\n\n") + 1);
    const auto        has = [&header](const std::string & key, const std::string & value) {
      return header.find("\n" + key + ":=" + value + "\n") != std::string::npos;
    };
    for (const auto & [index, label] : std::map<int, int>{ { 0, 23 }, { 1, 57 } })
    {
      const LabelEntry  entry = LabelTable()[static_cast<size_t>(label - 1)];
      const std::string prefix = Format("Segment%d_", index);
      EXPECT_TRUE(has(prefix + "ID", Format("Segment_%d", label)));
      EXPECT_TRUE(has(prefix + "Name", entry.name));
      EXPECT_TRUE(has(prefix + "NameAutoGenerated", "0"));
      EXPECT_TRUE(has(prefix + "ColorAutoGenerated", "0"));
      EXPECT_TRUE(has(prefix + "LabelValue", std::to_string(label)));
      EXPECT_TRUE(has(prefix + "Layer", "0"));
      EXPECT_TRUE(has(prefix + "Extent", "0 4 0 3 0 2"));
      EXPECT_TRUE(has(prefix + "Tags", TerminologyTag(entry) + "|"));
      const size_t color = header.find(prefix + "Color:=");
      ASSERT_NE(color, std::string::npos);
      const auto components =
        Split(header.substr(color, header.find('\n', color) - color).substr(prefix.size() + 7), ' ');
      ASSERT_EQ(components.size(), 3U);
      for (size_t i = 0; i < 3; ++i)
      {
        EXPECT_NEAR(ParseDouble(components[i]).value_or(-1), entry.color[i], 1e-5);
      }
    }
    EXPECT_EQ(header.find("Segment2_"), std::string::npos);
    EXPECT_TRUE(has("Segmentation_MasterRepresentation", "Binary labelmap"));
    EXPECT_TRUE(has("Segmentation_ContainedRepresentationNames", "Binary labelmap|Closed surface|"));
    EXPECT_TRUE(has("Segmentation_ReferenceImageExtentOffset", "0 0 0"));
    EXPECT_EQ(header.find("Segmentation_Extent"), std::string::npos); // an older format that Slicer reads otherwise
  }
}

// Layouts of public data sets, on small trees of exactly their shape that VerdiffSimulate writes: recognised for the
// right reason, paired, and their label values understood. The truth is the same phantoms in nnU-Net's layout.
#include "support.h"

#include "volume_reader.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

using namespace verdiff;
using namespace verdiff_test;
using Json = nlohmann::json;

namespace
{

namespace fs = std::filesystem;

constexpr int          caseCount = 4;
constexpr const char * coarse = "4";

// Every tree is made once.
const TempFolder &
Trees()
{
  static const TempFolder folder;
  return folder;
}

std::string
Tree(const std::string & layout, const std::vector<std::string> & options = {}, const std::string & name = "")
{
  const std::string folder = Trees() / (name.empty() ? layout : name);
  if (!fs::exists(folder))
  {
    std::vector<std::string> arguments = { folder,     "--layout", layout,      "--cases", std::to_string(caseCount),
                                           "--coarse", coarse,     "--threads", "1" };
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Outcome outcome = RunTool("VerdiffSimulate", arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
  }
  return folder;
}

Json
CheckOf(const std::string & folder, int code = 0, const std::vector<std::string> & options = {})
{
  const std::string        report = Trees() / "check.json";
  std::vector<std::string> arguments = { "--check", folder, "--checkReport", report };
  arguments.insert(arguments.end(), options.begin(), options.end());
  const Outcome outcome = RunTool("VerdiffTrain", arguments);
  EXPECT_EQ(outcome.code, code) << outcome.err << outcome.out;
  return Json::parse(std::ifstream(report))["datasets"][0];
}

// Voxels of every label value in all cases together, by canonical number; 0 for those without one.
std::map<int, std::int64_t>
VoxelsByCanonical(const Json & check)
{
  std::map<int, int> canonical;
  for (const Json & label : check["labels"])
  {
    canonical[label["value"]] = label.value("canonical", 0);
  }
  std::map<int, std::int64_t> voxels;
  for (const Json & one : check["cases"])
  {
    for (const auto & [value, count] : one["voxels"].items())
    {
      voxels[canonical.at(std::stoi(value))] += count.get<std::int64_t>();
    }
  }
  return voxels;
}

// The same of the phantoms themselves: VerSe numbers, and label 2 (discs) as 100, 3 (canal) as 61.
std::map<int, std::int64_t>
Truth(const std::string & modality)
{
  const std::string           folder = Tree("nnunet", { "--modality", modality }, "truth_" + modality);
  std::map<int, std::int64_t> voxels;
  for (const char * part : { "labelsVertebraeTr", "labelsTr" })
  {
    const bool tissue = std::string(part) == "labelsTr";
    for (const auto & entry : fs::directory_iterator(folder + "/" + part))
    {
      const LabelVolume labels = ReadLabels(entry.path().string());
      const size_t      count = labels.image->GetLargestPossibleRegion().GetNumberOfPixels();
      for (size_t i = 0; i < count; ++i)
      {
        const int value = labels.image->GetBufferPointer()[i];
        const int number = !tissue ? value : (value == 2 ? 100 : (value == 3 ? 61 : 0));
        voxels[number] += number != 0 ? 1 : 0;
      }
    }
  }
  return voxels;
}

void
ExpectLevels(const Json & check, const std::string & modality, int first, int last)
{
  auto found = VoxelsByCanonical(check);
  auto truth = Truth(modality);
  int  levels = 0;
  for (int level = first; level <= last; ++level)
  {
    EXPECT_EQ(found[level], truth[level]) << "level " << level;
    levels += truth[level] > 0 ? 1 : 0;
  }
  EXPECT_GE(levels, 5);
}

std::int64_t
Discs(const Json & check)
{
  std::int64_t discs = 0;
  for (const auto & [canonical, count] : VoxelsByCanonical(check))
  {
    discs += canonical >= 100 ? count : 0;
  }
  return discs;
}

void
ExpectLayout(const Json & check, const std::string & layout, size_t cases)
{
  EXPECT_EQ(check["layout"], layout);
  EXPECT_EQ(check["cases"].size(), cases);
  EXPECT_EQ(check["faults"], 0) << check["findings"].dump(2);
}

std::set<std::string>
Subjects(const Json & check)
{
  std::set<std::string> subjects;
  for (const Json & one : check["cases"])
  {
    subjects.insert(one["subject"]);
  }
  return subjects;
}

int
TestCases(const Json & check)
{
  int count = 0;
  for (const Json & one : check["cases"])
  {
    count += one["test"].get<bool>() ? 1 : 0;
  }
  return count;
}

} // namespace

TEST(Layout, NnunetOfVersion1)
{
  const Json check = CheckOf(Tree("nnunet1"));
  ExpectLayout(check, "nnunet", caseCount);
  EXPECT_NE(check["reason"].get<std::string>().find("version 1"), std::string::npos);
  EXPECT_EQ(VoxelsByCanonical(check)[100], Truth("mr")[100]);
  EXPECT_EQ(VoxelsByCanonical(check)[61], Truth("mr")[61]);
}

TEST(Layout, NnunetOfVersion2)
{
  const Json check = CheckOf(Tree("nnunet", { "--modality", "ct" }, "truth_ct"));
  ExpectLayout(check, "nnunet", caseCount);
  EXPECT_NE(check["reason"].get<std::string>().find("version 2"), std::string::npos);
}

TEST(Layout, VerseBySubject)
{
  const Json check = CheckOf(Tree("verse"));
  ExpectLayout(check, "verse", caseCount);
  ExpectLevels(check, "ct", 1, 25);
  EXPECT_EQ(TestCases(check), 1);                       // the folder dataset-verse19test
  EXPECT_EQ(Subjects(check).count("sub-verse002"), 1u); // without the entity dir-ax
}

TEST(Layout, VerseOfTheChallenge)
{
  const Json check = CheckOf(Tree("verse-challenge"));
  ExpectLayout(check, "verse", caseCount);
  ExpectLevels(check, "ct", 1, 25);
  EXPECT_EQ(Subjects(check), (std::set<std::string>{ "verse001", "GL002", "verse003", "GL004" }));
}

TEST(Layout, CtspineWithDotsInTheStem)
{
  const Json check = CheckOf(Tree("ctspine1k"));
  ExpectLayout(check, "ctspine1k", caseCount);
  ExpectLevels(check, "ct", 1, 25);
  EXPECT_EQ(TestCases(check), 1); // data_split.txt
  EXPECT_EQ(check["cases"][0]["id"], "COLONOG_1.3.6.1.4.1.9328.50.4.0001");
}

TEST(Layout, Spider)
{
  const Json check = CheckOf(Tree("spider"));
  ExpectLayout(check, "spider", caseCount);
  ExpectLevels(check, "mr", 1, 24); // partly visible ones, 101 and up, included
  EXPECT_EQ(Discs(check), Truth("mr")[100]);
  EXPECT_EQ(VoxelsByCanonical(check)[61], Truth("mr")[61]);
  EXPECT_EQ(Subjects(check), (std::set<std::string>{ "1", "2" })); // 1_t1 and 1_t2 are one patient
}

TEST(Layout, Mrspineseg)
{
  const Json check = CheckOf(Tree("mrspineseg"));
  ExpectLayout(check, "mrspineseg", caseCount);
  ExpectLevels(check, "mr", 16, 24);                        // T9 to L5 are labelled
  EXPECT_EQ(VoxelsByCanonical(check)[29], Truth("mr")[26]); // its S
  EXPECT_GT(Discs(check), 0);
}

TEST(Layout, Totalsegmentator)
{
  const Json check = CheckOf(Tree("totalsegmentator"));
  ExpectLayout(check, "totalsegmentator", caseCount);
  ExpectLevels(check, "ct", 1, 24);
  EXPECT_EQ(VoxelsByCanonical(check)[26], Truth("ct")[26]);
  EXPECT_EQ(TestCases(check), 1);                   // meta.csv
  EXPECT_EQ(VoxelsByCanonical(check).count(0), 1u); // background; the ribs are none of ours
}

TEST(Layout, Sudirman)
{
  const Json check = CheckOf(Tree("sudirman"));
  ExpectLayout(check, "sudirman", 3 * caseCount); // D3, D4, D5
  EXPECT_EQ(Subjects(check).size(), size_t(caseCount));
  EXPECT_GT(VoxelsByCanonical(check)[100], 0);
  EXPECT_GT(VoxelsByCanonical(check)[61], 0);
  for (const Json & label : check["labels"])
  {
    EXPECT_EQ(label.contains("canonical"), label["value"] != 0 && label["value"] != 250);
  }
}

// Filled quadrilaterals through the corners lie where the shadows are: rows of the frontal films from T1 down, and
// together nearly their area. The corners of a shadow cut some of it off.
TEST(Layout, AasceMasksFromCorners)
{
  const Json check = CheckOf(Tree("aasce"));
  ExpectLayout(check, "aasce", caseCount);
  const std::string                    truth = Tree("nnunet", { "--modality", "xray", "--cases", "12" }, "truth_xray");
  std::map<std::int64_t, std::int64_t> shadow; // labelled pixels of films with all of T1 to L5, by all pixels
  for (const auto & entry : fs::directory_iterator(truth + "/labelsVertebraeTr"))
  {
    const LabelVolume     labels = ReadLabels(entry.path().string());
    const std::uint16_t * values = labels.image->GetBufferPointer();
    const auto            count = std::int64_t(labels.image->GetLargestPossibleRegion().GetNumberOfPixels());
    if (std::set<int>(values, values + count).size() == 18)
    {
      shadow[count] = count - std::count(values, values + count, 0);
    }
  }
  int compared = 0;
  for (const Json & one : check["cases"])
  {
    EXPECT_EQ(one["voxels"].size(), 18u);
    const std::int64_t count = one["size"][0].get<std::int64_t>() * one["size"][1].get<std::int64_t>();
    const double       own = double(count - one["voxels"]["0"].get<std::int64_t>());
    if (shadow.count(count) > 0)
    {
      EXPECT_GT(own / double(shadow[count]), 0.6);
      EXPECT_LT(own / double(shadow[count]), 1.1);
      ++compared;
    }
  }
  EXPECT_GT(compared, 0);
}

TEST(Layout, LabelValuesMeanTheSameEverywhere)
{
  struct Case
  {
    const char * layout;
    int          value, canonical;
  };
  // From the descriptions of the data sets, not from the table of maps.
  const Case                  cases[] = { { "verse", 20, 20 },       { "verse", 28, 28 },       { "ctspine1k", 25, 25 },
                                          { "spider", 1, 24 },       { "spider", 6, 19 },       { "spider", 101, 24 },
                                          { "spider", 201, 124 },    { "spider", 206, 119 },    { "spider", 100, 61 },
                                          { "mrspineseg", 1, 29 },   { "mrspineseg", 2, 24 },   { "mrspineseg", 10, 16 },
                                          { "mrspineseg", 11, 124 }, { "mrspineseg", 16, 119 }, { "mrspineseg", 19, 116 },
                                          { "aasce", 1, 8 },         { "aasce", 17, 24 },       { "sudirman", 50, 100 },
                                          { "sudirman", 150, 61 } };
  std::map<std::string, Json> checks;
  for (const Case & one : cases)
  {
    if (checks.count(one.layout) == 0)
    {
      checks[one.layout] = CheckOf(Tree(one.layout));
    }
    int canonical = 0;
    for (const Json & label : checks[one.layout]["labels"])
    {
      canonical = label["value"] == one.value ? label.value("canonical", 0) : canonical;
    }
    EXPECT_EQ(canonical, one.canonical) << one.layout << " " << one.value;
  }
}

TEST(Layout, UnknownFoldersSayWhatWasLookedFor)
{
  const TempFolder empty;
  const Outcome    outcome = RunTool("VerdiffTrain", { "--check", empty.Path() });
  EXPECT_EQ(outcome.code, 3);
  for (const char * words : { "dataset.json with imagesTr", "rawdata and derivatives", "landmarks}.csv", "meta" })
  {
    EXPECT_EQ(outcome.err.find(words) != std::string::npos, std::string(words) != "meta") << words << outcome.err;
  }
  EXPECT_EQ(RunTool("VerdiffTrain", { "--check", empty / "none" }).code, 3);
}

TEST(Layout, TwoLayoutsInOneFolderNeedAWord)
{
  const TempFolder both;
  fs::copy(Tree("spider"), both.Path(), fs::copy_options::recursive);
  fs::copy(Tree("mrspineseg"), both.Path(), fs::copy_options::recursive);
  const Outcome outcome = RunTool("VerdiffTrain", { "--check", both.Path() });
  EXPECT_EQ(outcome.code, 3);
  EXPECT_NE(outcome.err.find("fits 2 layouts: spider"), std::string::npos) << outcome.err;
  EXPECT_EQ(CheckOf(both.Path(), 0, { "--layout", "mrspineseg" })["layout"], "mrspineseg");
  const Outcome wrong = RunTool("VerdiffTrain", { "--check", both.Path(), "--layout", "aasce" });
  EXPECT_EQ(wrong.code, 3);
  EXPECT_NE(wrong.err.find("no data set of layout aasce"), std::string::npos) << wrong.err;
}

TEST(Layout, RealDataSetsAreFine)
{
  const std::string data = VERDIFF_SHARED_DATA;
  if (!fs::exists(data + "/Dataset501_SpiderT2Space"))
  {
    GTEST_SKIP() << data << " is not there";
  }
  ExpectLayout(CheckOf(data + "/Dataset501_SpiderT2Space"), "nnunet", 605);
  const Json check = CheckOf(data + "/Dataset502_LumbarT1Midsagittal");
  ExpectLayout(check, "nnunet", 281);
  EXPECT_EQ(check["warnings"], 2); // L3 is not labelled in two of them
}

namespace
{

// Train for one step and return the description of the model that is left.
Json
Trained(const std::string & folder, const std::vector<std::string> & options, std::string * said = nullptr)
{
  const TempFolder         result;
  std::vector<std::string> arguments = { folder, result / "m",      "--config", "unit",      "--steps",
                                         "1",    "--slicesPerCase", "2",        "--threads", "1" };
  arguments.insert(arguments.end(), options.begin(), options.end());
  const Outcome outcome = RunTool("VerdiffTrain", arguments);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  if (said)
  {
    *said = outcome.out;
  }
  const Outcome described = RunTool("VerdiffInspect", { result / "m/model.safetensors" });
  EXPECT_EQ(described.code, 0) << described.err;
  const Json json = Json::parse(described.out, nullptr, false);
  return json.is_object() ? json : Json::object();
}

std::map<std::string, int>
Classes(const Json & model)
{
  std::map<std::string, int> classes;
  for (const Json & one : model["configuration"]["classes"])
  {
    classes[one["name"]] = one["label"];
  }
  return classes;
}

void
ExpectRefused(const std::vector<std::string> & arguments, const std::string & words)
{
  const TempFolder         result;
  std::vector<std::string> all = arguments;
  all.insert(all.end(), { "--config", "unit", "--steps", "1" });
  all.insert(all.begin() + 1, result / "m");
  const Outcome outcome = RunTool("VerdiffTrain", all);
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_NE(outcome.err.find(words), std::string::npos) << outcome.err;
}

} // namespace

TEST(Task, TheClassesAreThoseAskedFor)
{
  const std::string folder = Tree("mrspineseg");
  EXPECT_EQ(Classes(Trained(folder, { "--task", "binary" })),
            (std::map<std::string, int>{ { "background", 0 }, { "vertebra", 1 } }));
  EXPECT_EQ(Classes(Trained(folder, { "--task", "structures" })),
            (std::map<std::string, int>{ { "background", 0 }, { "vertebra", 1 }, { "disc", 2 }, { "sacrum", 4 } }));
  const auto levels = Classes(Trained(folder, { "--task", "levels" }));
  EXPECT_EQ(levels.at("L5"), 24);
  EXPECT_EQ(levels.at("T9"), 16);
  EXPECT_EQ(levels.count("L4-L5 disc"), 0u);
  EXPECT_EQ(Classes(Trained(folder, { "--classes", "low=L5+L4;disc=11-19" })),
            (std::map<std::string, int>{ { "background", 0 }, { "low", 1 }, { "disc", 2 } }));
}

TEST(Task, WhatTheLabelsCannotGiveIsRefused)
{
  ExpectRefused({ Tree("sudirman"), "--task", "binary" }, "--task binary needs vertebrae");
  ExpectRefused({ Tree("verse"), "--task", "structures" }, "--task structures needs two of");
  ExpectRefused({ Tree("nnunet1"), "--task", "levels" }, "label \"vertebra\" of");
  ExpectRefused({ Tree("nnunet1"), "--task", "binary", "--foreground", "1" }, "give one of them");
  ExpectRefused({ Tree("nnunet1"), "--classes", "bone" }, "is not NAME=LABELS");
  ExpectRefused({ Tree("nnunet1"), "--classes", "rib=rib" }, "has no label for rib=rib");
  ExpectRefused({ Tree("nnunet1"), "--classes", "a=1;b=vertebra" }, "is in two classes");
  ExpectRefused({ Tree("spider"), "--task", "structures", "--moreData", Tree("mrspineseg") },
                "does not label the canal");
}

TEST(Slices, PlaneNeighboursAndPixelSizeAreInTheModel)
{
  std::string said;
  const Json  model =
    Trained(Tree("mrspineseg"), { "--task", "binary", "--plane", "axial", "--neighbours", "3" }, &said);
  EXPECT_EQ(model["configuration"]["plane"], "axial");
  EXPECT_EQ(model["configuration"]["neighbours"], 3);
  EXPECT_EQ(model["configuration"]["image_channels"], 3);
  EXPECT_GT(model["configuration"]["pixel_spacing_mm"], 1.0);
  EXPECT_NE(said.find("the middle of the data"), std::string::npos);
  const Json native = Trained(Tree("mrspineseg"), { "--task", "binary", "--spacing", "0" });
  EXPECT_EQ(native["configuration"]["pixel_spacing_mm"], 0.0);
  EXPECT_FALSE(native["configuration"].contains("plane"));
  ExpectRefused({ Tree("mrspineseg"), "--spacing", "-0.5" }, "must be -1");
  ExpectRefused({ Tree("sudirman"), "--neighbours", "3", "--task", "structures" }, "needs volumes");
}

// Variants and known faults of the public data sets: each is read as its authors meant it, or refused or named with
// what to do about it; none is passed over. The trees are VerdiffSimulate's, changed by the test.
#include "training_kit.h"

#include "volume_reader.h"

#include <algorithm>
#include <fstream>
#include <regex>

using namespace verdiff_test;
using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace
{

class Variant : public testing::Test
{
protected:
  // A tree of four small cases in a folder of the test's own.
  std::string
  Tree(const std::string & layout, const std::string & name = "set", const std::string & coarse = "8")
  {
    const std::string path = folder / name;
    const Outcome     outcome =
      RunTool("VerdiffSimulate", { path, "--layout", layout, "--cases", "4", "--coarse", coarse, "--threads", "1" });
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return path;
  }

  Json
  Check(const std::string & path, int code = 0, const Options & more = {})
  {
    Options arguments = { "--check", path, "--checkReport", folder / "check.json" };
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = RunTool("VerdiffTrain", arguments);
    EXPECT_EQ(outcome.code, code) << outcome.err << outcome.out;
    said = outcome.out;
    return Json::parse(std::ifstream(folder / "check.json"))["datasets"][0];
  }

  void
  ExpectRefused(const Options & arguments, int code, const std::string & words)
  {
    const Outcome outcome = RunTool("VerdiffTrain", arguments);
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_NE(outcome.err.find(words), std::string::npos) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }

  // The only finding of the check.
  void
  ExpectOnly(const Json & check, const std::string & severity, const std::string & kind, const std::string & text)
  {
    ASSERT_EQ(check["findings"].size(), 1u) << check["findings"].dump(2);
    EXPECT_EQ(check["findings"][0]["severity"], severity);
    EXPECT_EQ(check["findings"][0]["kind"], kind);
    EXPECT_NE(check["findings"][0]["text"].get<std::string>().find(text), std::string::npos)
      << check["findings"][0]["text"];
  }

  static int
  TestCases(const Json & check)
  {
    return int(std::count_if(
      check["cases"].begin(), check["cases"].end(), [](const Json & one) { return one["test"].get<bool>(); }));
  }

  TempFolder  folder;
  std::string said;
};

using Nnunet = Variant;
using Verse = Variant;
using Ctspine = Variant;
using Aasce = Variant;
using Mrspineseg = Variant;
using Totalsegmentator = Variant;
using Neighbours = Variant;

void
Edit(const std::string & path, const std::string & pattern, const std::string & with)
{
  const std::string before = ReadFile(path);
  const std::string after = std::regex_replace(before, std::regex(pattern), with);
  EXPECT_NE(before, after) << path;
  WriteFile(path, after);
}

} // namespace

TEST_F(Nnunet, RegionsAreRefusedWithTheWayOut)
{
  const std::string set = Tree("nnunet");
  Edit(set + "/dataset.json", "\"vertebra\": 1", "\"bone\": [1, 4], \"vertebra\": 1");
  ExpectRefused({ "--check", set }, 3, "label \"bone\" is a list of values (a region, [1,4])");
  ExpectRefused(
    { "--check", set }, 3, "give every value a name of its own, and merge values with --classes \"bone=1+4\"");
  Edit(set + "/dataset.json", "\"bone\": \\[1, 4\\], ", "");
  WriteFile(folder / "quick.json", QuickPreset());
  const Outcome merged = RunTool(
    "VerdiffTrain",
    ShortRun(
      set, folder / "m", folder / "quick.json", { "--classes", "bone=1+4", "--steps", "1", "--slicesPerCase", "1" }));
  EXPECT_EQ(merged.code, 0) << merged.err;
  EXPECT_EQ(ReadWeights(folder / "m/model.safetensors").configuration["classes"][1]["name"], "bone");
}

TEST_F(Nnunet, ASplitThatIsNotFollowedIsSaid)
{
  const std::string set = Tree("nnunet");
  (void)Check(set);
  EXPECT_EQ(said.find("splits_final"), std::string::npos);
  WriteFile(set + "/splits_final.json", "[]");
  (void)Check(set);
  EXPECT_NE(said.find("splits_final.json is not read: subjects are shared out anew"), std::string::npos) << said;
}

TEST_F(Verse, CentroidsMustGoWithTheMask)
{
  const std::string set = Tree("verse");
  const std::string file = set + "/dataset-verse19training/derivatives/sub-verse001/sub-verse001_seg-subreg_ctd.json";
  EXPECT_EQ(Check(set)["findings"].size(), 0u);
  const Json good = Json::parse(ReadFile(file));
  ASSERT_GE(good.size(), 5u);

  Json changed = good;
  changed.erase(3);
  WriteFile(file, changed.dump());
  ExpectOnly(Check(set), "warning", "centroids", " has no centroid");
  changed = good;
  changed.push_back({ { "label", 28 }, { "X", 1.0 }, { "Y", 1.0 }, { "Z", 1.0 } });
  WriteFile(file, changed.dump());
  ExpectOnly(Check(set), "warning", "centroids", "T13 is not labelled in the mask");
  changed = good;
  for (const char * axis : { "X", "Y", "Z" })
  {
    changed[1][axis] = good[good.size() - 1][axis];
  }
  WriteFile(file, changed.dump());
  ExpectOnly(Check(set), "warning", "centroids", "the centroid of ");
  WriteFile(file, "{\"label\": 3}");
  ExpectOnly(Check(set), "warning", "centroids", "no list of ");
}

// The same points counted along other axes.
TEST_F(Verse, CentroidsAreReadAlongTheAxesTheyName)
{
  const std::string set = Tree("verse");
  const std::string base = set + "/dataset-verse19training/derivatives/sub-verse001/sub-verse001";
  const std::string file = base + "_seg-subreg_ctd.json";
  const Json        check = Check(set);
  const Json        good = Json::parse(ReadFile(file));
  const auto size = verdiff::ReadLabels(base + "_seg-vert_msk.nii.gz").image->GetLargestPossibleRegion().GetSize();
  const std::map<std::string, std::string> opposite = { { "L", "R" }, { "R", "L" }, { "P", "A" },
                                                        { "A", "P" }, { "S", "I" }, { "I", "S" } };
  Json                                     turned = good;
  const Json &                             axes = good[0]["direction"];
  turned[0]["direction"] = { opposite.at(axes[2]), axes[0], opposite.at(axes[1]) };
  for (size_t i = 1; i < good.size(); ++i)
  {
    turned[i]["X"] = double(size[2]) - 1.0 - good[i]["Z"].get<double>();
    turned[i]["Y"] = good[i]["X"];
    turned[i]["Z"] = double(size[1]) - 1.0 - good[i]["Y"].get<double>();
  }
  WriteFile(file, turned.dump());
  EXPECT_EQ(Check(set)["findings"].size(), 0u) << said;
  turned[0]["direction"] = axes; // the points of one orientation under the name of another
  WriteFile(file, turned.dump());
  ExpectOnly(Check(set), "warning", "centroids", "the centroid of ");
}

// Of the challenge they are millimetres of a copy: only the levels count.
TEST_F(Verse, CentroidsOfTheChallengeNameTheLevels)
{
  const std::string set = Tree("verse-challenge");
  const std::string file = set + "/GL002_iso-ctd.json";
  Json              json = Json::parse(ReadFile(file));
  json[1]["X"] = 1000.0;
  WriteFile(file, json.dump());
  EXPECT_EQ(Check(set)["findings"].size(), 0u) << said;
  json.erase(1);
  WriteFile(file, json.dump());
  ExpectOnly(Check(set), "warning", "centroids", " has no centroid");
}

TEST_F(Ctspine, TheSplitIsFoundWhereItWasPublished)
{
  const std::string set = Tree("ctspine1k");
  EXPECT_TRUE(fs::exists(set + "/metadata/data_split.txt"));
  EXPECT_EQ(TestCases(Check(set)), 1);
  EXPECT_EQ(TestCases(Check(set + "/raw_data")), 1);
  fs::rename(set + "/metadata/data_split.txt", set + "/data_split.txt");
  EXPECT_EQ(TestCases(Check(set)), 1);
  EXPECT_EQ(said.find("no data_split.txt"), std::string::npos);
  fs::remove(set + "/data_split.txt");
  EXPECT_EQ(TestCases(Check(set)), 0);
  EXPECT_NE(said.find("no data_split.txt here or in metadata"), std::string::npos) << said;
}

TEST_F(Aasce, MatFilesWithoutTablesAreRefused)
{
  const std::string set = Tree("aasce", "set", "4");
  const std::string labels = set + "/boostnet_labeldata/labels/training/";
  WriteFile(labels + "a.jpg.mat", "MATLAB 5.0 MAT-file");
  EXPECT_EQ(Check(set)["faults"], 0); // beside the tables they do no harm
  fs::remove(labels + "landmarks.csv");
  ExpectRefused(
    { "--check", set }, 3, "labels/training: holds *.jpg.mat without landmarks.csv; .mat files are not read");
}

TEST_F(Aasce, APartWithoutItsTablesIsAFault)
{
  const std::string set = Tree("aasce", "set", "4");
  fs::create_directories(set + "/boostnet_labeldata/data/test");
  WriteFile(set + "/boostnet_labeldata/data/test/x.jpg", "");
  EXPECT_EQ(Check(set, 3)["faults"], 1);
  EXPECT_NE(
    said.find("fault missing: " + set + "/boostnet_labeldata/labels/test/landmarks.csv: no such file, needed for"),
    std::string::npos)
    << said;
}

TEST_F(Mrspineseg, MatFilesAreRefusedByName)
{
  fs::create_directories(folder / "set/train/MR");
  fs::create_directories(folder / "set/train/Mask");
  WriteFile(folder / "set/train/MR/Case1.mat", "MATLAB 5.0 MAT-file");
  WriteFile(folder / "set/train/Mask/mask_case1.mat", "MATLAB 5.0 MAT-file");
  ExpectRefused({ "--check", folder / "set" }, 3, "train/MR/Case1.mat: .mat files are not read; looked for ");
  ExpectRefused({ "--check", folder / "set" }, 3, "MR/CaseN.nii.gz and Mask/mask_caseN.nii.gz");
}

TEST_F(Totalsegmentator, TheMrVersionHasOneClassOfVertebrae)
{
  const std::string set = Tree("totalsegmentator-mr");
  const Json        check = Check(set);
  EXPECT_EQ(check["layout"], "totalsegmentator");
  EXPECT_EQ(check["faults"], 0) << check["findings"].dump(2);
  EXPECT_EQ(check["cases"].size(), 4u);
  EXPECT_EQ(TestCases(check), 1);
  std::map<std::string, int> canonical;
  for (const Json & label : check["labels"])
  {
    canonical[label["name"]] = label.value("canonical", 0);
  }
  EXPECT_EQ(canonical,
            (std::map<std::string, int>{ { "background", 0 },
                                         { "vertebrae", 30 },
                                         { "intervertebral_discs", 100 },
                                         { "spinal_cord", 60 },
                                         { "sacrum", 26 } })); // the hip is none of ours
  WriteFile(folder / "quick.json", QuickPreset());
  const auto run = [&](const std::string & name, const std::string & task) {
    return RunTool(
      "VerdiffTrain",
      ShortRun(set, folder / name, folder / "quick.json", { "--task", task, "--steps", "1", "--slicesPerCase", "1" }));
  };
  const Outcome structures = run("s", "structures");
  EXPECT_EQ(structures.code, 0) << structures.err;
  EXPECT_EQ(ReadWeights(folder / "s/model.safetensors").configuration["classes"].size(), 4u);
  const Outcome levels = run("l", "levels");
  EXPECT_EQ(levels.code, 2);
  EXPECT_NE(levels.err.find("vertebrae"), std::string::npos) << levels.err;
}

TEST_F(Totalsegmentator, CtAndMrInOneFolderAreRefused)
{
  const std::string set = Tree("totalsegmentator-mr");
  fs::rename(set + "/s0002/mri.nii.gz", set + "/s0002/ct.nii.gz");
  ExpectRefused({ "--check", set }, 3, "holds CT and MR (");
  ExpectRefused({ "--check", set }, 3, "put them into two folders and give the second one with --moreData");
}

TEST_F(Totalsegmentator, WhatIsMissingIsNamedAsItWouldBeCalled)
{
  const std::string set = Tree("totalsegmentator-mr");
  fs::remove(set + "/s0001/mri.nii.gz");
  ExpectOnly(Check(set, 3), "fault", "missing", "needed for " + set + "/s0001/segmentations");
  EXPECT_NE(said.find("s0001/mri.nii.gz: no such file"), std::string::npos) << said;
  fs::remove_all(set + "/s0001");
  fs::remove(set + "/s0004/segmentations/sacrum.nii.gz"); // it would teach that there is none
  ExpectOnly(Check(set, 3), "fault", "missing", "needed for " + set + "/s0004");
}

TEST_F(Neighbours, SlicesInFilesOfTheirOwnAreRefused)
{
  WriteFile(folder / "quick.json", QuickPreset());
  for (const std::string & set : { Tree("sudirman", "axial"), SmallSet("xray") })
  {
    Options options = ShortRun(set, folder / "m", folder / "quick.json", { "--neighbours", "3", "--steps", "1" });
    ExpectRefused(
      options, 2, ": one slice, --neighbours 3 needs volumes; slices in files of their own are not put together");
    EXPECT_FALSE(fs::exists(folder / "m/model.safetensors"));
  }
}

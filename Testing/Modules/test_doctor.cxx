// The doctor on a copy of a good data set that is damaged in one way at a time: it names the fault and the file, and
// invents none. Training refuses such data or leaves the cases out, and says so.
#include "support.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

using namespace verdiff;
using namespace verdiff_test;
using Json = nlohmann::json;

namespace
{

namespace fs = std::filesystem;

// Six subjects with one volume of 6 slices each, levels L1 (1), L2 (2), L3 (3) from the head down.
class Doctor : public testing::Test
{
protected:
  Doctor()
  {
    fs::create_directories(set / "imagesTr");
    fs::create_directories(set / "labelsTr");
    for (const char * id : { "a", "b", "c", "d", "e", "f" })
    {
      Write<short>(Image(id), 0.5, [id](int i, int j, int k) { return i * 7 + j * j + k * 3 + 100 * (id[0] - 'a'); });
      WriteMask(id, [](int label) { return label; });
    }
    WriteFile(set / "dataset.json",
              R"({"channel_names": {"0": "MR"}, "labels": {"background": 0, "L1": 1, "L2": 2, "L3": 3},
                  "numTraining": 6, "file_ending": ".mha"})");
  }

  std::string
  Image(const std::string & id) const
  {
    return set / ("imagesTr/" + id + "_0000.mha");
  }
  std::string
  Mask(const std::string & id) const
  {
    return set / ("labelsTr/" + id + ".mha");
  }

  // value(i, j, k) by index; the slices lie along x, z is up.
  template <typename TPixel>
  void
  Write(const std::string &                         path,
        double                                      spacing,
        const std::function<float(int, int, int)> & value,
        const Size &                                size = { 6, 10, 12 })
  {
    const auto image = MakeImage(size, { 4.0, spacing, spacing }, { 0, 0, 0 }, identity, [&](const auto & p) {
      return value(int(std::lround(p[0] / 4.0)), int(std::lround(p[1] / spacing)), int(std::lround(p[2] / spacing)));
    });
    WriteWithItk<TPixel>(path, *image);
  }

  void
  WriteMask(const std::string & id, const std::function<float(int)> & change, double spacing = 0.5)
  {
    Write<float>(Mask(id), spacing, [&](int, int j, int k) {
      const int label = j < 3 || j > 6 ? 0 : (k >= 9 ? 1 : (k >= 5 && k < 8 ? 2 : (k < 4 ? 3 : 0)));
      return label == 0 ? 0.0F : change(label);
    });
  }

  // Exactly one finding, of this kind and severity, whose file and text hold these words.
  void
  ExpectOnly(const std::string & severity, const std::string & kind, const std::string & file, const std::string & text)
  {
    const std::string report = set / "check.json";
    const Outcome     outcome = RunTool("VerdiffTrain", { set.Path(), "--check", "--checkReport", report });
    EXPECT_EQ(outcome.code, severity == "fault" ? 3 : 0) << outcome.err << outcome.out;
    const Json found = Json::parse(std::ifstream(report))["datasets"][0]["findings"];
    ASSERT_EQ(found.size(), 1u) << found.dump(2);
    EXPECT_EQ(found[0]["severity"], severity);
    EXPECT_EQ(found[0]["kind"], kind);
    EXPECT_NE(found[0]["file"].get<std::string>().find(file), std::string::npos) << found[0]["file"];
    EXPECT_NE(found[0]["text"].get<std::string>().find(text), std::string::npos) << found[0]["text"];
    EXPECT_FALSE(found[0]["remedy"].get<std::string>().empty());
    EXPECT_NE(outcome.out.find(severity + " " + kind + ": "), std::string::npos) << outcome.out;
  }

  TempFolder set;
};

} // namespace

TEST_F(Doctor, FindsNothingWhereNothingIsWrong)
{
  const Outcome outcome = RunTool("VerdiffTrain", { "--check", set.Path() });
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("6 cases read, 0 faults in 0 cases, 0 warnings, 0 repaired"), std::string::npos)
    << outcome.out;
}

TEST_F(Doctor, MissingPartners)
{
  fs::remove(Image("b"));
  ExpectOnly("fault", "missing", "imagesTr/b_0000.mha", "needed for");
  fs::copy(Image("c"), Image("b"));
  fs::remove(Mask("b"));
  ExpectOnly("fault", "missing", "labelsTr/b.mha", "needed for");
}

TEST_F(Doctor, UnreadableAndTruncatedFiles)
{
  const std::string whole = ReadFile(Image("c"));
  WriteFile(Image("c"), whole.substr(0, whole.size() - 100));
  ExpectOnly("fault", "unreadable", "c_0000.mha", "");
  WriteFile(Image("c"), "no image");
  ExpectOnly("fault", "unreadable", "c_0000.mha", "unknown format");
}

TEST_F(Doctor, GridsThatDiffer)
{
  Write<short>(Mask("a"), 0.5, [](int, int, int) { return 0; }, { 6, 10, 11 });
  ExpectOnly("fault", "size", "labelsTr/a.mha", "6 x 10 x 12 and 6 x 10 x 11");
  WriteMask(
    "a", [](int label) { return label; }, 0.7);
  ExpectOnly("fault", "spacing", "labelsTr/a.mha", "0.5");
  const auto shifted =
    MakeImage({ 6, 10, 12 }, { 4.0, 0.5, 0.5 }, { 9, 0, 0 }, identity, [](const auto &) { return 1; });
  WriteWithItk<short>(Mask("a"), *shifted);
  ExpectOnly("fault", "geometry", "labelsTr/a.mha", "origin");
}

TEST_F(Doctor, LabelValuesThatAreNotDescribedOrNoIntegers)
{
  WriteMask("d", [](int label) { return label == 2 ? 7 : label; });
  ExpectOnly("fault", "values", "labelsTr/d.mha", "label 7 at index 0 3 5 is not in");
  WriteMask("d", [](int label) { return label == 2 ? 1.5F : float(label); });
  ExpectOnly("fault", "dtype", "labelsTr/d.mha", "label 1.5");
}

TEST_F(Doctor, EmptyMasks)
{
  WriteMask("e", [](int) { return 0; });
  ExpectOnly("fault", "empty", "labelsTr/e.mha", "no labelled voxel");
}

TEST_F(Doctor, GapsAndDisorderOfLevels)
{
  WriteMask("f", [](int label) { return label == 2 ? 0 : label; });
  ExpectOnly("fault", "gap", "labelsTr/f.mha", "L2 is not labelled between L1 and L3");
  WriteMask("f", [](int label) { return 4 - label; });
  ExpectOnly("fault", "order", "labelsTr/f.mha", "L2 lies above L1");
}

TEST_F(Doctor, AConstantImage)
{
  Write<short>(Image("a"), 0.5, [](int, int, int) { return 5; });
  ExpectOnly("fault", "constant", "imagesTr/a_0000.mha", "all 720 pixels are 5");
}

TEST_F(Doctor, SamePixelsUnderTwoIds)
{
  fs::copy_file(Image("a"), Image("b"), fs::copy_options::overwrite_existing);
  ExpectOnly("fault", "duplicate", "imagesTr/b_0000.mha", "the same pixels as");
}

TEST_F(Doctor, SpacingAndTypeOutliers)
{
  Write<short>(Image("a"), 2.0, [](int i, int j, int k) { return i * 7 + j * j + k * 3; });
  WriteMask(
    "a", [](int label) { return label; }, 2.0);
  ExpectOnly("warning", "outlier", "imagesTr/a_0000.mha", "pixels of 2 x 2 mm, the middle of the data set is 0.5 mm");
}

TEST_F(Doctor, TrainingRefusesOrSkipsAndSaysSo)
{
  WriteMask("e", [](int) { return 0; });
  fs::remove(Image("b"));
  const TempFolder               result;
  const std::vector<std::string> run = {
    set.Path(), result / "m", "--config", "unit", "--steps", "1", "--threads", "1"
  };
  const Outcome refused = RunTool("VerdiffTrain", run);
  EXPECT_EQ(refused.code, 3);
  EXPECT_NE(refused.err.find("b_0000.mha: no such file"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("1 more faults"), std::string::npos) << refused.err;
  EXPECT_FALSE(fs::exists(result / "m/slices.store"));
  auto skipping = run;
  skipping.insert(skipping.end(), { "--faults", "skip" });
  const Outcome skipped = RunTool("VerdiffTrain", skipping);
  EXPECT_EQ(skipped.code, 0) << skipped.err;
  for (const char * words : { "Left out because of its faults: b", "Left out because of its faults: e", "of 4 cases" })
  {
    EXPECT_NE(skipped.out.find(words), std::string::npos) << words << skipped.out;
  }
}

TEST_F(Doctor, OnlyTheCheckGoesWithoutAnOutputFolder)
{
  const Outcome outcome = RunTool("VerdiffTrain", { set.Path() });
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("missing argument outputFolder"), std::string::npos);
}

namespace
{

// One radiograph with 17 boxes below each other; rows of landmarks.csv are changed by the tests.
class Radiographs : public testing::Test
{
protected:
  static constexpr int levels = 17;

  Radiographs()
  {
    fs::create_directories(set / "data/training");
    fs::create_directories(set / "labels/training");
    EXPECT_EQ(RunTool("VerdiffSimulate", { set / "any", "--layout", "aasce", "--cases", "1", "--coarse", "4" }).code,
              0);
    const auto file = *fs::directory_iterator(set / "any/boostnet_labeldata/data/training");
    fs::copy_file(file.path(), set / "data/training/film.jpg");
    fs::remove_all(set / "any");
    WriteFile(set / "labels/training/filenames.csv", "film.jpg\n");
    for (int k = 0; k < levels; ++k)
    {
      const double top = 0.05 + 0.05 * k;
      const double x[4] = { 0.4, 0.6, 0.4, 0.6 };
      const double y[4] = { top, top, top + 0.04, top + 0.04 };
      for (size_t c = 0; c < 4; ++c)
      {
        points.push_back({ x[c], y[c] });
      }
    }
  }

  Json
  Findings()
  {
    std::string x, y;
    for (const auto & point : points)
    {
      x += std::to_string(point[0]) + ",";
      y += std::to_string(point[1]) + ",";
    }
    y.pop_back();
    WriteFile(set / "labels/training/landmarks.csv", x + y + "\n");
    const std::string report = set / "check.json";
    (void)RunTool("VerdiffTrain", { "--check", set.Path(), "--checkReport", report });
    check = Json::parse(std::ifstream(report))["datasets"][0];
    return check["findings"];
  }

  void
  ExpectOnly(const std::string & severity, const std::string & text)
  {
    const Json found = Findings();
    ASSERT_EQ(found.size(), 1u) << found.dump(2);
    EXPECT_EQ(found[0]["severity"], severity);
    EXPECT_NE(found[0]["text"].get<std::string>().find(text), std::string::npos) << found[0]["text"];
  }

  std::vector<std::array<double, 2>> points;
  Json                               check;
  TempFolder                         set;
};

} // namespace

TEST_F(Radiographs, GoodRowsGiveBoxes)
{
  EXPECT_EQ(Findings().size(), 0u);
  const Json   one = check["cases"][0];
  const double film = one["size"][0].get<double>() * one["size"][1].get<double>();
  for (int k = 1; k <= levels; ++k)
  {
    EXPECT_NEAR(one["voxels"][std::to_string(k)].get<double>() / film, 0.2 * 0.04, 0.003) << k;
  }
}

TEST_F(Radiographs, ARolledRowAndSwappedCornersAreRepaired)
{
  (void)Findings();
  const Json good = check["cases"][0]["voxels"];
  std::rotate(points.begin(), points.end() - 4, points.end());
  ExpectOnly("repaired", "the list was rolled by one vertebra");
  EXPECT_EQ(check["cases"][0]["voxels"], good);
  std::rotate(points.begin(), points.begin() + 4, points.end());
  std::swap(points[20], points[21]);
  ExpectOnly("repaired", "corners of vertebra 6 of the row were swapped");
  EXPECT_EQ(check["cases"][0]["voxels"], good);
}

TEST_F(Radiographs, WhatCannotBeRepairedIsAFault)
{
  const auto good = points;
  points[7][0] = 1.25;
  ExpectOnly("fault", "number 8 is 1.25");
  points = good;
  for (size_t c = 20; c < 24; ++c)
  {
    points[c][1] += 0.12;
  }
  ExpectOnly("fault", "lies above");
  points = good;
  for (size_t c = 20; c < 24; ++c)
  {
    points[c][1] += 0.03;
  }
  EXPECT_EQ(Findings()[0]["severity"], "fault");
  EXPECT_NE(Findings()[0]["text"].get<std::string>().find("T6 and T7 overlap by"), std::string::npos);
  points = good;
  for (size_t c = 40; c < points.size(); ++c)
  {
    points[c][1] += 0.045;
  }
  ExpectOnly("fault", "one is missing");
  points = good;
  points[21] = { 0.43, points[22][1] - 0.012 };
  points[21] = { 0.45, points[20][1] + 0.03 };
  EXPECT_NE(Findings()[0]["text"].get<std::string>().find("no convex shape"), std::string::npos) << Findings().dump();
}

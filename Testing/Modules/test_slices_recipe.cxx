// The slices of a training are read again when, and only when, a file or an option that they depend on has changed.
#include "training_kit.h"

#include <chrono>

using namespace verdiff_test;
namespace fs = std::filesystem;

namespace
{

class Slices : public testing::Test
{
protected:
  void
  SetUp() override
  {
    fs::copy(SmallSet("xray"), dataset, fs::copy_options::recursive);
    WriteFile(preset, QuickPreset());
  }

  // Whether a run used the slices that were there.
  bool
  Uses(const Options & more = {})
  {
    Options options = { "--steps", "1" };
    options.insert(options.end(), more.begin(), more.end());
    const Outcome outcome = RunTool("VerdiffTrain", ShortRun(dataset, folder / "run", preset, options));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const bool used = outcome.out.find("Using the slices of") != std::string::npos;
    EXPECT_NE(used, outcome.out.find(" cases in ") != std::string::npos) << outcome.out;
    return used;
  }

  TempFolder  folder;
  std::string dataset = folder / "data", preset = folder / "preset.json";
};

TEST_F(Slices, AreReadOnceForTheSameFilesAndOptions)
{
  EXPECT_FALSE(Uses());
  EXPECT_TRUE(Uses());
  EXPECT_TRUE(Uses({ "--seed", "36", "--network", "unet" })); // neither decides what a slice holds
  EXPECT_FALSE(Uses({ "--spacing", "0" }));
  EXPECT_TRUE(Uses({ "--spacing", "0" }));
  EXPECT_FALSE(Uses());
}

TEST_F(Slices, AreReadAgainWhenAFileHasChanged)
{
  EXPECT_FALSE(Uses());
  const fs::path label = fs::directory_iterator(dataset + "/labelsTr")->path();
  fs::last_write_time(label, fs::last_write_time(label) + std::chrono::seconds(2));
  EXPECT_FALSE(Uses());
  EXPECT_TRUE(Uses());
}

TEST_F(Slices, TheRecipeNamesTheClasses)
{
  EXPECT_FALSE(Uses());
  const auto recipe = nlohmann::json::parse(ReadFile(folder / "run/slices.json"));
  EXPECT_EQ(recipe.at("class_names"), (nlohmann::json{ "background", "vertebra" })) << recipe;
}

} // namespace

// VerdiffTrain with a preset, with an initial model, and within a memory limit: what is asked for is what the model
// file and the log say, and what cannot be is refused with its numbers and leaves no model.
#include "training_kit.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

using namespace verdiff_test;
namespace fs = std::filesystem;

namespace
{

class Training : public testing::Test
{
protected:
  // A run named @p name with the preset members @p preset on top of the quick ones.
  Outcome
  Run(const std::string & name, const std::string & dataset, const std::string & preset, const Options & more)
  {
    const std::string file = folder / (name + ".json");
    WriteFile(file, QuickPreset(preset));
    return RunTool("VerdiffTrain", ShortRun(dataset, folder / name, file, more));
  }

  WeightsFile
  Trained(const std::string & name, const std::string & dataset, const std::string & preset, const Options & more)
  {
    const Outcome outcome = Run(name, dataset, preset, more);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    said = outcome.out;
    return ReadWeights(folder / (name + "/model.safetensors"));
  }

  void
  ExpectRefused(const Outcome & outcome, int code, const std::string & words, const std::string & name)
  {
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_NE(outcome.err.find(words), std::string::npos) << "said: " << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_FALSE(fs::exists(folder / (name + "/model.safetensors")));
  }

  // The learning rates that the log has.
  std::vector<double>
  Rates(const std::string & name)
  {
    std::vector<double> rates;
    for (const std::string & row : Rows(folder / (name + "/log.csv")))
    {
      const size_t first = row.find(',', row.find(',') + 1);
      rates.push_back(std::strtod(row.c_str() + first + 1, nullptr));
    }
    return rates;
  }

  TempFolder  folder;
  std::string said;
};

using Preset = Training;
using InitialModel = Training;
using MemoryLimit = Training;

// With a rate that is nothing in 32 bits and no average a step leaves the weights as they were: the model is what the
// training began with.
const char * const standstill = R"("lr": 1e-300, "lr_floor": 0, "ema": 0, "lr_schedule": "constant")";

// Names of the blocks that the two files have in common and that differ.
std::vector<std::string>
Different(const WeightsFile & a, const WeightsFile & b)
{
  std::vector<std::string> names;
  for (const auto & [name, bytes] : a.blocks)
  {
    const auto found = b.blocks.find(name);
    if (found == b.blocks.end() || found->second != bytes)
    {
      names.push_back(name);
    }
  }
  return names;
}

// Volumes of several slices.
std::string
Volumes()
{
  return SmallSet("mr", { "--coarse", "4" });
}

// The number in front of " MiB" behind @p words; -1 without.
int
MebiBehind(const std::string & text, const std::string & words)
{
  const size_t at = text.find(words);
  return at == std::string::npos ? -1 : std::atoi(text.c_str() + at + words.size());
}

} // namespace

TEST_F(Preset, ItsValuesAreInTheModelAndTheLog)
{
  const auto model = Trained("p",
                             SmallSet("xray"),
                             R"("name": "mine", "lr": 0.003, "lr_schedule": "constant", "lr_warmup": 0,
                                "lambda_d": 0.25, "T": 500, "nsa": "none", "seed": 77, "steps": 3, "crop": 32)",
                             {});
  EXPECT_EQ(model.notes["recipe"], "mine");
  EXPECT_EQ(model.notes["recipe_settings"]["lr"], 0.003);
  EXPECT_EQ(model.notes["recipe_settings"]["lambda_d"], 0.25);
  EXPECT_EQ(model.notes["recipe_settings"]["batch"], 2);
  EXPECT_EQ(model.notes["recipe_settings"]["wd"], 1e-4); // not given: that of the recipe
  EXPECT_EQ(model.notes["seed"], 77);
  EXPECT_EQ(model.notes["steps"], 3);
  EXPECT_EQ(model.notes["crop"], 32);
  EXPECT_EQ(model.configuration["time_steps"], 500);
  EXPECT_EQ(model.configuration["sample_steps"], 2);
  EXPECT_EQ(model.configuration["nsa"], 0);
  EXPECT_EQ(Rates("p"), (std::vector<double>{ 0.003, 0.003, 0.003 }));
}

TEST_F(Preset, OptionsThatAreGivenStandAboveIt)
{
  const auto model = Trained("p",
                             SmallSet("xray"),
                             R"("seed": 77, "steps": 9, "crop": 32, "param": "x0", "network": "condition")",
                             { "--seed", "78", "--steps", "2", "--crop", "48", "--network", "unet" });
  EXPECT_EQ(model.notes["seed"], 78);
  EXPECT_EQ(model.notes["steps"], 2);
  EXPECT_EQ(model.notes["crop"], 48);
  EXPECT_EQ(Rows(folder / "p/log.csv").size(), 2u);
  const auto condition = Trained("c", SmallSet("xray"), R"("network": "condition")", { "--steps", "1" });
  EXPECT_NE(model.blocks.size(), condition.blocks.size());
  EXPECT_EQ(std::count_if(condition.blocks.begin(),
                          condition.blocks.end(),
                          [](const auto & block) { return block.first.rfind("cond.", 0) != 0; }),
            0);
  const auto noise = Trained(
    "e", SmallSet("xray"), R"("param": "eps", "msfm": 1)", { "--steps", "1", "--param", "eps_bce", "--msfm", "off" });
  EXPECT_EQ(noise.configuration["msfm"], 0);
  const auto preset = Trained("n", SmallSet("xray"), R"("param": "eps", "msfm": 1)", { "--steps", "1" });
  EXPECT_EQ(preset.configuration["msfm"], 1);
  EXPECT_NE(noise.configuration["param"], preset.configuration["param"]);
}

TEST_F(Preset, UnknownKeysAreRefusedWithTheNearest)
{
  const Options one = { "--steps", "1" };
  ExpectRefused(Run("a", SmallSet("xray"), R"("lambda_ss": 1)", one),
                2,
                "a.json: 'lambda_ss': there is no setting of this name; the nearest is lambda_s ",
                "a");
  ExpectRefused(Run("b", SmallSet("xray"), R"("aug_rotation": 5)", one), 2, "the nearest is aug_rotation_deg", "b");
  ExpectRefused(
    Run("c", SmallSet("xray"), R"("lr": "fast")", one), 2, "c.json: 'lr' is a string, needed is a number", "c");
  ExpectRefused(Run("d", SmallSet("xray"), R"("nsa": "k7")", one), 2, "mask_soft", "d");
  ExpectRefused(Run("e", SmallSet("xray"), R"("wd": -1)", one), 2, "recipe key wd is -1, needed 0 to 10", "e");
  WriteFile(folder / "g.json", "{\"lr\": ");
  ExpectRefused(
    RunTool("VerdiffTrain", ShortRun(SmallSet("xray"), folder / "g", folder / "g.json", one)), 2, "g.json: ", "g");
  ExpectRefused(RunTool("VerdiffTrain", ShortRun(SmallSet("xray"), folder / "h", folder / "none.json", one)),
                3,
                "none.json: cannot be read",
                "h");
  ExpectRefused(RunTool("VerdiffTrain", ShortRun(SmallSet("xray"), folder / "i", "papers", one)),
                2,
                "\"papers\": there are msff, paper, recommended, or the path of a file",
                "i");
}

TEST_F(InitialModel, TheFirstStepStartsFromItsWeights)
{
  const auto first = Trained("first", SmallSet("xray"), "", { "--steps", "4" });
  const auto still = Trained(
    "still", SmallSet("xray"), standstill, { "--steps", "1", "--initialModel", folder / "first/model.safetensors" });
  EXPECT_EQ(Different(first, still), std::vector<std::string>());
  EXPECT_NE(said.find(" of " + std::to_string(first.blocks.size()) + " blocks taken"), std::string::npos) << said;
  EXPECT_EQ(said.find("begin anew"), std::string::npos);
  EXPECT_EQ(still.notes["initial_model"], "model.safetensors");
  const auto fresh = Trained("fresh", SmallSet("xray"), standstill, { "--steps", "1", "--seed", "36" });
  EXPECT_FALSE(Different(first, fresh).empty());
  EXPECT_FALSE(fresh.notes.contains("initial_model"));
  // and it goes on from there
  const auto on =
    Trained("on", SmallSet("xray"), "", { "--steps", "2", "--initialModel", folder / "first/model.safetensors" });
  EXPECT_FALSE(Different(first, on).empty());
}

TEST_F(InitialModel, HeadsAreReplacedWhenTheClassesDiffer)
{
  const Options binary = { "--steps", "2", "--slicesPerCase", "2", "--task", "binary", "--crop", "32" };
  const auto    first = Trained("first", SmallSet("mr"), "", binary);
  ASSERT_EQ(first.configuration["classes"].size(), 2u);
  const auto still = Trained("still",
                             SmallSet("mr"),
                             standstill,
                             { "--steps",
                               "1",
                               "--slicesPerCase",
                               "2",
                               "--crop",
                               "32",
                               "--task",
                               "structures",
                               "--initialModel",
                               folder / "first/model.safetensors" });
  EXPECT_EQ(still.configuration["classes"].size(), 5u); // background, vertebra, disc, canal, sacrum
  const auto different = Different(still, first);
  EXPECT_GT(different.size(), 0u);
  EXPECT_LT(different.size(), 20u);
  const size_t line = said.find("it has 2 classes and the data 5: these blocks begin anew: ");
  ASSERT_NE(line, std::string::npos) << said;
  const std::string named = said.substr(line, said.find('\n', line) - line);
  for (const std::string & name : different)
  {
    EXPECT_NE(first.blocks.at(name).size(), still.blocks.at(name).size()) << name; // only where the shape had to change
    EXPECT_NE(named.find(name), std::string::npos) << name << " in " << named;
  }
}

TEST_F(InitialModel, AnotherNetworkIsRefusedWithTheNumbers)
{
  const Options short1 = { "--steps", "1", "--slicesPerCase", "1", "--task", "binary", "--crop", "32" };
  (void)Trained("first", Volumes(), "", short1);
  const auto refused = [&](const std::string & name, const Options & options, const std::string & words) {
    Options all = short1;
    all.insert(all.end(), { "--initialModel", folder / "first/model.safetensors" });
    all.insert(all.end(), options.begin(), options.end());
    ExpectRefused(Run(name, Volumes(), "", all), 2, words, name);
  };
  refused("config", { "--config", "tiny" }, "is 4 x 3 x 3 x 1, needed 8 x 3 x 3 x 1");
  refused("network", { "--network", "unet" }, "cannot be the initial model: its block ");
  refused("msff", { "--network", "msff" }, "cannot be the initial model: its block ");
  refused(
    "plane", { "--plane", "axial" }, "takes 1 neighbouring slices of plane 0, the data has 1 of plane 1 (0 sagittal");
  refused("neighbours", { "--neighbours", "3" }, "takes 1 neighbouring slices of plane 0, the data has 3 of plane 0");
}

TEST_F(InitialModel, MissingOrDamagedFilesAreRefusedBeforeTheDataIsRead)
{
  const Options steps = { "--steps", "1" };
  const auto    refused = [&](const std::string & name, const std::string & file, const std::string & words) {
    ExpectRefused(Run(name, SmallSet("xray"), "", { "--steps", "1", "--initialModel", file }), 4, words, name);
    EXPECT_FALSE(fs::exists(folder / (name + "/slices.store")));
  };
  refused("missing", folder / "none.safetensors", "none.safetensors: no such model file");
  WriteFile(folder / "text.safetensors", "no model");
  refused("text", folder / "text.safetensors", "text.safetensors");
  (void)Trained("first", SmallSet("xray"), "", steps);
  const std::string whole = ReadFile(folder / "first/model.safetensors");
  WriteFile(folder / "cut.safetensors", whole.substr(0, whole.size() - 5));
  refused("cut", folder / "cut.safetensors", "cut.safetensors");
}

TEST_F(Training, ResumeNeedsACheckpointOfTheSameRun)
{
  ExpectRefused(
    Run("none", SmallSet("xray"), "", { "--steps", "1", "--resume" }), 3, "checkpoint.safetensors: ", "none");
  EXPECT_FALSE(fs::exists(folder / "none/slices.store"));
  (void)Trained("m", SmallSet("xray"), "", { "--steps", "2" });
  const auto resume = [&](const Options & options) {
    Options all = { "--resume" };
    all.insert(all.end(), options.begin(), options.end());
    return Run("m", SmallSet("xray"), "", all);
  };
  const std::string model = ReadFile(folder / "m/model.safetensors");
  const Outcome     longer = resume({ "--steps", "5" });
  EXPECT_EQ(longer.code, 2);
  EXPECT_NE(longer.err.find("belongs to another run"), std::string::npos) << longer.err;
  const Outcome otherData = resume({ "--steps", "2", "--foreground", "1" });
  EXPECT_EQ(otherData.code, 2);
  EXPECT_NE(otherData.err.find("made from other data or options"), std::string::npos) << otherData.err;
  EXPECT_EQ(ReadFile(folder / "m/model.safetensors"), model);
  const std::string checkpoint = ReadFile(folder / "m/checkpoint.safetensors");
  WriteFile(folder / "m/checkpoint.safetensors", checkpoint.substr(0, checkpoint.size() / 2));
  const Outcome cut = resume({ "--steps", "2" });
  EXPECT_EQ(cut.code, 3) << cut.err;
  EXPECT_NE(cut.err.find("checkpoint.safetensors"), std::string::npos) << cut.err;
}

TEST_F(MemoryLimit, RecomputationGivesTheSameBitsAndTooLittleIsRefused)
{
  const auto free = Trained("free", SmallSet("xray"), "", { "--steps", "3" });
  const int  plan = MebiBehind(said, "memory: at most ");
  ASSERT_GT(plan, 0) << said;
  EXPECT_NE(said.find("(weights and moments "), std::string::npos);
  EXPECT_EQ(said.find("computed again"), std::string::npos);

  const Outcome refused = Run("refused", SmallSet("xray"), "", { "--steps", "3", "--maxMemory", "2" });
  ExpectRefused(refused, 7, "allowed are 2: take a smaller configuration", "refused");
  EXPECT_EQ(MebiBehind(refused.err, "training needs "), plan);
  const int least = MebiBehind(refused.err, " MiB, ");
  ASSERT_GT(least, 2);
  ASSERT_LT(least, plan - 1) << "no limit lies between the two plans";
  EXPECT_EQ(Run("little", SmallSet("xray"), "", { "--steps", "3", "--maxMemory", std::to_string(least - 1) }).code, 7);

  const auto capped =
    Trained("capped", SmallSet("xray"), "", { "--steps", "3", "--maxMemory", std::to_string(least + 1) });
  EXPECT_EQ(MebiBehind(said, "memory: at most "), least);
  EXPECT_NE(said.find("blocks are computed again in the backward pass"), std::string::npos) << said;
  EXPECT_EQ(Different(free, capped), std::vector<std::string>());
  EXPECT_EQ(ReadFile(folder / "free/test.json"), ReadFile(folder / "capped/test.json"));
}

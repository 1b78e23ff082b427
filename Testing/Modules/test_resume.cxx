// A training that is stopped (SIGTERM) or killed (SIGKILL) in the middle and goes on with --resume leaves what an
// uninterrupted one leaves, bit for bit: weights, tables, scores. Only times differ.
#include "training_kit.h"

#include <chrono>
#include <thread>

using namespace verdiff_test;
namespace fs = std::filesystem;

namespace
{

constexpr size_t steps = 40;
constexpr size_t checkpointSteps = 3;
constexpr size_t firstRefinedStep = 7; // a sixth of the steps goes to the prior alone

// The rows without the columns that are times.
std::vector<std::string>
Timeless(const std::string & table)
{
  std::vector<std::string> rows;
  for (const std::string & row : Rows(table))
  {
    const size_t step = row.find(',');
    const size_t seconds = row.find(',', step + 1);
    const size_t last = table.find("log.csv") != std::string::npos ? row.rfind(',') : std::string::npos;
    rows.push_back(row.substr(0, step) + row.substr(seconds, last - seconds));
  }
  return rows;
}

struct Way
{
  const char * name;
  const char * threads;
  const char * preset;
  bool         stopsEarly;
};

// The last one begins with a model and stands still, so that the first validation stays the best one and the training
// stops early: weights, loss and step of the best and the number of validations since have to come through.
constexpr Way ways[] = {
  { "OneThread", "1", "", false },
  { "LoaderThread", "2", "", false },
  { "EarlyStop", "1", R"("lr": 1e-300, "lr_floor": 0, "lr_schedule": "constant", "ema": 0, "patience": 8)", true },
};

class Interrupted : public testing::TestWithParam<Way>
{
protected:
  Interrupted()
  {
    setenv("OMP_WAIT_POLICY", "passive", 1); // threads that spin stand in each other's way on a busy machine
  }

  static std::string
  Preset()
  {
    static const TempFolder kept;
    const std::string       path = kept / (std::string(GetParam().name) + ".json");
    WriteFile(path, QuickPreset(GetParam().preset));
    return path;
  }

  // A model to begin with, made once.
  static std::string
  Beginning()
  {
    static const TempFolder folder;
    if (folder.Entries().empty())
    {
      WriteFile(folder / "p.json", QuickPreset());
      const Outcome outcome =
        RunTool("VerdiffTrain", ShortRun(SmallSet("xray"), folder / "m", folder / "p.json", { "--steps", "2" }));
      EXPECT_EQ(outcome.code, 0) << outcome.err;
    }
    return folder / "m/model.safetensors";
  }

  Options
  Run(const std::string & out, const Options & more = {}) const
  {
    const std::string count = std::to_string(steps), interval = std::to_string(checkpointSteps);
    Options options = { SmallSet("xray"), out,   "--config",          "unit",   "--threads",       GetParam().threads,
                        "--device",       "cpu", "--preset",          Preset(), "--precision",     "f32",
                        "--steps",        count, "--checkpointSteps", interval, "--validateSteps", "3" };
    if (GetParam().stopsEarly)
    {
      options.insert(options.end(), { "--initialModel", Beginning() });
    }
    options.insert(options.end(), more.begin(), more.end());
    return options;
  }

  // Send @p signal as soon as the log has @p rows rows; the number of rows that were there when the work ended.
  size_t
  StopAfter(const std::string & out, size_t rows, int signal, int code, const Options & more = {})
  {
    RunningTool run("VerdiffTrain", Run(out, more), folder / "said");
    while (Rows(out + "/log.csv").size() < rows && !run.Ended())
    {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    run.Send(signal);
    EXPECT_EQ(run.Wait(), code) << ReadFile(folder / "said");
    const size_t reached = Rows(out + "/log.csv").size();
    EXPECT_GE(reached, rows);
    EXPECT_LT(reached, steps) << "the training was over before the signal";
    EXPECT_FALSE(fs::exists(out + "/test.json"));
    return reached;
  }

  void
  ExpectSame(const std::string & out, const std::string & whole)
  {
    const WeightsFile a = ReadWeights(out + "/model.safetensors");
    const WeightsFile b = ReadWeights(whole + "/model.safetensors");
    EXPECT_GT(a.blocks.size(), 50u);
    EXPECT_TRUE(a.blocks == b.blocks);
    EXPECT_EQ(a.configuration, b.configuration);
    auto notes = a.notes, expected = b.notes;
    EXPECT_EQ(notes.erase("minutes"), 1u); // the one number in it that is a time
    expected.erase("minutes");
    EXPECT_EQ(notes, expected);
    EXPECT_TRUE(ReadWeights(out + "/checkpoint.safetensors").blocks ==
                ReadWeights(whole + "/checkpoint.safetensors").blocks);
    EXPECT_EQ(Timeless(out + "/log.csv"), Timeless(whole + "/log.csv"));
    EXPECT_EQ(Rows(out + "/log.csv").size() < steps, GetParam().stopsEarly);
    if (GetParam().stopsEarly)
    {
      EXPECT_EQ(notes["best_step"], 3);
      EXPECT_TRUE(a.blocks == ReadWeights(Beginning()).blocks);
    }
    EXPECT_EQ(Timeless(out + "/validation.csv"), Timeless(whole + "/validation.csv"));
    EXPECT_EQ(ReadFile(out + "/test.json"), ReadFile(whole + "/test.json"));
    int pictures = 0;
    for (const auto & entry : fs::directory_iterator(whole + "/examples"))
    {
      EXPECT_EQ(ReadFile(entry.path()), ReadFile(out + "/examples/" + entry.path().filename().string()));
      ++pictures;
    }
    EXPECT_GT(pictures, int(firstRefinedStep) / 3);
    for (const auto & entry : fs::directory_iterator(out))
    {
      EXPECT_NE(entry.path().filename().string()[0], '.') << entry.path(); // nothing is left over
    }
  }

  // The same training in one go, once for each number of threads.
  std::string
  Whole()
  {
    static const TempFolder kept;
    const std::string       out = kept / (std::string("whole") + GetParam().name);
    if (!fs::exists(out + "/test.json"))
    {
      const Outcome outcome = RunTool("VerdiffTrain", Run(out));
      EXPECT_EQ(outcome.code, 0) << outcome.err;
    }
    return out;
  }

  static size_t
  CheckpointStep(const std::string & out)
  {
    return ReadWeights(out + "/checkpoint.safetensors").state.value("step", size_t{ 0 });
  }

  void
  Resume(const std::string & out)
  {
    const Outcome outcome = RunTool("VerdiffTrain", Run(out, { "--resume" }));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_NE(outcome.out.find("Using the slices of"), std::string::npos);
  }

  TempFolder folder;
};

} // namespace

TEST_P(Interrupted, StoppedTwiceBySigtermIsTheSameAsUninterrupted)
{
  const std::string out = folder / "m";
  const size_t      first = StopAfter(out, firstRefinedStep - 3, SIGTERM, 130);
  EXPECT_NE(ReadFile(folder / "said").find("--resume continues the checkpoint"), std::string::npos);
  EXPECT_EQ(CheckpointStep(out), first); // nothing is lost
  const size_t second = StopAfter(out, first + 9, SIGTERM, 130, { "--resume" });
  EXPECT_GE(second, firstRefinedStep + 2);
  EXPECT_EQ(CheckpointStep(out), second);
  Resume(out);
  ExpectSame(out, Whole());
}

TEST_P(Interrupted, KilledIsTheSameAsUninterrupted)
{
  const std::string out = folder / "m";
  size_t            reached = StopAfter(out, firstRefinedStep, SIGKILL, 128 + SIGKILL);
  EXPECT_GE(CheckpointStep(out) + checkpointSteps, reached); // at most one interval is lost
  reached = StopAfter(out, reached + 4, SIGKILL, 128 + SIGKILL, { "--resume" });
  EXPECT_GE(CheckpointStep(out) + checkpointSteps, reached);
  Resume(out);
  ExpectSame(out, Whole());
}

INSTANTIATE_TEST_SUITE_P(Ways, Interrupted, testing::ValuesIn(ways), [](const auto & info) { return info.param.name; });

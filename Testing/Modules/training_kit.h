// What the tests of VerdiffTrain as a program share: small data sets, short runs, runs that are stopped, model files
// taken apart by the words of Resources/Formats/model.md.
#pragma once

#include "support.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace verdiff_test
{

using Options = std::vector<std::string>;

/// A phantom data set with voxels eight times as large as a scanner's, made once for each modality and kept until the
/// program ends: xray has pictures of about 50 x 70 pixels, mr and ct volumes of about 12 x 45 x 35 voxels.
inline std::string
SmallSet(const std::string & modality, const Options & more = {})
{
  static const TempFolder folder;
  std::string             path = folder / modality;
  for (const std::string & option : more)
  {
    path += option;
  }
  if (!std::filesystem::exists(path))
  {
    Options arguments = { path, "--modality", modality, "--cases", "5", "--coarse", "8", "--threads", "1" };
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = RunTool("VerdiffSimulate", arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
  }
  return path;
}

/// A preset that makes steps, validation and test table short. @p more are further members: R"("lr": 0)".
inline std::string
QuickPreset(const std::string & more = "")
{
  return R"({"batch": 2, "S": 2, "t0": 500, "N": 2, "validation_slices": 2)" + (more.empty() ? "" : ", " + more) + "}";
}

/// The options of a short run of the smallest network.
inline Options
ShortRun(const std::string & dataset, const std::string & folder, const std::string & preset, const Options & more)
{
  Options options = { dataset,    folder, "--config", "unit", "--threads",   "1",
                      "--device", "cpu",  "--preset", preset, "--precision", "f32" };
  options.insert(options.end(), more.begin(), more.end());
  return options;
}

/// Model or checkpoint: what its header says, and the bytes of each block.
struct WeightsFile
{
  nlohmann::json                     configuration, notes; // of a model
  nlohmann::json                     state;                // of a checkpoint
  std::map<std::string, std::string> blocks;
};

inline WeightsFile
ReadWeights(const std::string & path)
{
  const std::string bytes = ReadFile(path);
  std::uint64_t     length = 0;
  WeightsFile       file;
  if (bytes.size() < 8)
  {
    ADD_FAILURE() << path << ": " << bytes.size() << " bytes";
    return file;
  }
  std::memcpy(&length, bytes.data(), 8);
  const auto header = nlohmann::json::parse(bytes.substr(8, length));
  for (const auto & [name, entry] : header.items())
  {
    if (name != "__metadata__")
    {
      const size_t begin = entry["data_offsets"][0];
      const size_t end = entry["data_offsets"][1];
      file.blocks[name] = bytes.substr(8 + length + begin, end - begin);
    }
  }
  const auto & metadata = header["__metadata__"];
  if (metadata.contains("verdiff.model"))
  {
    file.configuration = nlohmann::json::parse(metadata["verdiff.model"].get<std::string>());
    file.notes = nlohmann::json::parse(metadata["verdiff.notes"].get<std::string>());
  }
  if (metadata.contains("verdiff.checkpoint"))
  {
    file.state = nlohmann::json::parse(metadata["verdiff.checkpoint"].get<std::string>());
  }
  return file;
}

/// Lines of a table without its title row.
inline std::vector<std::string>
Rows(const std::string & path)
{
  std::vector<std::string> rows;
  std::istringstream       text(ReadFile(path));
  for (std::string line; std::getline(text, line);)
  {
    rows.push_back(line);
  }
  return rows.empty() ? rows : std::vector<std::string>(rows.begin() + 1, rows.end());
}

/// A program of build/bin that works while the test goes on. What it says goes to @p log.
class RunningTool
{
public:
  RunningTool(const std::string & program, Options arguments, const std::string & log)
  {
    arguments.insert(arguments.begin(), VERDIFF_BIN "/" + program);
    std::vector<char *> pointers;
    for (std::string & argument : arguments)
    {
      pointers.push_back(argument.data());
    }
    pointers.push_back(nullptr);
    m_Child = fork();
    if (m_Child == 0)
    {
      const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      dup2(file, 1);
      dup2(file, 2);
      execv(pointers[0], pointers.data());
      _exit(127);
    }
  }
  ~RunningTool()
  {
    if (m_Child > 0)
    {
      kill(m_Child, SIGKILL);
      waitpid(m_Child, nullptr, 0);
    }
  }
  RunningTool(const RunningTool &) = delete;
  RunningTool &
  operator=(const RunningTool &) = delete;

  void
  Send(int signal) const
  {
    kill(m_Child, signal);
  }

  /// Exit code, or 128 and the signal that ended it.
  int
  Wait()
  {
    int status = 0;
    waitpid(m_Child, &status, 0);
    m_Child = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  bool
  Ended()
  {
    siginfo_t info{};
    return waitid(P_PID, id_t(m_Child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == m_Child;
  }

private:
  pid_t m_Child = -1;
};

} // namespace verdiff_test

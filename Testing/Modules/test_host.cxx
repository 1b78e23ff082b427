// What a host sees of a running module: progress and its tags, the wish to stop, the shared object, and files that
// are whole or not there. The real VerdiffSegment works on a small scan with a model of start values.
#include "support.h"

#include "host.h"
#include "text.h"
#include "xml_reader.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <dlfcn.h>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <sys/wait.h>
#include <unistd.h>

using namespace verdiff;
using namespace verdiff_test;

namespace
{

using Clock = std::chrono::steady_clock;
using Words = std::vector<std::string>;

double
SecondsSince(Clock::time_point begin)
{
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// A program whose stdout is read write by write: the pipe keeps them apart.
class Child
{
public:
  Child(const std::string & program, const Words & arguments)
  {
    int out[2];
    int err[2];
    EXPECT_EQ(pipe2(out, O_DIRECT | O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(err, O_CLOEXEC), 0);
    const std::string   path = VERDIFF_BIN "/" + program;
    std::vector<char *> argv = { const_cast<char *>(path.c_str()) };
    for (const std::string & argument : arguments)
    {
      argv.push_back(const_cast<char *>(argument.c_str()));
    }
    argv.push_back(nullptr);
    m_Process = fork();
    if (m_Process == 0)
    {
      dup2(out[1], STDOUT_FILENO);
      dup2(err[1], STDERR_FILENO);
      execv(path.c_str(), argv.data());
      _exit(127);
    }
    close(out[1]);
    close(err[1]);
    m_Out = out[0];
    m_Err = err[0];
  }
  ~Child()
  {
    if (m_Process > 0)
    {
      Signal(SIGKILL);
      Wait();
    }
    close(m_Out);
    close(m_Err);
  }
  Child(const Child &) = delete;
  Child &
  operator=(const Child &) = delete;

  /// What the next write wrote; nothing at the end.
  std::optional<std::string>
  Read()
  {
    char          buffer[65536];
    const ssize_t bytes = read(m_Out, buffer, sizeof(buffer));
    return bytes > 0 ? std::optional<std::string>(std::string(buffer, size_t(bytes))) : std::nullopt;
  }

  /// Read on until a write holds @p text; false at the end.
  bool
  ReadUntil(const std::string & text)
  {
    for (auto block = Read(); block; block = Read())
    {
      if (block->find(text) != std::string::npos)
      {
        return true;
      }
    }
    return false;
  }

  void
  Signal(int number) const
  {
    kill(m_Process, number);
  }

  /// The exit code, or 1000 + the signal that ended it.
  int
  Wait()
  {
    int status = 0;
    while (Read())
    {}
    char buffer[4096];
    for (ssize_t bytes = 1; bytes > 0;)
    {
      bytes = read(m_Err, buffer, sizeof(buffer));
      m_Errors.append(buffer, size_t(std::max<ssize_t>(bytes, 0)));
    }
    waitpid(m_Process, &status, 0);
    m_Process = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }

  const std::string &
  Errors() const
  {
    return m_Errors;
  }

private:
  pid_t       m_Process = -1;
  int         m_Out = -1;
  int         m_Err = -1;
  std::string m_Errors;
};

// The fraction in a block of tags.
std::optional<double>
FractionIn(const std::string & block)
{
  const size_t at = block.find("<filter-progress>");
  return at == std::string::npos ? std::nullopt : std::optional<double>(std::stod(block.substr(at + 17)));
}

class Host : public testing::Test
{
protected:
  void
  SetUp() override
  {
    m_Model = m_Folder / "model.safetensors";
    ASSERT_EQ(std::system(("./make_model '" + m_Model + "' unit 1").c_str()), 0);
    const auto scan = MakeImage({ 12, 48, 40 }, { 3, 1, 1 }, { 0, 0, 0 }, identity, [](const auto & p) {
      return float(100.0 + 40.0 * std::sin(0.3 * p[1]) + 30.0 * std::cos(0.2 * p[2]));
    });
    m_Scan = m_Folder / "scan.nrrd";
    WriteWithItk<short>(m_Scan, *scan);
  }

  Words
  Arguments(const std::string & output, const Words & options) const
  {
    Words arguments = { m_Scan, output, "--model", m_Model, "--device", "cpu", "--modality", "mr", "--threads", "1" };
    arguments.insert(arguments.end(), options.begin(), options.end());
    return arguments;
  }

  TempFolder  m_Folder;
  TempFolder  m_Output;
  std::string m_Model;
  std::string m_Scan;
};

const Words quick = { "--steps", "2", "--samples", "1" };
const Words seconds = { "--steps", "10", "--samples", "8" };    // long enough to count blocks in
const Words minutes = { "--steps", "500", "--samples", "256" }; // ended by the test

} // namespace

TEST_F(Host, EachWriteIsWholeTagsAndTogetherTheyAreAnXmlText)
{
  Child       child("VerdiffSegment", Arguments(m_Output / "o.nrrd", seconds));
  const auto  begin = Clock::now();
  std::string all;
  double      last = 0.0;
  int         blocks = 0;
  int         slices = 0;
  while (const auto block = child.Read())
  {
    ASSERT_NO_THROW(ReadXml("<module-snippet>" + *block + "</module-snippet>")) << *block;
    all += *block;
    if (const auto fraction = FractionIn(*block))
    {
      EXPECT_GE(*fraction, last);
      EXPECT_LE(*fraction, 1.0);
      last = *fraction;
      ++blocks;
    }
    const size_t comment = block->find("<filter-comment>Slice ");
    if (comment != std::string::npos)
    {
      EXPECT_NE(block->find(" of 12</filter-comment>\n<filter-progress>", comment), std::string::npos) << *block;
      ++slices;
    }
  }
  const double duration = SecondsSince(begin);
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_EQ(child.Errors(), "");
  EXPECT_EQ(last, 1.0);
  EXPECT_EQ(all.compare(0, 43, "<filter-start>\n<filter-name>Spine segmentat"), 0) << all;
  EXPECT_NE(all.find("<filter-end>\n<filter-name>Spine segmentation</filter-name>\n<filter-time>"), std::string::npos);
  EXPECT_GT(slices, 0);
  // The first and the last block are beside the rhythm. A busy machine makes the run longer, not the rhythm faster.
  EXPECT_LE(blocks, duration / 0.12 + 2.0);
  EXPECT_GE(blocks, std::floor(duration));
  RecordProperty("seconds", std::to_string(duration));
  RecordProperty("blocks", blocks);
}

TEST_F(Host, NamesThatLookLikeTagsDoNoHarm)
{
  WritePng(m_Folder / "a<&>\x01 b.png", 40, 32, 1, [](int x, int y, int) { return x * 3 + y; });
  Words arguments = Arguments(m_Output / "o.png", quick);
  arguments[0] = m_Folder / "a<&>\x01 b.png";
  Child       child("VerdiffSegment", arguments);
  std::string all;
  while (const auto block = child.Read())
  {
    all += *block;
  }
  EXPECT_EQ(child.Wait(), 0) << child.Errors();
  ASSERT_NO_THROW(ReadXml("<m>" + all + "</m>")) << all;
  EXPECT_NE(ReadXml("<m>" + all + "</m>").text.find("a<&>  b.png: no pixel size"), std::string::npos) << all;
}

TEST_F(Host, AFailureIsOneLineOnStderrAndNothingElse)
{
  Words arguments = Arguments(m_Output / "o.nrrd", quick);
  arguments[0] = m_Folder / "none.nrrd";
  Child child("VerdiffSegment", arguments);
  EXPECT_EQ(child.Wait(), 3);
  EXPECT_EQ(child.Errors().find("VerdiffSegment: "), 0u);
  EXPECT_EQ(child.Errors().find('\n'), child.Errors().size() - 1) << child.Errors();
  EXPECT_TRUE(m_Output.Entries().empty());
}

TEST_F(Host, SignalsStopTheWorkWithinOneStep)
{
  for (const int number : { SIGTERM, SIGINT })
  {
    Child child("VerdiffSegment", Arguments(m_Output / "o.nrrd", minutes));
    ASSERT_TRUE(child.ReadUntil("Slice "));
    const auto begin = Clock::now();
    child.Signal(number);
    EXPECT_EQ(child.Wait(), 130);
    const double delay = SecondsSince(begin);
    EXPECT_EQ(child.Errors(), "VerdiffSegment: stopped by a signal; nothing was written\n");
    EXPECT_TRUE(m_Output.Entries().empty());
    EXPECT_LT(delay, 10.0); // the whole run takes many minutes, a step some milliseconds
    RecordProperty(number == SIGTERM ? "sigterm_seconds" : "sigint_seconds", std::to_string(delay));
  }
}

TEST_F(Host, AKilledRunLeavesAWholeOutputOrNone)
{
  const auto begin = Clock::now();
  {
    Child child("VerdiffSegment", Arguments(m_Output / "whole.nrrd", quick));
    ASSERT_EQ(child.Wait(), 0) << child.Errors();
  }
  const double      duration = SecondsSince(begin);
  const std::string whole = ReadFile(m_Output / "whole.nrrd");
  constexpr int     kills = 12;
  int               written = 0;
  for (int i = 0; i < kills; ++i)
  {
    const std::string output = m_Output / Format("o%d.nrrd", i);
    Child             child("VerdiffSegment", Arguments(output, quick));
    usleep(static_cast<useconds_t>(1e6 * duration * (i + 0.5) / kills));
    child.Signal(SIGKILL);
    child.Wait();
    if (std::filesystem::exists(output))
    {
      ++written;
      EXPECT_TRUE(ReadFile(output) == whole) << i;
    }
  }
  EXPECT_LT(written, kills);
  for (const std::string & name : m_Output.Entries()) // what is left says by its name that it is nothing
  {
    EXPECT_TRUE(name == "whole.nrrd" || name.rfind("o", 0) == 0 || name.rfind(".verdiff-", 0) == 0) << name;
  }
}

TEST_F(Host, TheReturnFileIsWrittenWhenAllIsDone)
{
  Words good = Arguments(m_Output / "o.nrrd", quick);
  good.insert(good.begin(), { "--returnparameterfile", m_Output / "good", "--echo" });
  const Outcome outcome = RunTool("VerdiffSegment", good);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("    steps: 2\n"), std::string::npos) << outcome.out;
  EXPECT_TRUE(std::filesystem::exists(m_Output / "good"));
  EXPECT_EQ(ReadFile(m_Output / "good"), "");

  Words bad = Arguments(m_Output / "none/o.nrrd", quick);
  bad.insert(bad.begin(), { "--returnparameterfile", m_Output / "bad" });
  EXPECT_EQ(RunTool("VerdiffSegment", bad).code, 6);
  EXPECT_FALSE(std::filesystem::exists(m_Output / "bad"));
}

namespace
{

// The module inside this process, as Slicer loads it.
class Module
{
public:
  explicit Module(const std::string & program)
    : m_Program(program)
    , m_Handle(dlopen((VERDIFF_LIB "/lib" + program + "Lib.so").c_str(), RTLD_NOW | RTLD_LOCAL))
  {
    if (!m_Handle)
    {
      throw std::runtime_error(dlerror());
    }
    m_Entry = reinterpret_cast<int (*)(int, char **)>(dlsym(m_Handle, "ModuleEntryPoint"));
  }
  ~Module()
  {
    dlclose(m_Handle);
  }
  Module(const Module &) = delete;
  Module &
  operator=(const Module &) = delete;

  int
  Run(Words arguments, ProcessInformation * information = nullptr) const
  {
    arguments.insert(arguments.begin(), m_Program);
    if (information)
    {
      arguments.insert(arguments.end(),
                       { "--processinformationaddress", Format("%p", static_cast<void *>(information)) });
    }
    std::vector<char *> argv;
    for (std::string & argument : arguments)
    {
      argv.push_back(argument.data());
    }
    return m_Entry(int(argv.size()), argv.data());
  }

private:
  std::string m_Program;
  void *      m_Handle;
  int (*m_Entry)(int, char **) = nullptr;
};

// Looks at the structure as often as the module says that there is something new.
struct Watcher
{
  ProcessInformation information;
  std::vector<float> fractions;
  Words              messages;
  double             abortAt = 2.0;
  bool               handlersAreOurs = true;

  Watcher()
  {
    information.callback = [](void * self) {
      static_cast<Watcher *>(self)->Look();
    };
    information.clientData = this;
  }

  static void
  OurHandler(int)
  {}

  void
  Look()
  {
    fractions.push_back(information.progress);
    messages.push_back(information.message);
    if (information.progress > abortAt)
    {
      information.abort = 1;
    }
    struct sigaction action;
    sigaction(SIGTERM, nullptr, &action);
    handlersAreOurs = handlersAreOurs && action.sa_handler == OurHandler;
    sigaction(SIGINT, nullptr, &action);
    handlersAreOurs = handlersAreOurs && action.sa_handler == SIG_DFL;
  }
};

class HandlersOfTheHost
{
public:
  HandlersOfTheHost()
    : m_Before(std::signal(SIGTERM, Watcher::OurHandler))
  {}
  ~HandlersOfTheHost()
  {
    std::signal(SIGTERM, m_Before);
  }

private:
  void (*m_Before)(int);
};

} // namespace

TEST_F(Host, TheSharedObjectRunsTwiceInOneProcess)
{
  const Module            module("VerdiffSegment");
  const HandlersOfTheHost handlers;
  for (const char * name : { "a.mha", "b.mha" })
  {
    Watcher watcher;
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int         code = module.Run(Arguments(m_Output / name, seconds), &watcher.information);
    const std::string out = testing::internal::GetCapturedStdout();
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    EXPECT_EQ(code, 0);
    EXPECT_EQ(out.find('<'), std::string::npos) << out;
    EXPECT_TRUE(std::is_sorted(watcher.fractions.begin(), watcher.fractions.end()));
    EXPECT_GT(watcher.fractions.size(), 3u);
    EXPECT_EQ(watcher.information.progress, 1.0f);
    EXPECT_GT(watcher.information.elapsedTime, 0.0);
    EXPECT_TRUE(watcher.handlersAreOurs);
    const auto isSlice = [](const std::string & message) {
      return message.rfind("Slice ", 0) == 0 && EndsWith(message, " of 12");
    };
    EXPECT_TRUE(std::any_of(watcher.messages.begin(), watcher.messages.end(), isSlice));
  }
  EXPECT_TRUE(ReadFile(m_Output / "a.mha") == ReadFile(m_Output / "b.mha"));
  Child child("VerdiffSegment", Arguments(m_Output / "c.mha", seconds)); // and as the program does
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_TRUE(ReadFile(m_Output / "a.mha") == ReadFile(m_Output / "c.mha"));
}

TEST_F(Host, TheSharedObjectStopsWhenTheHostWantsIt)
{
  const Module module("VerdiffSegment");
  Watcher      watcher;
  watcher.abortAt = 0.051; // inside the first slice
  testing::internal::CaptureStderr();
  EXPECT_EQ(module.Run(Arguments(m_Output / "o.mha", minutes), &watcher.information), 130);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "VerdiffSegment: stopped by the host; nothing was written\n");
  EXPECT_TRUE(m_Output.Entries().empty());
  EXPECT_LT(watcher.fractions.back(), 0.5f);
  const auto after =
    std::find_if(watcher.fractions.begin(), watcher.fractions.end(), [](float fraction) { return fraction > 0.051f; });
  EXPECT_LE(watcher.fractions.end() - after, 3);

  Watcher again;
  EXPECT_EQ(module.Run(Arguments(m_Output / "o.mha", quick), &again.information), 0);
  EXPECT_TRUE(std::filesystem::exists(m_Output / "o.mha"));
}

TEST_F(Host, TheSharedObjectReturnsWhereAProgramWouldExit)
{
  const Module module("VerdiffSegment");
  Watcher      watcher;
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  EXPECT_EQ(module.Run({ "--help" }), 0);
  EXPECT_EQ(module.Run({ "--nothing" }), 2);
  EXPECT_EQ(module.Run({ "none.nrrd", m_Output / "o.nrrd" }, &watcher.information), 3);
  EXPECT_EQ(module.Run({ "a", "b", "--processinformationaddress", "0x3" }), 2);
  EXPECT_EQ(module.Run({ "a", "b", "--processinformationaddress", "here" }), 2);
  testing::internal::GetCapturedStdout();
  testing::internal::GetCapturedStderr();
}

TEST_F(Host, SignalsAreGivenBackWhenTheWorkIsDone)
{
  const Module module("VerdiffSegment");
  testing::internal::CaptureStdout();
  EXPECT_EQ(module.Run(Arguments(m_Output / "o.mha", quick)), 0);
  EXPECT_NE(testing::internal::GetCapturedStdout().find("<filter-end>"), std::string::npos);
  for (const int number : { SIGTERM, SIGINT, SIGPIPE })
  {
    struct sigaction action;
    sigaction(number, nullptr, &action);
    EXPECT_EQ(action.sa_handler, SIG_DFL) << number;
  }
  const HandlersOfTheHost handlers; // and one that somebody else has stays
  testing::internal::CaptureStdout();
  EXPECT_EQ(module.Run(Arguments(m_Output / "p.mha", quick)), 0);
  testing::internal::GetCapturedStdout();
  struct sigaction action;
  sigaction(SIGTERM, nullptr, &action);
  EXPECT_EQ(action.sa_handler, Watcher::OurHandler);
}

TEST(HostStructure, IsThatOfSlicerExecutionModel)
{
  // On 64-bit Linux; where SlicerExecutionModel is found the compiler compares with its header.
  static_assert(sizeof(void *) != 8 || sizeof(ProcessInformation) == 1064);
  static_assert(offsetof(ProcessInformation, progress) == 4 && offsetof(ProcessInformation, message) == 12);
  static_assert(sizeof(void *) != 8 || offsetof(ProcessInformation, callback) == 1040);
  static_assert(sizeof(void *) != 8 || offsetof(ProcessInformation, elapsedTime) == 1056);
  ProcessInformation information;
  EXPECT_EQ(ProcessInformationAt(Format("%p", static_cast<void *>(&information))), &information);
  EXPECT_EQ(ProcessInformationAt("0"), nullptr);
  EXPECT_EQ(ProcessInformationAt(""), nullptr);
  TellHost(information, 0.25, std::string(3000, 'x'), 2.0);
  EXPECT_EQ(std::string(information.message), std::string(1023, 'x'));
}

#include "program.h"

#include "interrupt.h"
#include "text.h"

#include <vdn.h>

#include <itkMacro.h>
#include <itkObjectFactory.h>
#include <itkOutputWindow.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <new>
#include <string_view>
#include <vector>

namespace verdiff
{
namespace
{

Progress * openProgress = nullptr;

// Hosts log every line on stderr as an error, so that ITK's warnings go to stdout.
class StdoutWindow : public itk::OutputWindow
{
public:
  ITK_DISALLOW_COPY_AND_MOVE(StdoutWindow);
  using Self = StdoutWindow;
  using Superclass = itk::OutputWindow;
  using Pointer = itk::SmartPointer<Self>;
  itkFactorylessNewMacro(Self);
  itkTypeMacro(StdoutWindow, OutputWindow);

  void
  DisplayText(const char * text) override
  {
    std::string line = Trim(text);
    std::replace(line.begin(), line.end(), '\n', ' ');
    if (openProgress)
    {
      openProgress->Print(line);
    }
  }

protected:
  StdoutWindow() = default;
  ~StdoutWindow() override = default;
};

std::string
OneLine(std::string text)
{
  text = Trim(text);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

int
Complain(const std::string & program, const std::string & reason, ExitCode code)
{
  if (openProgress)
  {
    openProgress->ClearBar();
  }
  std::cerr << program << ": " << OneLine(reason) << std::endl;
  return static_cast<int>(code);
}

bool
AnswerQuestion(const std::vector<std::string> & arguments, const std::string & name, const unsigned char * description)
{
  // "--" ends options; what an option takes as its value never equals these words in practice.
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  const auto asked = [&](const char * option) {
    return std::find(arguments.begin(), end, option) != end;
  };
  if (asked("--xml"))
  {
    std::cout << reinterpret_cast<const char *>(description) << std::flush;
    return true;
  }
  if (asked("--help") || asked("-h"))
  {
    std::cout << Parameters(reinterpret_cast<const char *>(description)).Help(name) << std::flush;
    return true;
  }
  if (asked("--version"))
  {
    std::cout << name << " " << VDN_VERSION << std::endl;
    return true;
  }
  return false;
}

// Options that a Slicer host may add to any call and that mean nothing to an executable.
std::vector<std::string>
WithoutHostOptions(const std::vector<std::string> & arguments)
{
  std::vector<std::string> kept;
  for (size_t i = 0; i < arguments.size(); ++i)
  {
    if (arguments[i] == "--returnparameterfile" || arguments[i] == "--processinformationaddress")
    {
      ++i;
    }
    else if (arguments[i] != "--echo")
    {
      kept.push_back(arguments[i]);
    }
  }
  return kept;
}

int
Guarded(Program & program, const std::vector<std::string> & arguments, ProgramFunction work)
{
  try
  {
    program.parameters.Parse(WithoutHostOptions(arguments));
    work(program);
    program.progress.End();
    return static_cast<int>(ExitCode::Ok);
  }
  catch (const Failure & failure)
  {
    return Complain(program.name, failure.what(), failure.Code());
  }
  catch (const std::bad_alloc &)
  {
    return Complain(program.name, "not enough memory", ExitCode::Memory);
  }
  catch (const itk::ExceptionObject & exception)
  {
    return Complain(program.name, exception.GetDescription(), ExitCode::Processing);
  }
  catch (const std::exception & exception)
  {
    return Complain(program.name, exception.what(), ExitCode::Processing);
  }
}

} // namespace

int
RunProgram(int argc, char * argv[], const unsigned char * description, ProgramFunction work)
{
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  const std::string name = argc > 0 ? std::filesystem::path(argv[0]).filename().string() : std::string("verdiff");
  if (AnswerQuestion(arguments, name, description))
  {
    return static_cast<int>(ExitCode::Ok);
  }
  InstallInterruptHandlers();
  itk::OutputWindow::SetInstance(StdoutWindow::New());
  Parameters  parameters(reinterpret_cast<const char *>(description));
  std::string title = parameters.Title();
  Program     program{ name, std::move(parameters), Progress(title) };
  openProgress = &program.progress;
  const int code = Guarded(program, arguments, work);
  openProgress = nullptr;
  return code;
}

} // namespace verdiff

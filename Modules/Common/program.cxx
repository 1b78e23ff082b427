#include "program.h"

#include "interrupt.h"
#include "output_file.h"
#include "text.h"

#include <vdn.h>

#include <itkMacro.h>
#include <itkObjectFactory.h>
#include <itkOutputWindow.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

namespace verdiff
{
namespace
{

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
  Open(Progress & progress)
  {
    m_Progress = &progress;
  }

  void
  DisplayText(const char * text) override
  {
    std::string line = Trim(text);
    std::replace(line.begin(), line.end(), '\n', ' ');
    if (m_Progress)
    {
      m_Progress->Print(line);
    }
  }

protected:
  StdoutWindow() = default;
  ~StdoutWindow() override = default;

private:
  Progress * m_Progress = nullptr;
};

// A host has its own window, which is left alone.
class WindowScope
{
public:
  WindowScope(Progress & progress, bool inHost)
    : m_Outer(inHost ? nullptr : itk::OutputWindow::GetInstance())
  {
    if (m_Outer)
    {
      const auto window = StdoutWindow::New();
      window->Open(progress);
      itk::OutputWindow::SetInstance(window);
    }
  }
  ~WindowScope()
  {
    if (m_Outer)
    {
      itk::OutputWindow::SetInstance(m_Outer);
    }
  }
  WindowScope(const WindowScope &) = delete;
  WindowScope &
  operator=(const WindowScope &) = delete;

private:
  itk::OutputWindow::Pointer m_Outer;
};

int
Complain(const std::string & program, const std::string & reason, ExitCode code)
{
  std::string line = Trim(reason);
  std::replace(line.begin(), line.end(), '\n', ' ');
  std::cerr << program << ": " << line << std::endl;
  return static_cast<int>(code);
}

// The reason of whatever is being thrown; @p progress, if any, says nothing after it.
int
ComplainOfCurrent(const std::string & program, Progress * progress)
{
  if (progress)
  {
    progress->Stop();
  }
  try
  {
    throw;
  }
  catch (const Failure & failure)
  {
    return Complain(program, failure.what(), failure.Code());
  }
  catch (const std::bad_alloc &)
  {
    return Complain(program, "not enough memory", ExitCode::Memory);
  }
  catch (const itk::ExceptionObject & exception)
  {
    return Complain(program, exception.GetDescription(), ExitCode::Processing);
  }
  catch (const std::exception & exception)
  {
    return Complain(program, exception.what(), ExitCode::Processing);
  }
  catch (...)
  {
    return Complain(program, "an error of unknown kind", ExitCode::Processing);
  }
}

// GenerateCLP's header ends in one newline more than the file.
void
PrintDescription(std::string_view description)
{
  while (!description.empty() && description.back() == '\n')
  {
    description.remove_suffix(1);
  }
  std::cout << description << '\n' << std::flush;
}

bool
Answer(Question question, const std::string & name, const char * description, const Parameters & parameters)
{
  switch (question)
  {
    case Question::Xml:
      PrintDescription(description);
      return true;
    case Question::Help:
      std::cout << parameters.Help(name) << std::flush;
      return true;
    case Question::Version:
      std::cout << name << " " << VDN_VERSION << std::endl;
      return true;
    default:
      return false;
  }
}

// No program has simple return parameters, so that the file a host asks for is empty.
class ReturnFile
{
public:
  explicit ReturnFile(const std::string & path)
    : m_File(path.empty() ? nullptr : std::make_unique<OutputFile>(path))
  {}
  void
  Commit()
  {
    if (m_File)
    {
      m_File->Commit();
    }
  }

private:
  std::unique_ptr<OutputFile> m_File;
};

int
Work(const std::string & name, Parameters & parameters, ProgramFunction work)
{
  ProcessInformation * const host = ProcessInformationAt(parameters.Host().processInformation);
  Progress                   progress(parameters.Title(), host);
  const InterruptScope       interrupts(host ? &host->abort : nullptr);
  const WindowScope          window(progress, host != nullptr);
  try
  {
    ReturnFile returns(parameters.Host().returnParameterFile);
    if (parameters.Host().echo)
    {
      for (const std::string & line : parameters.Echo())
      {
        progress.Print(line);
      }
    }
    Program program{ name, parameters, progress };
    work(program);
    returns.Commit();
    progress.End();
    return static_cast<int>(ExitCode::Ok);
  }
  catch (...)
  {
    return ComplainOfCurrent(name, &progress);
  }
}

} // namespace

int
RunProgram(int argc, char * argv[], const char * description, ProgramFunction work)
{
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  const std::string name = argc > 0 ? std::filesystem::path(argv[0]).filename().string() : std::string("verdiff");
  try
  {
    if (!arguments.empty() && arguments[0] == "--xml")
    {
      PrintDescription(description);
      return static_cast<int>(ExitCode::Ok);
    }
    Parameters parameters(description);
    if (Answer(parameters.Asked(arguments), name, description, parameters))
    {
      return static_cast<int>(ExitCode::Ok);
    }
    parameters.Parse(arguments);
    return Work(name, parameters, work);
  }
  catch (...)
  {
    return ComplainOfCurrent(name, nullptr);
  }
}

} // namespace verdiff

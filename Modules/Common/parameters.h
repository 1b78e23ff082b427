// A program's parameters, from its XML description (Slicer's execution model) and a command line.
//
// The description is the only place where a parameter's name, type, default and range are written.
// Command lines are accepted and refused as by GenerateCLP: an option takes the next argument whatever it
// looks like (so negative numbers work), --a=b is an error, the last of a repeated option counts, options
// may follow positional arguments, "--" ends them, an empty text for a number is its default, the
// values of a list are split at commas. Deliberately different, each in the table of test_parameters.cxx:
//  - ranges are enforced and numbers must be finite and not vanish;
//  - an unknown option is always an error (GenerateCLP takes it for a positional argument if one is missing);
//  - an option without a value at the end is an error (GenerateCLP: the empty text);
//  - the last counts also between -s and --size (GenerateCLP: an error);
//  - positional arguments keep their order around "--" (GenerateCLP moves what follows it to the front);
//  - a lone "-" too many is an argument too many (GenerateCLP drops it);
//  - --help, --version and --xml are answered wherever they stand as an option;
//  - one-letter flags are not joined (-ab).
#pragma once

#include "parameter.h"

#include <string>
#include <string_view>
#include <vector>

namespace verdiff
{

/// What a user or a host asks for instead of a run.
enum class Question
{
  None,
  Help,
  Version,
  Xml
};

/// Options that every program has because a host may give them.
struct HostOptions
{
  bool        echo = false;
  std::string returnParameterFile;
  std::string processInformation; // address in the host's process, "0" for none
};

class Parameters
{
public:
  /// @throw std::runtime_error when the description is not valid.
  explicit Parameters(std::string_view description);

  /// The first question among the arguments after the program's name; a value that looks like one is none.
  Question
  Asked(const std::vector<std::string> & arguments) const;

  /// Take the arguments after the program's name.
  /// @throw Failure with ExitCode::Usage.
  void
  Parse(const std::vector<std::string> & arguments);

  // Each getter takes the parameter's name; a wrong name or type is a programming error and throws
  // std::logic_error.
  bool
  Given(const std::string & name) const;
  std::string
  String(const std::string & name) const;
  std::vector<std::string>
  Strings(const std::string & name) const; // of multiple="true", in the order given, split at commas
  long long
  Integer(const std::string & name) const;
  double
  Double(const std::string & name) const;
  bool
  Boolean(const std::string & name) const;

  const std::vector<Parameter> &
  All() const
  {
    return m_Parameters;
  }
  HostOptions
  Host() const;

  const std::string &
  Title() const
  {
    return m_Title;
  }
  const std::string &
  Version() const
  {
    return m_Version;
  }

  /// Lines of --echo: what each parameter is after Parse().
  std::vector<std::string>
  Echo() const;

  /// Text of --help.
  std::string
  Help(const std::string & program) const;

  /// One line: "VerdiffX [options] inputVolume outputVolume".
  std::string
  Usage(const std::string & program) const;

private:
  const Parameter &
  Find(const std::string & name) const;
  Parameter *
  FindOption(const std::string & argument);
  const Parameter *
  FindOption(const std::string & argument) const;
  Parameter &
  TakeOption(const std::vector<std::string> & arguments, size_t & i);
  Parameter &
  Positional(const std::string & argument, int position);
  void
  CheckRequired() const;

  std::vector<Parameter> m_Parameters;
  std::vector<Parameter> m_HostParameters;
  std::string            m_Title;
  std::string            m_Version;
  std::string            m_Description;
};

} // namespace verdiff

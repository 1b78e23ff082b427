// A program's parameters, from its XML description (Slicer's execution model) and a command line.
//
// The description is the only place where a parameter's name, type, default and range are written.
// Command lines are accepted and refused as by GenerateCLP: an option takes the next argument
// whatever it looks like (so negative numbers work), --a=b is an error, the last of a repeated option
// counts, options may follow positional arguments, "--" ends them. Added to that: ranges and
// enumerations are enforced, numbers must be finite, an unknown option is always an error.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace verdiff
{

struct Parameter
{
  std::string              type; // XML element: "integer", "image", "string-enumeration", ...
  std::string              name;
  std::string              longflag;
  std::string              flag; // one character, or empty
  std::string              label;
  std::string              description;
  std::string              channel;
  std::string              group;
  int                      index = -1; // position of a positional parameter, -1 for an option
  bool                     hasDefault = false;
  bool                     multiple = false;
  std::string              defaultValue;
  std::optional<double>    minimum;
  std::optional<double>    maximum;
  std::vector<std::string> elements;

  bool                     given = false;
  std::vector<std::string> values; // what the command line gave
};

class Parameters
{
public:
  /// @throw std::runtime_error when the description is not valid.
  explicit Parameters(std::string_view description);

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
  Strings(const std::string & name) const; // of multiple="true", in the order given
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
  void
  SetValue(Parameter & parameter, const std::string & value);
  void
  CheckRequired() const;

  std::vector<Parameter> m_Parameters;
  std::string            m_Title;
  std::string            m_Version;
  std::string            m_Description;
};

} // namespace verdiff

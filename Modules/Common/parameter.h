// One parameter of a program: how it is read from the description, and which values it takes.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace verdiff
{

struct XmlElement;

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

/// @throw std::runtime_error when @p element is no parameter that a program can have.
Parameter
ReadParameter(const XmlElement & element, const std::string & group);

/// A value from the command line; an empty one for a number stands for the default.
void
SetValue(Parameter & parameter, const std::string & value);

/// @throw Failure with ExitCode::Usage when a value is of another type, out of range or no choice.
void
CheckValues(const Parameter & parameter);

/// @throw Failure with ExitCode::Usage.
[[noreturn]] void
RefuseUsage(const std::string & reason);

/// Whole numbers and numbers as command lines have them: blanks may lead.
std::optional<long long>
IntegerValue(const std::string & text);
std::optional<double>
DoubleValue(const std::string & text);

/// "0 to 1000", "at least 1", "at most 5", or "" when there is no range.
std::string
RangeText(const Parameter & parameter);

} // namespace verdiff

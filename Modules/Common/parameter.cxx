#include "parameter.h"

#include "failure.h"
#include "text.h"
#include "xml_reader.h"

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>

namespace verdiff
{
namespace
{

bool
IsInteger(const std::string & type)
{
  return type == "integer";
}

bool
IsReal(const std::string & type)
{
  return type == "float" || type == "double";
}

void
CheckType(const std::string & type)
{
  static const std::array<const char *, 9> known = { "integer",   "float",  "double",
                                                     "boolean",   "string", "string-enumeration",
                                                     "directory", "file",   "image" };
  if (std::find(known.begin(), known.end(), type) == known.end())
  {
    throw std::runtime_error("<" + type + "> is no kind of parameter that this program knows");
  }
}

std::string
OptionName(const Parameter & p)
{
  return p.index >= 0 ? p.name : "--" + p.longflag;
}

std::string_view
WithoutLeadingBlanks(std::string_view text)
{
  return text.substr(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

void
CheckNumber(const Parameter & p, const std::string & value)
{
  std::optional<double> number;
  if (IsInteger(p.type))
  {
    const auto integer = IntegerValue(value);
    if (!integer)
    {
      RefuseUsage(OptionName(p) + ": \"" + value + "\" is not an integer");
    }
    number = static_cast<double>(*integer);
  }
  else
  {
    number = DoubleValue(value);
    if (!number)
    {
      RefuseUsage(OptionName(p) + ": \"" + value + "\" is not a number");
    }
  }
  if ((p.minimum && !(*number >= *p.minimum)) || (p.maximum && !(*number <= *p.maximum)))
  {
    RefuseUsage(OptionName(p) + ": " + value + " is out of range, must be " + RangeText(p));
  }
}

void
CheckElement(const Parameter & p, const std::string & value)
{
  if (std::find(p.elements.begin(), p.elements.end(), value) != p.elements.end())
  {
    return;
  }
  std::string choices;
  for (const std::string & element : p.elements)
  {
    choices += (choices.empty() ? "" : ", ") + element;
  }
  RefuseUsage(OptionName(p) + ": \"" + value + "\" is not one of " + choices);
}

// A list may come in one value, as a host's comma-separated text.
void
AppendValues(Parameter & p, const std::string & value)
{
  for (const std::string & part : Split(value, ','))
  {
    if (!part.empty())
    {
      p.values.push_back(part);
    }
  }
}

} // namespace

void
RefuseUsage(const std::string & reason)
{
  throw Failure(ExitCode::Usage, reason + " (see --help)");
}

Parameter
ReadParameter(const XmlElement & element, const std::string & group)
{
  Parameter p;
  CheckType(element.name);
  p.type = element.name;
  p.group = group;
  p.name = element.ChildText("name");
  p.longflag = element.ChildText("longflag");
  p.flag = element.ChildText("flag");
  p.label = element.ChildText("label");
  p.description = element.ChildText("description");
  p.channel = element.ChildText("channel");
  p.hasDefault = element.Child("default") != nullptr;
  p.defaultValue = element.ChildText("default");
  const auto multiple = element.attributes.find("multiple");
  p.multiple = multiple != element.attributes.end() && multiple->second == "true";
  if (const XmlElement * index = element.Child("index"))
  {
    p.index = static_cast<int>(ParseInteger(index->text).value_or(-1));
  }
  if (const XmlElement * constraints = element.Child("constraints"))
  {
    p.minimum = ParseDouble(constraints->ChildText("minimum"));
    p.maximum = ParseDouble(constraints->ChildText("maximum"));
  }
  for (const XmlElement & child : element.children)
  {
    if (child.name == "element")
    {
      p.elements.push_back(child.text);
    }
  }
  if (p.name.empty())
  {
    p.name = p.longflag;
  }
  if (p.name.empty() || (p.longflag.empty() && p.index < 0))
  {
    throw std::runtime_error("a <" + p.type + "> has neither longflag nor index");
  }
  return p;
}

std::optional<long long>
IntegerValue(const std::string & text)
{
  const auto value = ParseInteger(WithoutLeadingBlanks(text));
  const bool fits = value && *value >= std::numeric_limits<int>::min() && *value <= std::numeric_limits<int>::max();
  return fits ? value : std::nullopt;
}

std::optional<double>
DoubleValue(const std::string & text)
{
  return ParseDouble(WithoutLeadingBlanks(text));
}

std::string
RangeText(const Parameter & p)
{
  const bool low = p.minimum.has_value();
  const bool high = p.maximum.has_value();
  if (low && high)
  {
    return FormatNumber(*p.minimum, 12) + " to " + FormatNumber(*p.maximum, 12);
  }
  if (low)
  {
    return "at least " + FormatNumber(*p.minimum, 12);
  }
  return high ? "at most " + FormatNumber(*p.maximum, 12) : std::string();
}

void
SetValue(Parameter & p, const std::string & value)
{
  p.given = true;
  if (p.multiple)
  {
    AppendValues(p, value);
    return;
  }
  p.values.clear();
  // For a number an empty text is no value.
  if (!value.empty() || !(IsInteger(p.type) || IsReal(p.type)))
  {
    p.values.push_back(value);
  }
}

void
CheckValues(const Parameter & p)
{
  for (const std::string & value : p.values)
  {
    if (IsInteger(p.type) || IsReal(p.type))
    {
      CheckNumber(p, value);
    }
    else if (!p.elements.empty())
    {
      CheckElement(p, value);
    }
  }
}

} // namespace verdiff

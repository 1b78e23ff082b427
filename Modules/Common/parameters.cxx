#include "parameters.h"

#include "failure.h"
#include "text.h"
#include "xml_reader.h"

#include <algorithm>
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

Parameter
ReadParameter(const XmlElement & element, const std::string & group)
{
  Parameter p;
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

std::string
OptionName(const Parameter & p)
{
  return p.index >= 0 ? p.name : "--" + p.longflag;
}

[[noreturn]] void
Refuse(const std::string & reason)
{
  throw Failure(ExitCode::Usage, reason + " (see --help)");
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
CheckNumber(const Parameter & p, const std::string & value)
{
  std::optional<double> number;
  if (IsInteger(p.type))
  {
    const auto integer = ParseInteger(value);
    if (!integer)
    {
      Refuse(OptionName(p) + ": \"" + value + "\" is not an integer");
    }
    number = static_cast<double>(*integer);
  }
  else
  {
    number = ParseDouble(value);
    if (!number)
    {
      Refuse(OptionName(p) + ": \"" + value + "\" is not a number");
    }
  }
  if ((p.minimum && !(*number >= *p.minimum)) || (p.maximum && !(*number <= *p.maximum)))
  {
    Refuse(OptionName(p) + ": " + value + " is out of range, must be " + RangeText(p));
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
  Refuse(OptionName(p) + ": \"" + value + "\" is not one of " + choices);
}

std::string
Wrap(const std::string & text, size_t indent, size_t width)
{
  std::string wrapped;
  std::string line;
  std::string words = text;
  std::replace(words.begin(), words.end(), '\n', ' ');
  for (const std::string & word : Split(words, ' '))
  {
    if (word.empty())
    {
      continue;
    }
    if (!line.empty() && indent + line.size() + 1 + word.size() > width)
    {
      wrapped += std::string(indent, ' ') + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  return wrapped + std::string(indent, ' ') + line + "\n";
}

std::string
HelpOf(const Parameter & p)
{
  std::string head = "  ";
  if (p.index >= 0)
  {
    head += p.name;
  }
  else
  {
    head += (p.flag.empty() ? "" : "-" + p.flag + ", ") + "--" + p.longflag;
    head += p.type == "boolean" ? "" : " <" + (p.elements.empty() ? p.type : std::string("choice")) + ">";
  }
  std::string notes;
  for (const std::string & element : p.elements)
  {
    notes += (notes.empty() ? " One of: " : ", ") + element;
  }
  notes += notes.empty() ? "" : ".";
  if (!RangeText(p).empty())
  {
    notes += " Range: " + RangeText(p) + ".";
  }
  if (!p.defaultValue.empty() && p.type != "boolean")
  {
    notes += " Default: " + p.defaultValue + ".";
  }
  return head + "\n" + Wrap(p.description + notes, 6, 100);
}

} // namespace

Parameters::Parameters(std::string_view description)
{
  const XmlElement root = ReadXml(description);
  m_Title = root.ChildText("title");
  m_Version = root.ChildText("version");
  m_Description = root.ChildText("description");
  for (const XmlElement & group : root.children)
  {
    if (group.name != "parameters")
    {
      continue;
    }
    for (const XmlElement & element : group.children)
    {
      if (element.name != "label" && element.name != "description")
      {
        m_Parameters.push_back(ReadParameter(element, group.ChildText("label")));
      }
    }
  }
}

Parameter *
Parameters::FindOption(const std::string & argument)
{
  for (Parameter & p : m_Parameters)
  {
    if (p.index < 0 && (argument == "--" + p.longflag || (!p.flag.empty() && argument == "-" + p.flag)))
    {
      return &p;
    }
  }
  return nullptr;
}

void
Parameters::SetValue(Parameter & p, const std::string & value)
{
  if (IsInteger(p.type) || IsReal(p.type))
  {
    CheckNumber(p, value);
  }
  else if (!p.elements.empty())
  {
    CheckElement(p, value);
  }
  if (!p.multiple)
  {
    p.values.clear();
  }
  p.values.push_back(value);
  p.given = true;
}

void
Parameters::Parse(const std::vector<std::string> & arguments)
{
  bool options = true;
  int  position = 0;
  for (size_t i = 0; i < arguments.size(); ++i)
  {
    const std::string & argument = arguments[i];
    if (options && argument == "--")
    {
      options = false;
    }
    else if (options && argument.size() > 1 && argument[0] == '-')
    {
      Parameter * p = FindOption(argument);
      if (!p)
      {
        const size_t equals = argument.find('=');
        Refuse(equals != std::string::npos && FindOption(argument.substr(0, equals))
                 ? "write \"" + argument.substr(0, equals) + " VALUE\", not " + argument
                 : "unknown option " + argument);
      }
      if (p->type == "boolean")
      {
        p->given = true;
        continue;
      }
      if (i + 1 == arguments.size())
      {
        Refuse(argument + " needs a value");
      }
      SetValue(*p, arguments[++i]);
    }
    else
    {
      const auto p = std::find_if(
        m_Parameters.begin(), m_Parameters.end(), [&](const Parameter & x) { return x.index == position; });
      if (p == m_Parameters.end())
      {
        Refuse("unexpected argument \"" + argument + "\"");
      }
      SetValue(*p, argument);
      ++position;
    }
  }
  CheckRequired();
}

void
Parameters::CheckRequired() const
{
  for (const Parameter & p : m_Parameters)
  {
    if (p.index >= 0 && !p.given && !p.hasDefault)
    {
      Refuse("missing argument " + p.name);
    }
  }
}

const Parameter &
Parameters::Find(const std::string & name) const
{
  const auto p =
    std::find_if(m_Parameters.begin(), m_Parameters.end(), [&](const Parameter & x) { return x.name == name; });
  if (p == m_Parameters.end())
  {
    throw std::logic_error("no parameter named " + name);
  }
  return *p;
}

bool
Parameters::Given(const std::string & name) const
{
  return Find(name).given;
}

std::string
Parameters::String(const std::string & name) const
{
  const Parameter & p = Find(name);
  return p.values.empty() ? p.defaultValue : p.values.back();
}

std::vector<std::string>
Parameters::Strings(const std::string & name) const
{
  return Find(name).values;
}

long long
Parameters::Integer(const std::string & name) const
{
  const auto value = ParseInteger(String(name));
  if (!value || !IsInteger(Find(name).type))
  {
    throw std::logic_error("parameter " + name + " is not an integer");
  }
  return *value;
}

double
Parameters::Double(const std::string & name) const
{
  const auto value = ParseDouble(String(name));
  if (!value)
  {
    throw std::logic_error("parameter " + name + " is not a number");
  }
  return *value;
}

bool
Parameters::Boolean(const std::string & name) const
{
  const Parameter & p = Find(name);
  if (p.type != "boolean")
  {
    throw std::logic_error("parameter " + name + " is not a boolean");
  }
  return p.given;
}

std::string
Parameters::Usage(const std::string & program) const
{
  std::string usage = program;
  for (const Parameter & p : m_Parameters)
  {
    if (p.index >= 0)
    {
      usage += p.hasDefault ? " [" + p.name + "]" : " " + p.name;
    }
  }
  return usage + " [options]";
}

std::string
Parameters::Help(const std::string & program) const
{
  std::string help =
    m_Title + ", version " + m_Version + "\n\n" + Wrap(m_Description, 0, 100) + "\nUsage: " + Usage(program) + "\n";
  std::string group;
  for (const Parameter & p : m_Parameters)
  {
    if (p.group != group)
    {
      group = p.group;
      help += "\n" + group + "\n";
    }
    help += HelpOf(p);
  }
  help += "\nAlways there\n  --help, --version, --xml\n      This text; the version; the description for Slicer "
          "and other hosts.\n";
  return help + "\nExit codes: 0 ok, 1 processing, 2 usage, 3 input, 4 model, 5 device, 6 output, 7 memory, 130 "
                "interrupted.\n";
}

} // namespace verdiff

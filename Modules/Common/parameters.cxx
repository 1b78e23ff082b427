#include "parameters.h"

#include "xml_reader.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace verdiff
{
namespace
{

// "--"; GenerateCLP's parser knows it by name too.
bool
EndsOptions(const std::string & argument)
{
  return argument == "--" || argument == "--ignore_rest";
}

Parameter
HostParameter(const char * type, const char * longflag, const char * flag = "")
{
  Parameter p;
  p.type = type;
  p.name = longflag;
  p.longflag = longflag;
  p.flag = flag;
  return p;
}

} // namespace

Parameters::Parameters(std::string_view description)
  : m_HostParameters{ HostParameter("boolean", "help", "h"),
                      HostParameter("boolean", "version"),
                      HostParameter("boolean", "xml"),
                      HostParameter("boolean", "echo"),
                      HostParameter("file", "returnparameterfile"),
                      HostParameter("string", "processinformationaddress") }
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

const Parameter *
Parameters::FindOption(const std::string & argument) const
{
  for (const auto * list : { &m_Parameters, &m_HostParameters })
  {
    for (const Parameter & p : *list)
    {
      if (p.index < 0 && (argument == "--" + p.longflag || (!p.flag.empty() && argument == "-" + p.flag)))
      {
        return &p;
      }
    }
  }
  return nullptr;
}

Parameter *
Parameters::FindOption(const std::string & argument)
{
  return const_cast<Parameter *>(std::as_const(*this).FindOption(argument));
}

Question
Parameters::Asked(const std::vector<std::string> & arguments) const
{
  for (size_t i = 0; i < arguments.size() && !EndsOptions(arguments[i]); ++i)
  {
    const Parameter * p = FindOption(arguments[i]);
    if (p && p->type != "boolean")
    {
      ++i;
    }
    else if (p && p->name == "help")
    {
      return Question::Help;
    }
    else if (p && p->name == "version")
    {
      return Question::Version;
    }
    else if (p && p->name == "xml")
    {
      return Question::Xml;
    }
  }
  return Question::None;
}

// The option at @p i, with the value that follows it.
Parameter &
Parameters::TakeOption(const std::vector<std::string> & arguments, size_t & i)
{
  const std::string & argument = arguments[i];
  Parameter *         p = FindOption(argument);
  if (!p)
  {
    const size_t equals = argument.find('=');
    RefuseUsage(equals != std::string::npos && FindOption(argument.substr(0, equals))
                  ? "write \"" + argument.substr(0, equals) + " VALUE\", not " + argument
                  : "unknown option " + argument);
  }
  if (p->type == "boolean")
  {
    p->given = true;
    return *p;
  }
  if (i + 1 == arguments.size())
  {
    RefuseUsage(argument + " needs a value");
  }
  SetValue(*p, arguments[++i]);
  return *p;
}

Parameter &
Parameters::Positional(const std::string & argument, int position)
{
  const auto p =
    std::find_if(m_Parameters.begin(), m_Parameters.end(), [&](const Parameter & x) { return x.index == position; });
  if (p == m_Parameters.end())
  {
    RefuseUsage("unexpected argument \"" + argument + "\"");
  }
  return *p;
}

void
Parameters::Parse(const std::vector<std::string> & arguments)
{
  bool options = true;
  int  position = 0;
  for (size_t i = 0; i < arguments.size(); ++i)
  {
    const std::string & argument = arguments[i];
    if (options && EndsOptions(argument))
    {
      options = false;
    }
    else if (options && argument.size() > 1 && argument[0] == '-')
    {
      TakeOption(arguments, i);
    }
    else
    {
      SetValue(Positional(argument, position), argument);
      ++position;
    }
  }
  // At the end, because only the last of a repeated option counts.
  for (const Parameter & p : m_Parameters)
  {
    CheckValues(p);
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
      RefuseUsage("missing argument " + p.name);
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
  const auto value = IntegerValue(String(name));
  if (!value || Find(name).type != "integer")
  {
    throw std::logic_error("parameter " + name + " is not an integer");
  }
  return *value;
}

double
Parameters::Double(const std::string & name) const
{
  const auto value = DoubleValue(String(name));
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

HostOptions
Parameters::Host() const
{
  HostOptions host;
  for (const Parameter & p : m_HostParameters)
  {
    const std::string value = p.values.empty() ? std::string() : p.values.back();
    if (p.name == "echo")
    {
      host.echo = p.given;
    }
    else if (p.name == "returnparameterfile")
    {
      host.returnParameterFile = value;
    }
    else if (p.name == "processinformationaddress")
    {
      host.processInformation = value;
    }
  }
  return host;
}

std::vector<std::string>
Parameters::Echo() const
{
  std::vector<std::string> lines = { "Command Line Arguments" };
  for (const Parameter & p : m_Parameters)
  {
    std::string text;
    for (const std::string & value : p.values)
    {
      text += (text.empty() ? "" : ", ") + value;
    }
    if (p.type == "boolean")
    {
      text = p.given ? "true" : "false";
    }
    lines.push_back("    " + p.name + ": " + (p.values.empty() && text.empty() ? p.defaultValue : text));
  }
  return lines;
}

} // namespace verdiff

// --help: the description as text.
#include "parameters.h"

#include "failure.h"
#include "text.h"

#include <algorithm>

namespace verdiff
{
namespace
{

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
  help += "\nAlways there\n  -h, --help, --version, --xml\n      This text; the version; the description for Slicer "
          "and other hosts.\n  --echo\n      Print every parameter before the work.\n  --returnparameterfile <file>, "
          "--processinformationaddress <address>\n      Given by hosts.\n  --\n      What follows is no option.\n"
          "\nExit codes\n";
  for (const ExitCodeEntry & entry : exitCodes)
  {
    help += "  " + Pad(std::to_string(static_cast<int>(entry.code)), 5) + entry.meaning + "\n";
  }
  return help;
}

} // namespace verdiff

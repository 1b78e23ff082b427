// The programs' descriptions: valid for Slicer's parser (ModuleDescriptionParser, GenerateCLP) and for CTK's
// stricter schema (ctkCmdLineModule.xsd), the same bytes everywhere, and true of the programs.
#include "support.h"

#include "failure.h"
#include "parameters.h"
#include "text.h"
#include "xml_reader.h"

#include <vdn.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <dlfcn.h>
#include <filesystem>
#include <map>
#include <set>
#include <sys/resource.h>

using namespace verdiff;
using namespace verdiff_test;

namespace
{

using Words = std::vector<std::string>;

const Words header = { "category",          "title",   "description", "version",
                       "documentation-url", "license", "contributor", "acknowledgements" };
const Words childOrder = { "name",  "flag",    "longflag", "index",       "description",
                           "label", "default", "channel",  "constraints", "element" };
// Attributes beyond these are an error for Slicer, or for CTK, or for both.
const std::map<std::string, Words> attributesOf = {
  { "image", { "type", "fileExtensions", "multiple" } },
  { "file", { "fileExtensions", "multiple" } },
  { "directory", { "multiple" } },
  { "string", { "multiple" } },
  { "integer", {} },
  { "double", {} },
  { "boolean", {} },
  { "string-enumeration", {} },
};
const Words imageTypes = { "scalar", "label", "vector" }; // of those that both know
const Words reserved = { "echo",
                         "xml",
                         "help",
                         "version",
                         "h",
                         "ignore_rest",
                         "logo",
                         "processinformationaddress",
                         "serialize",
                         "deserialize",
                         "returnparameterfile" };

bool
Holds(const Words & words, const std::string & word)
{
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool
IsBulk(const XmlElement & p)
{
  return p.name == "image" || p.name == "file" || p.name == "directory";
}

bool
IsNumber(const XmlElement & p)
{
  return p.name == "integer" || p.name == "double";
}

// What is wrong with a description, in words; nothing when it is valid.
class Judge
{
public:
  explicit Judge(const std::string & bytes)
  {
    JudgeBytes(bytes);
    const XmlElement root = ReadXml(bytes);
    Need(root.name == "executable", "the root is <" + root.name + ">");
    JudgeHeader(root);
    for (size_t i = header.size(); i < root.children.size(); ++i)
    {
      JudgeGroup(root.children[i]);
    }
    for (int i = 0; i < int(m_Indices.size()); ++i)
    {
      Need(m_Indices.count(i) == 1, "no parameter has index " + std::to_string(i));
    }
  }

  const Words &
  Complaints() const
  {
    return m_Complaints;
  }

private:
  void
  Need(bool good, const std::string & complaint)
  {
    if (!good)
    {
      m_Complaints.push_back(m_Where + complaint);
    }
  }

  void
  JudgeBytes(const std::string & bytes)
  {
    Need(bytes.compare(0, 6, "<?xml ") == 0, "does not begin with <?xml");
    Need(EndsWith(bytes, "</executable>\n"), "does not end with one newline");
    const bool plain =
      std::all_of(bytes.begin(), bytes.end(), [](unsigned char c) { return c >= 0x20 ? c < 0x7f : c == '\n'; });
    Need(plain, "holds a character that is not plain");
    Need(bytes.find('\\') == std::string::npos, "holds a backslash, which GenerateCLP does not escape");
  }

  void
  JudgeHeader(const XmlElement & root)
  {
    for (size_t i = 0; i < header.size(); ++i)
    {
      const XmlElement * child = i < root.children.size() ? &root.children[i] : nullptr;
      Need(child && child->name == header[i], "<" + header[i] + "> is not in its place");
      // GenerateCLP puts them into C++ as they are.
      Need(!child || child->text.find_first_of("\"\n") == std::string::npos, "quote or newline in <" + header[i] + ">");
    }
    Need(root.ChildText("version") == VDN_VERSION, "version is not that of the library");
    Need(!root.ChildText("title").empty() && !root.ChildText("description").empty(), "no title or description");
    Need(root.children.size() > header.size(), "no parameters");
  }

  void
  JudgeGroup(const XmlElement & group)
  {
    m_Where = "group: ";
    Need(group.name == "parameters", "<" + group.name + "> where <parameters> belongs");
    for (const auto & attribute : group.attributes)
    {
      Need(attribute.first == "advanced" && (attribute.second == "true" || attribute.second == "false"),
           "attribute " + attribute.first);
    }
    Need(group.children.size() > 2, "no parameter");
    for (size_t i = 0; i < group.children.size(); ++i)
    {
      const XmlElement & child = group.children[i];
      m_Where = i < 2 ? "group: " : child.ChildText("name") + ": ";
      if (i < 2)
      {
        Need(child.name == (i == 0 ? "label" : "description") && !child.text.empty(), "no label or description first");
      }
      else if (attributesOf.count(child.name) == 0)
      {
        Need(false, "<" + child.name + "> is no parameter that Slicer, CTK and our parser know");
      }
      else
      {
        JudgeParameter(child);
      }
    }
    m_Where.clear();
  }

  void
  JudgeParameter(const XmlElement & p)
  {
    JudgeOrder(p);
    JudgeAttributes(p);
    JudgeNames(p);
    JudgeDefault(p);
    if (IsNumber(p))
    {
      JudgeConstraints(p);
    }
    Need(IsNumber(p) || !p.Child("constraints"), "constraints of something that is no number");
    Need((p.name == "string-enumeration") == (p.Child("element") != nullptr), "choices and kind do not agree");
    const std::string channel = p.ChildText("channel");
    Need(IsBulk(p) ? channel == "input" || channel == "output" : !p.Child("channel"), "channel");
    Need(EndsWith(p.ChildText("description"), ".") && p.ChildText("description").size() > 9,
         "description is no sentence");
    Need(!p.ChildText("label").empty(), "no label");
  }

  void
  JudgeOrder(const XmlElement & p)
  {
    std::ptrdiff_t last = -1;
    for (const XmlElement & child : p.children)
    {
      const auto place = std::find(childOrder.begin(), childOrder.end(), child.name);
      Need(place != childOrder.end(), "<" + child.name + "> is unknown");
      const std::ptrdiff_t rank = place - childOrder.begin();
      Need(rank > last || (rank == last && child.name == "element"), "<" + child.name + "> is out of order");
      last = rank;
    }
  }

  void
  JudgeAttributes(const XmlElement & p)
  {
    for (const auto & [name, value] : p.attributes)
    {
      Need(Holds(attributesOf.at(p.name), name), "attribute " + name);
      Need(name != "type" || Holds(imageTypes, value), "type " + value);
      Need(name != "multiple" || value == "true" || value == "false", "multiple " + value);
      if (name == "fileExtensions")
      {
        for (const std::string & extension : Split(value, ','))
        {
          Need(extension.size() > 1 && extension[0] == '.' && extension.find_first_of(" *") == std::string::npos,
               "file extension \"" + extension + "\"");
        }
      }
    }
    if (p.name == "image" && p.ChildText("channel") == "output")
    {
      const auto extensions = p.attributes.find("fileExtensions");
      Need(extensions != p.attributes.end() && Split(extensions->second, ',')[0] == ".nrrd",
           "the first file extension is what Slicer writes, it must be .nrrd");
    }
  }

  void
  JudgeNames(const XmlElement & p)
  {
    const std::string name = p.ChildText("name");
    const bool        camel = !name.empty() && std::islower(name[0]) &&
                       std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c); });
    Need(camel, "name is not camelCase");
    Need(m_Names.insert(name).second, "name is given twice");
    Need(!Holds(reserved, name), "name is reserved");
    const XmlElement * index = p.Child("index");
    Need((index == nullptr) == (p.Child("longflag") != nullptr), "either index or longflag");
    Need(!index || !p.Child("flag"), "index excludes flag");
    Need(!p.Child("flag") || p.ChildText("flag").size() == 1, "flag is not one letter");
    Need(index || p.ChildText("longflag") == name, "longflag and name differ");
    if (index)
    {
      Need(m_Indices.insert(int(ParseInteger(index->text).value_or(-1))).second, "index is given twice");
    }
  }

  void
  JudgeDefault(const XmlElement & p)
  {
    const std::string value = p.ChildText("default");
    Need(p.name != "boolean" || value == "false", "a boolean that is true could never be switched off");
    Need(!IsNumber(p) || (p.name == "integer" ? ParseInteger(value).has_value() : ParseDouble(value).has_value()),
         "default is no number");
    if (p.name == "string-enumeration")
    {
      std::set<std::string> choices;
      for (const XmlElement & child : p.children)
      {
        Need(child.name != "element" || choices.insert(child.text).second, "a choice is given twice");
      }
      Need(choices.count(value) == 1, "default is no choice");
    }
  }

  void
  JudgeConstraints(const XmlElement & p)
  {
    const XmlElement * constraints = p.Child("constraints");
    Need(constraints != nullptr, "no constraints");
    if (!constraints)
    {
      return;
    }
    const auto minimum = ParseDouble(constraints->ChildText("minimum"));
    const auto maximum = ParseDouble(constraints->ChildText("maximum"));
    const auto step = ParseDouble(constraints->ChildText("step"));
    const auto value = ParseDouble(p.ChildText("default"));
    Need(constraints->children.size() == 3 && minimum && maximum && step, "constraints need minimum, maximum and step");
    Need(minimum && maximum && *minimum < *maximum && step && *step > 0, "constraints hold nothing");
    Need(!value || !minimum || !maximum || (*value >= *minimum && *value <= *maximum), "default is out of range");
  }

  Words                 m_Complaints;
  std::string           m_Where;
  std::set<std::string> m_Names;
  std::set<int>         m_Indices;
};

std::string
Joined(const Words & words)
{
  std::string text;
  for (const std::string & word : words)
  {
    text += word + "\n";
  }
  return text;
}

std::string
Description(const std::string & program)
{
  return ReadFile(VERDIFF_SOURCE_DIR "/Modules/CLI/" + program + "/" + program + ".xml");
}

std::string
Replaced(std::string text, const std::string & from, const std::string & to)
{
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

class DescriptionOf : public testing::TestWithParam<const char *>
{
protected:
  void
  SetUp() override
  {
    if (!std::filesystem::exists(std::string(VERDIFF_BIN "/") + GetParam()))
    {
      GTEST_SKIP() << GetParam() << " is not built";
    }
  }
};

// What a host finds in the shared object of a module.
struct SharedObject
{
  explicit SharedObject(const std::string & program)
    : handle(dlopen((VERDIFF_LIB "/lib" + program + "Lib.so").c_str(), RTLD_NOW | RTLD_LOCAL))
  {
    EXPECT_NE(handle, nullptr) << dlerror();
  }
  ~SharedObject()
  {
    if (handle)
    {
      dlclose(handle);
    }
  }
  void * handle;
};

std::string
WithoutLastNewlines(std::string text)
{
  text.erase(text.find_last_not_of('\n') + 1);
  return text;
}

} // namespace

TEST_P(DescriptionOf, IsValidForSlicerAndCtk)
{
  EXPECT_EQ(Joined(Judge(Description(GetParam())).Complaints()), "");
}

TEST_P(DescriptionOf, IsTheSameBytesInEveryPlace)
{
  const std::string bytes = Description(GetParam());
  const Outcome     xml = RunTool(GetParam(), { "--xml" });
  EXPECT_EQ(xml.code, 0);
  EXPECT_EQ(xml.err, "");
  EXPECT_TRUE(xml.out == bytes);
  EXPECT_TRUE(ReadFile(std::string(VERDIFF_BIN "/") + GetParam() + ".xml") == bytes);

  const SharedObject module(GetParam());
  ASSERT_NE(module.handle, nullptr);
  const auto * symbol = static_cast<const char *>(dlsym(module.handle, "XMLModuleDescription"));
  const auto   call = reinterpret_cast<char * (*)()>(dlsym(module.handle, "GetXMLModuleDescription"));
  ASSERT_NE(symbol, nullptr);
  ASSERT_NE(call, nullptr);
  EXPECT_EQ(call(), symbol);
  // GenerateCLP's ends with one newline more.
  EXPECT_TRUE(WithoutLastNewlines(symbol) == WithoutLastNewlines(bytes));
}

TEST_P(DescriptionOf, DefaultsAreWithinTheirRanges)
{
  Parameters parameters(Description(GetParam()));
  Words      arguments;
  for (const Parameter & p : parameters.All())
  {
    if (p.index >= 0)
    {
      arguments.push_back("x");
    }
    else if (p.hasDefault && p.type != "boolean")
    {
      arguments.insert(arguments.end(), { "--" + p.longflag, p.defaultValue });
    }
  }
  EXPECT_EQ(FailureOf([&] { parameters.Parse(arguments); }).message, "");
}

TEST_P(DescriptionOf, HelpNamesEveryParameterAndEveryExitCode)
{
  const Outcome help = RunTool(GetParam(), { "--help" });
  EXPECT_EQ(help.code, 0);
  const Parameters parameters(Description(GetParam()));
  for (const Parameter & p : parameters.All())
  {
    EXPECT_NE(help.out.find("  " + (p.index >= 0 ? p.name : "--" + p.longflag)), std::string::npos) << p.name;
  }
  for (const ExitCodeEntry & entry : exitCodes)
  {
    EXPECT_NE(help.out.find(Pad(std::to_string(int(entry.code)), 5) + entry.meaning + "\n"), std::string::npos);
  }
  const Outcome version = RunTool(GetParam(), { "--version" });
  EXPECT_EQ(version.code, 0);
  EXPECT_EQ(version.out, std::string(GetParam()) + " " VDN_VERSION "\n");
}

INSTANTIATE_TEST_SUITE_P(Programs,
                         DescriptionOf,
                         testing::Values("VerdiffSegment",
                                         "VerdiffTrain",
                                         "VerdiffEvaluate",
                                         "VerdiffSimulate",
                                         "VerdiffInspect",
                                         "VerdiffPreview"),
                         [](const auto & info) { return std::string(info.param); });

// The judge itself: each rule, broken once.
TEST(Description, EveryBrokenRuleIsSeen)
{
  struct Break
  {
    const char * from;
    const char * to;
    const char * complaint;
  };
  static const Break breaks[] = {
    { "<?xml ", "\n<?xml ", "does not begin" },
    { "</executable>\n", "</executable>\n\n", "does not end" },
    { "Spine segmentation", "Spine \xc3\xa9", "not plain" },
    { "Spine segmentation", "Spine \\n", "backslash" },
    { "<title>", "<index>5</index><title>", "<title> is not in its place" },
    { "The Verdiff authors", "The \"Verdiff\" authors", "quote or newline in <contributor>" },
    { "<version>0", "<version>9", "version is not" },
    { "<parameters advanced=\"true\">", "<parameters advanced=\"yes\">", "attribute advanced" },
    { "<label>More results</label>", "", "no label or description" },
    { "<image type=\"scalar\">", "<image type=\"scalar\" reference=\"x\">", "attribute reference" },
    { "<image type=\"scalar\">", "<image type=\"multichannel\">", "type multichannel" },
    { "fileExtensions=\".nrrd,", "fileExtensions=\".nii.gz,", "must be .nrrd" },
    { "fileExtensions=\".nrrd,", "fileExtensions=\".nrrd, ", "file extension" },
    { "<name>quality", "<name>inputVolume", "inputVolume: name is given twice" },
    { "<name>steps", "<name>start", "given twice" },
    { "<name>model</name>\n      <longflag>model", "<name>help</name>\n      <longflag>help", "reserved" },
    { "<longflag>model<", "<longflag>modell<", "differ" },
    { "<longflag>model</longflag>", "", "either index or longflag" },
    { "<index>1</index>", "<index>2</index>", "no parameter has index 1" },
    { "<index>1</index>", "<index>0</index>", "index is given twice" },
    { "<label>Model</label>\n      <channel>input</channel>",
      "<channel>input</channel>\n      <label>Model</label>",
      "out of order" },
    { "<label>Model</label>", "<label></label>", "no label" },
    { "<channel>input</channel>", "", "channel" },
    { "<default>standard</default>", "<default>good</default>", "default is no choice" },
    { "<element>best</element>", "<element>fast</element>", "twice" },
    { "<step>0.01</step>", "", "minimum, maximum and step" },
    { "<default>35</default>", "<default>-1</default>", "out of range" },
    { "<default>35</default>", "<default>many</default>", "no number" },
    { "comes with the program.", "comes with the program", "no sentence" },
    { "<string>\n      <name>device", "<table>\n      <name>device", "<table>" },
  };
  const std::string good = Description("VerdiffSegment");
  for (const Break & b : breaks)
  {
    std::string bad = Replaced(good, b.from, b.to);
    if (std::string(b.to).find("<table>") == 0)
    {
      bad = Replaced(bad, "</string>", "</table>");
    }
    EXPECT_NE(Joined(Judge(bad).Complaints()).find(b.complaint), std::string::npos) << b.from << " -> " << b.to;
  }
  std::string boolean = Replaced(good, "<string>\n      <name>device", "<boolean>\n      <name>device");
  boolean =
    Replaced(Replaced(boolean, "</string>", "</boolean>"), "<default>auto</default>", "<default>true</default>");
  EXPECT_NE(Joined(Judge(boolean).Complaints()).find("never be switched off"), std::string::npos);
}

// Slicer gives --xml five seconds and an empty folder; we give it processor time, which a busy machine does not
// stretch, and nothing but the program.
TEST(Description, XmlNeedsTheProgramAlone)
{
  const TempFolder folder;
  std::filesystem::copy_file(VERDIFF_BIN "/VerdiffSegment", folder / "VerdiffSegment");
  double least = 1e9;
  for (int i = 0; i < 3; ++i)
  {
    const auto seconds = [] {
      struct rusage usage;
      getrusage(RUSAGE_CHILDREN, &usage);
      return double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
             1e-6 * double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    };
    const double  begin = seconds();
    const Outcome outcome = RunTool("VerdiffSegment", { "--xml" });
    least = std::min(least, seconds() - begin);
    EXPECT_EQ(outcome.code, 0);
  }
  EXPECT_LT(least, 0.2);
  const std::string command = "cd / && '" + (folder / "VerdiffSegment") + "' --xml > '" + (folder / "out") + "'";
  EXPECT_EQ(std::system(command.c_str()), 0);
  EXPECT_TRUE(ReadFile(folder / "out") == Description("VerdiffSegment"));
}

TEST(ExitCodes, TheDocumentHasTheTableOfTheHelp)
{
  const std::string document = ReadFile(VERDIFF_SOURCE_DIR "/Resources/Docs/exit-codes.md");
  size_t            rows = 0;
  for (const std::string & line : Split(document, '\n'))
  {
    rows += line.size() > 2 && line[0] == '|' && std::isdigit(static_cast<unsigned char>(line[2]));
  }
  EXPECT_EQ(rows, exitCodes.size());
  for (const ExitCodeEntry & entry : exitCodes)
  {
    const std::string row = "\n| " + std::to_string(int(entry.code)) + " | " + entry.meaning + " |";
    EXPECT_NE(document.find(row), std::string::npos) << row;
  }
}

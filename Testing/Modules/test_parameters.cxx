// Command lines are taken and refused as GenerateCLP does, and ranges are enforced; the four descriptions
// are valid for Slicer and CTK.
#include "support.h"

#include "failure.h"
#include "parameters.h"
#include "text.h"
#include "xml_reader.h"

#include <vdn.h>

#include <gtest/gtest.h>

#include <set>

using namespace verdiff;
using namespace verdiff_test;

static const char * const description = R"(<?xml version="1.0" encoding="utf-8"?>
<executable><title>T</title><version>1</version><description>D</description>
<parameters><label>G</label><description>g</description>
<image type="scalar"><name>in</name><index>0</index><description>i</description><label>i</label><channel>input</channel></image>
<image type="label"><name>out</name><index>1</index><description>o</description><label>o</label><channel>output</channel></image>
<integer><name>count</name><longflag>count</longflag><description>c</description><label>c</label><default>3</default>
<constraints><minimum>-5</minimum><maximum>10</maximum><step>1</step></constraints></integer>
<double><name>size</name><flag>s</flag><longflag>size</longflag><description>s</description><label>s</label><default>0.5</default></double>
<boolean><name>fast</name><longflag>fast</longflag><description>f</description><label>f</label><default>false</default></boolean>
<string><name>name</name><longflag>name</longflag><description>n</description><label>n</label></string>
<string multiple="true"><name>more</name><longflag>more</longflag><description>n</description><label>n</label></string>
<string-enumeration><name>mode</name><longflag>mode</longflag><description>m</description><label>m</label><default>a</default>
<element>a</element><element>b</element></string-enumeration>
</parameters></executable>)";

static Parameters
Parsed(const std::vector<std::string> & arguments)
{
  Parameters parameters(description);
  parameters.Parse(arguments);
  return parameters;
}

static std::string
Refusal(const std::vector<std::string> & arguments)
{
  const Thrown thrown = FailureOf([&] { Parsed(arguments); });
  EXPECT_EQ(thrown.code, thrown.message.empty() ? -1 : 2);
  return thrown.message;
}

TEST(Parameters, DefaultsComeFromTheDescription)
{
  const Parameters p = Parsed({ "x", "y" });
  EXPECT_EQ(p.String("in"), "x");
  EXPECT_EQ(p.String("out"), "y");
  EXPECT_EQ(p.Integer("count"), 3);
  EXPECT_EQ(p.Double("size"), 0.5);
  EXPECT_FALSE(p.Boolean("fast"));
  EXPECT_EQ(p.String("name"), "");
  EXPECT_EQ(p.String("mode"), "a");
  EXPECT_FALSE(p.Given("count"));
}

TEST(Parameters, OptionsMayStandAnywhereAndTheLastCounts)
{
  const Parameters p = Parsed({ "x", "--count", "4", "y", "--fast", "--count", "-2", "-s", "-1e3" });
  EXPECT_EQ(p.Integer("count"), -2); // a negative value is a value
  EXPECT_EQ(p.Double("size"), -1000.0);
  EXPECT_TRUE(p.Boolean("fast"));
}

TEST(Parameters, RepeatedOptionsOfAListAreAllKept)
{
  const auto more = Parsed({ "x", "y", "--more", "a", "--more", "b" }).Strings("more");
  EXPECT_EQ(more, (std::vector<std::string>{ "a", "b" }));
}

TEST(Parameters, DoubleDashEndsOptions)
{
  const Parameters p = Parsed({ "--", "--fast", "-y" });
  EXPECT_EQ(p.String("in"), "--fast");
  EXPECT_EQ(p.String("out"), "-y");
  EXPECT_FALSE(p.Boolean("fast"));
}

TEST(Parameters, AnOptionTakesWhateverFollows)
{
  EXPECT_EQ(Parsed({ "x", "y", "--name", "--fast" }).String("name"), "--fast");
}

TEST(Parameters, RefusesWhatGenerateClpRefuses)
{
  EXPECT_NE(Refusal({ "x", "y", "--count=4" }).find("--count VALUE"), std::string::npos);
  EXPECT_NE(Refusal({ "x", "y", "--count", "5abc" }).find("\"5abc\" is not an integer"), std::string::npos);
  EXPECT_NE(Refusal({ "x", "y", "--count", "3.5" }).find("not an integer"), std::string::npos);
  EXPECT_NE(Refusal({ "x", "y", "--size", "1,5" }).find("not a number"), std::string::npos);
  EXPECT_NE(Refusal({ "x", "y", "z" }).find("unexpected argument \"z\""), std::string::npos);
  EXPECT_NE(Refusal({ "x" }).find("missing argument out"), std::string::npos);
  EXPECT_NE(Refusal({ "x", "y", "--name" }).find("needs a value"), std::string::npos);
  EXPECT_NE(Refusal({ "x", "y", "--mode", "c" }).find("not one of a, b"), std::string::npos);
  EXPECT_NE(Refusal({ "x", "y", "--nothing" }).find("unknown option --nothing"), std::string::npos);
}

TEST(Parameters, EnforcesRangesAndFiniteNumbers)
{
  EXPECT_NE(Refusal({ "x", "y", "--count", "11" }).find("must be -5 to 10"), std::string::npos);
  EXPECT_NE(Refusal({ "x", "y", "--count", "-6" }).find("out of range"), std::string::npos);
  EXPECT_EQ(Refusal({ "x", "y", "--count", "10" }), "");
  EXPECT_NE(Refusal({ "x", "y", "--size", "nan" }).find("not a number"), std::string::npos);
  EXPECT_NE(Refusal({ "x", "y", "--size", "inf" }).find("not a number"), std::string::npos);
}

TEST(Parameters, WrongNamesAreProgrammingErrors)
{
  const Parameters p = Parsed({ "x", "y" });
  EXPECT_THROW(p.String("nothing"), std::logic_error);
  EXPECT_THROW(p.Integer("name"), std::logic_error);
  EXPECT_THROW(p.Boolean("count"), std::logic_error);
}

TEST(Xml, ReadsEntitiesCommentsAndCdata)
{
  const XmlElement root =
    ReadXml("<?xml version=\"1.0\"?><!-- c --><a x='1 &amp; 2'><b>&lt;x&gt;</b><c><![CDATA[<&]]></c><d/></a>");
  EXPECT_EQ(root.attributes.at("x"), "1 & 2");
  EXPECT_EQ(root.ChildText("b"), "<x>");
  EXPECT_EQ(root.ChildText("c"), "<&");
  ASSERT_NE(root.Child("d"), nullptr);
}

TEST(Xml, RefusesWhatIsNotWellFormed)
{
  for (const char * bad : { "", "<a>", "<a></b>", "<a><b></a>", "<a x=1/>", "<a>&what;</a>", "<a/>tail", "<a" })
  {
    EXPECT_THROW(ReadXml(bad), std::runtime_error) << bad;
  }
}

// The order that CTK's schema wants of a parameter's children.
static int
Rank(const std::string & name)
{
  static const std::vector<std::string> order = { "name",  "flag",    "longflag", "index",       "description",
                                                  "label", "default", "channel",  "constraints", "element" };
  const auto                            found = std::find(order.begin(), order.end(), name);
  return found == order.end() ? -1 : static_cast<int>(found - order.begin());
}

static void
CheckParameter(const XmlElement & p)
{
  SCOPED_TRACE(p.ChildText("name"));
  int last = -1;
  for (const XmlElement & child : p.children)
  {
    ASSERT_GE(Rank(child.name), 0) << child.name;
    EXPECT_GE(Rank(child.name), last) << child.name;
    last = Rank(child.name);
  }
  EXPECT_FALSE(p.ChildText("description").empty());
  EXPECT_FALSE(p.ChildText("label").empty());
  const bool bulk = p.name == "image" || p.name == "file" || p.name == "directory";
  EXPECT_EQ(bulk, p.Child("channel") != nullptr);
  EXPECT_NE(p.Child("index") == nullptr, p.Child("longflag") == nullptr);
  if (p.name == "boolean")
  {
    EXPECT_EQ(p.ChildText("default"), "false"); // true could never be switched off
  }
  if (const XmlElement * constraints = p.Child("constraints"))
  {
    EXPECT_TRUE(ParseDouble(constraints->ChildText("step"))) << "CTK needs a step";
  }
}

class Description : public testing::TestWithParam<const char *>
{
protected:
  std::string
  Bytes() const
  {
    return ReadFile(std::string(VERDIFF_SOURCE_DIR "/Modules/CLI/") + GetParam() + "/" + GetParam() + ".xml");
  }
};

TEST_P(Description, IsValidForSlicerAndCtk)
{
  static const std::set<std::string> reserved = { "echo", "xml", "help", "version", "h", "ignore_rest" };
  const std::string                  bytes = Bytes();
  ASSERT_EQ(bytes.compare(0, 6, "<?xml "), 0);
  const XmlElement root = ReadXml(bytes);
  EXPECT_EQ(root.ChildText("version"), VDN_VERSION);
  EXPECT_FALSE(root.ChildText("description").empty());
  std::set<std::string> names;
  for (const XmlElement & group : root.children)
  {
    if (group.name != "parameters")
    {
      continue;
    }
    EXPECT_FALSE(group.ChildText("label").empty());
    EXPECT_FALSE(group.ChildText("description").empty());
    for (const XmlElement & p : group.children)
    {
      if (p.name != "label" && p.name != "description")
      {
        CheckParameter(p);
        EXPECT_TRUE(names.insert(p.ChildText("name")).second) << "twice: " << p.ChildText("name");
        EXPECT_EQ(reserved.count(p.ChildText("longflag")), 0u);
      }
    }
  }
}

TEST_P(Description, DefaultsAreWithinTheirRanges)
{
  Parameters               parameters(Bytes());
  std::vector<std::string> arguments;
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

TEST_P(Description, IsPrintedByteForByteAndLiesBesideTheProgram)
{
  const Outcome xml = RunTool(GetParam(), { "--xml" });
  EXPECT_EQ(xml.code, 0);
  EXPECT_EQ(xml.err, "");
  EXPECT_TRUE(xml.out == Bytes());
  EXPECT_TRUE(ReadFile(std::string(VERDIFF_BIN "/") + GetParam() + ".xml") == Bytes());
}

TEST_P(Description, HelpNamesEveryParameterAndVersionIsThatOfTheLibrary)
{
  const Outcome help = RunTool(GetParam(), { "--help" });
  EXPECT_EQ(help.code, 0);
  const Parameters parameters(Bytes());
  for (const Parameter & p : parameters.All())
  {
    EXPECT_NE(help.out.find(p.index >= 0 ? p.name : "--" + p.longflag), std::string::npos) << p.name;
  }
  const Outcome version = RunTool(GetParam(), { "--version" });
  EXPECT_EQ(version.code, 0);
  EXPECT_NE(version.out.find(VDN_VERSION), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Programs,
                         Description,
                         testing::Values("VerdiffSegment", "VerdiffTrain", "VerdiffEvaluate", "VerdiffInspect"));

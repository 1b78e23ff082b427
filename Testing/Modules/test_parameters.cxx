// Command lines are taken and refused as GenerateCLP does, and ranges are enforced.
#include "support.h"

#include "failure.h"
#include "parameters.h"
#include "text.h"
#include "xml_reader.h"

#include <gtest/gtest.h>

#include <sstream>

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
<boolean><name>fast</name><flag>f</flag><longflag>fast</longflag><description>f</description><label>f</label><default>false</default></boolean>
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

TEST(Parameters, SaysWhyItRefuses)
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

namespace
{

// What a program does with a command line: the parameters that are not at their defaults (x and y for the
// positional ones), "refused", or "answered" for --help and the like. Written down from a program that GenerateCLP of
// SlicerExecutionModel 6e16762 made from the description above.
struct Line
{
  const char * arguments; // separated by |
  const char * generateClp;
};

const Line asGenerateClp[] = {
  { "x|y", "" },
  { "x", "refused" },
  { "x|y|z", "refused" },
  { "", "refused" },
  { "x|y|--count|4", "count=4" },
  { "--count|4|x|y", "count=4" },
  { "x|--count|4|y", "count=4" },
  { "x|y|--count|-2", "count=-2" },
  { "x|y|--count|+4", "count=4" },
  { "x|y|--count|010", "count=10" },
  { "x|y|--count|0x5", "refused" },
  { "x|y|--count| 5", "count=5" },
  { "x|y|--count|5 ", "refused" },
  { "x|y|--count|", "" },
  { "x|y|--count|5abc", "refused" },
  { "x|y|--count|3.5", "refused" },
  { "x|y|--count|1e1", "refused" },
  { "x|y|--count|4 5", "refused" },
  { "x|y|--count|2147483648", "refused" },
  { "x|y|--count|99999999999999999999", "refused" },
  { "x|y|--count=4", "refused" },
  { "x|y|--count:4", "refused" },
  { "x|y|-count|4", "refused" },
  { "x|y|--coun|4", "refused" },
  { "x|y|--Count|4", "refused" },
  { "x|y|--count|4|--count|5", "count=5" },
  { "x|y|--count|abc|--count|5", "count=5" },
  { "x|y|--count|--fast", "refused" },
  { "x|y|--size|1.5", "size=1.5" },
  { "x|y|--size|.5", "" },
  { "x|y|--size|5.", "size=5" },
  { "x|y|--size|-1e3", "size=-1000" },
  { "x|y|--size|+1", "size=1" },
  { "x|y|--size|1,5", "refused" },
  { "x|y|--size|nan", "refused" },
  { "x|y|--size|inf", "refused" },
  { "x|y|--size|1e400", "refused" },
  { "x|y|--size|0x10", "refused" },
  { "x|y|--size|1d0", "refused" },
  { "x|y|--size|", "" },
  { "x|y|-s|1.5", "size=1.5" },
  { "x|y|-s1.5", "refused" },
  { "x|y|-s=1.5", "refused" },
  { "x|y|-s|-1e3", "size=-1000" },
  { "x|y|--fast", "fast=1" },
  { "x|y|--fast|--fast", "fast=1" },
  { "x|y|-f", "fast=1" },
  { "x|y|-f|-f", "fast=1" },
  { "x|y|-fs|2", "refused" },
  { "x|y|--fast|true", "refused" },
  { "x|y|--fast=true", "refused" },
  { "x|y|--name|a b", "name=a b" },
  { "x|y|--name|", "" },
  { "x|y|--name|-a", "name=-a" },
  { "x|y|--name|--fast", "name=--fast" },
  { "x|y|--name|--help", "name=--help" },
  { "x|y|--name|--xml", "name=--xml" },
  { "x|y|--name|--", "name=--" },
  { "x|y|--name|a|--name|b", "name=b" },
  { "x|y|--name|<&>", "name=<&>" },
  { "x|y|--more|a", "more=a;" },
  { "x|y|--more|a|--more|b", "more=a;b;" },
  { "--more|a|x|--more|b|y", "more=a;b;" },
  { "x|y|--more|a,b", "more=a;b;" },
  { "x|y|--mode|b", "mode=b" },
  { "x|y|--mode|c", "refused" },
  { "x|y|--mode|B", "refused" },
  { "x|y|--mode|", "refused" },
  { "x|y|--mode|b|--mode|a", "" },
  { "x|y|--nothing", "refused" },
  { "x|y|--nothing|4", "refused" },
  { "x|y|-n", "refused" },
  { "-|-", "in=- out=-" },
  { "x|--", "refused" },
  { "--|x|y", "" },
  { "x|--|y", "" },
  { "x|y|--", "" },
  { "--|--fast|-y", "in=--fast out=-y" },
  { "|y", "in=" },
  { "x|", "out=" },
  { "x|y|--echo", "" },
  { "x|y|--echo|--echo", "" },
  { "--xml", "answered" },
  { "--xml|--nothing", "answered" },
  { "x|y|--version", "answered" },
  { "--version", "answered" },
  { "--help", "answered" },
  { "-h", "answered" },
  { "x|--help", "answered" },
  { "x|y|--nothing|--help", "answered" },
  { "x|y|--returnparameterfile|r", "" },
  { "--returnparameterfile|r|x|y", "" },
  { "x|y|--processinformationaddress|0", "" },
  { "x|y|--processinformationaddress|", "" },
  { "x|y|--ignore_rest", "" },
};

// Where we differ on purpose; parameters.h says why.
struct Difference
{
  const char * arguments;
  const char * generateClp;
  const char * ours;
  const char * why;
};

const Difference differences[] = {
  { "x|y|-", "", "refused", "one argument too many" },
  { "--|x|y|--count|4", "in=--count out=4", "refused", "order" },
  { "x|y|--count|11", "count=11", "refused", "range" },
  { "x|y|--count|-6", "count=-6", "refused", "range" },
  { "x|y|--count", "", "refused", "no value" },
  { "x|y|--size|1e-400", "size=0", "refused", "vanishes" },
  { "x|y|-s", "", "refused", "no value" },
  { "x|y|-s|2|--size|3", "refused", "size=3", "the last counts" },
  { "x|y|-ff", "fast=1", "refused", "joined letters" },
  { "x|y|--name", "", "refused", "no value" },
  { "x|y|--more", "", "refused", "no value" },
  { "x|y|--|--fast", "in=--fast out=x", "refused", "order" },
  { "x|--|--fast", "in=--fast out=x", "out=--fast", "order" },
  { "-1|y", "in=-1", "refused", "unknown option" },
  { "x|y|--xml", "", "answered", "question" },
  { "x|y|--returnparameterfile", "", "refused", "no value" },
  { "x|y|--processinformationaddress", "", "refused", "no value" },
  { "x|y|--ignore_rest|--fast", "in=--fast out=x", "refused", "order" },
  { "--nothing|y", "in=--nothing", "refused", "unknown option" },
};

std::string
JoinedResult(const Parameters & p)
{
  std::ostringstream result;
  const auto         show = [&](const char * name, const auto & value, const auto & usual) {
    if (value != usual)
    {
      result << (result.tellp() > 0 ? " " : "") << name << '=' << value;
    }
  };
  std::string more;
  for (const std::string & value : p.Strings("more"))
  {
    more += value + ";";
  }
  show("in", p.String("in"), "x");
  show("out", p.String("out"), "y");
  show("count", p.Integer("count"), 3);
  show("size", p.Double("size"), 0.5);
  show("fast", p.Boolean("fast"), false);
  show("name", p.String("name"), "");
  show("mode", p.String("mode"), "a");
  show("more", more, "");
  return result.str();
}

std::string
ResultOf(const std::string & line)
{
  const auto arguments = line.empty() ? std::vector<std::string>() : Split(line, '|');
  Parameters parameters(description);
  if (parameters.Asked(arguments) != Question::None)
  {
    return "answered";
  }
  try
  {
    parameters.Parse(arguments);
  }
  catch (const Failure & failure)
  {
    EXPECT_EQ(failure.Code(), ExitCode::Usage);
    return "refused";
  }
  return JoinedResult(parameters);
}

} // namespace

TEST(Parameters, TakesAndRefusesWhatGenerateClpDoes)
{
  for (const Line & line : asGenerateClp)
  {
    EXPECT_EQ(ResultOf(line.arguments), line.generateClp) << line.arguments;
  }
}

TEST(Parameters, DiffersFromGenerateClpWhereItIsMeantTo)
{
  for (const Difference & difference : differences)
  {
    EXPECT_EQ(ResultOf(difference.arguments), difference.ours) << difference.arguments << ": " << difference.why;
    EXPECT_STRNE(difference.ours, difference.generateClp) << difference.arguments;
  }
}

TEST(Parameters, HostsMayAddTheirOptions)
{
  const Parameters p =
    Parsed({ "x", "--echo", "y", "--processinformationaddress", "0x10", "--returnparameterfile", "r" });
  EXPECT_TRUE(p.Host().echo);
  EXPECT_EQ(p.Host().processInformation, "0x10");
  EXPECT_EQ(p.Host().returnParameterFile, "r");
  EXPECT_EQ(p.All().size(), 8u); // they are no parameters of the program
  EXPECT_FALSE(Parsed({ "x", "y" }).Host().echo);
}

TEST(Parameters, EchoShowsWhatEachParameterIs)
{
  const auto lines = Parsed({ "x", "y", "--more", "a", "--more", "b", "-f" }).Echo();
  EXPECT_EQ(lines,
            (std::vector<std::string>{ "Command Line Arguments",
                                       "    in: x",
                                       "    out: y",
                                       "    count: 3",
                                       "    size: 0.5",
                                       "    fast: true",
                                       "    name: ",
                                       "    more: a, b",
                                       "    mode: a" }));
}

TEST(Parameters, UnknownKindsOfParameterAreRefused)
{
  const std::string odd = std::string(description).replace(std::string(description).find("<double>"), 8, "<region>");
  EXPECT_THROW(Parameters{ std::string(odd).replace(odd.find("</double>"), 9, "</region>") }, std::runtime_error);
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

// The rhythm and the text of what a program says while it works, without a program around it.
#include "failure.h"
#include "interrupt.h"
#include "progress.h"
#include "xml_reader.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <thread>

using namespace verdiff;

namespace
{

using Clock = std::chrono::steady_clock;

// What @p work writes to stdout, which is no terminal here, and how long it takes.
struct Said
{
  std::string text;
  double      seconds = 0.0;
};

Said
SaidBy(const std::function<void()> & work)
{
  Said       said;
  const auto begin = Clock::now();
  testing::internal::CaptureStdout();
  work();
  said.text = testing::internal::GetCapturedStdout();
  said.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return said;
}

int
Count(const std::string & text, const std::string & part)
{
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
  {
    ++count;
  }
  return count;
}

void
Sleep(double seconds)
{
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

} // namespace

TEST(Progress, IsThereAlsoWhenNothingIsReported)
{
  const Said said = SaidBy([] {
    Progress progress("Title");
    progress.Start();
    progress.Report(0.25, "Reading");
    Sleep(1.5);
    progress.End();
  });
  const int  blocks = Count(said.text, "<filter-comment>Reading</filter-comment>\n<filter-progress>0.2500<");
  EXPECT_GE(blocks, 2);
  EXPECT_LE(blocks, said.seconds / 0.4 + 1.0);
}

TEST(Progress, IsNotMoreThanAHostCanRead)
{
  const Said said = SaidBy([] {
    Progress progress("Title");
    progress.Start();
    for (int i = 0; i < 1000; ++i)
    {
      progress.Report(i / 2000.0, "Step " + std::to_string(i));
      Sleep(0.0005);
    }
    Sleep(0.3);
    progress.End();
  });
  EXPECT_LE(Count(said.text, "<filter-comment>Step "), said.seconds / 0.12 + 1.0);
  // The last thing reported is shown, if late.
  EXPECT_NE(said.text.find("<filter-comment>Step 999</filter-comment>\n<filter-progress>0.4995<"), std::string::npos);
}

TEST(Progress, NeverGoesBack)
{
  const Said said = SaidBy([] {
    Progress progress("Title");
    progress.Start();
    progress.SetRange(0.5, 1.0, "Part");
    progress.Report(0.5, "a");
    Sleep(0.2);
    progress.SetRange(0.0, 0.5, "");
    progress.Report(0.5, "b");
    Sleep(0.2);
    progress.End();
  });
  EXPECT_NE(said.text.find("<filter-comment>Part: a</filter-comment>\n<filter-progress>0.7500<"), std::string::npos);
  EXPECT_NE(said.text.find("<filter-comment>b</filter-comment>\n<filter-progress>0.7500<"), std::string::npos);
}

TEST(Progress, AnyBytesMakeAWellFormedText)
{
  const Said said = SaidBy([] {
    Progress progress("T");
    progress.Print("<a> & \x01 \xc3\xa9 \xff \xc3 \xed\xa0\x80 \xf0\x9f\x98\x80 \xe0\x80\x80");
  });
  EXPECT_EQ(said.text, "&lt;a&gt; &amp;   \xc3\xa9 ? ? ??? \xf0\x9f\x98\x80 ???\n");
  EXPECT_NO_THROW(ReadXml("<m>" + said.text + "</m>"));
}

TEST(Progress, SaysNothingAfterAFailure)
{
  const Said said = SaidBy([] {
    Progress progress("Title");
    progress.Start();
    progress.Report(0.5, "Working");
    progress.Stop();
    progress.End();
    Sleep(0.6);
  });
  EXPECT_EQ(Count(said.text, "<filter-end>"), 0);
  EXPECT_LE(Count(said.text, "Working"), 1);
}

TEST(Progress, AStageEndsTheWorkWhenSomebodyWantsIt)
{
  ProcessInformation   host;
  Progress             progress("Title", &host);
  const InterruptScope scope(&host.abort);
  progress.Start();
  EXPECT_NO_THROW(progress.Stage(0.0, 0.5, "Reading"));
  EXPECT_EQ(Progress::Callback(&progress, 0.5, "x"), 0);
  host.abort = 1;
  EXPECT_EQ(Progress::Callback(&progress, 0.6, "x"), 1);
  EXPECT_THROW(progress.Stage(0.5, 1.0, "Writing"), Failure);
}

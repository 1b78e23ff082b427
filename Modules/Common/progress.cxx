#include "progress.h"

#include "interrupt.h"
#include "text.h"

#include <algorithm>
#include <cerrno>
#include <iostream>
#include <string_view>
#include <unistd.h>

namespace verdiff
{
namespace
{

// 0.12 s keeps below ten a second, which is as fast as hosts poll; 0.4 s keeps above two.
constexpr std::chrono::milliseconds shortestInterval(120);
constexpr std::chrono::milliseconds longestInterval(400);

// How many bytes the character of UTF-8 at the beginning of @p text has; 0 when there is none.
size_t
CharacterBytes(std::string_view text)
{
  struct Kind // of first bytes, with the range of the second
  {
    unsigned char first, last, low, high;
    size_t        bytes;
  };
  static constexpr Kind kinds[] = { { 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 },
                                    { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
                                    { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
                                    { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
                                    { 0xf4, 0xf4, 0x80, 0x8f, 4 } };
  const auto            byte = [&](size_t i) {
    return static_cast<unsigned char>(i < text.size() ? text[i] : 0);
  };
  for (const Kind & kind : kinds)
  {
    if (byte(0) < kind.first || byte(0) > kind.last)
    {
      continue;
    }
    bool valid = kind.bytes == 1 || (byte(1) >= kind.low && byte(1) <= kind.high);
    for (size_t i = 2; i < kind.bytes; ++i)
    {
      valid = valid && (byte(i) & 0xc0) == 0x80;
    }
    return valid ? kind.bytes : 0;
  }
  return 0;
}

// A file name may hold any bytes; an XML text may not.
std::string
XmlText(std::string_view text)
{
  std::string valid;
  while (!text.empty())
  {
    const size_t bytes = CharacterBytes(text);
    valid += bytes == 0 ? std::string_view("?") : text.substr(0, bytes);
    text.remove_prefix(std::max<size_t>(bytes, 1));
  }
  return EscapeXml(valid);
}

// One write for each block: a host looks for whole tags in each chunk that it reads.
void
WriteToStdout(const std::string & text)
{
  size_t done = 0;
  while (done < text.size())
  {
    const ssize_t written = write(STDOUT_FILENO, text.data() + done, text.size() - done);
    if (written > 0)
    {
      done += static_cast<size_t>(written);
    }
    else if (written == 0 || errno != EINTR)
    {
      return; // Nobody listens any more; the files are what counts.
    }
  }
}

} // namespace

Progress::Progress(std::string title, ProcessInformation * host)
  : m_Title(std::move(title))
  , m_Host(host)
  , m_Sink(host ? Sink::Host : (isatty(STDOUT_FILENO) == 1 ? Sink::Bar : Sink::Tags))
  , m_Begin(Clock::now())
  , m_Last(m_Begin - shortestInterval)
{}

Progress::~Progress()
{
  Stop();
}

double
Progress::Seconds() const
{
  return std::chrono::duration<double>(Clock::now() - m_Begin).count();
}

// A host catches what its modules print through the C++ stream.
void
Progress::Write(const std::string & text)
{
  if (m_Sink == Sink::Host)
  {
    std::cout << text << std::flush;
  }
  else
  {
    WriteToStdout(text);
  }
}

void
Progress::ClearBar()
{
  if (m_BarShown)
  {
    Write("\r\033[K");
    m_BarShown = false;
  }
}

void
Progress::Start()
{
  m_Running = true;
  m_Begin = Clock::now();
  m_Comment = m_Title;
  if (m_Sink == Sink::Host)
  {
    TellHost(*m_Host, 0.0, m_Title, 0.0);
  }
  else if (m_Sink == Sink::Tags)
  {
    Write("<filter-start>\n<filter-name>" + XmlText(m_Title) + "</filter-name>\n<filter-comment>" + XmlText(m_Title) +
          "</filter-comment>\n</filter-start>\n");
    m_Pulse = std::thread([this] { Pulse(); });
  }
  m_Last = Clock::now();
}

// Runs beside the work, which may report too often, or not at all while it reads a file.
void
Progress::Pulse()
{
  std::unique_lock<std::mutex> lock(m_Mutex);
  while (m_Running)
  {
    const auto due = m_Last + (m_New ? shortestInterval : longestInterval);
    if (Clock::now() >= due)
    {
      Show();
    }
    else
    {
      m_Wake.wait_until(lock, due);
    }
  }
}

void
Progress::Stage(double from, double to, const std::string & comment)
{
  ThrowIfInterrupted();
  SetRange(from, to, "");
  Report(0.0, comment);
}

void
Progress::SetRange(double from, double to, const std::string & prefix)
{
  const std::lock_guard<std::mutex> lock(m_Mutex);
  m_From = from;
  m_To = to;
  m_Prefix = prefix;
}

void
Progress::Report(double fraction, const std::string & comment)
{
  const std::lock_guard<std::mutex> lock(m_Mutex);
  const double                      whole = m_From + (m_To - m_From) * std::clamp(fraction, 0.0, 1.0);
  m_Fraction = std::max(m_Fraction, std::clamp(whole, 0.0, 1.0));
  m_Comment = m_Prefix.empty() || comment.empty() ? m_Prefix + comment : m_Prefix + ": " + comment;
  if (!m_Running)
  {
    return;
  }
  if (Clock::now() - m_Last >= shortestInterval)
  {
    Show();
  }
  else if (!m_New)
  {
    m_New = true;
    m_Wake.notify_one();
  }
}

void
Progress::Show()
{
  m_Last = Clock::now();
  m_New = false;
  if (m_Sink == Sink::Host)
  {
    TellHost(*m_Host, m_Fraction, m_Comment, Seconds());
  }
  else if (m_Sink == Sink::Tags)
  {
    Write("<filter-comment>" + XmlText(m_Comment) + "</filter-comment>\n" +
          Format("<filter-progress>%.4f</filter-progress>\n", m_Fraction));
  }
  else
  {
    ShowBar();
  }
}

void
Progress::ShowBar()
{
  constexpr int     width = 30;
  const int         filled = static_cast<int>(m_Fraction * width);
  const std::string bar = std::string(static_cast<size_t>(filled), '#') + std::string(width - filled, '.');
  Write("\r\033[K[" + bar + Format("] %3d %%  ", static_cast<int>(m_Fraction * 100.0)) + m_Comment.substr(0, 60));
  m_BarShown = true;
}

void
Progress::Print(const std::string & line)
{
  const std::lock_guard<std::mutex> lock(m_Mutex);
  ClearBar();
  Write((m_Sink == Sink::Tags ? XmlText(line) : line) + "\n");
}

void
Progress::PrintRaw(const std::string & text)
{
  const std::lock_guard<std::mutex> lock(m_Mutex);
  ClearBar();
  Write(text);
}

void
Progress::Stop()
{
  {
    const std::lock_guard<std::mutex> lock(m_Mutex);
    m_Running = false;
    ClearBar();
    m_Wake.notify_one();
  }
  if (m_Pulse.joinable())
  {
    m_Pulse.join();
  }
}

void
Progress::End()
{
  if (!m_Running)
  {
    return;
  }
  Stop();
  if (m_Sink == Sink::Host)
  {
    TellHost(*m_Host, 1.0, m_Title, Seconds());
  }
  else if (m_Sink == Sink::Tags)
  {
    Write("<filter-progress>1.0000</filter-progress>\n<filter-end>\n<filter-name>" + XmlText(m_Title) +
          Format("</filter-name>\n<filter-time>%.1f</filter-time>\n</filter-end>\n", Seconds()));
  }
}

int
Progress::Callback(void * user, double fraction, const char * comment)
{
  static_cast<Progress *>(user)->Report(fraction, comment ? comment : "");
  return Interrupted() ? 1 : 0;
}

} // namespace verdiff

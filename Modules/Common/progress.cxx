#include "progress.h"

#include "interrupt.h"
#include "text.h"

#include <algorithm>
#include <cerrno>
#include <unistd.h>

namespace verdiff
{

// 0.12 s keeps below ten a second, which is as fast as hosts poll.
static constexpr std::chrono::milliseconds shortestInterval(120);

Progress::Progress(std::string title)
  : m_Title(std::move(title))
  , m_Terminal(isatty(STDOUT_FILENO) == 1)
  , m_Begin(Clock::now())
  , m_Last(m_Begin - shortestInterval)
{}

Progress::~Progress()
{
  ClearBar();
}

// One write per block: a host looks for whole tags in each chunk that it reads.
void
Progress::Emit(const std::string & text)
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

void
Progress::ClearBar()
{
  if (m_BarShown)
  {
    Emit("\r\033[K");
    m_BarShown = false;
  }
}

void
Progress::Start()
{
  m_Running = true;
  m_Begin = Clock::now();
  if (!m_Terminal)
  {
    Emit("<filter-start>\n<filter-name>" + EscapeXml(m_Title) + "</filter-name>\n<filter-comment>" +
         EscapeXml(m_Title) + "</filter-comment>\n</filter-start>\n");
  }
}

void
Progress::Stage(double from, double to, const std::string & comment)
{
  SetRange(from, to, "");
  m_Last = Clock::now() - shortestInterval;
  Report(0.0, comment);
}

void
Progress::SetRange(double from, double to, const std::string & prefix)
{
  m_From = from;
  m_To = to;
  m_Prefix = prefix;
}

void
Progress::Report(double fraction, const std::string & comment)
{
  const double whole = m_From + (m_To - m_From) * std::clamp(fraction, 0.0, 1.0);
  m_Fraction = std::max(m_Fraction, std::clamp(whole, 0.0, 1.0));
  const auto now = Clock::now();
  if (m_Running && now - m_Last >= shortestInterval)
  {
    m_Last = now;
    Show(m_Prefix.empty() || comment.empty() ? m_Prefix + comment : m_Prefix + ": " + comment);
  }
}

void
Progress::Show(const std::string & comment)
{
  if (!m_Terminal)
  {
    Emit("<filter-comment>" + EscapeXml(comment) + "</filter-comment>\n" +
         Format("<filter-progress>%.4f</filter-progress>\n", m_Fraction));
    return;
  }
  constexpr int     width = 30;
  const int         filled = static_cast<int>(m_Fraction * width);
  const std::string bar = std::string(static_cast<size_t>(filled), '#') + std::string(width - filled, '.');
  Emit("\r\033[K[" + bar + Format("] %3d %%  ", static_cast<int>(m_Fraction * 100.0)) + comment.substr(0, 60));
  m_BarShown = true;
}

void
Progress::Print(const std::string & line)
{
  ClearBar();
  Emit((m_Terminal ? line : EscapeXml(line)) + "\n");
}

void
Progress::PrintRaw(const std::string & text)
{
  ClearBar();
  Emit(text);
}

void
Progress::End()
{
  if (!m_Running)
  {
    return;
  }
  m_Running = false;
  ClearBar();
  if (!m_Terminal)
  {
    const double seconds = std::chrono::duration<double>(Clock::now() - m_Begin).count();
    Emit("<filter-progress>1.0000</filter-progress>\n<filter-end>\n<filter-name>" + EscapeXml(m_Title) +
         Format("</filter-name>\n<filter-time>%.1f</filter-time>\n</filter-end>\n", seconds));
  }
}

int
Progress::Callback(void * user, double fraction, const char * comment)
{
  static_cast<Progress *>(user)->Report(fraction, comment ? comment : "");
  return Interrupted() ? 1 : 0;
}

} // namespace verdiff

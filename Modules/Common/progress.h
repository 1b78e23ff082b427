// What a user or a host sees while a program works: a bar on a terminal; the progress tags that Slicer and CTK
// read, when stdout goes elsewhere; the shared structure, when the program is a module inside a host's process.
// Nothing else of the project writes to stdout, so that it stays well formed.
#pragma once

#include "host.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace verdiff
{

class Progress
{
public:
  /// @param host  null for a program of its own.
  explicit Progress(std::string title, ProcessInformation * host = nullptr);
  ~Progress();
  Progress(const Progress &) = delete;
  Progress &
  operator=(const Progress &) = delete;

  /// From here to End() tags come at least twice and at most nine times a second, whatever is reported.
  void
  Start();

  /// Map the following fractions 0..1 to @p from .. @p to of the whole run.
  /// @throw Failure with ExitCode::Interrupted when somebody asked to stop.
  void
  Stage(double from, double to, const std::string & comment);

  /// As Stage, but without showing anything; @p prefix stands before the comments that follow.
  void
  SetRange(double from, double to, const std::string & prefix);

  /// Never goes back.
  void
  Report(double fraction, const std::string & comment);

  /// A line for the user: a result or a warning.
  void
  Print(const std::string & line);

  /// Text that is escaped already (JSON for a program to read).
  void
  PrintRaw(const std::string & text);

  /// The work is done.
  void
  End();

  /// Nothing more is shown; the bar is taken off the terminal, before something else is written there.
  void
  Stop();

  /// For vdn_ctx_options: @p user is the Progress. Returns 1 once somebody asked to stop.
  static int
  Callback(void * user, double fraction, const char * comment);

private:
  using Clock = std::chrono::steady_clock;
  enum class Sink
  {
    Bar,
    Tags,
    Host
  };

  void
  Show();
  void
  ShowBar();
  void
  ClearBar();
  void
  Write(const std::string & text);
  void
  Pulse();
  double
  Seconds() const;

  std::string             m_Title;
  ProcessInformation *    m_Host;
  Sink                    m_Sink;
  std::mutex              m_Mutex; // guards all below against the pulse
  std::condition_variable m_Wake;
  std::thread             m_Pulse; // shows what is new when it may, and what is old when it must
  std::string             m_Prefix;
  std::string             m_Comment;
  bool                    m_Running = false;
  bool                    m_New = false; // something reported that was not shown
  bool                    m_BarShown = false;
  double                  m_From = 0.0;
  double                  m_To = 1.0;
  double                  m_Fraction = 0.0;
  Clock::time_point       m_Begin;
  Clock::time_point       m_Last;
};

} // namespace verdiff

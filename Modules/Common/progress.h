// What a user or a host sees while a program works: a bar on a terminal, otherwise the progress tags
// that Slicer and CTK read. Nothing else of the project writes to stdout, so that it stays well formed.
#pragma once

#include <chrono>
#include <string>

namespace verdiff
{

class Progress
{
public:
  explicit Progress(std::string title);
  ~Progress();
  Progress(const Progress &) = delete;
  Progress &
  operator=(const Progress &) = delete;

  void
  Start();

  /// Map the following fractions 0..1 to @p from .. @p to of the whole run.
  void
  Stage(double from, double to, const std::string & comment);

  /// As Stage, but without showing anything; @p prefix stands before the comments that follow.
  void
  SetRange(double from, double to, const std::string & prefix);

  /// Shown at most ten times a second; never goes back.
  void
  Report(double fraction, const std::string & comment);

  /// A line for the user: a result or a warning.
  void
  Print(const std::string & line);

  /// Text that is escaped already (JSON for a program to read).
  void
  PrintRaw(const std::string & text);

  void
  End();

  /// Take the bar off the terminal, before something else is written there.
  void
  ClearBar();

  /// For vdn_ctx_options: @p user is the Progress. Returns 1 once a signal asked to stop.
  static int
  Callback(void * user, double fraction, const char * comment);

private:
  using Clock = std::chrono::steady_clock;

  void
  Show(const std::string & comment);
  void
  Emit(const std::string & text);

  std::string       m_Title;
  std::string       m_Prefix;
  bool              m_Terminal;
  bool              m_Running = false;
  bool              m_BarShown = false;
  double            m_From = 0.0;
  double            m_To = 1.0;
  double            m_Fraction = 0.0;
  Clock::time_point m_Begin;
  Clock::time_point m_Last;
};

} // namespace verdiff

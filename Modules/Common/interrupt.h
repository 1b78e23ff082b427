// The wish to stop. In a program it comes by Ctrl-C or SIGTERM: the first asks the work to stop at its next step,
// the second ends the program at once; both leave no temporary file. In a host's process it comes by the abort
// byte that the host shares, and the host's signals are left alone.
#pragma once

#include <string>

namespace verdiff
{

/// For as long as it lives the wish to stop is listened to on this thread.
class InterruptScope
{
public:
  /// @param hostAbort  the host's abort byte. Null: handlers are installed for signals that nobody handles yet, and
  ///   SIGPIPE and SIGXFSZ are ignored so that a failing write is an error message.
  explicit InterruptScope(const unsigned char * hostAbort);
  ~InterruptScope();
  InterruptScope(const InterruptScope &) = delete;
  InterruptScope &
  operator=(const InterruptScope &) = delete;

private:
  const unsigned char * m_OuterAbort;
  bool                  m_Signals;
};

bool
Interrupted();

/// @throw Failure with ExitCode::Interrupted once the wish has come.
void
ThrowIfInterrupted();

/// A file that the second signal must remove. Returns a slot, -1 when the table is full.
int
RegisterTemporary(const std::string & path);
void
ForgetTemporary(int slot);

} // namespace verdiff

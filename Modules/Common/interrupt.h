// Ctrl-C and SIGTERM: the first asks the work to stop at its next step, the second ends the program
// at once. Both leave no temporary file.
#pragma once

#include <string>

namespace verdiff
{

/// Install the handlers. SIGPIPE and SIGXFSZ are ignored so that a failing write is an error message.
void
InstallInterruptHandlers();

bool
Interrupted();

/// @throw Failure with ExitCode::Interrupted once a signal has come.
void
ThrowIfInterrupted();

/// A file that the second signal must remove. Returns a slot, -1 when the table is full.
int
RegisterTemporary(const std::string & path);
void
ForgetTemporary(int slot);

} // namespace verdiff

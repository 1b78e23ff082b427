// What every program does around its work: its description, --help, --version and --xml, signals, a host's wishes,
// messages and exit codes. It may run any number of times in one process.
#pragma once

#include "failure.h"
#include "parameters.h"
#include "progress.h"

#include <string>

namespace verdiff
{

struct Program
{
  std::string  name; // "VerdiffSegment"
  Parameters & parameters;
  Progress &   progress;
};

using ProgramFunction = void (*)(Program &);

/// Parse, run, report. @p description is the embedded XML, zero-terminated.
/// @return the exit code; stderr gets one line when it is not 0.
int
RunProgram(int argc, char * argv[], const char * description, ProgramFunction work);

} // namespace verdiff

// What can go wrong, and the exit code each kind gives. The codes are a promise:
// Resources/Docs/exit-codes.md.
#pragma once

#include <array>
#include <stdexcept>
#include <string>

namespace verdiff
{

enum class ExitCode
{
  Ok = 0,
  Processing = 1,
  Usage = 2,
  Input = 3,
  Model = 4,
  Device = 5,
  Output = 6,
  Memory = 7,
  Interrupted = 130
};

struct ExitCodeEntry
{
  ExitCode     code;
  const char * meaning;
};

/// The table of the document, for --help.
inline constexpr std::array<ExitCodeEntry, 9> exitCodes = { {
  { ExitCode::Ok, "done" },
  { ExitCode::Processing, "failure while processing" },
  { ExitCode::Usage, "wrong use" },
  { ExitCode::Input, "input missing, unreadable or refused" },
  { ExitCode::Model, "model missing, damaged or not for this input" },
  { ExitCode::Device, "compute device missing or failed" },
  { ExitCode::Output, "output cannot be written" },
  { ExitCode::Memory, "not enough memory" },
  { ExitCode::Interrupted, "interrupted" },
} };

/// One line for the user, naming the file, the field, the value found and the value needed.
class Failure : public std::runtime_error
{
public:
  Failure(ExitCode code, const std::string & reason)
    : std::runtime_error(reason)
    , m_Code(code)
  {}

  ExitCode
  Code() const
  {
    return m_Code;
  }

private:
  ExitCode m_Code;
};

} // namespace verdiff

#include "interrupt.h"

#include "failure.h"

#include <csignal>
#include <cstring>
#include <unistd.h>

namespace verdiff
{
namespace
{

constexpr int              slots = 16;
constexpr size_t           pathBytes = 4096;
char                       temporaryPaths[slots][pathBytes];
volatile std::sig_atomic_t temporaryUsed[slots];
volatile std::sig_atomic_t signalCount = 0;

// Only functions that are safe inside a signal handler.
void
OnSignal(int)
{
  signalCount = signalCount + 1;
  if (signalCount < 2)
  {
    return;
  }
  for (int i = 0; i < slots; ++i)
  {
    if (temporaryUsed[i])
    {
      unlink(temporaryPaths[i]);
    }
  }
  _exit(static_cast<int>(ExitCode::Interrupted));
}

} // namespace

void
InstallInterruptHandlers()
{
  struct sigaction action;
  std::memset(&action, 0, sizeof(action));
  action.sa_handler = OnSignal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

bool
Interrupted()
{
  return signalCount > 0;
}

void
ThrowIfInterrupted()
{
  if (Interrupted())
  {
    throw Failure(ExitCode::Interrupted, "stopped by a signal; nothing was written");
  }
}

int
RegisterTemporary(const std::string & path)
{
  for (int i = 0; i < slots && path.size() < pathBytes; ++i)
  {
    if (!temporaryUsed[i])
    {
      std::memcpy(temporaryPaths[i], path.c_str(), path.size() + 1);
      temporaryUsed[i] = 1;
      return i;
    }
  }
  return -1;
}

void
ForgetTemporary(int slot)
{
  if (slot >= 0)
  {
    temporaryUsed[slot] = 0;
  }
}

} // namespace verdiff

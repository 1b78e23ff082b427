#include "interrupt.h"

#include "failure.h"

#include <array>
#include <csignal>
#include <cstring>
#include <mutex>
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
std::mutex                 temporaryMutex; // between threads; the handler only looks

thread_local const volatile unsigned char * hostAbort = nullptr;

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

struct Caught
{
  int signal;
  void (*handler)(int);
  bool installed;
};

std::array<Caught, 4> caught = { { { SIGINT, OnSignal, false },
                                   { SIGTERM, OnSignal, false },
                                   { SIGPIPE, SIG_IGN, false },
                                   { SIGXFSZ, SIG_IGN, false } } };

// What somebody else handles or ignores (nohup, a host) stays as it is.
void
InstallHandlers()
{
  for (Caught & c : caught)
  {
    struct sigaction action;
    if (sigaction(c.signal, nullptr, &action) != 0 || (action.sa_flags & SA_SIGINFO) || action.sa_handler != SIG_DFL)
    {
      continue;
    }
    std::memset(&action, 0, sizeof(action));
    action.sa_handler = c.handler;
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    c.installed = sigaction(c.signal, &action, nullptr) == 0;
  }
}

void
RemoveHandlers()
{
  for (Caught & c : caught)
  {
    if (c.installed)
    {
      std::signal(c.signal, SIG_DFL);
      c.installed = false;
    }
  }
}

} // namespace

InterruptScope::InterruptScope(const unsigned char * abort)
  : m_OuterAbort(const_cast<const unsigned char *>(hostAbort))
  , m_Signals(abort == nullptr)
{
  hostAbort = abort;
  if (m_Signals)
  {
    signalCount = 0;
    InstallHandlers();
  }
}

InterruptScope::~InterruptScope()
{
  hostAbort = m_OuterAbort;
  if (m_Signals)
  {
    RemoveHandlers();
  }
}

bool
Interrupted()
{
  return hostAbort ? *hostAbort != 0 : signalCount > 0;
}

void
ThrowIfInterrupted()
{
  if (Interrupted())
  {
    throw Failure(ExitCode::Interrupted,
                  std::string("stopped by ") + (hostAbort ? "the host" : "a signal") + "; nothing was written");
  }
}

int
RegisterTemporary(const std::string & path)
{
  const std::lock_guard<std::mutex> lock(temporaryMutex);
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

#include "host.h"

#include "failure.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <type_traits>

#if __has_include(<ModuleProcessInformation.h>)
#include <ModuleProcessInformation.h>
#endif

namespace verdiff
{

static_assert(std::is_standard_layout_v<ProcessInformation>);
#if __has_include(<ModuleProcessInformation.h>)
static_assert(sizeof(ProcessInformation) == sizeof(ModuleProcessInformation));
static_assert(offsetof(ProcessInformation, abort) == offsetof(ModuleProcessInformation, Abort));
static_assert(offsetof(ProcessInformation, progress) == offsetof(ModuleProcessInformation, Progress));
static_assert(offsetof(ProcessInformation, stageProgress) == offsetof(ModuleProcessInformation, StageProgress));
static_assert(offsetof(ProcessInformation, message) == offsetof(ModuleProcessInformation, ProgressMessage));
static_assert(offsetof(ProcessInformation, callback) == offsetof(ModuleProcessInformation, ProgressCallbackFunction));
static_assert(offsetof(ProcessInformation, clientData) ==
              offsetof(ModuleProcessInformation, ProgressCallbackClientData));
static_assert(offsetof(ProcessInformation, elapsedTime) == offsetof(ModuleProcessInformation, ElapsedTime));
#endif

ProcessInformation *
ProcessInformationAt(const std::string & address)
{
  void * pointer = nullptr;
  int    used = 0;
  if (address.empty() || address == "0")
  {
    return nullptr;
  }
  if (std::sscanf(address.c_str(), "%p%n", &pointer, &used) != 1 || static_cast<size_t>(used) != address.size() ||
      reinterpret_cast<std::uintptr_t>(pointer) % alignof(ProcessInformation) != 0)
  {
    throw Failure(ExitCode::Usage,
                  "--processinformationaddress: \"" + address + "\" is not the address of a structure");
  }
  return static_cast<ProcessInformation *>(pointer);
}

void
TellHost(ProcessInformation & host, double progress, const std::string & message, double seconds)
{
  host.progress = static_cast<float>(progress);
  host.stageProgress = 0.0f;
  host.elapsedTime = seconds;
  std::snprintf(host.message, sizeof(host.message), "%s", message.c_str());
  if (host.callback)
  {
    host.callback(host.clientData);
  }
}

} // namespace verdiff

// What a host (3D Slicer) shares with a module that runs inside its process: progress goes out, the wish to
// stop comes in. The layout is SlicerExecutionModel's ModuleProcessInformation.
#pragma once

#include <string>

namespace verdiff
{

struct ProcessInformation
{
  unsigned char abort = 0;
  float         progress = 0.0f;
  float         stageProgress = 0.0f;
  char          message[1024] = {};
  void (*callback)(void *) = nullptr;
  void * clientData = nullptr;
  double elapsedTime = 0.0; // seconds
};

/// The structure at @p address, as --processinformationaddress gives it ("0x55d0…"); "", "0" and "(nil)" are none.
/// @throw Failure with ExitCode::Usage when the text is no address.
ProcessInformation *
ProcessInformationAt(const std::string & address);

/// Fill the structure and let the host look at it.
void
TellHost(ProcessInformation & host, double progress, const std::string & message, double seconds);

} // namespace verdiff

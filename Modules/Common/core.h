// The C library with owners and exceptions: status on that side, Failure on this side.
#pragma once

#include "failure.h"
#include "parameters.h"
#include "progress.h"

#include <vdn.h>

#include <memory>
#include <string>
#include <vector>

namespace verdiff
{

struct FreeContext
{
  void
  operator()(vdn_ctx * ctx) const
  {
    vdn_ctx_free(ctx);
  }
};

struct FreeModel
{
  void
  operator()(vdn_model * model) const
  {
    vdn_model_free(model);
  }
};

using Context = std::unique_ptr<vdn_ctx, FreeContext>;
using Model = std::unique_ptr<vdn_model, FreeModel>;

/// What a program may compute with.
struct Computing
{
  std::string device = "cpu"; // "auto", "cpu", "cuda" or "cuda:N"
  int         threads = 0;    // 0 = all
  long long   maxMemory = 0;  // MiB; 0 = no limit, or 90 % of what is free on a graphics card
  bool        log = false;    // lines of the library are shown through Progress::Print
};

/// --device, --threads and --maxMemory; with the library's lines.
Computing
ComputingFrom(const Parameters & parameters);

/// The environment variable VERDIFF_CUDA_LIBRARY names the file of the CUDA library where it is not beside the
/// programs.
/// @throw Failure (Usage) for an unknown device name, (Device) for one that cannot be used.
Context
MakeContext(Progress & progress, const Computing & computing);

/// As MakeContext, for a caller with callbacks of its own: progress, log and user of @p options are kept, and what
/// is in @p computing is filled in.
Context
MakeContext(vdn_ctx_options options, const Computing & computing);

/// @param path  empty: the bundled model.
/// @throw Failure (Model) when there is no such file.
void
CheckModelExists(const std::string & path);

/// @param path  empty: the bundled model.
/// @throw Failure (Model), (Memory).
Model
LoadModel(vdn_ctx * ctx, const std::string & path);

/// The bundled model: beside an installed program, otherwise in the source tree.
std::string
BundledModelPath();

/// @param file  code for files that the call reads or writes
/// @throw Failure when @p status is not VDN_OK, with @p what before the library's reason.
void
Check(const vdn_ctx * ctx, vdn_status status, ExitCode file, const std::string & what = "");

vdn_model_info
ModelInfo(const vdn_model * model);

} // namespace verdiff

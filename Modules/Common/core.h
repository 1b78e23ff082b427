// The C library with owners and exceptions: status on that side, Failure on this side.
#pragma once

#include "failure.h"
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

/// @param device   "auto", "cpu" or "cuda"
/// @param threads  0 = all
/// @param log      lines of the library, shown through Progress::Print
Context
MakeContext(Progress & progress, const std::string & device, int threads, bool log = false);

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

#include "core.h"

#include "interrupt.h"
#include "text.h"

#include <array>
#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <vector>

namespace verdiff
{
namespace
{

constexpr const char * bundledModel = "verdiff-tiny.safetensors";

ExitCode
CodeOf(vdn_status status, ExitCode file)
{
  switch (status)
  {
    case VDN_OK:
      return ExitCode::Ok;
    case VDN_ERR_MEMORY:
      return ExitCode::Memory;
    case VDN_ERR_IO:
    case VDN_ERR_FORMAT:
      return file;
    case VDN_ERR_DEVICE:
      return ExitCode::Device;
    case VDN_ERR_ABORTED:
      return ExitCode::Interrupted;
    default:
      return ExitCode::Processing;
  }
}

void
PrintLine(void * user, const char * line)
{
  static_cast<Progress *>(user)->Print(line);
}

} // namespace

void
Check(const vdn_ctx * ctx, vdn_status status, ExitCode file, const std::string & what)
{
  if (status == VDN_OK)
  {
    return;
  }
  if (status == VDN_ERR_ABORTED)
  {
    ThrowIfInterrupted();
  }
  const std::string reason = ctx ? vdn_ctx_error(ctx) : "";
  throw Failure(CodeOf(status, file),
                (what.empty() ? "" : what + ": ") + (reason.empty() ? vdn_status_name(status) : reason));
}

Computing
ComputingFrom(const Parameters & parameters)
{
  Computing computing;
  computing.device = parameters.String("device");
  computing.threads = static_cast<int>(parameters.Integer("threads"));
  computing.maxMemory = parameters.Integer("maxMemory");
  computing.log = true;
  return computing;
}

Context
MakeContext(vdn_ctx_options options, const Computing & computing)
{
  const char *           library = std::getenv("VERDIFF_CUDA_LIBRARY");
  std::array<char, 1024> why{};
  options.threads = computing.threads;
  options.max_memory_bytes = computing.maxMemory * 1024 * 1024;
  options.device = computing.device.c_str();
  options.cuda_library = library && library[0] ? library : nullptr;
  options.why = why.data();
  options.why_bytes = why.size();
  vdn_ctx *        ctx = nullptr;
  const vdn_status status = vdn_ctx_create(&ctx, &options);
  if (status == VDN_ERR_ARGUMENT)
  {
    throw Failure(ExitCode::Usage, why.data());
  }
  if (status != VDN_OK)
  {
    throw Failure(status == VDN_ERR_MEMORY ? ExitCode::Memory : ExitCode::Device,
                  "device " + computing.device + ": " + why.data());
  }
  return Context(ctx);
}

Context
MakeContext(Progress & progress, const Computing & computing)
{
  vdn_ctx_options options;
  vdn_ctx_options_init(&options);
  options.progress = Progress::Callback;
  options.log = computing.log ? PrintLine : nullptr;
  options.user = &progress;
  return MakeContext(options, computing);
}

std::string
BundledModelPath()
{
  namespace fs = std::filesystem;
  std::error_code error;
  Dl_info         info{};
  // Inside a host the running program is the host: where this very code was loaded from counts too.
  std::vector<fs::path> folders = { fs::read_symlink("/proc/self/exe", error).parent_path() };
  if (dladdr(reinterpret_cast<void *>(&BundledModelPath), &info) != 0 && info.dli_fname)
  {
    folders.push_back(fs::absolute(info.dli_fname, error).parent_path());
  }
  for (const fs::path & folder : folders)
  {
    for (const char * up : { "..", "../.." }) // bin, and lib/verdiff
    {
      const fs::path installed = (folder / up / "share" / "verdiff" / "models" / bundledModel).lexically_normal();
      if (fs::exists(installed, error))
      {
        return installed.string();
      }
    }
  }
  return (fs::path(VERDIFF_SOURCE_MODELS) / bundledModel).string();
}

void
CheckModelExists(const std::string & path)
{
  const std::string file = path.empty() ? BundledModelPath() : path;
  std::error_code   error;
  if (!std::filesystem::is_regular_file(file, error))
  {
    throw Failure(ExitCode::Model,
                  file + ": no such model file" + (path.empty() ? " (the bundled model); give --model" : ""));
  }
}

Model
LoadModel(vdn_ctx * ctx, const std::string & path)
{
  CheckModelExists(path);
  const std::string file = path.empty() ? BundledModelPath() : path;
  vdn_model *       model = nullptr;
  const vdn_status  status = vdn_model_load(ctx, &model, file.c_str());
  // Whatever is wrong with it but memory, it is the model that cannot be used.
  if (status != VDN_OK && status != VDN_ERR_MEMORY && status != VDN_ERR_ABORTED)
  {
    const std::string reason = vdn_ctx_error(ctx);
    throw Failure(ExitCode::Model, reason.find(file) == std::string::npos ? file + ": " + reason : reason);
  }
  Check(ctx, status, ExitCode::Model);
  return Model(model);
}

vdn_model_info
ModelInfo(const vdn_model * model)
{
  vdn_model_info info;
  vdn_model_get_info(&info, model);
  return info;
}

} // namespace verdiff

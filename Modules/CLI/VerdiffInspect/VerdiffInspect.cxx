// VerdiffInspect MODEL | --config NAME: one JSON object on stdout.
#include "VerdiffInspectCLP.h"

#include "core.h"
#include "program.h"
#include "text.h"

#include <filesystem>

namespace
{

using namespace verdiff;

// "320x320" as height and width.
std::pair<std::int64_t, std::int64_t>
ReadSize(const std::string & text)
{
  const auto parts = Split(text, 'x');
  const auto height = ParseInteger(parts[0]);
  const auto width = parts.size() == 2 ? ParseInteger(parts[1]) : std::nullopt;
  if (!height || !width || *height < 1 || *width < 1 || *height > 65536 || *width > 65536)
  {
    throw Failure(ExitCode::Usage, "--size: \"" + text + "\" is not height x width in pixels, such as 320x320");
  }
  return { *height, *width };
}

// "<" and "&" inside strings as JSON escapes, so that stdout can stand inside a host's XML.
std::string
XmlSafeJson(const std::string & json)
{
  std::string safe;
  for (const char c : json)
  {
    if (c == '<' || c == '>' || c == '&')
    {
      safe += Format("\\u%04x", static_cast<unsigned>(c));
    }
    else
    {
      safe += c;
    }
  }
  return safe;
}

void
Inspection(Program & program)
{
  const std::string file = program.parameters.String("model");
  const std::string config = program.parameters.String("config");
  const auto        size = ReadSize(program.parameters.String("size"));
  if (file.empty() == config.empty())
  {
    throw Failure(ExitCode::Usage, "give either a model file or --config NAME (see --help)");
  }
  const Context ctx = MakeContext(program.progress, { "cpu" });
  if (!file.empty() && !std::filesystem::exists(file))
  {
    throw Failure(ExitCode::Model, file + ": no such model file");
  }
  char *           text = nullptr;
  const vdn_status status = vdn_model_describe(ctx.get(),
                                               &text,
                                               file.empty() ? nullptr : file.c_str(),
                                               config.empty() ? nullptr : config.c_str(),
                                               size.first,
                                               size.second);
  if (status == VDN_ERR_ARGUMENT && file.empty())
  {
    throw Failure(ExitCode::Usage, vdn_ctx_error(ctx.get()));
  }
  Check(ctx.get(), status, ExitCode::Model);
  const std::string json = text;
  vdn_string_free(text);
  program.progress.PrintRaw(XmlSafeJson(json) + "\n");
}

} // namespace

int
main(int argc, char * argv[])
{
  return verdiff::RunProgram(argc, argv, XMLModuleDescription, Inspection);
}

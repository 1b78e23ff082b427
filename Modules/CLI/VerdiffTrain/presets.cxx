#include "presets.h"

#include "failure.h"
#include "presets_table.h"

#include <fstream>
#include <iterator>

namespace verdiff
{

static Preset
ReadPreset(const std::string & path)
{
  std::ifstream     file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file.good() && !file.eof())
  {
    throw Failure(ExitCode::Input, path + ": cannot be read");
  }
  return { text, path };
}

Preset
FindPreset(const std::string & name)
{
  if (name.find_first_of("/.") != std::string::npos)
  {
    return ReadPreset(name);
  }
  std::string known;
  for (const auto & preset : presetsTable)
  {
    if (name == preset.name)
    {
      return { reinterpret_cast<const char *>(preset.text), "preset " + name };
    }
    known += (known.empty() ? "" : ", ") + std::string(preset.name);
  }
  throw Failure(ExitCode::Usage, "--preset: \"" + name + "\": there are " + known + ", or the path of a file");
}

} // namespace verdiff

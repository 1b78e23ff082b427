// Presets of training by name or file. The keys: Resources/Presets/README.md.
#pragma once

#include <string>

namespace verdiff
{

struct Preset
{
  std::string text;  // JSON; checked by the training
  std::string title; // for messages
};

/// A preset that comes with the program ("paper"), or else the file @p name (anything with a slash or a dot).
/// @throw Failure (Input) when the file cannot be read, (Usage) with the names there are.
Preset
FindPreset(const std::string & name);

} // namespace verdiff

// A picture of the training log.
#pragma once

#include <string>

namespace verdiff
{

/// Draw the losses of @p logPath (log.csv) and @p validationPath (validation.csv), logarithmic, above
/// the validation Dice. Resources/Formats/training-log.md lists the columns; empty cells are left out.
/// @return an empty string, or why there is no picture.
/// @throw Failure (Output).
std::string
DrawCurves(const std::string & picturePath, const std::string & logPath, const std::string & validationPath);

} // namespace verdiff

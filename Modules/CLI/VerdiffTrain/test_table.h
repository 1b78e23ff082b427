// The test-split scores that training leaves in test.json, as text.
#pragma once

#include "progress.h"

#include <string>

namespace verdiff
{

/// Print prior, one pass and ensemble side by side, mean ± sd.
void
PrintTestTable(Progress & progress, const std::string & path);

} // namespace verdiff

// From the folders that the command line names to the slices that training reads, with the doctor in between.
#pragma once

#include "core.h"
#include "parameters.h"
#include "progress.h"

#include <string>

namespace verdiff
{

/// --check: look at every file, say what is wrong and how to mend it.
/// @throw Failure (Input) when there is a fault.
void
CheckDatasets(const Parameters & parameters, Progress & progress);

/// Write the slice store @p store and its recipe @p recipe; those that are there are used when they were made from the
/// same files in the same way. The progress of the whole run goes to @p done.
/// @return the name of the data, for the model file.
/// @throw Failure (Input) for faults of the data unless --faults skip leaves them out, (Usage), (Output).
std::string
PrepareStore(vdn_ctx *           ctx,
             const std::string & store,
             const std::string & recipe,
             const Parameters &  parameters,
             Progress &          progress,
             double              done);

} // namespace verdiff

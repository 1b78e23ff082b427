// Label and scalar volumes to files, on the exact grid of the scan they belong to.
#pragma once

#include "output_file.h"
#include "volume.h"

#include <string>
#include <vector>

namespace verdiff
{

struct Segment
{
  int         label = 0;
  std::string name; // looked up in the label table for colour and code
};

/// Refuse names that no writer takes, and ".png" for a volume.
/// @throw Failure (Usage), with the extensions that are possible.
void
CheckOutputName(const std::string & path, const Volume & reference, bool labels);

/// Write @p labels as 8-bit values, 16-bit where a label exceeds 255. NRRD files carry Slicer's segment
/// keys; NIfTI files repeat the forms of a NIfTI @p reference. The file is read back and compared before
/// it gets its name.
/// @throw Failure (Output).
void
WriteLabels(OutputFile &                 file,
            const LabelImage &           labels,
            const Volume &               reference,
            const std::vector<Segment> & segments);

/// The same for floats (probabilities, uncertainty).
void
WriteScalars(OutputFile & file, const VolumeImage & values, const Volume & reference);

} // namespace verdiff

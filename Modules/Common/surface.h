// Closed surfaces of segments as files, for rendering, printing and planning.
#pragma once

#include "volume.h"
#include "volume_writer.h"

#include <string>
#include <vector>

namespace verdiff
{

struct SurfaceFiles
{
  std::vector<std::string> written; // paths
  std::vector<std::string> notes;   // what was left out or is unusual, one line each
};

/// Whether this build can make surfaces; without VTK it cannot.
bool
SurfacesAvailable();

/// Refuse before the work what would fail after it: a build without VTK, an image that is one 2D picture,
/// a @p folder that cannot be made or written to. The folder is made if its parent exists.
/// @throw Failure (Usage, Input or Output).
void
PrepareSurfaceFolder(const std::string & folder, const Volume & scan);

/// For each of @p segments that has voxels, NAME.vtp (name, colour and code as field data, as 3D Slicer
/// keeps them) and NAME.stl (binary): one smooth closed surface of the same volume as the voxels, in LPS
/// mm, normals outwards. Files of the same names are replaced, others in the folder are left alone. When
/// writing fails or a signal comes, what this call has written is removed.
/// @throw Failure (Output, Usage, Interrupted).
SurfaceFiles
WriteSurfaces(const std::string & folder, const LabelImage & labels, const std::vector<Segment> & segments);

} // namespace verdiff

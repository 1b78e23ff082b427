// Takes the place of surface.cxx in a build without VTK.
#include "surface.h"

#include "failure.h"

namespace verdiff
{

bool
SurfacesAvailable()
{
  return false;
}

void
PrepareSurfaceFolder(const std::string & folder, const Volume &)
{
  throw Failure(ExitCode::Usage, folder + ": surfaces cannot be written: Verdiff was built without VTK (9.1 or newer)");
}

SurfaceFiles
WriteSurfaces(const std::string & folder, const LabelImage &, const std::vector<Segment> &)
{
  throw Failure(ExitCode::Usage, folder + ": surfaces cannot be written: Verdiff was built without VTK (9.1 or newer)");
}

} // namespace verdiff

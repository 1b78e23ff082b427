// The projection behind a radiograph: sums along parallel rays through a phantom.
#pragma once

#include "phantom_subject.h"

namespace verdiff
{

/// What rays along axis 2 of a grid meet; size[0] * size[1] values each.
struct PhantomShadow
{
  std::vector<float>   integral; // of the attenuation, no unit
  std::vector<uint8_t> inside;   // 1 where a ray crosses a vertebral body
  std::vector<uint8_t> number;   // VerSe number of the body with the longest way inside, or 0
};

/// @return false when @p progress asked to stop; @p shadow is then incomplete.
bool
ProjectPhantom(PhantomShadow &         shadow,
               const PhantomScene &    scene,
               const PhantomGrid &     grid,
               const PhantomProgress & progress);

} // namespace verdiff

// The frames of one volume in the order of their slice normal, with every gap checked.
#pragma once

#include "dicom_group.h"

#include <string>
#include <vector>

namespace verdiff
{

struct DicomStack
{
  std::vector<DicomFrame> frames; // in the order of the slice normal
  Vector3                 row{ 1, 0, 0 };
  Vector3                 column{ 0, 1, 0 };
  Vector3                 normal{ 0, 0, 1 };
  Vector3 step{ 0, 0, 1 }; // unit vector from slice to slice: the normal, unless the stack leans a little
  double  gap = 0.0;       // mm; 0 for a single slice
  bool    oriented = false;
};

/// @throw Failure (Input): frames without a place, axes that are none, slices twice at one place, uneven gaps,
///        gantry tilt, slices shifted sideways; with the numbers.
DicomStack
MakeStack(const DicomGroup & group, const std::string & path);

} // namespace verdiff

// Analytic spine phantoms: scans with known truth, made from (seed, case number) alone.
//
// Anatomy is drawn first (phantom_spine.h, phantom_body.h), then how its tissues look
// (phantom_tissue.h), then an acquisition: field of view, pose, slices, coil, noise. Case k of a seed is
// the same whatever other cases are made, on any number of threads.
#pragma once

#include "phantom_spine.h"

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace verdiff
{

enum class PhantomModality
{
  Mr,
  Ct,
  Xray
};

struct Phantom
{
  std::string            description;
  int                    dimension = 3;
  std::array<int64_t, 3> size{ 0, 0, 1 };
  std::array<double, 3>  spacing{ 1.0, 1.0, 1.0 };
  std::array<double, 3>  origin{ 0.0, 0.0, 0.0 };
  std::array<double, 9>  direction{ 1, 0, 0, 0, 1, 0, 0, 0, 1 }; // row-major; columns are the axes, LPS
  std::vector<float>     pixels;                                 // whole numbers: HU, MR units, 0..255 for X-rays
  std::vector<uint8_t>   labels;                                 // PhantomLabel
  std::vector<uint8_t>   numbers;                                // VerSe number of each vertebra, 26 sacrum, 27 coccyx
};

struct PhantomRequest
{
  PhantomModality modality = PhantomModality::Mr;
  uint64_t        seed = 0;
  uint32_t        caseNumber = 1;
  /// Pixels and slices that many times larger than a scanner's: quick, for trials and tests.
  float coarse = 1.0F;
};

/// Told the share done, 0..1, on the calling thread. Returning false stops the work.
using PhantomProgress = std::function<bool(double)>;

/// An MR or CT volume.
/// @return empty pixels when @p progress asked to stop.
Phantom
MakePhantomVolume(const PhantomRequest & request, const PhantomProgress & progress);

/// Radiographs of one subject from the front and from the side: line integrals through an analytic CT. A
/// vertebra's mask is the shadow of its body.
/// @return empty pixels when @p progress asked to stop.
std::array<Phantom, 2>
MakePhantomRadiographs(const PhantomRequest & request, const PhantomProgress & progress);

} // namespace verdiff

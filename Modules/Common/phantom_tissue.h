// What the tissues of a phantom look like in one acquisition.
#pragma once

#include "phantom_math.h"

#include <array>
#include <cstddef>

namespace verdiff
{

enum class Tissue : uint8_t
{
  Air,
  Skin,
  Fat,
  Muscle,
  Marrow,
  Cortical,
  Nucleus,
  Annulus,
  Fluid, // cerebrospinal fluid, urine
  Cord,
  Ligament,
  Vessel,
  Liver,
  Spleen,
  Kidney,
  BowelWall,
  Stool,
  Gas,
  Lung,
  Count
};

constexpr size_t s_TissueCount = static_cast<size_t>(Tissue::Count);

/// HU for CT; for MR a signal of about 0 .. 1.
struct TissueTable
{
  std::array<float, s_TissueCount> value{};
  float                            marrowTexture = 0.1F; // standard deviation, share of the marrow's value
  float                            muscleFat = 0.3F;     // largest share of fat between muscle fibres
  float                            shell = 1.0F;         // thickness of cortical bone, mm
  float                            fineTexture = 0.05F;  // organs, fat: share of the value

  float
  operator[](Tissue tissue) const
  {
    return value[static_cast<size_t>(tissue)];
  }
};

enum class MrContrast
{
  T1,
  T2,
  T2Space,
  FatSuppressed,
  Odd // nothing like a usual sequence; trains for generality
};

TissueTable
MakeMrTissues(PhantomRandom & random, MrContrast contrast);

TissueTable
MakeCtTissues(PhantomRandom & random);

/// Linear attenuation per mm of @p hu at the energy of a radiograph, where bone counts more than in CT.
float
AttenuationOfHu(float hu);

} // namespace verdiff

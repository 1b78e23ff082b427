#include "phantom_tissue.h"

namespace verdiff
{

namespace
{

using Row = std::array<float, s_TissueCount>;

// Columns in the order of enum Tissue. The MR rows are relative signals read off clinical lumbar scans.
// clang-format off
constexpr Row s_T1 = { 0.0F, 0.40F, 1.00F, 0.30F, 0.52F, 0.07F, 0.27F, 0.22F, 0.16F, 0.32F, 0.10F, 0.12F, 0.40F, 0.33F, 0.33F, 0.32F, 0.35F, 0.02F, 0.03F };
constexpr Row s_T2 = { 0.0F, 0.30F, 0.75F, 0.17F, 0.40F, 0.05F, 0.70F, 0.10F, 1.00F, 0.38F, 0.07F, 0.10F, 0.25F, 0.40F, 0.50F, 0.32F, 0.25F, 0.02F, 0.03F };
constexpr Row s_Space = { 0.0F, 0.22F, 0.50F, 0.13F, 0.34F, 0.04F, 0.38F, 0.06F, 1.00F, 0.36F, 0.05F, 0.08F, 0.22F, 0.30F, 0.42F, 0.28F, 0.22F, 0.02F, 0.02F };
constexpr Row s_Suppressed = { 0.0F, 0.15F, 0.10F, 0.26F, 0.17F, 0.04F, 0.70F, 0.12F, 1.00F, 0.42F, 0.08F, 0.15F, 0.35F, 0.50F, 0.60F, 0.40F, 0.30F, 0.02F, 0.03F };
constexpr Row s_Ct = { -1000.0F, 0.0F, -105.0F, 52.0F, 170.0F, 850.0F, 85.0F, 100.0F, 12.0F, 38.0F, 70.0F, 45.0F, 58.0F, 48.0F, 33.0F, 38.0F, 10.0F, -900.0F, -830.0F };
// clang-format on

size_t
Index(Tissue tissue)
{
  return static_cast<size_t>(tissue);
}

} // namespace

TissueTable
MakeMrTissues(PhantomRandom & random, MrContrast contrast)
{
  TissueTable table;
  switch (contrast)
  {
    case MrContrast::T1:
      table.value = s_T1;
      break;
    case MrContrast::T2:
      table.value = s_T2;
      break;
    case MrContrast::T2Space:
      table.value = s_Space;
      break;
    case MrContrast::FatSuppressed:
    case MrContrast::Odd:
      table.value = s_Suppressed;
      break;
  }
  for (size_t i = 1; i < s_TissueCount; ++i)
  {
    table.value[i] *= std::exp(random.Spread(0.0F, 0.16F));
    if (contrast == MrContrast::Odd && i != Index(Tissue::Cortical) && i != Index(Tissue::Gas))
    {
      table.value[i] = random.Uniform(0.06F, 1.0F);
    }
  }
  // Marrow turns to fat with age: up to half of the way.
  const float fatty = random.Uniform(0.0F, 0.35F);
  float &     marrow = table.value[Index(Tissue::Marrow)];
  if (contrast != MrContrast::Odd)
  {
    marrow += fatty * (0.9F * table[Tissue::Fat] - marrow);
  }
  // Vessels: flow void, or inflow and contrast agent.
  if (random.Chance(0.2F))
  {
    table.value[Index(Tissue::Vessel)] = random.Uniform(0.3F, 0.9F);
  }
  table.marrowTexture = random.Uniform(0.08F, 0.28F);
  table.muscleFat = random.Uniform(0.1F, 0.8F);
  table.shell = random.Uniform(0.45F, 1.0F);
  table.fineTexture = random.Uniform(0.05F, 0.15F);
  return table;
}

TissueTable
MakeCtTissues(PhantomRandom & random)
{
  TissueTable table;
  table.value = s_Ct;
  for (size_t i = 1; i < s_TissueCount; ++i)
  {
    table.value[i] += random.Spread(0.0F, 5.0F);
  }
  // From osteoporotic to young and dense.
  table.value[Index(Tissue::Marrow)] = random.Uniform(60.0F, 280.0F);
  table.value[Index(Tissue::Cortical)] = random.Uniform(500.0F, 1050.0F);
  if (random.Chance(0.5F))
  {
    // Contrast agent in the portal phase.
    const float agent = random.Uniform(0.5F, 1.3F);
    table.value[Index(Tissue::Vessel)] += 110.0F * agent;
    table.value[Index(Tissue::Liver)] += 50.0F * agent;
    table.value[Index(Tissue::Spleen)] += 65.0F * agent;
    table.value[Index(Tissue::Kidney)] += 120.0F * agent;
    table.value[Index(Tissue::BowelWall)] += 40.0F * agent;
    if (random.Chance(0.3F))
    {
      table.value[Index(Tissue::Stool)] = random.Uniform(100.0F, 400.0F);
    }
  }
  table.marrowTexture = random.Uniform(0.12F, 0.40F);
  table.muscleFat = random.Uniform(0.1F, 0.6F);
  table.shell = random.Uniform(0.4F, 1.0F);
  table.fineTexture = random.Uniform(0.02F, 0.05F);
  return table;
}

float
AttenuationOfHu(float hu)
{
  const float water = 0.0200F;
  const float density = std::fmax(0.0F, 1.0F + 0.001F * hu);
  // Photoelectric absorption in calcium: about 1.6 times what the CT number says.
  return water * (density + 0.0006F * std::fmax(0.0F, hu - 90.0F));
}

} // namespace verdiff

// Everything of a phantom that is not spine: skin, fat, muscles, organs, vessels, ribs and pelvis.
#pragma once

#include "phantom_spine.h"
#include "phantom_tissue.h"

#include <vector>

namespace verdiff
{

struct Organ
{
  Solid  solid;
  Tissue content = Tissue::Muscle;
  Tissue wall = Tissue::Muscle;
  float  wallThickness = 0.0F;
  float  roughness = 0.0F; // mm by which the surface wanders
};

/// The torso at one height.
struct TorsoSection
{
  float centreX = 0.0F;   // of the canal
  float canalY = 0.0F;    // of the canal
  float backY = 0.0F;     // skin
  float frontY = 0.0F;    // skin
  float halfWidth = 0.0F; // skin
  float fatBack = 0.0F;   // thickness under the skin
  float fatFront = 0.0F;
  float fatSide = 0.0F;
};

class BodyModel
{
public:
  BodyModel(PhantomRandom & random, const SpineModel & spine);

  const TorsoSection &
  At(float z) const;

  const std::vector<Organ> &
  GetOrgans() const
  {
    return m_Organs;
  }

  const std::vector<Solid> &
  GetBones() const
  {
    return m_Bones;
  }

private:
  void
  MakeTorso(PhantomRandom & random, const SpineModel & spine);
  void
  AddTrunkOrgans(PhantomRandom & random, const SpineModel & spine);
  void
  AddBowel(PhantomRandom & random, float top);
  void
  AddPelvisOrgans(PhantomRandom & random);
  void
  AddVesselsAndPsoas(PhantomRandom & random, const SpineModel & spine);
  void
  AddRibs(PhantomRandom & random, const SpineModel & spine);
  void
  AddPelvis(const SpineModel & spine);

  std::vector<TorsoSection> m_Sections; // one a mm, from s_LowestZ
  std::vector<Organ>        m_Organs;
  std::vector<Solid>        m_Bones;
};

} // namespace verdiff

// Draws planes through an analytic phantom: tissue values, label coverage and vertebra numbers.
#pragma once

#include "phantom_body.h"

#include <cstdint>
#include <vector>

namespace verdiff
{

/// Pixel (i, j) lies at origin + i * du + j * dv in the anatomical frame; du and dv are orthogonal.
struct PhantomPlane
{
  Vec3  origin;
  Vec3  du;
  Vec3  dv;
  int   width = 0;
  int   height = 0;
  float softness = 1.0F; // width of the ramp across a surface, mm: the in-plane point spread
};

/// What one plane shows; all of size width * height.
struct PlaneImage
{
  std::vector<float>   value;
  std::vector<float>   cover[PhantomSacrum + 1]; // share of the pixel per label; [0] stays empty
  std::vector<float>   body;                     // share covered by a vertebral body
  std::vector<float>   coccyx;                   // share covered by the coccyx
  std::vector<uint8_t> number;                   // VerSe number of the vertebra that covers most, or 0
  std::vector<uint8_t> bodyNumber;               // the same for bodies alone
  std::vector<float>   numberCover;              // share covered by that vertebra
  std::vector<float>   scratch;
};

class PhantomScene
{
public:
  PhantomScene(const SpineModel & spine, const BodyModel & body, const TissueTable & tissues, const NoiseField & noise)
    : m_Spine(spine)
    , m_Body(body)
    , m_Tissues(tissues)
    , m_Noise(noise)
  {}

  /// Draw @p plane; @p image is resized and overwritten. Safe to call from several threads.
  void
  Render(PlaneImage & image, const PhantomPlane & plane) const;

private:
  void
  DrawTorso(PlaneImage & image, const PhantomPlane & plane) const;
  float
  TorsoValue(const Vec3 & p, float softness) const;
  float
  MuscleValue(const Vec3 & p) const;
  float
  CavityValue(const Vec3 & p) const;
  void
  DrawOrgans(PlaneImage & image, const PhantomPlane & plane) const;
  void
  DrawBones(PlaneImage & image, const PhantomPlane & plane) const;
  void
  DrawCanal(PlaneImage & image, const PhantomPlane & plane) const;
  void
  DrawDiscs(PlaneImage & image, const PhantomPlane & plane) const;
  void
  DrawVertebra(PlaneImage & image, const PhantomPlane & plane, const Vertebra & vertebra) const;
  void
  DrawSacrum(PlaneImage & image, const PhantomPlane & plane) const;
  float
  MarrowValue(const Vec3 & p, const Vertebra & vertebra) const;
  float
  Textured(Tissue tissue, const Vec3 & p) const;

  const SpineModel &  m_Spine;
  const BodyModel &   m_Body;
  const TissueTable & m_Tissues;
  const NoiseField &  m_Noise;
};

/// 1 inside, 0 outside, a ramp of @p softness mm across the surface.
inline float
Occupancy(float distance, float softness)
{
  return Clamp(0.5F - distance / softness, 0.0F, 1.0F);
}

} // namespace verdiff

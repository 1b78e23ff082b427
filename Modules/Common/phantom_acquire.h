// The parts of an acquisition: where the planes lie, and what the scanner adds to the tissue values.
#pragma once

#include "phantom.h"
#include "phantom_render.h"

namespace verdiff
{

/// Streams of random numbers of one case; never reuse a number for another purpose.
enum PhantomStream : uint32_t
{
  StreamAnatomy = 1,
  StreamTissue = 2,
  StreamAcquisition = 3,
  StreamNoiseField = 4,
  StreamNoiseReal = 5,
  StreamNoiseImaginary = 6,
  StreamStreak = 7
};

/// Planes of a volume as they are acquired: columns along axis 0, rows along axis 1, planes along axis 2.
struct PhantomGrid
{
  std::array<int, 3>   size{ 1, 1, 1 };
  std::array<float, 3> spacing{ 1.0F, 1.0F, 1.0F };
  std::array<Vec3, 3>  axis;             // in the anatomical frame, orthonormal
  Vec3                 centre;           // in the anatomical frame
  float                thickness = 1.0F; // of a plane, mm
  float                softness = 1.0F;

  /// Anatomical position of voxel (i, j, k).
  Vec3
  At(float i, float j, float k) const;
};

/// Make voxels @p factor times larger (not below 1) in the same field of view.
void
Coarsen(PhantomGrid & grid, float factor);

/// How the patient lies in the scanner: world = turn * anatomical + shift.
struct PhantomPose
{
  std::array<Vec3, 3> turn; // columns: where the anatomical axes point in the world
  Vec3                shift;

  Vec3
  ToWorld(const Vec3 & direction) const;
  /// Inverse of ToWorld for directions.
  Vec3
  ToAnatomy(const Vec3 & direction) const;
};

PhantomPose
DrawPose(PhantomRandom & random);

/// Rows of independent normal numbers, unit variance, each mixed with its neighbours by @p mixing (0 white).
void
NoisePlane(std::vector<float> &            noise,
           int                             width,
           int                             height,
           float                           mixing,
           uint64_t                        seed,
           const std::array<uint32_t, 3> & key);

/// Sensitivity of the receiving coils, saturation bands and slow shading of an MR scan.
class MrShading
{
public:
  MrShading(PhantomRandom & random, const SpineModel & spine, const PhantomGrid & grid);

  float
  At(const Vec3 & p, const TorsoSection & section, const NoiseField & noise) const;

private:
  Vec3  m_Centre;
  float m_CoilReach = 150.0F;
  float m_HalfHeight = 150.0F;
  float m_HalfWidth = 150.0F;
  float m_Bias = 0.1F;
  float m_BandY = -1e3F; // everything in front of this plane is suppressed
  float m_BandSlope = 0.0F;
  float m_BandLeft = 0.1F; // signal left in the band
};

/// Store @p phantom, whose arrays are in acquisition order, with its axes permuted and flipped, as files
/// from different converters are; the geometry follows.
void
ReorderPhantom(Phantom & phantom, const std::array<int, 3> & order, const std::array<bool, 3> & flip);

} // namespace verdiff

// Solid shapes with approximate signed distances: the parts that phantoms are made of.
#pragma once

#include "phantom_math.h"

#include <array>
#include <vector>

namespace verdiff
{

/// Vertebral body, or a disc: an oval drum with a waist, hollow ends and a flattened back.
struct DrumShape
{
  float halfWidth = 22.0F;
  float halfDepth = 17.0F;
  float halfHeight = 13.0F; // at the centre of the rim
  float slope = 0.0F;       // half height gained per mm towards the front, both ends together
  float waist = 0.1F;       // share of the radius lost at mid height
  float hollow = 2.0F;      // depth of the end plates' concavity, mm
  float backHollow = 1.5F;  // the back wall is that much nearer in the middle than at the sides, mm
  float square = 0.6F;      // 0 ellipse .. 1 rectangle
  float frontLip = 0.0F;    // osteophytes: share of the radius gained at the front rim
  float rounding = 2.0F;    // radius of the rim's edge, mm
};

/// One solid. distance() is negative inside, exact on the surface and within about 20 % of the true
/// distance close to it, which is what partial volume needs.
class Solid
{
public:
  /// Drum in @p frame (u = width, v = depth, w = height).
  static Solid
  Drum(const Frame & frame, const DrumShape & shape);

  /// Rod from local @p a to @p b; @p scale < 1 along a local axis lengthens the section there by 1/scale.
  static Solid
  Rod(const Frame & frame,
      const Vec3 &  a,
      const Vec3 &  b,
      float         radiusA,
      float         radiusB,
      const Vec3 &  scale = { 1, 1, 1 });

  static Solid
  Box(const Frame & frame, const Vec3 & half, float rounding);

  static Solid
  Ellipsoid(const Frame & frame, const Vec3 & radii);

  /// Part of a curved shell across w: an elliptic plate bulging by @p bulge at the rim.
  static Solid
  Plate(const Frame & frame, float radiusU, float radiusV, float halfThickness, float bulge);

  float
  Distance(const Vec3 & p) const;

  const Vec3 &
  Centre() const
  {
    return m_Centre;
  }

  /// Radius of a sphere about Centre() that holds the solid.
  float
  Bound() const
  {
    return m_Bound;
  }

  const Frame &
  GetFrame() const
  {
    return m_Frame;
  }

  const DrumShape &
  GetDrum() const
  {
    return m_Drum;
  }

private:
  enum class Kind
  {
    Drum,
    Rod,
    Box,
    Ellipsoid,
    Plate
  };

  float
  DrumDistance(const Vec3 & p) const;
  float
  RodDistance(const Vec3 & p) const;
  float
  BoxDistance(const Vec3 & p) const;
  float
  EllipsoidDistance(const Vec3 & p) const;
  float
  PlateDistance(const Vec3 & p) const;

  Kind      m_Kind = Kind::Ellipsoid;
  Frame     m_Frame;
  Vec3      m_Centre;
  float     m_Bound = 0.0F;
  DrumShape m_Drum;
  Vec3      m_A; // rod: start; others: half sizes or radii
  Vec3      m_B; // rod: end
  Vec3      m_Scale{ 1, 1, 1 };
  float     m_R0 = 0.0F;
  float     m_R1 = 0.0F;
};

/// Minimum of two distances with a fillet of about @p k mm.
inline float
SmoothMin(float a, float b, float k)
{
  const float h = k - std::fabs(a - b);
  return h > 0.0F ? std::fmin(a, b) - h * h / (4.0F * k) : std::fmin(a, b);
}

inline float
SmoothMax(float a, float b, float k)
{
  return -SmoothMin(-a, -b, k);
}

/// Relative radius of local point (@p u, @p v) in the oval of @p shape at relative height
/// @p t = w / half height: 1 on the wall.
float
DrumRadius(const DrumShape & shape, float u, float v, float t);

/// Half height of the drum over local point (@p u, @p v), hollow included.
float
DrumHalfHeight(const DrumShape & shape, float v, float radius);

} // namespace verdiff

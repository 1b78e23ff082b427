#include "phantom_shape.h"

namespace verdiff
{

namespace
{

float
MaxOf(const Vec3 & p)
{
  return std::fmax(p.x, std::fmax(p.y, p.z));
}

float
MinOf(const Vec3 & p)
{
  return std::fmin(p.x, std::fmin(p.y, p.z));
}

} // namespace

float
DrumRadius(const DrumShape & shape, float u, float v, float t)
{
  const float t2 = std::fmin(t * t, 1.0F);
  float       s = 1.0F - shape.waist * (1.0F - t2);
  if (shape.frontLip > 0.0F && v < 0.0F)
  {
    s += shape.frontLip * t2 * t2 * t2 * Clamp(-v / shape.halfDepth, 0.0F, 1.0F);
  }
  const float ru = u / (shape.halfWidth * s);
  const float back = v > 0.0F ? shape.backHollow * std::fmax(0.0F, 1.0F - ru * ru) : 0.0F;
  const float rv = (v + back) / (shape.halfDepth * s);
  // Squircle of Fernandez Guasti: an ellipse for square = 0, a rectangle for 1.
  const float sum = ru * ru + rv * rv;
  const float product = 2.0F * shape.square * ru * rv;
  const float root = std::sqrt(std::fmax(0.0F, sum * sum - product * product));
  return std::sqrt(0.5F * (sum + root));
}

float
DrumHalfHeight(const DrumShape & shape, float v, float radius)
{
  const float hollow = shape.hollow * std::fmax(0.0F, 1.0F - radius * radius);
  return shape.halfHeight - shape.slope * v - hollow;
}

Solid
Solid::Drum(const Frame & frame, const DrumShape & shape)
{
  Solid solid;
  solid.m_Kind = Kind::Drum;
  solid.m_Frame = frame;
  solid.m_Centre = frame.origin;
  solid.m_Drum = shape;
  const float wide = 1.0F + shape.frontLip;
  const float h = shape.halfHeight + std::fabs(shape.slope) * shape.halfDepth;
  // The square corners reach beyond the half axes.
  const float oval = wide * (1.0F + 0.42F * shape.square * shape.square);
  solid.m_Bound = Norm({ shape.halfWidth * oval, shape.halfDepth * oval, h });
  return solid;
}

Solid
Solid::Rod(const Frame & frame, const Vec3 & a, const Vec3 & b, float radiusA, float radiusB, const Vec3 & scale)
{
  Solid solid;
  solid.m_Kind = Kind::Rod;
  solid.m_Frame = frame;
  solid.m_Scale = scale;
  solid.m_A = { a.x * scale.x, a.y * scale.y, a.z * scale.z };
  solid.m_B = { b.x * scale.x, b.y * scale.y, b.z * scale.z };
  solid.m_R0 = radiusA;
  solid.m_R1 = radiusB;
  solid.m_Centre = frame.ToWorld(0.5F * (a + b));
  solid.m_Bound = 0.5F * Norm(b - a) + std::fmax(radiusA, radiusB) / MinOf(scale);
  return solid;
}

Solid
Solid::Box(const Frame & frame, const Vec3 & half, float rounding)
{
  Solid solid;
  solid.m_Kind = Kind::Box;
  solid.m_Frame = frame;
  solid.m_Centre = frame.origin;
  solid.m_A = half;
  solid.m_R0 = std::fmin(rounding, MinOf(half));
  solid.m_Bound = Norm(half);
  return solid;
}

Solid
Solid::Ellipsoid(const Frame & frame, const Vec3 & radii)
{
  Solid solid;
  solid.m_Kind = Kind::Ellipsoid;
  solid.m_Frame = frame;
  solid.m_Centre = frame.origin;
  solid.m_A = radii;
  solid.m_Bound = MaxOf(radii);
  return solid;
}

Solid
Solid::Plate(const Frame & frame, float radiusU, float radiusV, float halfThickness, float bulge)
{
  Solid solid;
  solid.m_Kind = Kind::Plate;
  solid.m_Frame = frame;
  solid.m_Centre = frame.origin;
  solid.m_A = { radiusU, radiusV, halfThickness };
  solid.m_R0 = bulge;
  solid.m_Bound = std::fmax(radiusU, radiusV) + 2.0F * halfThickness + std::fabs(bulge);
  return solid;
}

float
Solid::Distance(const Vec3 & p) const
{
  const Vec3 q = m_Frame.ToLocal(p);
  switch (m_Kind)
  {
    case Kind::Drum:
      return this->DrumDistance(q);
    case Kind::Rod:
      return this->RodDistance(q);
    case Kind::Box:
      return this->BoxDistance(q);
    case Kind::Plate:
      return this->PlateDistance(q);
    case Kind::Ellipsoid:
      break;
  }
  return this->EllipsoidDistance(q);
}

float
Solid::DrumDistance(const Vec3 & p) const
{
  const float r = DrumRadius(m_Drum, p.x, p.y, p.z / m_Drum.halfHeight);
  const float length = std::sqrt(p.x * p.x + p.y * p.y);
  const float inner = -std::fmin(m_Drum.halfWidth, m_Drum.halfDepth);
  const float side = r > 0.05F ? length * (1.0F - 1.0F / r) : inner;
  const float end = std::fabs(p.z) - DrumHalfHeight(m_Drum, p.y, r);
  return SmoothMax(side, end, m_Drum.rounding);
}

float
Solid::RodDistance(const Vec3 & p) const
{
  const Vec3  q{ p.x * m_Scale.x, p.y * m_Scale.y, p.z * m_Scale.z };
  const Vec3  ab = m_B - m_A;
  const float t = Clamp(Dot(q - m_A, ab) / std::fmax(Dot(ab, ab), 1e-6F), 0.0F, 1.0F);
  const Vec3  d = q - (m_A + t * ab);
  const float length = Norm(d);
  const float scaled = length - (m_R0 + t * (m_R1 - m_R0));
  // In the squeezed space a step along an axis is shortened by its scale: undo that along d.
  const Vec3  slope{ d.x * m_Scale.x, d.y * m_Scale.y, d.z * m_Scale.z };
  const float gradient = length > 1e-4F ? Norm(slope) / length : 1.0F;
  return scaled / gradient;
}

float
Solid::BoxDistance(const Vec3 & p) const
{
  const Vec3 q{ std::fabs(p.x) - m_A.x + m_R0, std::fabs(p.y) - m_A.y + m_R0, std::fabs(p.z) - m_A.z + m_R0 };
  const Vec3 outside{ std::fmax(q.x, 0.0F), std::fmax(q.y, 0.0F), std::fmax(q.z, 0.0F) };
  return Norm(outside) + std::fmin(MaxOf(q), 0.0F) - m_R0;
}

float
Solid::EllipsoidDistance(const Vec3 & p) const
{
  const Vec3  q{ p.x / m_A.x, p.y / m_A.y, p.z / m_A.z };
  const Vec3  g{ q.x / m_A.x, q.y / m_A.y, q.z / m_A.z };
  const float k0 = Norm(q);
  const float k1 = Norm(g);
  return k1 > 1e-6F ? k0 * (k0 - 1.0F) / k1 : -MinOf(m_A);
}

float
Solid::PlateDistance(const Vec3 & p) const
{
  const float ru = p.x / m_A.x;
  const float rv = p.y / m_A.y;
  const float r2 = ru * ru + rv * rv;
  const float r = std::sqrt(r2);
  // Thicker towards the rim, as an iliac crest is.
  const float half = m_A.z * (0.6F + 0.7F * std::fmin(r2, 1.2F));
  const float across = std::fabs(p.z - m_R0 * (std::fmin(r2, 1.2F) - 0.5F)) - half;
  const float along = (r - 1.0F) * std::fmin(m_A.x, m_A.y);
  return SmoothMax(across, along, 4.0F);
}

} // namespace verdiff

// Vectors, frames, counter-based random numbers and value noise for the analytic phantoms.
//
// Lengths are mm. The anatomical frame has x to the patient's left, y to the back (posterior) and z to
// the head (superior), as LPS; its origin is the centre of the sacral endplate.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace verdiff
{

struct Vec3
{
  float x = 0.0F;
  float y = 0.0F;
  float z = 0.0F;
};

inline Vec3
operator+(const Vec3 & a, const Vec3 & b)
{
  return { a.x + b.x, a.y + b.y, a.z + b.z };
}

inline Vec3
operator-(const Vec3 & a, const Vec3 & b)
{
  return { a.x - b.x, a.y - b.y, a.z - b.z };
}

inline Vec3
operator*(float s, const Vec3 & a)
{
  return { s * a.x, s * a.y, s * a.z };
}

inline float
Dot(const Vec3 & a, const Vec3 & b)
{
  return a.x * b.x + a.y * b.y + a.z * b.z;
}

inline float
Norm(const Vec3 & a)
{
  return std::sqrt(Dot(a, a));
}

inline Vec3
Cross(const Vec3 & a, const Vec3 & b)
{
  return { a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x };
}

inline float
Clamp(float x, float lo, float hi)
{
  return x < lo ? lo : (x > hi ? hi : x);
}

/// 0 below @p lo, 1 above @p hi, a cubic between.
inline float
SmoothStep(float lo, float hi, float x)
{
  const float t = Clamp((x - lo) / (hi - lo), 0.0F, 1.0F);
  return t * t * (3.0F - 2.0F * t);
}

/// Right-handed orthonormal frame: u to the left, v to the back, w up along the spine.
struct Frame
{
  Vec3 origin;
  Vec3 u{ 1.0F, 0.0F, 0.0F };
  Vec3 v{ 0.0F, 1.0F, 0.0F };
  Vec3 w{ 0.0F, 0.0F, 1.0F };

  Vec3
  ToWorld(const Vec3 & p) const
  {
    return origin + p.x * u + p.y * v + p.z * w;
  }

  Vec3
  ToLocal(const Vec3 & p) const
  {
    const Vec3 d = p - origin;
    return { Dot(d, u), Dot(d, v), Dot(d, w) };
  }

  /// The frame moved to local point @p p and turned about its own u, then v, then w axis (radians).
  Frame
  Moved(const Vec3 & p, float aboutU, float aboutV = 0.0F, float aboutW = 0.0F) const;
};

/// Philox4x32-10 (Salmon et al. 2011): four 32-bit numbers from a 128-bit counter and a 64-bit key.
std::array<uint32_t, 4>
Philox(uint64_t key, const std::array<uint32_t, 4> & counter);

/// A sequence of numbers that depends on (seed, case, stream) only.
class PhantomRandom
{
public:
  PhantomRandom(uint64_t seed, uint32_t caseNumber, uint32_t stream);

  uint32_t
  Next();
  float
  Uniform(float lo, float hi);
  /// Mean 0, standard deviation 1.
  float
  Normal();
  /// Normal, kept within two and a half standard deviations: anatomy has no far outliers.
  float
  Spread(float mean, float sd);
  /// lo .. hi, both included.
  int
  Integer(int lo, int hi);
  bool
  Chance(float probability);

private:
  uint64_t                m_Key;
  std::array<uint32_t, 4> m_Counter;
  std::array<uint32_t, 4> m_Block{};
  int                     m_Used = 4;
};

/// Two independent normal numbers for item @p index of (seed, case, stream).
std::array<float, 2>
PhantomNormals(uint64_t seed, uint32_t caseNumber, uint32_t stream, uint64_t index);

/// Periodic smooth random field, values about -1 .. 1, features about as large as 1 / frequency mm.
class NoiseField
{
public:
  explicit NoiseField(PhantomRandom & random);

  float
  At(float x, float y, float z) const;

  float
  At(const Vec3 & p, float frequency) const
  {
    return this->At(p.x * frequency, p.y * frequency, p.z * frequency);
  }

private:
  static constexpr int s_Side = 32;
  std::vector<float>   m_Lattice;
};

/// Rotation by @p angle radians about @p axis (0, 1, 2), applied to a vector.
Vec3
Rotate(const Vec3 & p, int axis, float angle);

} // namespace verdiff

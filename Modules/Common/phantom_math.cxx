#include "phantom_math.h"

namespace verdiff
{

namespace
{

constexpr float s_TwoPi = 6.28318530717958647692F;

// 24 bits fill a float's significand, so that the result is below 1.
float
UnitFloat(uint32_t bits)
{
  return static_cast<float>(bits >> 8) * (1.0F / 16777216.0F);
}

// std::floor is a library call on the baseline processor; this is two instructions.
int
FloorToInt(float x)
{
  const int i = static_cast<int>(x);
  return static_cast<float>(i) > x ? i - 1 : i;
}

std::array<float, 2>
BoxMuller(uint32_t a, uint32_t b)
{
  // 1 - u lies in (0, 1], where the logarithm is finite.
  const float radius = std::sqrt(-2.0F * std::log(1.0F - UnitFloat(a)));
  const float angle = s_TwoPi * UnitFloat(b);
  return { radius * std::cos(angle), radius * std::sin(angle) };
}

// One multiplication round of Philox.
std::array<uint32_t, 4>
PhiloxRound(const std::array<uint32_t, 4> & c, uint32_t key0, uint32_t key1)
{
  const uint64_t p0 = 0xD2511F53ULL * c[0];
  const uint64_t p1 = 0xCD9E8D57ULL * c[2];
  return { static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ key0,
           static_cast<uint32_t>(p1),
           static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ key1,
           static_cast<uint32_t>(p0) };
}

} // namespace

Vec3
Rotate(const Vec3 & p, int axis, float angle)
{
  const float c = std::cos(angle);
  const float s = std::sin(angle);
  if (axis == 0)
  {
    return { p.x, c * p.y - s * p.z, s * p.y + c * p.z };
  }
  if (axis == 1)
  {
    return { c * p.x + s * p.z, p.y, -s * p.x + c * p.z };
  }
  return { c * p.x - s * p.y, s * p.x + c * p.y, p.z };
}

Frame
Frame::Moved(const Vec3 & p, float aboutU, float aboutV, float aboutW) const
{
  const std::array<float, 3> angles{ aboutU, aboutV, aboutW };
  std::array<Vec3, 3>        axes{ Vec3{ 1, 0, 0 }, Vec3{ 0, 1, 0 }, Vec3{ 0, 0, 1 } };
  for (Vec3 & axis : axes)
  {
    for (int k = 2; k >= 0; --k)
    {
      axis = Rotate(axis, k, angles[static_cast<size_t>(k)]);
    }
    axis = axis.x * u + axis.y * v + axis.z * w;
  }
  return { this->ToWorld(p), axes[0], axes[1], axes[2] };
}

std::array<uint32_t, 4>
Philox(uint64_t key, const std::array<uint32_t, 4> & counter)
{
  std::array<uint32_t, 4> c = counter;
  uint32_t                key0 = static_cast<uint32_t>(key);
  uint32_t                key1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round)
  {
    c = PhiloxRound(c, key0, key1);
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
  return c;
}

PhantomRandom::PhantomRandom(uint64_t seed, uint32_t caseNumber, uint32_t stream)
  : m_Key(seed)
  , m_Counter{ 0, 0, caseNumber, stream }
{}

uint32_t
PhantomRandom::Next()
{
  if (m_Used == 4)
  {
    m_Block = Philox(m_Key, m_Counter);
    ++m_Counter[0];
    m_Used = 0;
  }
  return m_Block[static_cast<size_t>(m_Used++)];
}

float
PhantomRandom::Uniform(float lo, float hi)
{
  return lo + (hi - lo) * UnitFloat(this->Next());
}

float
PhantomRandom::Normal()
{
  const uint32_t a = this->Next();
  const uint32_t b = this->Next();
  return BoxMuller(a, b)[0];
}

float
PhantomRandom::Spread(float mean, float sd)
{
  return mean + sd * Clamp(this->Normal(), -2.5F, 2.5F);
}

int
PhantomRandom::Integer(int lo, int hi)
{
  const uint64_t span = static_cast<uint64_t>(hi - lo) + 1;
  return lo + static_cast<int>((span * this->Next()) >> 32);
}

bool
PhantomRandom::Chance(float probability)
{
  return this->Uniform(0.0F, 1.0F) < probability;
}

std::array<float, 2>
PhantomNormals(uint64_t seed, uint32_t caseNumber, uint32_t stream, uint64_t index)
{
  const std::array<uint32_t, 4> block =
    Philox(seed, { static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), caseNumber, stream });
  return BoxMuller(block[0], block[1]);
}

NoiseField::NoiseField(PhantomRandom & random)
  : m_Lattice(static_cast<size_t>(s_Side * s_Side * s_Side))
{
  for (float & value : m_Lattice)
  {
    value = random.Uniform(-1.0F, 1.0F);
  }
}

float
NoiseField::At(float x, float y, float z) const
{
  const int                jx = FloorToInt(x);
  const int                jy = FloorToInt(y);
  const int                jz = FloorToInt(z);
  const float              tx = SmoothStep(0.0F, 1.0F, x - static_cast<float>(jx));
  const float              ty = SmoothStep(0.0F, 1.0F, y - static_cast<float>(jy));
  const float              tz = SmoothStep(0.0F, 1.0F, z - static_cast<float>(jz));
  const int                mask = s_Side - 1;
  const std::array<int, 2> ix{ jx & mask, (jx + 1) & mask };
  const std::array<int, 2> iy{ jy & mask, (jy + 1) & mask };
  const std::array<int, 2> iz{ jz & mask, (jz + 1) & mask };
  std::array<float, 2>     plane{};
  for (size_t k = 0; k < 2; ++k)
  {
    const float * const row0 = &m_Lattice[static_cast<size_t>((iz[k] * s_Side + iy[0]) * s_Side)];
    const float * const row1 = &m_Lattice[static_cast<size_t>((iz[k] * s_Side + iy[1]) * s_Side)];
    const float         a = row0[ix[0]] + tx * (row0[ix[1]] - row0[ix[0]]);
    const float         b = row1[ix[0]] + tx * (row1[ix[1]] - row1[ix[0]]);
    plane[k] = a + ty * (b - a);
  }
  return plane[0] + tz * (plane[1] - plane[0]);
}

} // namespace verdiff

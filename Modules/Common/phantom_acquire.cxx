#include "phantom_acquire.h"

#include <algorithm>

namespace verdiff
{

Vec3
PhantomGrid::At(float i, float j, float k) const
{
  const std::array<float, 3> index{ i, j, k };
  Vec3                       p = centre;
  for (size_t a = 0; a < 3; ++a)
  {
    p = p + (spacing[a] * (index[a] - 0.5F * static_cast<float>(size[a] - 1))) * axis[a];
  }
  return p;
}

void
Coarsen(PhantomGrid & grid, float factor)
{
  const float times = std::max(1.0F, factor);
  for (size_t a = 0; a < 3; ++a)
  {
    grid.spacing[a] *= times;
    grid.size[a] = std::max(1, static_cast<int>(static_cast<float>(grid.size[a]) / times));
  }
  grid.thickness *= times;
  grid.softness *= times;
}

Vec3
PhantomPose::ToWorld(const Vec3 & direction) const
{
  return direction.x * turn[0] + direction.y * turn[1] + direction.z * turn[2];
}

Vec3
PhantomPose::ToAnatomy(const Vec3 & direction) const
{
  return { Dot(turn[0], direction), Dot(turn[1], direction), Dot(turn[2], direction) };
}

PhantomPose
DrawPose(PhantomRandom & random)
{
  constexpr float degree = 0.01745329F;
  const Vec3      angles{ random.Spread(0.0F, 3.5F), random.Spread(0.0F, 2.5F), random.Spread(0.0F, 3.0F) };
  const Frame     frame = Frame().Moved({}, angles.x * degree, angles.y * degree, angles.z * degree);
  PhantomPose     pose;
  pose.turn = { frame.u, frame.v, frame.w };
  pose.shift = { random.Spread(0.0F, 15.0F), random.Spread(0.0F, 30.0F), random.Uniform(-900.0F, 300.0F) };
  return pose;
}

void
NoisePlane(std::vector<float> &            noise,
           int                             width,
           int                             height,
           float                           mixing,
           uint64_t                        seed,
           const std::array<uint32_t, 3> & key)
{
  const auto count = static_cast<size_t>(width) * static_cast<size_t>(height);
  noise.resize(count + 1);
  for (size_t i = 0; i < count; i += 2)
  {
    // Slice and pixel make the index; a volume has fewer than 2^32 pixels in a slice.
    const std::array<float, 2> pair = PhantomNormals(seed, key[0], key[1], (static_cast<uint64_t>(key[2]) << 32) | i);
    noise[i] = pair[0];
    noise[i + 1] = pair[1];
  }
  noise.resize(count);
  if (mixing <= 0.0F)
  {
    return;
  }
  const float scale = 1.0F / std::sqrt(1.0F + 2.0F * mixing * mixing);
  const auto  mix = [&](size_t stride, int length, size_t start) {
    float before = 0.0F;
    for (int i = 0; i < length; ++i)
    {
      const size_t k = start + stride * static_cast<size_t>(i);
      const float  own = noise[k];
      const float  after = i + 1 < length ? noise[k + stride] : 0.0F;
      noise[k] = scale * (own + mixing * (before + after));
      before = own;
    }
  };
  for (int j = 0; j < height; ++j)
  {
    mix(1, width, static_cast<size_t>(j) * static_cast<size_t>(width));
  }
  for (int i = 0; i < width; ++i)
  {
    mix(static_cast<size_t>(width), height, static_cast<size_t>(i));
  }
}

MrShading::MrShading(PhantomRandom & random, const SpineModel & spine, const PhantomGrid & grid)
  : m_Centre(grid.centre)
{
  const float fieldHeight = grid.spacing[1] * static_cast<float>(grid.size[1]);
  m_CoilReach = random.Uniform(70.0F, 260.0F);
  m_HalfHeight = fieldHeight * random.Uniform(0.48F, 0.9F);
  m_HalfWidth = random.Uniform(90.0F, 200.0F);
  m_Bias = random.Uniform(0.03F, 0.22F);
  const bool  banded = random.Chance(0.65F);
  const float gap = random.Uniform(8.0F, 35.0F);
  m_BandSlope = random.Spread(0.0F, 0.08F);
  m_BandLeft = random.Uniform(0.03F, 0.35F);
  if (banded)
  {
    float front = 1e3F;
    for (const Vertebra & vertebra : spine.vertebrae)
    {
      const Vec3 & p = vertebra.frame.origin;
      if (std::fabs(p.z - m_Centre.z) < 0.5F * fieldHeight)
      {
        front = std::min(front, p.y - vertebra.body.GetDrum().halfDepth + m_BandSlope * (p.z - m_Centre.z));
      }
    }
    m_BandY = front - gap;
  }
}

float
MrShading::At(const Vec3 & p, const TorsoSection & section, const NoiseField & noise) const
{
  const float depth = section.backY - p.y;
  const float coil = std::exp((60.0F - std::max(depth, 0.0F)) / m_CoilReach);
  const float up = (p.z - m_Centre.z) / m_HalfHeight;
  const float aside = (p.x - m_Centre.x) / m_HalfWidth;
  const float field = std::exp(-up * up * up * up - aside * aside);
  const float bias = 1.0F + m_Bias * noise.At(p, 0.011F);
  const float line = p.y + m_BandSlope * (p.z - m_Centre.z) - m_BandY;
  const float band = m_BandLeft + (1.0F - m_BandLeft) * SmoothStep(-9.0F, 7.0F, line);
  return coil * field * bias * band;
}

void
ReorderPhantom(Phantom & phantom, const std::array<int, 3> & order, const std::array<bool, 3> & flip)
{
  const std::array<int64_t, 3> from = phantom.size;
  const std::array<int64_t, 3> step{ 1, from[0], from[0] * from[1] };
  std::array<int64_t, 3>       size{};
  std::array<int64_t, 3>       stride{};
  std::array<double, 3>        spacing{};
  std::array<double, 9>        direction{};
  std::array<double, 3>        origin = phantom.origin;
  int64_t                      start = 0;
  for (size_t a = 0; a < 3; ++a)
  {
    const auto b = static_cast<size_t>(order[a]);
    size[a] = from[b];
    spacing[a] = phantom.spacing[b];
    stride[a] = flip[a] ? -step[b] : step[b];
    start += flip[a] ? step[b] * (from[b] - 1) : 0;
    for (size_t row = 0; row < 3; ++row)
    {
      const double column = phantom.direction[3 * row + b];
      direction[3 * row + a] = flip[a] ? -column : column;
      origin[row] += flip[a] ? column * phantom.spacing[b] * static_cast<double>(from[b] - 1) : 0.0;
    }
  }
  Phantom moved = phantom;
  size_t  k = 0;
  for (int64_t z = 0; z < size[2]; ++z)
  {
    for (int64_t y = 0; y < size[1]; ++y)
    {
      for (int64_t x = 0; x < size[0]; ++x, ++k)
      {
        const auto source = static_cast<size_t>(start + x * stride[0] + y * stride[1] + z * stride[2]);
        moved.pixels[k] = phantom.pixels[source];
        moved.labels[k] = phantom.labels[source];
        moved.numbers[k] = phantom.numbers[source];
      }
    }
  }
  moved.size = size;
  moved.spacing = spacing;
  moved.direction = direction;
  moved.origin = origin;
  phantom = std::move(moved);
}

} // namespace verdiff

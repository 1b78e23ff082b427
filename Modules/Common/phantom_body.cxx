#include "phantom_body.h"

#include <algorithm>

namespace verdiff
{

namespace
{

constexpr float s_LowestZ = -320.0F;
constexpr int   s_SectionCount = 1000;

Frame
FrameAt(float x, float y, float z)
{
  Frame frame;
  frame.origin = { x, y, z };
  return frame;
}

// Values given at heights (falling), linear between, constant outside.
float
Interpolate(const std::vector<std::array<float, 2>> & table, float z)
{
  if (z >= table.front()[0])
  {
    return table.front()[1];
  }
  for (size_t i = 0; i + 1 < table.size(); ++i)
  {
    if (z >= table[i + 1][0])
    {
      const float t = (z - table[i + 1][0]) / std::max(table[i][0] - table[i + 1][0], 1e-3F);
      return table[i + 1][1] + t * (table[i][1] - table[i + 1][1]);
    }
  }
  return table.back()[1];
}

void
Smooth(std::vector<float> & values, int half)
{
  // Two running means: close to a Gaussian, and cheap.
  for (int pass = 0; pass < 2; ++pass)
  {
    const std::vector<float> copy = values;
    const int                count = static_cast<int>(values.size());
    for (int i = 0; i < count; ++i)
    {
      double sum = 0.0;
      for (int k = -half; k <= half; ++k)
      {
        sum += copy[static_cast<size_t>(std::min(std::max(i + k, 0), count - 1))];
      }
      values[static_cast<size_t>(i)] = static_cast<float>(sum / (2.0 * half + 1.0));
    }
  }
}

} // namespace

BodyModel::BodyModel(PhantomRandom & random, const SpineModel & spine)
{
  this->MakeTorso(random, spine);
  this->AddTrunkOrgans(random, spine);
  this->AddVesselsAndPsoas(random, spine);
  this->AddPelvisOrgans(random);
  this->AddRibs(random, spine);
  this->AddPelvis(spine);
}

const TorsoSection &
BodyModel::At(float z) const
{
  const int i = static_cast<int>(z - s_LowestZ);
  return m_Sections[static_cast<size_t>(std::min(std::max(i, 0), s_SectionCount - 1))];
}

void
BodyModel::MakeTorso(PhantomRandom & random, const SpineModel & spine)
{
  std::vector<std::array<float, 2>> tips;
  std::vector<std::array<float, 2>> canalY;
  std::vector<std::array<float, 2>> canalX;
  for (const Vertebra & vertebra : spine.vertebrae)
  {
    tips.push_back({ vertebra.spinousTip.z, vertebra.spinousTip.y });
  }
  const Vec3 sacrumEnd = spine.sacrum.coccyx.back().Centre();
  tips.push_back({ -35.0F, spine.canal[spine.canal.size() - 8].centre.y + 26.0F });
  tips.push_back({ sacrumEnd.z, sacrumEnd.y + 12.0F });
  for (const TubeNode & node : spine.canal)
  {
    canalY.push_back({ node.centre.z, node.centre.y });
    canalX.push_back({ node.centre.z, node.centre.x });
  }
  const float scale = spine.scale * random.Spread(1.0F, 0.05F);
  const float fat = random.Uniform(0.0F, 1.0F);
  const float belly = random.Uniform(85.0F, 125.0F) + 55.0F * fat;
  const float backFat = 5.0F + 26.0F * fat * random.Uniform(0.5F, 1.0F);

  std::vector<float> back(s_SectionCount);
  std::vector<float> y(s_SectionCount);
  std::vector<float> x(s_SectionCount);
  for (int i = 0; i < s_SectionCount; ++i)
  {
    const auto  k = static_cast<size_t>(i);
    const float z = s_LowestZ + static_cast<float>(i);
    back[k] = Interpolate(tips, z);
    y[k] = Interpolate(canalY, z);
    x[k] = Interpolate(canalX, z);
  }
  Smooth(back, 28);
  Smooth(y, 12);
  Smooth(x, 12);
  m_Sections.resize(s_SectionCount);
  for (int i = 0; i < s_SectionCount; ++i)
  {
    const auto     k = static_cast<size_t>(i);
    const float    z = s_LowestZ + static_cast<float>(i);
    TorsoSection & section = m_Sections[k];
    const float    hips = SmoothStep(60.0F, -90.0F, z);
    const float    chest = SmoothStep(120.0F, 260.0F, z);
    const float    seat = SmoothStep(40.0F, -60.0F, z);
    section.centreX = x[k];
    section.canalY = y[k];
    section.fatBack = backFat * (1.0F + 0.7F * seat - 0.35F * chest);
    section.fatFront = (6.0F + 30.0F * fat) * (1.0F - 0.5F * chest);
    section.fatSide = (8.0F + 28.0F * fat) * (1.0F + 0.3F * hips - 0.3F * chest);
    section.backY = back[k] + 5.0F + section.fatBack;
    section.frontY = y[k] - 45.0F - belly * scale * (1.0F - 0.25F * hips);
    section.halfWidth = scale * (122.0F + 32.0F * hips + 18.0F * chest) + section.fatSide;
  }
}

void
BodyModel::AddTrunkOrgans(PhantomRandom & random, const SpineModel & spine)
{
  const size_t count = spine.vertebrae.size();
  const float  t6 = spine.vertebrae[5].frame.origin.z;
  const float  t12 = spine.vertebrae[count - 6].frame.origin.z;
  const float  l2 = spine.vertebrae[count - 4].frame.origin.z;
  const float  y = this->At(t12).canalY;
  const float  s = spine.scale;
  const auto   add = [this](const Frame & frame, const Vec3 & radii, Tissue tissue, float rough) {
    m_Organs.push_back({ Solid::Ellipsoid(frame, radii), tissue, tissue, 0.0F, rough });
  };
  for (const float side : { -1.0F, 1.0F })
  {
    add(FrameAt(0.5F * this->At(t6).centreX + side * 68.0F * s, y - 50.0F, t6 + random.Spread(0.0F, 8.0F)),
        { 52.0F * s, 78.0F * s, 128.0F * s },
        Tissue::Lung,
        0.0F);
    const float up = random.Spread(0.0F, 10.0F) + (side < 0.0F ? -8.0F : 4.0F);
    const float k = this->At(l2).canalY - 22.0F;
    const Frame kidney = FrameAt(side * 58.0F * s, k, l2 + 18.0F + up).Moved({}, 0.2F, -0.2F * side);
    add(kidney, { 26.0F * s, 24.0F * s, 52.0F * s }, Tissue::Kidney, 1.0F);
    add(kidney.Moved({ -side * 10.0F, 0.0F, 0.0F }, 0.0F), { 14.0F, 9.0F, 22.0F }, Tissue::Fat, 1.5F);
  }
  add(FrameAt(-62.0F * s, y - 80.0F, t12 - 6.0F), { 72.0F * s, 70.0F * s, 72.0F * s }, Tissue::Liver, 2.0F);
  add(FrameAt(88.0F * s, y - 30.0F, t12 + 5.0F), { 30.0F * s, 40.0F * s, 46.0F * s }, Tissue::Spleen, 1.5F);
  add(FrameAt(25.0F * s, y - 110.0F, t6 - 20.0F), { 48.0F * s, 42.0F * s, 48.0F * s }, Tissue::Vessel, 1.0F);
  m_Organs.push_back({ Solid::Ellipsoid(FrameAt(45.0F, y - 115.0F, t12 - 10.0F), { 45.0F, 28.0F, 38.0F }),
                       random.Chance(0.5F) ? Tissue::Gas : Tissue::Stool,
                       Tissue::BowelWall,
                       4.0F,
                       2.0F });
  this->AddBowel(random, t12 - 25.0F);
}

void
BodyModel::AddBowel(PhantomRandom & random, float top)
{
  const int loops = random.Integer(24, 44);
  for (int i = 0; i < loops; ++i)
  {
    const float          z = random.Uniform(-100.0F, top);
    const TorsoSection & section = this->At(z);
    const float          front = section.frontY + section.fatFront + 32.0F;
    const float          behind = section.canalY - 72.0F;
    const float          half = 0.72F * (section.halfWidth - section.fatSide);
    const float          r = random.Uniform(9.0F, 20.0F);
    // Draws stand in braces, where their order is fixed; in an argument list it is the compiler's.
    const Vec3  at{ random.Uniform(-half, half), random.Uniform(front, std::max(front + 1.0F, behind)), z };
    const Vec3  turn{ random.Uniform(-1.5F, 1.5F), random.Uniform(-1.5F, 1.5F), random.Uniform(-1.5F, 1.5F) };
    const Frame frame = FrameAt(at.x, at.y, at.z).Moved({}, turn.x, turn.y, turn.z);
    const float dice = random.Uniform(0.0F, 1.0F);
    m_Organs.push_back({ Solid::Ellipsoid(frame, { r, r * random.Uniform(0.8F, 1.2F), r * random.Uniform(1.2F, 2.6F) }),
                         dice < 0.25F ? Tissue::Gas : (dice < 0.85F ? Tissue::Stool : Tissue::Fluid),
                         Tissue::BowelWall,
                         random.Uniform(2.0F, 3.5F),
                         2.5F });
  }
}

void
BodyModel::AddPelvisOrgans(PhantomRandom & random)
{
  const float full = random.Uniform(0.6F, 1.25F);
  m_Organs.push_back({ Solid::Ellipsoid(FrameAt(0.0F, -62.0F, -118.0F), { 38.0F * full, 30.0F * full, 26.0F * full }),
                       Tissue::Fluid,
                       Tissue::Muscle,
                       4.0F,
                       1.0F });
  if (random.Chance(0.5F))
  {
    m_Organs.push_back(
      { Solid::Ellipsoid(FrameAt(random.Spread(0.0F, 8.0F), -22.0F, -92.0F).Moved({}, -0.6F), { 24.0F, 20.0F, 38.0F }),
        Tissue::Spleen,
        Tissue::Muscle,
        9.0F,
        1.0F });
  }
  for (int i = 0; i < 4; ++i)
  {
    const float t = static_cast<float>(i);
    m_Organs.push_back(
      { Solid::Ellipsoid(FrameAt(random.Spread(0.0F, 6.0F), 8.0F + 9.0F * t - 1.2F * t * t, -62.0F - 20.0F * t),
                         { 15.0F, 13.0F, 15.0F }),
        random.Chance(0.35F) ? Tissue::Gas : Tissue::Stool,
        Tissue::BowelWall,
        3.0F,
        2.0F });
  }
  for (const float side : { -1.0F, 1.0F })
  {
    m_Organs.push_back(
      { Solid::Ellipsoid(FrameAt(side * 72.0F, 62.0F, -95.0F).Moved({}, 0.3F), { 56.0F, 30.0F, 66.0F }),
        Tissue::Muscle,
        Tissue::Muscle,
        0.0F,
        2.0F });
    m_Organs.push_back({ Solid::Ellipsoid(FrameAt(side * 118.0F, 18.0F, -55.0F), { 26.0F, 45.0F, 62.0F }),
                         Tissue::Muscle,
                         Tissue::Muscle,
                         0.0F,
                         2.0F });
  }
}

void
BodyModel::AddVesselsAndPsoas(PhantomRandom & random, const SpineModel & spine)
{
  const size_t count = spine.vertebrae.size();
  const size_t fork = count - 2; // L4
  const float  s = spine.scale;
  const float  aorta = random.Uniform(7.5F, 11.0F) * s;
  const float  vein = random.Uniform(8.0F, 11.0F) * s;
  const auto   add = [this](const Vec3 & a, const Vec3 & b, float ra, float rb, Tissue tissue) {
    Frame frame;
    frame.origin = a;
    m_Organs.push_back({ Solid::Rod(frame, {}, b - a, ra, rb), tissue, tissue, 0.0F, 0.0F });
  };
  const auto beside = [&spine](size_t i, float u, float inFront) {
    const Vertebra & vertebra = spine.vertebrae[i];
    return vertebra.frame.ToWorld({ u, -vertebra.body.GetDrum().halfDepth - inFront, 0.0F });
  };
  for (size_t i = 3; i < count - 1; ++i)
  {
    const bool  chest = i + 6 < count;
    const float u0 = chest ? 16.0F : 9.0F;
    if (i < fork)
    {
      add(beside(i, u0, aorta + 3.0F),
          beside(i + 1, i + 7 < count ? 16.0F : 9.0F, aorta + 3.0F),
          aorta,
          aorta,
          Tissue::Vessel);
      if (i + 9 > count)
      {
        add(beside(i, -17.0F, vein + 2.0F), beside(i + 1, -17.0F, vein + 2.0F), vein, vein, Tissue::Vessel);
      }
    }
  }
  const Vec3 aortaEnd = beside(fork, 9.0F, aorta + 3.0F);
  const Vec3 veinEnd = beside(fork, -17.0F, vein + 2.0F);
  for (const float side : { -1.0F, 1.0F })
  {
    const Vec3 groin{ side * 62.0F, -55.0F, -85.0F };
    const Vec3 half{ side * 34.0F, -32.0F, -12.0F };
    add(aortaEnd, half, 0.7F * aorta, 0.6F * aorta, Tissue::Vessel);
    add(half, groin, 0.6F * aorta, 0.6F * aorta, Tissue::Vessel);
    add(veinEnd, half + Vec3{ 0.0F, 14.0F, 0.0F }, 0.8F * vein, 0.7F * vein, Tissue::Vessel);

    const float bulk = random.Uniform(0.8F, 1.2F) * s;
    for (size_t i = count - 6; i + 1 < count; ++i)
    {
      const auto  t = static_cast<float>(i - (count - 6));
      const Vec3  a = spine.vertebrae[i].frame.ToWorld({ side * (25.0F + 4.5F * t) * s, -2.0F, 0.0F });
      const Vec3  b = spine.vertebrae[i + 1].frame.ToWorld({ side * (29.5F + 4.5F * t) * s, -2.0F, 0.0F });
      const float r = (6.0F + 2.7F * t) * bulk;
      add(a, b, r, r + 2.7F * bulk, Tissue::Muscle);
    }
    const Vec3 low = spine.vertebrae[count - 1].frame.ToWorld({ side * 47.0F * s, -2.0F, 0.0F });
    add(low, { side * 68.0F, -48.0F, -70.0F }, 19.5F * bulk, 19.0F * bulk, Tissue::Muscle);
    add(
      { side * 68.0F, -48.0F, -70.0F }, { side * 92.0F, -72.0F, -150.0F }, 19.0F * bulk, 16.0F * bulk, Tissue::Muscle);
  }
}

void
BodyModel::AddRibs(PhantomRandom & random, const SpineModel & spine)
{
  constexpr float degree = 0.01745329F;
  const float     slant = random.Uniform(0.8F, 1.2F);
  for (size_t i = 0; i < 12 && i < spine.vertebrae.size(); ++i)
  {
    const Vertebra &  vertebra = spine.vertebrae[i];
    const DrumShape & body = vertebra.body.GetDrum();
    const float       last = i == 11 ? random.Uniform(40.0F, 62.0F) : (i == 10 ? 85.0F : 150.0F);
    const float       drop = slant * (i < 2 ? 35.0F : 75.0F);
    const float       top = static_cast<float>(i) < 6.0F ? 0.62F + 0.05F * static_cast<float>(i) : 0.92F;
    for (const float side : { -1.0F, 1.0F })
    {
      Vec3 before =
        vertebra.frame.ToWorld({ side * (body.halfWidth - 1.0F), body.halfDepth - 3.0F, 0.5F * body.halfHeight });
      Vec3 next = vertebra.frame.ToWorld({ side * (body.halfWidth + 19.0F), body.halfDepth + 14.0F, 0.0F });
      for (float angle = 22.0F; angle <= last; angle += 11.0F)
      {
        m_Bones.push_back([&] {
          Frame frame;
          frame.origin = before;
          return Solid::Rod(frame, {}, next - before, 4.2F, 4.0F, { 1.0F, 1.0F, 0.75F });
        }());
        before = next;
        const float          z = vertebra.frame.origin.z - drop * 0.5F * (1.0F - std::cos((angle + 11.0F) * degree));
        const TorsoSection & section = this->At(z);
        const float          a = (section.halfWidth - section.fatSide) * 0.93F * top;
        const float          backY = section.backY - section.fatBack - 14.0F;
        const float          frontY = section.frontY + section.fatFront + 16.0F;
        const float          b = 0.5F * (backY - frontY);
        next = { section.centreX + side * a * std::sin((angle + 11.0F) * degree),
                 0.5F * (backY + frontY) + b * std::cos((angle + 11.0F) * degree),
                 z };
      }
    }
  }
}

void
BodyModel::AddPelvis(const SpineModel & spine)
{
  const float s = spine.scale;
  for (const float side : { -1.0F, 1.0F })
  {
    // Plane through the posterior and anterior superior spines and the hip socket.
    const Vec3 behind{ side * 44.0F * s, 50.0F, -40.0F };
    const Vec3 front{ side * 122.0F * s, -58.0F, -5.0F };
    const Vec3 socket{ side * 84.0F * s, -30.0F, -98.0F };
    Frame      frame;
    frame.u = front - behind;
    frame.u = (1.0F / Norm(frame.u)) * frame.u;
    frame.w = Cross(front - behind, socket - behind);
    frame.w = (1.0F / Norm(frame.w)) * frame.w;
    frame.v = Cross(frame.w, frame.u);
    frame.origin = 0.5F * (behind + front) + Vec3{ 0.0F, 4.0F, -8.0F };
    m_Bones.push_back(Solid::Plate(frame, 70.0F * s, 52.0F * s, 4.5F, side * -9.0F));
    m_Bones.push_back(
      Solid::Ellipsoid(FrameAt(side * 86.0F * s, -26.0F, -100.0F), { 24.0F * s, 30.0F * s, 30.0F * s }));
    m_Bones.push_back(
      Solid::Ellipsoid(FrameAt(side * 96.0F * s, -30.0F, -118.0F), { 23.0F * s, 23.0F * s, 23.0F * s }));
    Frame femur;
    femur.origin = { side * 96.0F * s, -30.0F, -118.0F };
    m_Bones.push_back(Solid::Rod(femur, {}, { side * 48.0F * s, 4.0F, -38.0F * s }, 14.0F, 18.0F));
    m_Bones.push_back(
      Solid::Rod(femur, { side * 48.0F * s, 4.0F, -38.0F * s }, { side * 52.0F * s, 4.0F, -170.0F }, 15.0F, 14.0F));
    Frame ramus;
    ramus.origin = { side * 74.0F * s, -42.0F, -118.0F };
    m_Bones.push_back(Solid::Rod(ramus, {}, { side * -60.0F * s, -28.0F, -22.0F }, 9.0F, 9.0F));
  }
}

} // namespace verdiff

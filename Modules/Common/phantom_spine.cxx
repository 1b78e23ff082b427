#include "phantom_spine.h"

#include <algorithm>

namespace verdiff
{

namespace
{

constexpr float s_Degree = 0.01745329251994329577F;

// Mean adult sizes in mm and degrees, after the morphometric tables of Panjabi et al., Spine 16 and 17
// (1991, 1992), rounded; disc heights and angles from radiographic series of standing adults.
struct LevelRow
{
  float width, depth, height;  // of the body
  float wedge;                 // front taller > 0
  float discHeight, discWedge; // of the disc below
  float pedicleHalfWidth, pedicleHalfHeight;
  float canalHalfWidth, canalHalfDepth;
  float transverseHalfSpan;
  float spinousLength, spinousAngle, spinousHalfHeight;
};

constexpr int s_Rows = 17;
constexpr int s_FirstLumbar = 12;

// clang-format off
constexpr LevelRow s_Levels[s_Rows] = {
  { 28.0F, 18.0F, 15.5F, -2.0F,  4.5F,  0.0F, 4.2F, 4.8F, 10.5F, 8.0F, 37.0F, 28.0F, 28.0F,  4.6F },
  { 27.0F, 19.5F, 16.5F, -3.0F,  4.3F, -0.5F, 3.9F, 5.4F,  9.2F, 7.8F, 35.0F, 29.0F, 36.0F,  4.6F },
  { 26.0F, 21.0F, 17.0F, -3.5F,  4.2F, -0.5F, 3.4F, 5.6F,  8.8F, 7.8F, 32.0F, 30.0F, 42.0F,  4.5F },
  { 25.5F, 22.0F, 17.5F, -3.5F,  4.2F, -0.5F, 3.0F, 5.6F,  8.6F, 7.9F, 31.0F, 32.0F, 50.0F,  4.5F },
  { 26.0F, 23.5F, 18.0F, -3.5F,  4.3F, -0.5F, 3.0F, 5.6F,  8.6F, 7.9F, 31.0F, 34.0F, 56.0F,  4.5F },
  { 27.0F, 25.0F, 18.5F, -3.8F,  4.4F, -0.5F, 3.1F, 5.6F,  8.6F, 7.9F, 31.0F, 35.0F, 60.0F,  4.5F },
  { 28.0F, 26.0F, 19.0F, -3.8F,  4.5F, -0.5F, 3.3F, 6.0F,  8.6F, 8.0F, 31.0F, 35.0F, 60.0F,  4.6F },
  { 30.0F, 27.0F, 19.5F, -3.5F,  4.7F, -0.5F, 3.4F, 6.2F,  8.7F, 8.0F, 30.5F, 34.0F, 56.0F,  4.8F },
  { 32.0F, 28.0F, 20.5F, -3.2F,  4.9F, -0.3F, 3.6F, 6.8F,  8.8F, 8.1F, 30.0F, 32.0F, 50.0F,  5.2F },
  { 34.0F, 29.0F, 21.5F, -3.0F,  5.2F,  0.0F, 4.0F, 7.2F,  9.2F, 8.2F, 29.0F, 30.0F, 42.0F,  5.8F },
  { 37.0F, 30.5F, 22.5F, -3.0F,  5.8F,  0.5F, 4.4F, 7.6F, 10.0F, 8.6F, 27.0F, 28.0F, 28.0F,  6.8F },
  { 40.0F, 32.0F, 24.0F, -2.5F,  6.6F,  1.5F, 4.4F, 7.8F, 11.0F, 9.0F, 25.0F, 27.0F, 16.0F,  8.5F },
  { 42.5F, 33.5F, 25.5F, -2.0F,  8.0F,  4.0F, 4.3F, 7.8F, 11.4F, 9.0F, 36.0F, 28.0F, 10.0F, 10.0F },
  { 44.5F, 34.5F, 26.5F, -0.5F,  9.5F,  6.0F, 4.4F, 7.5F, 11.6F, 8.9F, 40.0F, 29.0F,  8.0F, 10.8F },
  { 46.5F, 35.0F, 27.0F,  1.0F, 10.5F,  8.0F, 5.1F, 7.3F, 11.9F, 8.7F, 45.0F, 29.0F,  6.0F, 11.2F },
  { 48.5F, 35.5F, 27.0F,  3.0F, 11.2F, 11.0F, 6.4F, 7.3F, 12.2F, 8.9F, 43.0F, 27.0F,  6.0F, 10.0F },
  { 50.5F, 35.0F, 26.5F,  8.5F, 10.0F, 14.0F, 8.0F, 7.0F, 13.0F, 9.2F, 45.0F, 21.0F, 10.0F,  7.6F },
};
// clang-format on

// Degrees by which rows first .. last - 1 of the table bend the spine, times @p sign.
float
TableBend(int first, int last, float sign)
{
  float sum = 0.0F;
  for (int row = first; row < last; ++row)
  {
    sum += s_Levels[row].wedge + s_Levels[row].discWedge;
  }
  return sign * sum;
}

class SpineBuilder
{
public:
  SpineBuilder(PhantomRandom & random, const SpineOptions & options)
    : m_Random(random)
    , m_Options(options)
  {}

  SpineModel
  Build();

private:
  LevelRow
  DrawLevel(int row);
  void
  AddLevel(int row, uint8_t number, int stepsFromSacrum);
  void
  AddDisc(const LevelRow & level, const Frame & middle, float height, float slope);
  void
  AddArch(Vertebra & vertebra, const LevelRow & level, bool lumbar);
  void
  AddProcesses(Vertebra & vertebra, const LevelRow & level, bool lumbar);
  void
  AddLesions(Vertebra & vertebra);
  void
  AddSacrum();
  void
  AddSacralBack(const Frame & frame, float halfDepth, float halfHeight, int body);
  void
  AddCanal();
  void
  AddRoots(const std::vector<TubeNode> & curve, size_t conus);
  void
  AddLigaments();

  PhantomRandom &       m_Random;
  const SpineOptions &  m_Options;
  SpineModel            m_Spine;
  Frame                 m_Top; // upper plate of what has been built so far
  float                 m_Lordosis = 1.0F;
  float                 m_Kyphosis = 1.0F;
  float                 m_BendPhase = 0.0F;
  float                 m_BendPeriod = 12.0F;
  float                 m_Marrow = 1.0F;
  std::vector<TubeNode> m_CanalNodes; // from the bottom up while building
};

LevelRow
SpineBuilder::DrawLevel(int row)
{
  LevelRow    level = s_Levels[row];
  const float s = m_Spine.scale;
  const float own = m_Random.Spread(1.0F, 0.02F);
  level.width *= s * own;
  level.depth *= s * own;
  level.height *= s * m_Random.Spread(1.0F, 0.03F);
  level.discHeight *= s * m_Random.Spread(1.0F, 0.1F);
  level.pedicleHalfWidth *= s * m_Random.Spread(1.0F, 0.08F);
  level.pedicleHalfHeight *= s;
  level.canalHalfWidth *= s * m_Random.Spread(1.0F, 0.05F);
  level.canalHalfDepth *= s * m_Random.Spread(1.0F, 0.07F);
  level.transverseHalfSpan *= s * m_Random.Spread(1.0F, 0.06F);
  level.spinousLength *= s * m_Random.Spread(1.0F, 0.09F);
  level.spinousHalfHeight *= s * m_Random.Spread(1.0F, 0.07F);
  level.spinousAngle += m_Random.Spread(0.0F, 3.0F);
  const float bend = row >= s_FirstLumbar ? m_Lordosis : m_Kyphosis;
  level.wedge = bend * level.wedge + m_Random.Spread(0.0F, 0.8F);
  level.discWedge = bend * level.discWedge + m_Random.Spread(0.0F, 1.0F);
  if (m_Random.Chance(0.04F * m_Options.degeneration))
  {
    // Wedge fracture: the front is crushed, the back wall stays.
    const float lost = m_Random.Uniform(0.15F, 0.35F);
    level.wedge -= lost * level.height / level.depth / s_Degree;
    level.height *= 1.0F - 0.5F * lost;
  }
  return level;
}

void
SpineBuilder::AddDisc(const LevelRow & level, const Frame & middle, float height, float slope)
{
  Disc        disc;
  const float worn = Clamp(m_Options.degeneration + m_Random.Spread(0.0F, 0.3F), 0.0F, 1.0F);
  disc.water = Clamp(1.15F - 1.1F * worn, 0.0F, 1.0F);

  DrumShape shape;
  shape.halfWidth = 0.5F * level.width + 0.5F;
  shape.halfDepth = 0.5F * level.depth + 0.6F;
  // Reaches into the hollow plates of both neighbours, which are painted over it.
  shape.halfHeight = 0.5F * height + 3.2F;
  shape.slope = slope;
  shape.waist = -0.02F - 0.05F * worn;
  shape.hollow = 0.0F;
  shape.backHollow = 1.2F;
  shape.square = 0.55F;
  shape.rounding = 1.5F;
  const float bulge = m_Random.Chance(0.35F * worn) ? m_Random.Uniform(0.5F, 2.5F) : 0.0F;
  disc.solid = Solid::Drum(middle.Moved({ 0.0F, bulge, 0.0F }, 0.0F), shape);

  DrumShape core = shape;
  core.halfWidth *= 0.68F;
  core.halfDepth *= 0.62F;
  core.halfHeight = 0.5F * height + 1.0F;
  core.rounding = 3.0F;
  disc.nucleus = Solid::Drum(middle.Moved({ 0.0F, 1.5F, 0.0F }, 0.0F), core);
  m_Spine.discs.push_back(disc);
}

void
SpineBuilder::AddLevel(int row, uint8_t number, int stepsFromSacrum)
{
  LevelRow    level = this->DrawLevel(row);
  const bool  lumbar = row >= s_FirstLumbar;
  const float worn = Clamp(m_Options.degeneration + m_Random.Spread(-0.25F, 0.25F), 0.0F, 1.0F);
  const float discHeight = level.discHeight * (1.0F - 0.45F * worn * worn);
  const float phase = m_BendPhase + 2.0F * 3.14159265F * static_cast<float>(stepsFromSacrum) / m_BendPeriod;
  const float tilt = m_Options.scoliosisDegrees * std::sin(phase) + m_Random.Spread(0.0F, 0.3F);
  const float twist = -0.7F * m_Options.scoliosisDegrees * std::cos(phase) + m_Random.Spread(0.0F, 0.4F);
  const float slip = m_Random.Chance(0.05F * worn) ? -m_Random.Uniform(2.0F, 7.0F) : m_Random.Spread(0.0F, 0.5F);
  const float discBend = -0.5F * level.discWedge * s_Degree;
  const float bodyBend = -0.5F * level.wedge * s_Degree;
  const float halfHeight = 0.5F * level.height;

  const Frame middle = m_Top.Moved({ 0.0F, 0.5F * slip, 0.5F * discHeight }, discBend, 0.5F * tilt * s_Degree);
  this->AddDisc(level, middle, discHeight, std::tan(-discBend));
  const Frame bottom =
    middle.Moved({ 0.0F, 0.5F * slip, 0.5F * discHeight }, discBend, 0.5F * tilt * s_Degree, twist * s_Degree);

  Vertebra vertebra;
  vertebra.number = number;
  vertebra.frame = bottom.Moved({ 0.0F, 0.0F, halfHeight }, bodyBend);
  DrumShape shape;
  shape.halfWidth = 0.5F * level.width;
  shape.halfDepth = 0.5F * level.depth;
  shape.halfHeight = halfHeight;
  shape.slope = std::tan(-bodyBend);
  shape.waist = m_Random.Uniform(0.03F, 0.10F);
  shape.hollow = m_Random.Uniform(1.0F, 2.6F) * level.height / 27.0F;
  shape.backHollow = m_Random.Uniform(0.8F, 2.2F);
  shape.square = lumbar ? m_Random.Uniform(0.5F, 0.7F) : m_Random.Uniform(0.3F, 0.5F);
  shape.frontLip = worn > 0.45F && m_Random.Chance(0.6F) ? m_Random.Uniform(0.03F, 0.16F) : 0.0F;
  shape.rounding = m_Random.Uniform(2.0F, 4.0F);
  vertebra.body = Solid::Drum(vertebra.frame, shape);
  vertebra.canalHalfWidth = level.canalHalfWidth;
  vertebra.canalHalfDepth = level.canalHalfDepth;
  vertebra.marrow = m_Marrow * m_Random.Spread(1.0F, 0.05F);
  this->AddArch(vertebra, level, lumbar);
  this->AddProcesses(vertebra, level, lumbar);
  this->AddLesions(vertebra);

  const float canalBack = shape.halfDepth - shape.backHollow + level.canalHalfDepth;
  for (const float at : { -0.6F, 0.6F })
  {
    m_CanalNodes.push_back({ vertebra.frame.ToWorld({ 0.0F, canalBack, at * halfHeight }),
                             vertebra.frame.u,
                             level.canalHalfWidth,
                             level.canalHalfDepth });
  }
  m_Top = vertebra.frame.Moved({ 0.0F, 0.0F, halfHeight }, bodyBend);
  m_Spine.vertebrae.push_back(vertebra);
}

// Pedicles, articular pillars and processes, laminae.
void
SpineBuilder::AddArch(Vertebra & vertebra, const LevelRow & level, bool lumbar)
{
  const Frame & f = vertebra.frame;
  const float   h = 0.5F * level.height;
  const float   wall = 0.5F * level.depth;
  const float   cw = level.canalHalfWidth;
  const float   cd = level.canalHalfDepth;
  const float   middle = wall + cd;
  const float   back = wall + 2.0F * cd;
  const float   pw = level.pedicleHalfWidth;
  const float   pz = 0.22F * h;
  const float   r = lumbar ? 4.6F * m_Spine.scale : 3.8F * m_Spine.scale;
  const float   laminaHalfHeight = (lumbar ? 0.36F : 0.40F) * level.height;
  const float   lean = (lumbar ? 20.0F : 14.0F) * s_Degree;
  const Frame   lamina = f.Moved({ 0.0F, back + 1.6F, -0.25F * h }, lean);

  for (const float side : { -1.0F, 1.0F })
  {
    const Vec3 flat{ 1.0F, 1.0F, pw / level.pedicleHalfHeight };
    vertebra.arch.push_back(Solid::Rod(
      f, { side * (cw + pw), wall - 6.0F, pz }, { side * (cw + pw + 0.5F), middle + 3.0F, pz }, pw, pw, flat));
    vertebra.arch.push_back(
      Solid::Rod(f, { side * (cw + 3.5F), middle + 2.0F, pz }, { side * cw, back + 1.5F, -0.75F * h }, r, r));
    vertebra.arch.push_back(Solid::Rod(
      f, { side * (cw + 4.5F), middle + 2.0F, pz }, { side * (cw + 5.5F), middle + 3.5F, h + 3.5F }, r, 0.85F * r));
    vertebra.arch.push_back(Solid::Rod(f,
                                       { side * (cw - 0.5F), back + 1.5F, -0.6F * h },
                                       { side * (cw - 1.0F), back + 3.0F, -h - 0.3F * level.height },
                                       r,
                                       0.9F * r));
    vertebra.arch.push_back(Solid::Rod(lamina,
                                       { side * cw * 0.9F, -1.0F, 0.0F },
                                       { 0.0F, 3.5F, 0.0F },
                                       3.0F,
                                       3.0F,
                                       { 1.0F, 1.0F, 3.0F / laminaHalfHeight }));
  }
}

// Spinous and transverse processes.
void
SpineBuilder::AddProcesses(Vertebra & vertebra, const LevelRow & level, bool lumbar)
{
  const Frame & f = vertebra.frame;
  const float   h = 0.5F * level.height;
  const float   middle = 0.5F * level.depth + level.canalHalfDepth;
  const float   back = middle + level.canalHalfDepth;
  const float   length = level.spinousLength;
  const float   bend = m_Random.Spread(0.0F, 3.0F) * s_Degree;
  const Frame   root = f.Moved({ 0.0F, back + 2.0F, -0.3F * h }, -level.spinousAngle * s_Degree, 0.0F, bend);
  const Frame   centre = root.Moved({ 0.0F, 0.5F * length, 0.0F }, 0.0F);
  const float   tall = level.spinousHalfHeight;
  const float   thick = (lumbar ? 3.2F : 2.8F) * m_Spine.scale;

  vertebra.arch.push_back(Solid::Box(centre, { thick, 0.5F * length, tall }, 2.6F));
  vertebra.arch.push_back(
    Solid::Ellipsoid(root.Moved({ 0.0F, length - 3.0F, -0.12F * tall }, 0.0F), { thick + 1.3F, 5.0F, 1.08F * tall }));
  vertebra.spinousTip = root.ToWorld({ 0.0F, length + 2.0F, 0.0F });

  const float pz = 0.22F * h;
  const float start = level.canalHalfWidth + level.pedicleHalfWidth;
  const float sweep = lumbar ? 8.0F : 15.0F;
  const float radius = (lumbar ? 3.6F : 4.2F) * m_Spine.scale;
  for (const float side : { -1.0F, 1.0F })
  {
    const float rise = m_Random.Spread(2.0F, 2.0F);
    vertebra.arch.push_back(Solid::Rod(f,
                                       { side * start, middle + 3.0F, pz - 1.0F },
                                       { side * level.transverseHalfSpan, middle + sweep, pz + rise },
                                       radius,
                                       0.8F * radius,
                                       { 1.0F, 1.0F, 0.65F }));
  }
}

void
SpineBuilder::AddLesions(Vertebra & vertebra)
{
  const DrumShape & shape = vertebra.body.GetDrum();
  const int         count = m_Random.Chance(0.12F + 0.15F * m_Options.degeneration) ? m_Random.Integer(1, 2) : 0;
  for (int i = 0; i < count; ++i)
  {
    const Vec3  at{ m_Random.Uniform(-0.5F, 0.5F) * shape.halfWidth,
                   m_Random.Uniform(-0.5F, 0.5F) * shape.halfDepth,
                   m_Random.Uniform(-0.5F, 0.5F) * shape.halfHeight };
    const float size = m_Random.Uniform(2.5F, 7.0F);
    const Vec3  radii{ size, size * m_Random.Uniform(0.7F, 1.2F), size * m_Random.Uniform(0.6F, 1.1F) };
    vertebra.lesions.push_back(
      { Solid::Ellipsoid(vertebra.frame.Moved(at, 0.0F), radii), m_Random.Uniform(-0.7F, 0.7F) });
  }
  if (m_Random.Chance(0.3F * m_Options.degeneration))
  {
    // Modic change: a band of altered marrow along one end plate.
    const float end = m_Random.Chance(0.5F) ? 1.0F : -1.0F;
    const Vec3  at{ 0.0F, m_Random.Uniform(-0.5F, 0.3F) * shape.halfDepth, end * shape.halfHeight };
    const Vec3  radii{ 0.8F * shape.halfWidth, 0.7F * shape.halfDepth, m_Random.Uniform(3.0F, 8.0F) };
    vertebra.lesions.push_back(
      { Solid::Ellipsoid(vertebra.frame.Moved(at, 0.0F), radii), m_Random.Uniform(-0.5F, 0.5F) });
  }
}

void
SpineBuilder::AddSacralBack(const Frame & frame, float halfDepth, float halfHeight, int body)
{
  constexpr float widths[5] = { 13.5F, 11.0F, 8.5F, 6.5F, 5.0F };
  constexpr float depths[5] = { 7.5F, 5.5F, 4.0F, 3.0F, 2.4F };
  const float     s = m_Spine.scale;
  const float     cw = widths[body] * s;
  const float     cd = depths[body] * s;
  const float     back = halfDepth + 2.0F * cd;
  auto &          bone = m_Spine.sacrum.bone;
  bone.push_back(
    Solid::Box(frame.Moved({ 0.0F, back + 2.2F, -1.0F }, 0.0F), { cw + 4.0F, 2.4F, halfHeight - 1.0F }, 2.2F));
  if (body < 4)
  {
    bone.push_back(
      Solid::Ellipsoid(frame.Moved({ 0.0F, back + 5.0F, -2.0F }, 0.0F), { 3.2F, 6.0F * s, 0.62F * halfHeight }));
  }
  for (const float side : { -1.0F, 1.0F })
  {
    const float u = side * (cw + 5.0F);
    bone.push_back(Solid::Rod(frame,
                              { u, halfDepth + 0.6F * cd, -0.5F * halfHeight },
                              { u, halfDepth + 1.4F * cd, 0.3F * halfHeight },
                              4.5F * s,
                              4.5F * s));
  }
  m_CanalNodes.push_back({ frame.ToWorld({ 0.0F, halfDepth + cd, 0.0F }), frame.u, cw, cd });
}

void
SpineBuilder::AddSacrum()
{
  constexpr float heights[5] = { 30.0F, 25.0F, 20.0F, 17.0F, 15.0F };
  constexpr float widths[5] = { 24.5F, 17.0F, 14.0F, 12.0F, 10.0F };
  constexpr float depths[5] = { 15.5F, 11.0F, 8.5F, 7.0F, 5.5F };
  constexpr float bends[5] = { 5.0F, 9.0F, 14.0F, 20.0F, 22.0F };
  constexpr float ala[5] = { 17.0F, 14.0F, 10.0F, 7.0F, 4.0F };
  const float     s = m_Spine.scale;
  const float     curve = m_Random.Spread(1.0F, 0.2F);
  auto &          bone = m_Spine.sacrum.bone;
  Frame           plate = m_Top;
  for (int i = 0; i < 5; ++i)
  {
    const float halfHeight = 0.5F * heights[i] * s;
    const float bend = -0.5F * bends[i] * curve * s_Degree;
    const Frame frame = plate.Moved({ 0.0F, i == 0 ? 0.0F : -0.8F, -halfHeight }, bend);
    DrumShape   shape;
    shape.halfWidth = widths[i] * s;
    shape.halfDepth = depths[i] * s;
    shape.halfHeight = halfHeight + (i == 0 ? 0.0F : 1.0F);
    shape.slope = std::tan(bend);
    shape.waist = 0.08F;
    shape.hollow = i == 0 ? 1.2F : 0.0F;
    shape.square = 0.4F;
    bone.push_back(Solid::Drum(frame, shape));
    for (const float side : { -1.0F, 1.0F })
    {
      const float u = side * (shape.halfWidth + 0.4F * ala[i] * s);
      bone.push_back(
        Solid::Ellipsoid(frame.Moved({ u, 0.4F * shape.halfDepth, -0.15F * halfHeight }, 0.0F, side * 0.25F),
                         { 1.35F * ala[i] * s, 0.85F * shape.halfDepth + 1.5F, 1.15F * halfHeight }));
    }
    this->AddSacralBack(frame, shape.halfDepth, halfHeight, i);
    plate = frame.Moved({ 0.0F, 0.0F, -halfHeight }, bend);
    if (i < 2)
    {
      DrumShape remnant = shape;
      remnant.halfWidth *= 0.7F;
      remnant.halfDepth *= i == 0 ? 0.7F : 0.6F;
      remnant.halfHeight = (i == 0 ? m_Random.Uniform(0.8F, 2.8F) : m_Random.Uniform(0.4F, 1.2F)) * s;
      remnant.slope = 0.0F;
      m_Spine.sacrum.remnants.push_back(Solid::Drum(plate, remnant));
    }
  }
  for (int i = 0; i < 3; ++i)
  {
    const float size = (1.0F - 0.22F * static_cast<float>(i)) * s;
    const Frame frame = plate.Moved({ 0.0F, 0.0F, -7.0F * size }, -12.0F * curve * s_Degree);
    m_Spine.sacrum.coccyx.push_back(Solid::Ellipsoid(frame, { 8.0F * size, 4.2F * size, 6.2F * size }));
    plate = frame.Moved({ 0.0F, 0.0F, -6.0F * size }, -10.0F * curve * s_Degree);
  }
}

// Strands of the cauda equina in the back of the sac, and one root through each foramen.
void
SpineBuilder::AddRoots(const std::vector<TubeNode> & curve, size_t conus)
{
  const int strands = m_Random.Integer(8, 12);
  for (int k = 0; k < strands; ++k)
  {
    const float across = m_Random.Uniform(-0.6F, 0.6F);
    const float behind = m_Random.Uniform(-0.05F, 0.6F);
    const float wave = m_Random.Uniform(0.0F, 6.0F);
    const float radius = m_Random.Uniform(0.5F, 0.9F);
    const auto  last =
      static_cast<size_t>(m_Random.Integer(static_cast<int>(conus) + 6, static_cast<int>(curve.size()) - 4));
    Vec3 before{};
    for (size_t i = conus; i < last; ++i)
    {
      const TubeNode & node = curve[i];
      const Vec3       along = curve[i + 1].centre - node.centre;
      Vec3             back = Cross(node.left, along);
      back = (1.0F / std::fmax(Norm(back), 1e-6F)) * back;
      const float spread = Clamp(0.15F * static_cast<float>(i - conus), 0.1F, 1.0F);
      const float swing = 0.10F * std::sin(0.55F * static_cast<float>(i) + wave);
      const Vec3  at = node.centre + (spread * (across + swing) * 0.8F * node.halfWidth) * node.left +
                      ((behind * spread + 0.5F * swing) * 0.8F * node.halfDepth) * back;
      if (i > conus)
      {
        Frame frame;
        frame.origin = at;
        m_Spine.roots.push_back(Solid::Rod(frame, {}, before - at, radius, radius));
      }
      before = at;
    }
  }
  for (const Vertebra & vertebra : m_Spine.vertebrae)
  {
    const float h = vertebra.body.GetDrum().halfHeight;
    const float d = vertebra.body.GetDrum().halfDepth;
    for (const float side : { -1.0F, 1.0F })
    {
      m_Spine.roots.push_back(
        Solid::Rod(vertebra.frame,
                   { side * 0.7F * vertebra.canalHalfWidth, d + vertebra.canalHalfDepth, -0.1F * h },
                   { side * (vertebra.canalHalfWidth + 12.0F), d + 1.0F, -1.0F * h },
                   1.6F,
                   2.4F));
    }
  }
}

// Yellow ligaments between the laminae and the supraspinous ligament along the tips.
void
SpineBuilder::AddLigaments()
{
  for (size_t i = 0; i + 1 < m_Spine.vertebrae.size(); ++i)
  {
    const Vertebra & upper = m_Spine.vertebrae[i];
    const Vertebra & lower = m_Spine.vertebrae[i + 1];
    const float      upperBack = upper.body.GetDrum().halfDepth + 2.0F * upper.canalHalfDepth;
    const float      lowerBack = lower.body.GetDrum().halfDepth + 2.0F * lower.canalHalfDepth;
    for (const float side : { -1.0F, 1.0F })
    {
      Frame      frame;
      const Vec3 top = upper.frame.ToWorld({ side * 5.5F, upperBack + 1.5F, -0.7F * upper.body.GetDrum().halfHeight });
      const Vec3 end = lower.frame.ToWorld({ side * 5.5F, lowerBack + 2.0F, 0.2F * lower.body.GetDrum().halfHeight });
      frame.origin = top;
      m_Spine.ligaments.push_back(Solid::Rod(frame, {}, end - top, 2.2F, 2.0F, { 0.45F, 1.0F, 1.0F }));
    }
    Frame tip;
    tip.origin = upper.spinousTip;
    m_Spine.ligaments.push_back(Solid::Rod(tip, {}, lower.spinousTip - upper.spinousTip, 1.8F, 1.8F));
  }
}

void
SpineBuilder::AddCanal()
{
  const std::vector<TubeNode> downwards(m_CanalNodes.rbegin(), m_CanalNodes.rend());
  m_Spine.canal = ResampleTube(downwards, 3.0F);

  // The sac ends at S2, the cord at L1 or close to it.
  const Vec3            end = m_CanalNodes[3].centre;
  const Vec3            conusLevel = m_Spine.vertebrae[m_Spine.vertebrae.size() - 5].frame.origin;
  const float           conusZ = conusLevel.z + m_Random.Spread(0.0F, 10.0F);
  const float           fill = m_Random.Uniform(0.78F, 0.92F);
  std::vector<TubeNode> sac;
  std::vector<TubeNode> cord;
  for (const TubeNode & node : m_Spine.canal)
  {
    const float left = node.centre.z - end.z;
    if (left > -8.0F)
    {
      TubeNode    narrow = node;
      const float taper = SmoothStep(-12.0F, 35.0F, left);
      narrow.halfWidth *= fill * (0.35F + 0.65F * taper);
      narrow.halfDepth *= fill * (0.35F + 0.65F * taper);
      sac.push_back(narrow);
    }
    if (node.centre.z > conusZ)
    {
      TubeNode    thin = node;
      const float swell = 1.0F + 0.18F * SmoothStep(60.0F, 10.0F, node.centre.z - conusZ);
      const float taper = SmoothStep(-4.0F, 26.0F, node.centre.z - conusZ);
      thin.halfWidth = 4.6F * swell * (0.2F + 0.8F * taper);
      thin.halfDepth = 3.7F * swell * (0.2F + 0.8F * taper);
      cord.push_back(thin);
    }
  }
  std::vector<TubeNode> course;
  for (size_t i = 0; i < sac.size(); i += 2)
  {
    course.push_back(sac[i]);
  }
  const size_t conus = cord.size() / 2;
  m_Spine.sac = TubeSolids(sac, 1.0F, -0.6F);
  // Lying on the back, the cord follows the canal's front in the thoracic spine and sinks back below.
  m_Spine.cord = TubeSolids(cord, 1.0F, 0.4F);
  if (conus + 12 < course.size())
  {
    this->AddRoots(course, conus > 0 ? conus - 1 : 0);
  }
}

SpineModel
SpineBuilder::Build()
{
  m_Spine.scale = m_Random.Spread(1.0F, 0.055F);
  m_Lordosis = Clamp(m_Random.Spread(0.95F, 0.2F), 0.45F, 1.35F);
  // Standing spines are balanced: T12 leans back a little, T1 forward, whatever the lordosis.
  const float leanBack = m_Random.Spread(13.0F, 5.0F);
  m_Kyphosis = (leanBack + m_Random.Spread(22.0F, 6.0F)) / TableBend(0, s_FirstLumbar, -1.0F);
  m_BendPhase = m_Random.Uniform(0.0F, 6.28F);
  m_BendPeriod = m_Random.Uniform(9.0F, 16.0F);
  const float slope = (m_Lordosis * TableBend(s_FirstLumbar, s_Rows, 1.0F) - leanBack) * s_Degree;
  const Vec3  turn{ slope, m_Random.Spread(0.0F, 1.5F) * s_Degree, m_Random.Spread(0.0F, 2.0F) * s_Degree };
  m_Top = Frame().Moved({}, turn.x, turn.y, turn.z);

  this->AddSacrum();
  // AddSacrum goes downwards and the canal is listed upwards from here on.
  std::reverse(m_CanalNodes.begin(), m_CanalNodes.end());
  int step = 0;
  if (m_Random.Chance(0.03F))
  {
    this->AddLevel(s_Rows - 1, 25, step++);
  }
  for (int row = s_Rows - 1; row >= 0; --row)
  {
    this->AddLevel(row, static_cast<uint8_t>(PhantomFirstThoracic + row), step++);
  }
  std::reverse(m_Spine.vertebrae.begin(), m_Spine.vertebrae.end());
  std::reverse(m_Spine.discs.begin(), m_Spine.discs.end());
  this->AddCanal();
  this->AddLigaments();
  return m_Spine;
}

} // namespace

SpineModel
MakeSpine(PhantomRandom & random, const SpineOptions & options)
{
  return SpineBuilder(random, options).Build();
}

std::vector<TubeNode>
ResampleTube(const std::vector<TubeNode> & nodes, float step)
{
  std::vector<TubeNode> result;
  const auto            at = [&nodes](size_t i, int offset) -> const TubeNode & {
    const auto last = static_cast<int>(nodes.size()) - 1;
    const int  j = static_cast<int>(i) + offset;
    return nodes[static_cast<size_t>(j < 0 ? 0 : (j > last ? last : j))];
  };
  for (size_t i = 0; i + 1 < nodes.size(); ++i)
  {
    const TubeNode & a = at(i, 0);
    const TubeNode & b = at(i, 1);
    const Vec3       slopeA = 0.5F * (b.centre - at(i, -1).centre);
    const Vec3       slopeB = 0.5F * (at(i, 2).centre - a.centre);
    const int        parts = static_cast<int>(std::ceil(Norm(b.centre - a.centre) / step));
    for (int k = 0; k < parts; ++k)
    {
      const float t = static_cast<float>(k) / static_cast<float>(parts);
      const float t2 = t * t;
      const float t3 = t2 * t;
      TubeNode    node;
      node.centre = (2.0F * t3 - 3.0F * t2 + 1.0F) * a.centre + (t3 - 2.0F * t2 + t) * slopeA +
                    (3.0F * t2 - 2.0F * t3) * b.centre + (t3 - t2) * slopeB;
      node.left = a.left + t * (b.left - a.left);
      node.left = (1.0F / Norm(node.left)) * node.left;
      node.halfWidth = a.halfWidth + t * (b.halfWidth - a.halfWidth);
      node.halfDepth = a.halfDepth + t * (b.halfDepth - a.halfDepth);
      result.push_back(node);
    }
  }
  result.push_back(nodes.back());
  return result;
}

std::vector<Solid>
TubeSolids(const std::vector<TubeNode> & nodes, float factor, float back)
{
  std::vector<Solid> solids;
  for (size_t i = 0; i + 1 < nodes.size(); ++i)
  {
    const TubeNode & a = nodes[i];
    const TubeNode & b = nodes[i + 1];
    const Vec3       along = a.centre - b.centre; // towards the head
    const float      length = Norm(along);
    if (length < 1e-3F)
    {
      continue;
    }
    Frame frame;
    frame.w = (1.0F / length) * along;
    frame.v = Cross(frame.w, a.left);
    frame.v = (1.0F / Norm(frame.v)) * frame.v;
    frame.u = Cross(frame.v, frame.w);
    frame.origin = b.centre + back * frame.v;
    const float flat = (a.halfDepth + b.halfDepth) / (a.halfWidth + b.halfWidth);
    solids.push_back(
      Solid::Rod(frame, {}, { 0.0F, 0.0F, length }, factor * b.halfDepth, factor * a.halfDepth, { flat, 1.0F, 1.0F }));
  }
  return solids;
}

} // namespace verdiff

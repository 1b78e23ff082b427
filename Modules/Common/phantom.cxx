#include "phantom.h"

#include "phantom_subject.h"

#include <algorithm>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace verdiff
{

namespace
{

constexpr float s_Degree = 0.01745329251994329577F;

const Vec3 &
CentreOf(const SpineModel & spine, uint8_t number)
{
  for (const Vertebra & vertebra : spine.vertebrae)
  {
    if (vertebra.number == number)
    {
      return vertebra.frame.origin;
    }
  }
  return spine.vertebrae.back().frame.origin;
}

// Level at the middle of the field of view: mostly lumbar, sometimes the thoracolumbar junction or higher.
uint8_t
DrawLevelInView(PhantomRandom & random)
{
  const float dice = random.Uniform(0.0F, 1.0F);
  if (dice < 0.75F)
  {
    return static_cast<uint8_t>(random.Integer(21, 23)); // L2 to L4
  }
  return static_cast<uint8_t>(dice < 0.92F ? random.Integer(17, 20) : random.Integer(15, 16));
}

void
TurnAxes(PhantomGrid & grid, const PhantomPose & pose, const Vec3 & degrees)
{
  const Frame turn = Frame().Moved({}, degrees.x * s_Degree, degrees.y * s_Degree, degrees.z * s_Degree);
  for (Vec3 & axis : grid.axis)
  {
    axis = pose.ToAnatomy(axis.x * turn.u + axis.y * turn.v + axis.z * turn.w);
  }
}

PhantomGrid
DrawMrGrid(PhantomRandom & random, const PhantomSubject & subject, const PhantomPose & pose, bool thin, float coarse)
{
  PhantomGrid grid;
  const float pixel = thin ? random.Uniform(0.72F, 0.95F) : random.Uniform(0.6F, 1.0F);
  const float height = random.Uniform(250.0F, 320.0F);
  const float width = height * random.Uniform(0.62F, 1.0F);
  grid.spacing = { pixel, pixel, thin ? random.Uniform(0.9F, 1.2F) : random.Uniform(3.6F, 4.8F) };
  grid.thickness = thin ? grid.spacing[2] : grid.spacing[2] * random.Uniform(0.8F, 0.95F);
  const int even = ~1;
  grid.size = { static_cast<int>(width / pixel) & even,
                static_cast<int>(height / pixel) & even,
                thin ? random.Integer(52, 76) : random.Integer(13, 19) };
  grid.softness = pixel * random.Uniform(1.0F, 1.5F);
  Coarsen(grid, coarse);

  const Vec3 & level = CentreOf(subject.spine, DrawLevelInView(random));
  const float  canalY = subject.body->At(level.z).canalY;
  grid.centre = { level.x + random.Spread(0.0F, 3.0F),
                  canalY - width * random.Uniform(0.05F, 0.22F),
                  level.z + random.Spread(0.0F, 12.0F) };
  const float across = random.Chance(0.5F) ? 1.0F : -1.0F;
  grid.axis = { Vec3{ 0, 1, 0 }, Vec3{ 0, 0, -1 }, Vec3{ across, 0, 0 } };
  Vec3 oblique{ random.Spread(0.0F, 3.0F), random.Spread(0.0F, 3.0F), random.Spread(0.0F, 3.0F) };
  if (random.Chance(0.35F))
  {
    oblique = {};
  }
  TurnAxes(grid, pose, oblique);
  return grid;
}

PhantomGrid
DrawCtGrid(PhantomRandom & random, const PhantomSubject & subject, const PhantomPose & pose, float coarse)
{
  PhantomGrid grid;
  const bool  wide = random.Chance(0.45F);
  const float pixel = wide ? random.Uniform(1.25F, 1.55F) : random.Uniform(0.7F, 1.0F);
  const float gap = random.Uniform(1.8F, 3.0F);
  grid.spacing = { pixel, pixel, gap };
  grid.thickness = gap;
  grid.size = { 256, 256, std::min(static_cast<int>(random.Uniform(190.0F, 300.0F) / gap), 120) };
  grid.softness = pixel * random.Uniform(0.9F, 1.3F);
  Coarsen(grid, coarse);
  const Vec3 &         level = CentreOf(subject.spine, DrawLevelInView(random));
  const TorsoSection & section = subject.body->At(level.z);
  const float          middle = 0.5F * (section.backY + section.frontY);
  grid.centre = { level.x + random.Spread(0.0F, 5.0F),
                  wide ? middle : section.canalY - random.Uniform(10.0F, 50.0F),
                  level.z + random.Spread(0.0F, 15.0F) };
  grid.axis = { Vec3{ 1, 0, 0 }, Vec3{ 0, 1, 0 }, Vec3{ 0, 0, 1 } };
  Vec3 oblique{ random.Spread(0.0F, 6.0F), random.Spread(0.0F, 3.0F), random.Spread(0.0F, 3.0F) };
  if (!random.Chance(0.25F))
  {
    oblique = {};
  }
  TurnAxes(grid, pose, oblique);
  return grid;
}

// The label that covers most of a pixel, if labelled tissue covers half of it.
uint8_t
WinningLabel(const float * cover)
{
  float   sum = 0.0F;
  uint8_t best = PhantomVertebra;
  for (uint8_t label = PhantomVertebra; label <= PhantomSacrum; ++label)
  {
    sum += cover[label];
    best = cover[label] > cover[best] ? label : best;
  }
  return sum >= 0.5F ? best : static_cast<uint8_t>(PhantomBackground);
}

// Mean of parallel planes through the thickness of slice k: values, labels and numbers.
class SliceMaker
{
public:
  SliceMaker(const PhantomScene & scene, const PhantomGrid & grid)
    : m_Scene(scene)
    , m_Grid(grid)
    , m_Parts(std::max(1, static_cast<int>(std::ceil(grid.thickness / 1.05F))))
  {}

  void
  Make(int k, Phantom & phantom)
  {
    const size_t count = static_cast<size_t>(m_Grid.size[0]) * static_cast<size_t>(m_Grid.size[1]);
    m_Value.assign(count, 0.0F);
    m_Cover.assign(count * (PhantomSacrum + 1), 0.0F);
    m_Number.assign(count, 0);
    m_NumberCover.assign(count, 0.0F);
    m_Coccyx.assign(count, 0.0F);
    for (int part = 0; part < m_Parts; ++part)
    {
      const float at = (static_cast<float>(part) + 0.5F) / static_cast<float>(m_Parts) - 0.5F;
      const float along = static_cast<float>(k) + at * m_Grid.thickness / m_Grid.spacing[2];
      m_Scene.Render(m_Image, PhantomPlaneOf(m_Grid, along));
      this->Add(count);
    }
    const size_t start = count * static_cast<size_t>(k);
    for (size_t i = 0; i < count; ++i)
    {
      const uint8_t label = WinningLabel(&m_Cover[i * (PhantomSacrum + 1)]);
      phantom.pixels[start + i] = m_Value[i];
      phantom.labels[start + i] = label;
      phantom.numbers[start + i] = this->NumberOf(i, label);
    }
  }

private:
  uint8_t
  NumberOf(size_t i, uint8_t label) const
  {
    if (label == PhantomVertebra)
    {
      return m_Number[i];
    }
    if (label == PhantomSacrum)
    {
      return PhantomSacrumNumber;
    }
    return label == PhantomBackground && m_Coccyx[i] >= 0.5F ? PhantomCoccyxNumber : uint8_t{ 0 };
  }

  void
  Add(size_t count)
  {
    const float share = 1.0F / static_cast<float>(m_Parts);
    for (size_t i = 0; i < count; ++i)
    {
      m_Value[i] += share * m_Image.value[i];
      for (int label = PhantomVertebra; label <= PhantomSacrum; ++label)
      {
        m_Cover[i * (PhantomSacrum + 1) + static_cast<size_t>(label)] += share * m_Image.cover[label][i];
      }
      m_Coccyx[i] += share * m_Image.coccyx[i];
      if (m_Image.numberCover[i] > m_NumberCover[i])
      {
        m_NumberCover[i] = m_Image.numberCover[i];
        m_Number[i] = m_Image.number[i];
      }
    }
  }

  const PhantomScene & m_Scene;
  const PhantomGrid &  m_Grid;
  int                  m_Parts;
  PlaneImage           m_Image;
  std::vector<float>   m_Value;
  std::vector<float>   m_Cover;
  std::vector<uint8_t> m_Number;
  std::vector<float>   m_NumberCover;
  std::vector<float>   m_Coccyx;
};

void
SetGeometry(Phantom & phantom, const PhantomGrid & grid, const PhantomPose & pose)
{
  const Vec3 first = pose.ToWorld(grid.At(0.0F, 0.0F, 0.0F)) + pose.shift;
  phantom.origin = { first.x, first.y, first.z };
  // Directions are made orthonormal in double: the float axes are a rounding away from it.
  std::array<std::array<double, 3>, 3> axes{};
  for (size_t a = 0; a < 3; ++a)
  {
    const Vec3 w = pose.ToWorld(grid.axis[a]);
    axes[a] = { w.x, w.y, w.z };
    for (size_t b = 0; b < a; ++b)
    {
      const double dot = axes[a][0] * axes[b][0] + axes[a][1] * axes[b][1] + axes[a][2] * axes[b][2];
      for (size_t row = 0; row < 3; ++row)
      {
        axes[a][row] -= dot * axes[b][row];
      }
    }
    const double norm = std::sqrt(axes[a][0] * axes[a][0] + axes[a][1] * axes[a][1] + axes[a][2] * axes[a][2]);
    for (size_t row = 0; row < 3; ++row)
    {
      axes[a][row] /= norm;
      phantom.direction[3 * row + a] = axes[a][row];
    }
    phantom.size[a] = grid.size[a];
    phantom.spacing[a] = grid.spacing[a];
  }
}

// Calls make(k, thread) for every slice, some at a time, and tells progress in between.
template <typename TMake>
bool
ForSlices(int count, const PhantomProgress & progress, TMake make)
{
  const int chunk = 2 * PhantomThreads();
  for (int first = 0; first < count; first += chunk)
  {
    const int last = std::min(first + chunk, count);
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic, 1)
#endif
    for (int k = first; k < last; ++k)
    {
#ifdef _OPENMP
      make(k, static_cast<size_t>(omp_get_thread_num()));
#else
      make(k, size_t{ 0 });
#endif
    }
    if (progress && !progress(static_cast<double>(last) / count))
    {
      return false;
    }
  }
  return true;
}

bool
MakeSlices(Phantom & phantom, const PhantomScene & scene, const PhantomGrid & grid, const PhantomProgress & progress)
{
  const size_t count =
    static_cast<size_t>(grid.size[0]) * static_cast<size_t>(grid.size[1]) * static_cast<size_t>(grid.size[2]);
  phantom.pixels.resize(count);
  phantom.labels.resize(count);
  phantom.numbers.resize(count);
  std::vector<SliceMaker> makers(static_cast<size_t>(PhantomThreads()), SliceMaker(scene, grid));
  return ForSlices(grid.size[2], progress, [&](int k, size_t thread) { makers[thread].Make(k, phantom); });
}

// Coil, Rician noise and the scanner's arbitrary scale.
void
FinishMr(Phantom &              phantom,
         const PhantomSubject & subject,
         const PhantomGrid &    grid,
         uint64_t               seed,
         uint32_t               caseNumber,
         PhantomRandom &        random)
{
  const MrShading shading(random, subject.spine, grid);
  const float     sigma = std::exp(random.Uniform(std::log(0.008F), std::log(0.05F)));
  const float     mixing = random.Chance(0.5F) ? random.Uniform(0.2F, 0.6F) : 0.0F;
  const float     scale = random.Uniform(250.0F, 1400.0F);
  const size_t    count = static_cast<size_t>(grid.size[0]) * static_cast<size_t>(grid.size[1]);
  ForSlices(grid.size[2], PhantomProgress(), [&](int k, size_t) {
    std::vector<float> real;
    std::vector<float> imaginary;
    const auto         slice = static_cast<uint32_t>(k);
    NoisePlane(real, grid.size[0], grid.size[1], mixing, seed, { caseNumber, StreamNoiseReal, slice });
    NoisePlane(imaginary, grid.size[0], grid.size[1], mixing, seed, { caseNumber, StreamNoiseImaginary, slice });
    size_t at = count * static_cast<size_t>(k);
    size_t i = 0;
    for (int row = 0; row < grid.size[1]; ++row)
    {
      for (int column = 0; column < grid.size[0]; ++column, ++i, ++at)
      {
        const Vec3  p = grid.At(static_cast<float>(column), static_cast<float>(row), static_cast<float>(k));
        const float signal = phantom.pixels[at] * shading.At(p, subject.body->At(p.z), *subject.noise);
        const float a = signal + sigma * real[i];
        const float b = sigma * imaginary[i];
        phantom.pixels[at] = std::floor(Clamp(scale * std::sqrt(a * a + b * b), 0.0F, 32767.0F) + 0.5F);
      }
    }
  });
}

// Quantum noise, a few streaks, and the couch under the patient.
void
FinishCt(Phantom &              phantom,
         const PhantomSubject & subject,
         const PhantomGrid &    grid,
         uint64_t               seed,
         uint32_t               caseNumber,
         PhantomRandom &        random)
{
  const float  sigma = random.Uniform(6.0F, 32.0F);
  const float  mixing = random.Uniform(0.15F, 0.7F);
  const float  streaks = random.Uniform(0.0F, 7.0F);
  const bool   couch = random.Chance(0.8F);
  const float  couchY = subject.body->At(grid.centre.z).backY + random.Uniform(12.0F, 30.0F);
  const size_t count = static_cast<size_t>(grid.size[0]) * static_cast<size_t>(grid.size[1]);
  ForSlices(grid.size[2], PhantomProgress(), [&](int k, size_t) {
    std::vector<float> noise;
    const auto         slice = static_cast<uint32_t>(k);
    NoisePlane(noise, grid.size[0], grid.size[1], mixing, seed, { caseNumber, StreamNoiseReal, slice });
    PhantomRandom streakRandom(seed, caseNumber, StreamStreak + (slice << 8));
    const float   angle = streakRandom.Spread(0.0F, 0.15F);
    const float   phase = streakRandom.Uniform(0.0F, 32.0F);
    size_t        at = count * static_cast<size_t>(k);
    size_t        i = 0;
    for (int row = 0; row < grid.size[1]; ++row)
    {
      for (int column = 0; column < grid.size[0]; ++column, ++i, ++at)
      {
        const Vec3  p = grid.At(static_cast<float>(column), static_cast<float>(row), static_cast<float>(k));
        const float across = p.y * std::cos(angle) + p.x * std::sin(angle);
        float       hu = phantom.pixels[at];
        const bool  air = hu < -850.0F;
        const float bend = p.y - couchY + 0.0009F * p.x * p.x;
        if (couch && air && p.y > couchY - 40.0F && (std::fabs(bend) < 1.6F || std::fabs(bend - 25.0F) < 1.6F))
        {
          hu = -220.0F;
        }
        // Air has few absorbed photons, so less noise.
        hu += (air ? 0.4F : 1.0F) * sigma * noise[i] +
              (air ? 0.0F : streaks * subject.noise->At(across * 0.35F, phase, 0.5F));
        phantom.pixels[at] = std::floor(Clamp(hu, -1024.0F, 3071.0F) + 0.5F);
      }
    }
  });
}

// Order of the stored axes: mostly as acquired, otherwise as converters of NIfTI files leave it.
void
ShuffleAxes(Phantom & phantom, PhantomRandom & random)
{
  const bool         shuffled = random.Chance(0.35F);
  std::array<int, 3> order{ 0, 1, 2 };
  for (size_t i = 2; i > 0; --i)
  {
    std::swap(order[i], order[static_cast<size_t>(random.Integer(0, static_cast<int>(i)))]);
  }
  const std::array<bool, 3> flip{ random.Chance(0.5F), random.Chance(0.5F), random.Chance(0.5F) };
  if (shuffled)
  {
    ReorderPhantom(phantom, order, flip);
  }
}

MrContrast
DrawContrast(PhantomRandom & random)
{
  const float dice = random.Uniform(0.0F, 1.0F);
  if (dice < 0.25F)
  {
    return MrContrast::T1;
  }
  if (dice < 0.52F)
  {
    return MrContrast::T2;
  }
  if (dice < 0.80F)
  {
    return MrContrast::T2Space;
  }
  return dice < 0.90F ? MrContrast::FatSuppressed : MrContrast::Odd;
}

const char *
ContrastName(MrContrast contrast)
{
  switch (contrast)
  {
    case MrContrast::T1:
      return "MR T1";
    case MrContrast::T2:
      return "MR T2";
    case MrContrast::T2Space:
      return "MR T2 3D";
    case MrContrast::FatSuppressed:
      return "MR fat-suppressed T2";
    case MrContrast::Odd:
      break;
  }
  return "MR, random contrast";
}

// Degrees of sideways bend per level; a tenth of the spines is markedly crooked.
float
DrawScoliosis(PhantomRandom & random)
{
  return random.Chance(0.1F) ? random.Uniform(1.0F, 3.5F) : std::fabs(random.Spread(0.0F, 0.5F));
}

} // namespace

Phantom
MakePhantomVolume(const PhantomRequest & request, const PhantomProgress & progress)
{
  const uint64_t    seed = request.seed;
  const uint32_t    caseNumber = request.caseNumber;
  const bool        mr = request.modality == PhantomModality::Mr;
  PhantomRandom     tissueRandom(seed, caseNumber, StreamTissue);
  PhantomRandom     random(seed, caseNumber, StreamAcquisition);
  const float       scoliosis = DrawScoliosis(random);
  const MrContrast  contrast = DrawContrast(random);
  const TissueTable tissues = mr ? MakeMrTissues(tissueRandom, contrast) : MakeCtTissues(tissueRandom);
  const auto        subject = MakePhantomSubject(seed, caseNumber, tissues, scoliosis);
  const PhantomPose pose = DrawPose(random);
  const bool        thin = contrast == MrContrast::T2Space || (contrast == MrContrast::Odd && random.Chance(0.5F));
  const PhantomGrid grid =
    mr ? DrawMrGrid(random, *subject, pose, thin, request.coarse) : DrawCtGrid(random, *subject, pose, request.coarse);

  Phantom phantom;
  phantom.description = mr ? ContrastName(contrast) : "CT";
  SetGeometry(phantom, grid, pose);
  if (!MakeSlices(phantom, *subject->scene, grid, progress))
  {
    return Phantom();
  }
  if (mr)
  {
    FinishMr(phantom, *subject, grid, seed, caseNumber, random);
  }
  else
  {
    FinishCt(phantom, *subject, grid, seed, caseNumber, random);
  }
  ShuffleAxes(phantom, random);
  return phantom;
}

} // namespace verdiff

// Phantoms: anatomy in order, labels that agree, the same bytes for the same (seed, case), partial volume,
// projections that are sums.
#include "support.h"

#include "phantom_radiograph.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

using namespace verdiff;
using namespace verdiff_test;

namespace
{

constexpr double pi = 3.14159265358979323846;

// Coarse, to be quick; everything but the voxel size is as in a full case.
Phantom
SmallCase(PhantomModality modality, uint64_t seed, uint32_t number)
{
  return MakePhantomVolume({ modality, seed, number, 2.5F }, PhantomProgress());
}

std::array<Phantom, 2>
SmallFilms(uint64_t seed, uint32_t number)
{
  return MakePhantomRadiographs({ PhantomModality::Xray, seed, number, 2.5F }, PhantomProgress());
}

bool
Same(const Phantom & a, const Phantom & b)
{
  return a.size == b.size && a.spacing == b.spacing && a.origin == b.origin && a.direction == b.direction &&
         a.pixels == b.pixels && a.labels == b.labels && a.numbers == b.numbers;
}

// World z (superior) of the mean voxel of each vertebra, by VerSe number.
std::map<int, double>
MeanHeights(const Phantom & phantom)
{
  std::map<int, double> sum;
  std::map<int, double> count;
  size_t                i = 0;
  for (int64_t z = 0; z < phantom.size[2]; ++z)
  {
    for (int64_t y = 0; y < phantom.size[1]; ++y)
    {
      for (int64_t x = 0; x < phantom.size[0]; ++x, ++i)
      {
        const double along[3] = { double(x) * phantom.spacing[0],
                                  double(y) * phantom.spacing[1],
                                  double(z) * phantom.spacing[2] };
        const int    number = phantom.numbers[i];
        sum[number] += phantom.origin[2] + phantom.direction[6] * along[0] + phantom.direction[7] * along[1] +
                       phantom.direction[8] * along[2];
        count[number] += 1.0;
      }
    }
  }
  for (auto & [number, value] : sum)
  {
    value /= count[number];
  }
  return sum;
}

void
ExpectLabelsAgree(const Phantom & phantom)
{
  size_t wrong = 0;
  for (size_t i = 0; i < phantom.labels.size(); ++i)
  {
    const int  label = phantom.labels[i];
    const int  number = phantom.numbers[i];
    const bool vertebra = number >= PhantomFirstThoracic && number < PhantomSacrumNumber;
    wrong += label > PhantomSacrum;
    wrong += (label == PhantomVertebra) != vertebra;
    wrong += (label == PhantomSacrum) != (number == PhantomSacrumNumber);
    wrong += number == PhantomCoccyxNumber && label != PhantomBackground;
    wrong += number > PhantomCoccyxNumber;
  }
  EXPECT_EQ(wrong, 0u);
}

// Vertebrae in view are a run of neighbours, each lower than the one before.
void
ExpectOrdered(const Phantom & phantom)
{
  std::map<int, double> heights = MeanHeights(phantom);
  heights.erase(0);
  heights.erase(PhantomSacrumNumber);
  heights.erase(PhantomCoccyxNumber);
  ASSERT_GE(heights.size(), 4u);
  auto before = heights.begin();
  for (auto next = std::next(before); next != heights.end(); before = next++)
  {
    EXPECT_EQ(next->first, before->first + 1);
    EXPECT_GT(before->second, next->second);
  }
}

// A subject without scoliosis whose scene tests may draw.
std::unique_ptr<PhantomSubject>
TestSubject(uint64_t seed = 5)
{
  PhantomRandom random(seed, 1, StreamTissue);
  return MakePhantomSubject(seed, 1, MakeCtTissues(random), 0.0F);
}

PhantomGrid
GridAbout(const Vec3 & centre, const std::array<int, 3> & size, const std::array<float, 3> & spacing)
{
  PhantomGrid grid;
  grid.centre = centre;
  grid.size = size;
  grid.spacing = spacing;
  grid.axis = { Vec3{ 1, 0, 0 }, Vec3{ 0, 0, -1 }, Vec3{ 0, 1, 0 } };
  return grid;
}

} // namespace

// Known answers of the Random123 distribution (kat_vectors, philox4x32 10).
TEST(PhantomRandom, PhiloxKnownAnswers)
{
  const std::array<uint32_t, 4> zeros = { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 };
  const std::array<uint32_t, 4> digits = { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 };
  EXPECT_EQ(Philox(0, { 0, 0, 0, 0 }), zeros);
  EXPECT_EQ(Philox(0x299f31d0a4093822ULL, { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }), digits);
}

TEST(PhantomRandom, DrawsHaveTheirMoments)
{
  PhantomRandom random(1, 2, 3);
  double        sum = 0.0;
  double        squares = 0.0;
  int           low = 0;
  constexpr int count = 20000;
  for (int i = 0; i < count; ++i)
  {
    const double x = random.Normal();
    sum += x;
    squares += x * x;
    const int face = random.Integer(1, 6);
    ASSERT_TRUE(face >= 1 && face <= 6);
    low += face == 1;
  }
  EXPECT_LE(std::fabs(sum / count), 0.03);
  EXPECT_LE(std::fabs(squares / count - 1.0), 0.05);
  EXPECT_LE(std::fabs(low / double(count) - 1.0 / 6.0), 0.01);
}

TEST(PhantomShape, OccupancyIntegratesToTheVolume)
{
  Frame frame;
  frame.origin = { 0.3F, -0.2F, 0.1F };
  const Solid ball = Solid::Ellipsoid(frame.Moved({}, 0.4F, 0.3F), { 9.0F, 7.0F, 5.0F });
  const Solid rod = Solid::Rod(frame, {}, { 0.0F, 0.0F, 20.0F }, 4.0F, 4.0F);
  double      ballVolume = 0.0;
  double      rodVolume = 0.0;
  for (int k = -20; k <= 50; ++k)
  {
    for (int j = -20; j <= 20; ++j)
    {
      for (int i = -20; i <= 20; ++i)
      {
        const Vec3 p{ 0.7F * float(i), 0.7F * float(j), 0.7F * float(k) };
        ballVolume += 0.343 * Occupancy(ball.Distance(p), 0.7F);
        rodVolume += 0.343 * Occupancy(rod.Distance(p), 0.7F);
      }
    }
  }
  const double trueBall = 4.0 / 3.0 * pi * 9.0 * 7.0 * 5.0;
  const double trueRod = pi * 16.0 * 20.0 + 4.0 / 3.0 * pi * 64.0;
  EXPECT_LE(std::fabs(ballVolume / trueBall - 1.0), 0.01);
  EXPECT_LE(std::fabs(rodVolume / trueRod - 1.0), 0.01);
}

TEST(PhantomShape, DistancesAreDistancesNearTheSurface)
{
  DrumShape shape;
  shape.hollow = 1.5F;
  const std::vector<Solid> solids = { Solid::Drum(Frame(), shape),
                                      Solid::Rod(Frame(), { -8, 0, 0 }, { 8, 0, 0 }, 3.0F, 4.0F, { 1.0F, 1.0F, 0.4F }),
                                      Solid::Box(Frame(), { 3.0F, 14.0F, 10.0F }, 2.5F),
                                      Solid::Plate(Frame(), 40.0F, 30.0F, 5.0F, 8.0F) };
  PhantomRandom            random(3, 3, 3);
  for (const Solid & solid : solids)
  {
    int    near = 0;
    double slopes = 0.0;
    for (int i = 0; i < 40000; ++i)
    {
      const float b = solid.Bound();
      const Vec3  p{ random.Uniform(-b, b), random.Uniform(-b, b), random.Uniform(-b, b) };
      const float d = solid.Distance(p);
      if (std::fabs(d) < 0.7F)
      {
        const float h = 0.05F;
        const Vec3  gradient{ solid.Distance(p + Vec3{ h, 0, 0 }) - solid.Distance(p - Vec3{ h, 0, 0 }),
                             solid.Distance(p + Vec3{ 0, h, 0 }) - solid.Distance(p - Vec3{ 0, h, 0 }),
                             solid.Distance(p + Vec3{ 0, 0, h }) - solid.Distance(p - Vec3{ 0, 0, h }) };
        const float slope = Norm(gradient) / (2.0F * h);
        EXPECT_TRUE(slope >= 0.4F && slope <= 1.5F) << slope; // rounded edges have the low ones
        slopes += slope;
        ++near;
      }
      EXPECT_TRUE(d > -0.01F || Norm(p - solid.Centre()) <= b); // the bound holds the solid
    }
    ASSERT_GE(near, 50);
    EXPECT_LE(std::fabs(slopes / near - 1.0), 0.12);
  }
}

TEST(PhantomSpine, VertebraeStandInOrder)
{
  for (uint64_t seed = 1; seed <= 30; ++seed)
  {
    PhantomRandom random(seed, 0, StreamAnatomy);
    SpineOptions  options;
    options.scoliosisDegrees = 0.1F * float(seed);
    options.degeneration = float(seed) / 30.0F;
    const SpineModel spine = MakeSpine(random, options);
    ASSERT_TRUE(spine.vertebrae.size() == 17 || spine.vertebrae.size() == 18);
    ASSERT_EQ(spine.discs.size(), spine.vertebrae.size());
    EXPECT_EQ(spine.vertebrae.front().number, PhantomFirstThoracic);
    for (size_t i = 0; i < spine.vertebrae.size(); ++i)
    {
      const Vertebra & v = spine.vertebrae[i];
      EXPECT_EQ(v.number, PhantomFirstThoracic + i);
      const Vec3 below = i + 1 < spine.vertebrae.size() ? spine.vertebrae[i + 1].frame.origin : Vec3{};
      EXPECT_GT(v.frame.origin.z, below.z + 5.0F);
      // Bodies do not reach into each other, discs lie between them.
      const float gap = spine.discs[i].solid.Distance(spine.discs[i].solid.Centre());
      EXPECT_LT(gap, -1.0F);
      EXPECT_GT(v.body.Distance(spine.discs[i].solid.Centre()), 0.0F);
      EXPECT_LT(v.body.Distance(v.frame.origin), -5.0F);
    }
  }
}

TEST(PhantomSpine, CanalIsFreeOfBone)
{
  for (uint64_t seed = 1; seed <= 10; ++seed)
  {
    PhantomRandom    random(seed, 0, StreamAnatomy);
    const SpineModel spine = MakeSpine(random, SpineOptions());
    for (const Vertebra & v : spine.vertebrae)
    {
      const Vec3 centre = v.frame.ToWorld({ 0.0F, v.body.GetDrum().halfDepth + v.canalHalfDepth, 0.0F });
      for (const Solid & part : v.arch)
      {
        EXPECT_GT(part.Distance(centre), 2.0F);
      }
      const auto inSac = [&](const Solid & solid) {
        return solid.Distance(centre) < 0.0F;
      };
      EXPECT_TRUE(std::any_of(spine.sac.begin(), spine.sac.end(), inSac));
    }
  }
}

TEST(Phantom, LabelsAgreeAndVertebraeAreInOrder)
{
  for (const PhantomModality modality : { PhantomModality::Mr, PhantomModality::Ct })
  {
    for (uint32_t number = 1; number <= 3; ++number)
    {
      const Phantom phantom = SmallCase(modality, 11, number);
      ASSERT_EQ(phantom.pixels.size(), size_t(phantom.size[0] * phantom.size[1] * phantom.size[2]));
      ExpectLabelsAgree(phantom);
      ExpectOrdered(phantom);
      for (const uint8_t label : { PhantomVertebra, PhantomDisc, PhantomCanal })
      {
        EXPECT_GT(std::count(phantom.labels.begin(), phantom.labels.end(), label), 200) << int(label);
      }
      for (const float value : phantom.pixels)
      {
        ASSERT_EQ(value, std::floor(value));
        ASSERT_TRUE(value >= -1024.0F && value <= 32767.0F);
      }
    }
  }
}

TEST(Phantom, AxesAreOrthonormal)
{
  for (uint32_t number = 1; number <= 4; ++number)
  {
    const Phantom p = SmallCase(PhantomModality::Mr, 17, number);
    for (size_t a = 0; a < 3; ++a)
    {
      EXPECT_GT(p.spacing[a], 0.3);
      for (size_t b = 0; b < 3; ++b)
      {
        double dot = 0.0;
        for (size_t row = 0; row < 3; ++row)
        {
          dot += p.direction[3 * row + a] * p.direction[3 * row + b];
        }
        EXPECT_LE(std::fabs(dot - (a == b ? 1.0 : 0.0)), 1e-12);
      }
    }
  }
}

TEST(Phantom, SeedAndCaseDecideAndThreadsDoNot)
{
  SetPhantomThreads(1);
  const Phantom one = SmallCase(PhantomModality::Mr, 23, 4);
  const auto    filmsOne = SmallFilms(23, 4);
  SetPhantomThreads(3);
  const Phantom three = SmallCase(PhantomModality::Mr, 23, 4);
  const auto    filmsThree = SmallFilms(23, 4);
  SetPhantomThreads(0);
  EXPECT_TRUE(Same(one, three));
  EXPECT_TRUE(Same(filmsOne[0], filmsThree[0]) && Same(filmsOne[1], filmsThree[1]));
  EXPECT_FALSE(Same(one, SmallCase(PhantomModality::Mr, 23, 5)));
  EXPECT_FALSE(Same(one, SmallCase(PhantomModality::Mr, 24, 4)));
}

TEST(Phantom, StopsWhenAsked)
{
  int           calls = 0;
  const Phantom phantom = MakePhantomVolume({ PhantomModality::Mr, 1, 1, 2.0F }, [&](double) { return ++calls < 2; });
  EXPECT_TRUE(phantom.pixels.empty());
  EXPECT_EQ(calls, 2);
}

TEST(Phantom, ReorderingKeepsEveryVoxelInItsPlace)
{
  Phantom phantom;
  phantom.size = { 3, 4, 5 };
  phantom.spacing = { 0.5, 1.5, 4.0 };
  phantom.origin = { 10.0, -20.0, 30.0 };
  phantom.direction = { 0, 0, -1, 1, 0, 0, 0, -1, 0 };
  phantom.labels.assign(60, 0);
  phantom.numbers.assign(60, 0);
  phantom.pixels.resize(60);
  std::iota(phantom.pixels.begin(), phantom.pixels.end(), 0.0F);
  const auto places = [](const Phantom & p) {
    std::map<int, std::array<double, 3>> at;
    for (int64_t i = 0; i < 60; ++i)
    {
      const int64_t index[3] = { i % p.size[0], i / p.size[0] % p.size[1], i / p.size[0] / p.size[1] };
      auto &        place = at[int(p.pixels[size_t(i)])];
      for (size_t row = 0; row < 3; ++row)
      {
        place[row] = p.origin[row];
        for (size_t a = 0; a < 3; ++a)
        {
          place[row] += p.direction[3 * row + a] * p.spacing[a] * double(index[a]);
        }
      }
    }
    return at;
  };
  const auto before = places(phantom);
  ReorderPhantom(phantom, { 2, 0, 1 }, { true, false, true });
  EXPECT_EQ(phantom.size, (std::array<int64_t, 3>{ 5, 3, 4 }));
  const auto after = places(phantom);
  ASSERT_EQ(after.size(), 60u);
  for (const auto & [value, place] : before)
  {
    for (size_t row = 0; row < 3; ++row)
    {
      EXPECT_LE(std::fabs(after.at(value)[row] - place[row]), 1e-12);
    }
  }
}

// Edges of a plane take values between both tissues; shares of labels never exceed the pixel.
TEST(PhantomScene, EdgesArePartialVolume)
{
  const auto        subject = TestSubject();
  const Vec3        centre = subject->spine.vertebrae[14].frame.origin; // L3
  const PhantomGrid grid = GridAbout(centre, { 120, 120, 1 }, { 0.8F, 0.8F, 1.0F });
  PlaneImage        image;
  subject->scene->Render(image, PhantomPlaneOf(grid, 0.0F));
  int partial = 0;
  int full = 0;
  for (size_t i = 0; i < image.value.size(); ++i)
  {
    float sum = 0.0F;
    for (int label = PhantomVertebra; label <= PhantomSacrum; ++label)
    {
      ASSERT_TRUE(image.cover[label][i] >= 0.0F && image.cover[label][i] <= 1.0F);
      sum += image.cover[label][i];
    }
    ASSERT_LE(sum, 1.0001F);
    partial += image.cover[PhantomVertebra][i] > 0.1F && image.cover[PhantomVertebra][i] < 0.9F;
    full += image.cover[PhantomVertebra][i] > 0.99F;
  }
  EXPECT_GT(full, 1000);
  EXPECT_GT(partial, 100);
  EXPECT_LT(partial, full);
}

TEST(PhantomRadiograph, IntegralsAreSumsOverPlanes)
{
  const auto        subject = TestSubject();
  const Vec3        centre = subject->spine.vertebrae[13].frame.origin; // L2
  const PhantomGrid grid = GridAbout(centre, { 60, 50, 80 }, { 1.5F, 1.5F, 2.0F });
  PhantomShadow     shadow;
  ASSERT_TRUE(ProjectPhantom(shadow, *subject->scene, grid, PhantomProgress()));
  std::vector<double> sum(shadow.integral.size(), 0.0);
  std::vector<bool>   crossed(sum.size(), false);
  PlaneImage          image;
  for (int k = 0; k < grid.size[2]; ++k)
  {
    subject->scene->Render(image, PhantomPlaneOf(grid, float(k)));
    for (size_t i = 0; i < sum.size(); ++i)
    {
      sum[i] += 2.0 * double(AttenuationOfHu(image.value[i]));
      crossed[i] = crossed[i] || image.body[i] >= 0.5F;
    }
  }
  int bodies = 0;
  for (size_t i = 0; i < sum.size(); ++i)
  {
    EXPECT_LE(std::fabs(shadow.integral[i] - sum[i]), 1e-4 * sum[i]);
    EXPECT_EQ(shadow.inside[i] != 0, bool(crossed[i]));
    EXPECT_TRUE(shadow.inside[i] == 0 || shadow.number[i] != 0);
    bodies += crossed[i];
  }
  EXPECT_GT(bodies, 300);
}

TEST(PhantomRadiograph, FilmsShowTheSameVertebrae)
{
  const auto films = SmallFilms(3, 9);
  for (const Phantom & film : films)
  {
    EXPECT_EQ(film.dimension, 2);
    std::map<int, int> counts;
    for (size_t i = 0; i < film.pixels.size(); ++i)
    {
      ASSERT_TRUE(film.pixels[i] >= 0.0F && film.pixels[i] <= 255.0F);
      ASSERT_EQ(film.labels[i] == PhantomVertebra, film.numbers[i] != 0);
      ++counts[film.numbers[i]];
    }
    for (int number = 20; number <= 24; ++number)
    {
      EXPECT_GT(counts[number], 60) << number; // L1 to L5
    }
  }
}

TEST(PhantomRadiograph, WaterAttenuatesAsWater)
{
  EXPECT_LE(std::fabs(AttenuationOfHu(0.0F) - 0.02F), 1e-7F);
  EXPECT_LE(std::fabs(AttenuationOfHu(-1000.0F)), 1e-7F);
  EXPECT_GT(AttenuationOfHu(1000.0F), 0.04F);
}

// The data set that the program writes: case 1 is the same file alone and beside others.
TEST(VerdiffSimulate, CasesDoNotDependOnEachOther)
{
  const TempFolder folder;
  const Outcome    one = RunTool("VerdiffSimulate", { folder / "one", "--cases", "1", "--seed", "9", "--coarse", "2" });
  const Outcome    two =
    RunTool("VerdiffSimulate", { folder / "two", "--cases", "2", "--seed", "9", "--coarse", "2", "--threads", "1" });
  ASSERT_EQ(one.code, 0) << one.err;
  ASSERT_EQ(two.code, 0) << two.err;
  for (const char * file :
       { "imagesTr/mr0001_0000.nii.gz", "labelsTr/mr0001.nii.gz", "labelsVertebraeTr/mr0001.nii.gz" })
  {
    const std::string bytes = ReadFile(folder / (std::string("one/") + file));
    EXPECT_GT(bytes.size(), 1000u);
    EXPECT_TRUE(bytes == ReadFile(folder / (std::string("two/") + file))) << file;
  }
  EXPECT_NE(ReadFile(folder / "two/dataset.json").find("\"numTraining\": 2"), std::string::npos);
}

TEST(VerdiffSimulate, RadiographsOfOneSubjectShareItsName)
{
  const TempFolder folder;
  const Outcome    run =
    RunTool("VerdiffSimulate", { folder / "x", "--modality", "xray", "--cases", "1", "--coarse", "3" });
  ASSERT_EQ(run.code, 0) << run.err;
  for (const char * file :
       { "imagesTr/xray0001_s1_0000.png", "imagesTr/xray0001_s2_0000.png", "labelsTr/xray0001_s2.png" })
  {
    EXPECT_EQ(ReadFile(folder / (std::string("x/") + file)).substr(1, 3), "PNG");
  }
  EXPECT_NE(ReadFile(folder / "x/dataset.json").find("\"X-ray\""), std::string::npos);
}

TEST(VerdiffSimulate, RefusesWhatItCannotDo)
{
  const TempFolder folder;
  WriteFile(folder / "dataset.json", "{}");
  EXPECT_EQ(RunTool("VerdiffSimulate", { folder.Path(), "--cases", "1" }).code, 6);
  EXPECT_EQ(RunTool("VerdiffSimulate", { folder / "a", "--modality", "us" }).code, 2);
  EXPECT_EQ(RunTool("VerdiffSimulate", { folder / "a", "--cases", "0" }).code, 2);
  EXPECT_EQ(RunTool("VerdiffSimulate", { (folder / "dataset.json") + "/a", "--cases", "1" }).code, 6);
  EXPECT_EQ(folder.Entries(), std::vector<std::string>{ "dataset.json" });
}

// Radiographs: what a film behind an analytic patient would show.

#include "phantom_radiograph.h"

#include <algorithm>

namespace verdiff
{

namespace
{

constexpr float s_Step = 2.0F; // mm between the planes that are summed

// How far each ray has run inside the body it met last, and in the one with the longest way so far.
struct BodyRuns
{
  std::vector<uint8_t> current;
  std::vector<float>   run;
  std::vector<float>   longest;
};

void
AddBody(PhantomShadow & shadow, BodyRuns & runs, size_t k, uint8_t body, float cover)
{
  if (body == 0 || cover <= 0.0F)
  {
    return;
  }
  shadow.inside[k] = cover >= 0.5F ? 1 : shadow.inside[k];
  runs.run[k] = body == runs.current[k] ? runs.run[k] + cover : cover;
  runs.current[k] = body;
  if (runs.run[k] > runs.longest[k])
  {
    runs.longest[k] = runs.run[k];
    shadow.number[k] = body;
  }
}

PhantomGrid
DrawFilm(PhantomRandom & random, const PhantomSubject & subject, bool lateral, float coarse)
{
  const SpineModel &   spine = subject.spine;
  const bool           whole = random.Chance(0.6F);
  const float          top = spine.vertebrae[whole ? 0 : 9].frame.origin.z + random.Uniform(15.0F, 35.0F);
  const float          end = -random.Uniform(20.0F, 70.0F);
  const float          pixel = whole ? random.Uniform(0.75F, 0.95F) : random.Uniform(0.55F, 0.75F);
  const float          width = random.Uniform(180.0F, 280.0F);
  const Vec3 &         middle = spine.vertebrae[spine.vertebrae.size() - 4].frame.origin;
  const TorsoSection & section = subject.body->At(middle.z);
  PhantomGrid          grid;
  // Rays run along axis 2, through the whole patient.
  const float reach = lateral ? 2.0F * section.halfWidth + 30.0F : section.backY - section.frontY + 70.0F;
  grid.spacing = { pixel, pixel, s_Step };
  grid.size = { static_cast<int>(width / pixel),
                static_cast<int>((top - end) / pixel),
                static_cast<int>(reach / s_Step) };
  grid.softness = pixel * random.Uniform(1.0F, 1.6F);
  grid.centre = { middle.x * 0.5F, 0.5F * (section.backY + section.frontY), 0.5F * (top + end) };
  const Vec3 down{ 0, 0, -1 };
  if (lateral)
  {
    grid.centre.y = middle.y + random.Uniform(-25.0F, 25.0F);
    grid.axis = { Vec3{ 0, 1, 0 }, down, Vec3{ 1, 0, 0 } };
  }
  else
  {
    grid.centre.x += random.Spread(0.0F, 8.0F);
    grid.axis = { Vec3{ 1, 0, 0 }, down, Vec3{ 0, 1, 0 } };
  }
  Coarsen(grid, coarse);
  return grid;
}

// Running mean over a square of 2 * half + 1 pixels, edges repeated; twice is close to a Gaussian.
std::vector<float>
Blurred(const std::vector<float> & image, int width, int height, int half)
{
  std::vector<float> result = image;
  std::vector<float> line;
  const auto         pass = [&](size_t start, size_t stride, int length) {
    line.resize(static_cast<size_t>(length));
    const auto at = [&](int i) {
      return result[start + stride * static_cast<size_t>(std::clamp(i, 0, length - 1))];
    };
    double sum = 0.0;
    for (int i = -half; i <= half; ++i)
    {
      sum += at(i);
    }
    for (int i = 0; i < length; ++i)
    {
      line[static_cast<size_t>(i)] = static_cast<float>(sum / (2.0 * half + 1.0));
      sum += at(i + half + 1) - at(i - half);
    }
    for (int i = 0; i < length; ++i)
    {
      result[start + stride * static_cast<size_t>(i)] = line[static_cast<size_t>(i)];
    }
  };
  for (int round = 0; round < 2; ++round)
  {
    for (int j = 0; j < height; ++j)
    {
      pass(static_cast<size_t>(j) * static_cast<size_t>(width), 1, width);
    }
    for (int i = 0; i < width; ++i)
    {
      pass(static_cast<size_t>(i), static_cast<size_t>(width), height);
    }
  }
  return result;
}

float
Percentile(std::vector<float> values, double share)
{
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

// Scatter, detector response and grey scale: line integrals to 0..255, bone bright.
void
Develop(std::vector<float> &   film,
        const PhantomGrid &    grid,
        const PhantomRequest & request,
        uint32_t               view,
        PhantomRandom &        random)
{
  const int                width = grid.size[0];
  const int                height = grid.size[1];
  const float              flatten = random.Uniform(0.2F, 0.75F);
  const int                half = static_cast<int>(random.Uniform(14.0F, 40.0F) / grid.spacing[0]);
  const float              gamma = random.Uniform(0.75F, 1.35F);
  const float              sigma = random.Uniform(0.008F, 0.035F);
  const float              mixing = random.Uniform(0.0F, 0.6F);
  const std::vector<float> slow = Blurred(film, width, height, half);
  for (size_t i = 0; i < film.size(); ++i)
  {
    film[i] -= flatten * slow[i];
  }
  const float        low = Percentile(film, random.Uniform(0.01F, 0.06F));
  const float        high = Percentile(film, random.Uniform(0.985F, 0.998F));
  std::vector<float> noise;
  NoisePlane(noise, width, height, mixing, request.seed, { request.caseNumber, StreamNoiseReal, view });
  for (size_t i = 0; i < film.size(); ++i)
  {
    const float grey = std::pow(Clamp((film[i] - low) / std::max(high - low, 1e-3F), 0.0F, 1.0F), gamma);
    film[i] = std::floor(Clamp(255.0F * (grey + sigma * noise[i]), 0.0F, 255.0F) + 0.5F);
  }
}

Phantom
MakeFilm(const PhantomSubject &  subject,
         const PhantomRequest &  request,
         uint32_t                view,
         const PhantomProgress & progress)
{
  PhantomRandom     random(request.seed, request.caseNumber, StreamAcquisition + (view << 8));
  const PhantomGrid grid = DrawFilm(random, subject, view == 1, request.coarse);
  const size_t      count = static_cast<size_t>(grid.size[0]) * static_cast<size_t>(grid.size[1]);
  Phantom           film;
  PhantomShadow     shadow;
  film.description = view == 1 ? "X-ray, lateral" : "X-ray, anteroposterior";
  film.dimension = 2;
  film.size = { grid.size[0], grid.size[1], 1 };
  film.spacing = { grid.spacing[0], grid.spacing[1], 1.0 };
  if (!ProjectPhantom(shadow, *subject.scene, grid, progress))
  {
    return Phantom();
  }
  film.pixels = std::move(shadow.integral);
  film.labels.resize(count);
  film.numbers.resize(count);
  for (size_t i = 0; i < count; ++i)
  {
    film.labels[i] = shadow.inside[i] != 0 ? PhantomVertebra : PhantomBackground;
    film.numbers[i] = shadow.inside[i] != 0 ? shadow.number[i] : uint8_t{ 0 };
  }
  Develop(film.pixels, grid, request, view, random);
  return film;
}

} // namespace

bool
ProjectPhantom(PhantomShadow &         shadow,
               const PhantomScene &    scene,
               const PhantomGrid &     grid,
               const PhantomProgress & progress)
{
  const int    threads = PhantomThreads();
  const size_t count = static_cast<size_t>(grid.size[0]) * static_cast<size_t>(grid.size[1]);
  shadow.integral.assign(count, 0.0F);
  shadow.inside.assign(count, 0);
  shadow.number.assign(count, 0);
  BodyRuns runs{ std::vector<uint8_t>(count, 0), std::vector<float>(count, 0.0F), std::vector<float>(count, 0.0F) };
  std::vector<PlaneImage> images(static_cast<size_t>(threads));
  for (int first = 0; first < grid.size[2]; first += threads)
  {
    const int last = std::min(first + threads, grid.size[2]);
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(threads)
#endif
    for (int k = first; k < last; ++k)
    {
      scene.Render(images[static_cast<size_t>(k - first)], PhantomPlaneOf(grid, static_cast<float>(k)));
    }
    // In the order of the planes, so that the sums do not depend on the number of threads.
    for (int k = first; k < last; ++k)
    {
      const PlaneImage & image = images[static_cast<size_t>(k - first)];
      for (size_t i = 0; i < count; ++i)
      {
        shadow.integral[i] += grid.spacing[2] * AttenuationOfHu(image.value[i]);
        AddBody(shadow, runs, i, image.bodyNumber[i], image.body[i]);
      }
    }
    if (progress && !progress(static_cast<double>(last) / grid.size[2]))
    {
      return false;
    }
  }
  return true;
}

std::array<Phantom, 2>
MakePhantomRadiographs(const PhantomRequest & request, const PhantomProgress & progress)
{
  PhantomRandom     tissueRandom(request.seed, request.caseNumber, StreamTissue);
  PhantomRandom     random(request.seed, request.caseNumber, StreamAcquisition);
  const float       scoliosis = random.Chance(0.6F) ? random.Uniform(0.5F, 5.0F) : std::fabs(random.Spread(0.0F, 0.5F));
  const TissueTable tissues = MakeCtTissues(tissueRandom);
  const auto        subject = MakePhantomSubject(request.seed, request.caseNumber, tissues, scoliosis);
  std::array<Phantom, 2> films;
  for (uint32_t view = 0; view < 2; ++view)
  {
    const PhantomProgress half = [&](double share) {
      return !progress || progress(0.5 * (share + view));
    };
    films[view] = MakeFilm(*subject, request, view, half);
    if (films[view].pixels.empty())
    {
      return {};
    }
  }
  return films;
}

} // namespace verdiff

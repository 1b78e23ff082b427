#include "phantom_subject.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace verdiff
{

int
PhantomThreads()
{
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

void
SetPhantomThreads(int threads)
{
#ifdef _OPENMP
  omp_set_num_threads(threads > 0 ? threads : omp_get_num_procs());
#else
  (void)threads;
#endif
}

std::unique_ptr<PhantomSubject>
MakePhantomSubject(uint64_t seed, uint32_t caseNumber, const TissueTable & tissues, float scoliosis)
{
  auto          subject = std::make_unique<PhantomSubject>();
  PhantomRandom random(seed, caseNumber, StreamAnatomy);
  PhantomRandom fieldRandom(seed, caseNumber, StreamNoiseField);
  SpineOptions  options;
  options.scoliosisDegrees = scoliosis;
  options.degeneration = random.Uniform(0.0F, 1.0F);
  subject->spine = MakeSpine(random, options);
  subject->body = std::make_unique<BodyModel>(random, subject->spine);
  subject->tissues = tissues;
  subject->noise = std::make_unique<NoiseField>(fieldRandom);
  subject->scene = std::make_unique<PhantomScene>(subject->spine, *subject->body, subject->tissues, *subject->noise);
  return subject;
}

PhantomPlane
PhantomPlaneOf(const PhantomGrid & grid, float k)
{
  PhantomPlane plane;
  plane.origin = grid.At(0.0F, 0.0F, k);
  plane.du = grid.spacing[0] * grid.axis[0];
  plane.dv = grid.spacing[1] * grid.axis[1];
  plane.width = grid.size[0];
  plane.height = grid.size[1];
  plane.softness = grid.softness;
  return plane;
}

} // namespace verdiff

// One phantom patient: anatomy, tissues and the scene that draws them.
#pragma once

#include "phantom_acquire.h"

#include <memory>

namespace verdiff
{

/// The scene refers to its neighbours here, so a subject stays where it was made.
struct PhantomSubject
{
  SpineModel                    spine;
  std::unique_ptr<BodyModel>    body;
  TissueTable                   tissues;
  std::unique_ptr<NoiseField>   noise;
  std::unique_ptr<PhantomScene> scene;
};

/// @param scoliosis  largest sideways bend per level, degrees
std::unique_ptr<PhantomSubject>
MakePhantomSubject(uint64_t seed, uint32_t caseNumber, const TissueTable & tissues, float scoliosis);

/// Plane @p k of @p grid; fractions lie between planes.
PhantomPlane
PhantomPlaneOf(const PhantomGrid & grid, float k);

/// Threads that drawing may use; 0 or less sets as many as there are processors.
int
PhantomThreads();
void
SetPhantomThreads(int threads);

} // namespace verdiff

// The analytic spine: vertebrae T1 to L5 (sometimes L6), discs, sacrum, coccyx and the canal's contents.
#pragma once

#include "phantom_shape.h"

#include <vector>

namespace verdiff
{

/// Values of the tissue label volume, as in the SPIDER convention plus the sacrum.
enum PhantomLabel : uint8_t
{
  PhantomBackground = 0,
  PhantomVertebra = 1,
  PhantomDisc = 2,
  PhantomCanal = 3,
  PhantomSacrum = 4
};

/// VerSe numbers: T1 is 8, L1 20, L5 24, L6 25, sacrum 26, coccyx 27.
constexpr uint8_t PhantomFirstThoracic = 8;
constexpr uint8_t PhantomSacrumNumber = 26;
constexpr uint8_t PhantomCoccyxNumber = 27;

/// Something in the marrow that is brighter or darker than the rest.
struct Lesion
{
  Solid solid;
  float contrast = 0.0F; // -1 like cortical bone .. 1 like fluid
};

struct Vertebra
{
  uint8_t             number = 0; // VerSe
  Frame               frame;      // centre of the body
  Solid               body;
  std::vector<Solid>  arch;
  std::vector<Lesion> lesions;
  float               canalHalfWidth = 11.0F;
  float               canalHalfDepth = 8.5F;
  float               marrow = 1.0F; // brightness relative to the others
  Vec3                spinousTip;
};

struct Disc
{
  Solid solid;
  Solid nucleus;
  float water = 1.0F; // 1 young and bright in T2 .. 0 black
};

/// A point of a curve along the spine, with the half axes of the tube about it.
struct TubeNode
{
  Vec3  centre;
  Vec3  left;
  float halfWidth = 0.0F;
  float halfDepth = 0.0F;
};

struct SacrumModel
{
  std::vector<Solid> bone;
  std::vector<Solid> remnants; // of the discs between its bodies
  std::vector<Solid> coccyx;
};

struct SpineModel
{
  std::vector<Vertebra> vertebrae; // from the head down
  std::vector<Disc>     discs;     // discs[i] lies below vertebrae[i]
  SacrumModel           sacrum;
  std::vector<TubeNode> canal; // bony canal, from the head down, about 6 mm apart
  std::vector<Solid>    sac;   // thecal sac
  std::vector<Solid>    cord;
  std::vector<Solid>    roots; // cauda equina and the roots in the foramina
  std::vector<Solid>    ligaments;
  float                 scale = 1.0F;
};

struct SpineOptions
{
  float scoliosisDegrees = 0.5F; // largest sideways bend per level
  float degeneration = 0.4F;     // 0 young .. 1 old: discs, osteophytes, lesions
};

SpineModel
MakeSpine(PhantomRandom & random, const SpineOptions & options);

/// Catmull-Rom curve through @p nodes with points about @p step mm apart.
std::vector<TubeNode>
ResampleTube(const std::vector<TubeNode> & nodes, float step);

/// Rods that together are the tube about @p nodes, its half axes multiplied by @p factor and moved @p back mm.
std::vector<Solid>
TubeSolids(const std::vector<TubeNode> & nodes, float factor, float back);

} // namespace verdiff

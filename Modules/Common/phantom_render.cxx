#include "phantom_render.h"

#include <algorithm>

namespace verdiff
{

namespace
{

constexpr float s_Far = 1e3F;

// Pixel ranges, ends excluded.
struct Box
{
  int i0 = 0;
  int i1 = 0;
  int j0 = 0;
  int j1 = 0;

  bool
  IsEmpty() const
  {
    return i0 >= i1 || j0 >= j1;
  }
};

Box
BoxOf(const PhantomPlane & plane, const Vec3 & centre, float radius)
{
  const Vec3  normal = Cross(plane.du, plane.dv);
  const Vec3  d = centre - plane.origin;
  const float away = Dot(normal, d) / Norm(normal);
  const float left = radius * radius - away * away;
  if (left <= 0.0F)
  {
    return {};
  }
  const float lengthU = Norm(plane.du);
  const float lengthV = Norm(plane.dv);
  const float r = std::sqrt(left);
  const float i = Dot(plane.du, d) / (lengthU * lengthU);
  const float j = Dot(plane.dv, d) / (lengthV * lengthV);
  const auto  limit = [](float x, int count) {
    return static_cast<int>(Clamp(x, 0.0F, static_cast<float>(count)));
  };
  return { limit(std::floor(i - r / lengthU), plane.width),
           limit(std::ceil(i + r / lengthU) + 1.0F, plane.width),
           limit(std::floor(j - r / lengthV), plane.height),
           limit(std::ceil(j + r / lengthV) + 1.0F, plane.height) };
}

Box
Union(const Box & a, const Box & b)
{
  if (a.IsEmpty() || b.IsEmpty())
  {
    return a.IsEmpty() ? b : a;
  }
  return { std::min(a.i0, b.i0), std::max(a.i1, b.i1), std::min(a.j0, b.j0), std::max(a.j1, b.j1) };
}

template <typename TFunction>
void
ForPixels(const PhantomPlane & plane, const Box & box, TFunction function)
{
  for (int j = box.j0; j < box.j1; ++j)
  {
    const Vec3 row = plane.origin + static_cast<float>(j) * plane.dv;
    size_t     k = static_cast<size_t>(j) * static_cast<size_t>(plane.width) + static_cast<size_t>(box.i0);
    for (int i = box.i0; i < box.i1; ++i, ++k)
    {
      function(k, row + static_cast<float>(i) * plane.du);
    }
  }
}

// Smallest distance to any of @p solids, with fillets of @p fillet mm, in image.scratch over the box returned.
Box
Distances(PlaneImage & image, const PhantomPlane & plane, const std::vector<Solid> & solids, float fillet, float margin)
{
  Box all;
  for (const Solid & solid : solids)
  {
    all = Union(all, BoxOf(plane, solid.Centre(), solid.Bound() + margin));
  }
  for (int j = all.j0; j < all.j1; ++j)
  {
    const size_t row = static_cast<size_t>(j) * static_cast<size_t>(plane.width);
    std::fill(image.scratch.begin() + static_cast<std::ptrdiff_t>(row) + all.i0,
              image.scratch.begin() + static_cast<std::ptrdiff_t>(row) + all.i1,
              s_Far);
  }
  for (const Solid & solid : solids)
  {
    ForPixels(plane, BoxOf(plane, solid.Centre(), solid.Bound() + margin), [&](size_t k, const Vec3 & p) {
      const float d = solid.Distance(p);
      float &     best = image.scratch[k];
      best = fillet > 0.0F ? SmoothMin(best, d, fillet) : std::min(best, d);
    });
  }
  return all;
}

void
Blend(float & value, float occupancy, float tissue)
{
  value += occupancy * (tissue - value);
}

void
Cover(PlaneImage & image, size_t k, float occupancy, PhantomLabel label)
{
  for (int other = PhantomVertebra; other <= PhantomSacrum; ++other)
  {
    image.cover[other][k] *= 1.0F - occupancy;
  }
  if (label != PhantomBackground)
  {
    image.cover[label][k] += occupancy;
  }
}

// Distance to the oval of half axes a, b about (0, 0), squared towards a rectangle.
float
OvalDistance(float u, float v, float a, float b)
{
  const float ru = u / a;
  const float rv = v / b;
  const float sum = ru * ru + rv * rv;
  const float product = ru * rv;
  const float root = std::sqrt(std::max(0.0F, sum * sum - product * product));
  const float r = std::sqrt(0.5F * (sum + root));
  return r > 0.05F ? std::sqrt(u * u + v * v) * (1.0F - 1.0F / r) : -std::min(a, b);
}

} // namespace

void
PhantomScene::Render(PlaneImage & image, const PhantomPlane & plane) const
{
  const size_t count = static_cast<size_t>(plane.width) * static_cast<size_t>(plane.height);
  image.value.assign(count, m_Tissues[Tissue::Air]);
  for (int label = PhantomVertebra; label <= PhantomSacrum; ++label)
  {
    image.cover[label].assign(count, 0.0F);
  }
  image.body.assign(count, 0.0F);
  image.coccyx.assign(count, 0.0F);
  image.number.assign(count, 0);
  image.bodyNumber.assign(count, 0);
  image.numberCover.assign(count, 0.0F);
  image.scratch.resize(count);

  this->DrawTorso(image, plane);
  this->DrawOrgans(image, plane);
  this->DrawBones(image, plane);
  this->DrawCanal(image, plane);
  this->DrawDiscs(image, plane);
  this->DrawSacrum(image, plane);
  for (const Vertebra & vertebra : m_Spine.vertebrae)
  {
    this->DrawVertebra(image, plane, vertebra);
  }
}

float
PhantomScene::Textured(Tissue tissue, const Vec3 & p) const
{
  const float value = m_Tissues[tissue];
  const float span = value - m_Tissues[Tissue::Air];
  return value + m_Tissues.fineTexture * span * (0.6F * m_Noise.At(p, 0.05F) + 0.7F * m_Noise.At(p, 0.22F));
}

float
PhantomScene::MuscleValue(const Vec3 & p) const
{
  // Fat lies between fibres that run up and down.
  const float streak = m_Noise.At(p.x * 0.22F, p.y * 0.22F + 7.3F, p.z * 0.035F) +
                       0.5F * m_Noise.At(p.x * 0.55F + 3.1F, p.y * 0.55F, p.z * 0.08F);
  const float fat = m_Tissues.muscleFat * SmoothStep(0.05F, 0.9F, streak);
  return m_Tissues[Tissue::Muscle] + fat * (m_Tissues[Tissue::Fat] - m_Tissues[Tissue::Muscle]);
}

float
PhantomScene::TorsoValue(const Vec3 & p, float softness) const
{
  const TorsoSection & s = m_Body.At(p.z);
  const float          middle = 0.5F * (s.backY + s.frontY);
  const float skin = OvalDistance(p.x - s.centreX * 0.5F, p.y - middle, s.halfWidth, 0.5F * (s.backY - s.frontY));
  if (skin > softness)
  {
    return m_Tissues[Tissue::Air];
  }
  float value = m_Tissues[Tissue::Air];
  Blend(value, Occupancy(skin, softness), m_Tissues[Tissue::Skin]);
  const float septa = std::fabs(m_Noise.At(p.x * 0.05F, p.y * 0.09F, p.z * 0.09F + 5.0F));
  const float fat = m_Tissues[Tissue::Fat];
  const float base = m_Tissues[Tissue::Air];
  Blend(value,
        Occupancy(skin + 1.8F, softness),
        fat - (fat - base) * m_Tissues.fineTexture * SmoothStep(0.10F, 0.0F, septa) * 2.0F);

  const float backY = s.backY - s.fatBack;
  const float frontY = s.frontY + s.fatFront;
  const float inner = OvalDistance(
    p.x - s.centreX * 0.5F, p.y - 0.5F * (backY + frontY), s.halfWidth - s.fatSide, 0.5F * (backY - frontY));
  if (inner > softness)
  {
    return value;
  }
  // Fascia, then the wall of muscle, then the fat that organs lie in.
  Blend(value, Occupancy(inner, softness), m_Tissues[Tissue::Ligament]);
  const float muscle = this->MuscleValue(p);
  Blend(value, Occupancy(inner + 1.2F, softness), muscle);
  const float cavity = this->CavityValue(p);
  Blend(value, Occupancy(inner + 11.0F, softness), cavity);

  // Erector muscles on both sides, divided by fat and ligament in the midline.
  const float u = std::fabs(p.x - s.centreX);
  const float v = p.y - s.canalY;
  const float deep = std::max(24.0F, backY - s.canalY);
  const float erector = OvalDistance(u - 36.0F, v - 0.5F * deep - 1.0F, 34.5F, 0.5F * deep);
  const float within = std::max(erector, inner + 1.2F);
  if (u < 6.0F && v > 4.0F && inner < 0.0F)
  {
    // Interspinous ligament: slanting fibres with fat between them.
    const float fibre = m_Noise.At(u * 0.2F, (v + 0.7F * p.z) * 0.3F, (p.z - 0.4F * v) * 0.07F);
    Blend(value, SmoothStep(6.0F, 3.0F, u) * SmoothStep(-0.2F, 0.5F, fibre), m_Tissues[Tissue::Ligament]);
  }
  Blend(value, Occupancy(within, std::max(softness, 1.5F)), muscle);
  return value;
}

// Fat between the organs, crossed by small vessels and membranes.
float
PhantomScene::CavityValue(const Vec3 & p) const
{
  const float fat = this->Textured(Tissue::Fat, p);
  const float strand = std::fabs(m_Noise.At(p.x * 0.045F + 11.0F, p.y * 0.045F, p.z * 0.045F));
  const float thread = std::fabs(m_Noise.At(p.x * 0.08F, p.y * 0.08F + 4.0F, p.z * 0.08F));
  const float share = 0.5F * SmoothStep(0.07F, 0.0F, strand) * SmoothStep(0.25F, 0.0F, thread);
  return fat + share * (m_Tissues[Tissue::Muscle] - fat);
}

void
PhantomScene::DrawTorso(PlaneImage & image, const PhantomPlane & plane) const
{
  const Box whole{ 0, plane.width, 0, plane.height };
  ForPixels(plane, whole, [&](size_t k, const Vec3 & p) { image.value[k] = this->TorsoValue(p, plane.softness); });
}

void
PhantomScene::DrawOrgans(PlaneImage & image, const PhantomPlane & plane) const
{
  for (const Organ & organ : m_Body.GetOrgans())
  {
    const float margin = plane.softness + organ.roughness;
    const bool  muscle = organ.content == Tissue::Muscle;
    ForPixels(plane, BoxOf(plane, organ.solid.Centre(), organ.solid.Bound() + margin), [&](size_t k, const Vec3 & p) {
      float d = organ.solid.Distance(p);
      if (d > margin)
      {
        return;
      }
      if (organ.roughness > 0.0F)
      {
        d += organ.roughness * m_Noise.At(p, 0.07F);
      }
      const TorsoSection & s = m_Body.At(p.z);
      // Nothing may stick out of the body wall.
      const float backY = s.backY - s.fatBack;
      const float frontY = s.frontY + s.fatFront;
      const float inner = OvalDistance(
        p.x - s.centreX * 0.5F, p.y - 0.5F * (backY + frontY), s.halfWidth - s.fatSide, 0.5F * (backY - frontY));
      d = std::max(d, inner + (muscle ? 2.0F : 10.0F));
      if (organ.content == Tissue::Lung)
      {
        // The mediastinum goes with the spine, however crooked.
        d = std::max(d, 27.0F - std::fabs(p.x - s.centreX));
      }
      Blend(image.value[k], Occupancy(d, plane.softness), m_Tissues[organ.wall]);
      const float content = muscle ? this->MuscleValue(p) : this->Textured(organ.content, p);
      Blend(image.value[k], Occupancy(d + organ.wallThickness, plane.softness), content);
    });
  }
}

void
PhantomScene::DrawBones(PlaneImage & image, const PhantomPlane & plane) const
{
  const float margin = plane.softness;
  for (const Solid & bone : m_Body.GetBones())
  {
    ForPixels(plane, BoxOf(plane, bone.Centre(), bone.Bound() + margin), [&](size_t k, const Vec3 & p) {
      const float d = bone.Distance(p);
      if (d < margin)
      {
        Blend(image.value[k], Occupancy(d, plane.softness), m_Tissues[Tissue::Cortical]);
        Blend(image.value[k], Occupancy(d + 1.4F * m_Tissues.shell, plane.softness), this->Textured(Tissue::Marrow, p));
      }
    });
  }
}

void
PhantomScene::DrawCanal(PlaneImage & image, const PhantomPlane & plane) const
{
  const float soft = plane.softness;
  const auto  paint = [&](const std::vector<Solid> & solids, float grow, Tissue tissue, PhantomLabel label) {
    const Box box = Distances(image, plane, solids, 0.0F, soft + grow);
    ForPixels(plane, box, [&](size_t k, const Vec3 & p) {
      const float occupancy = Occupancy(image.scratch[k] - grow, soft);
      if (occupancy > 0.0F)
      {
        Blend(image.value[k], occupancy, this->Textured(tissue, p));
        if (label != PhantomBackground)
        {
          Cover(image, k, occupancy, label);
        }
      }
    });
  };
  // Epidural fat fills the bony canal about the sac.
  paint(m_Spine.sac, 2.2F, Tissue::Fat, PhantomBackground);
  paint(m_Spine.sac, 0.7F, Tissue::Ligament, PhantomBackground);
  paint(m_Spine.sac, 0.0F, Tissue::Fluid, PhantomCanal);
  paint(m_Spine.cord, 0.0F, Tissue::Cord, PhantomBackground);
  paint(m_Spine.roots, 0.0F, Tissue::Cord, PhantomBackground);
  paint(m_Spine.ligaments, 0.0F, Tissue::Ligament, PhantomBackground);
}

void
PhantomScene::DrawDiscs(PlaneImage & image, const PhantomPlane & plane) const
{
  const float soft = plane.softness;
  // The long ligaments and the outer annulus make one dark sleeve about the column.
  const auto sleeve = [&](const Solid & solid) {
    ForPixels(plane, BoxOf(plane, solid.Centre(), solid.Bound() + 1.0F + soft), [&](size_t k, const Vec3 & p) {
      const float occupancy = Occupancy(solid.Distance(p) - 0.7F, soft);
      if (occupancy > 0.0F)
      {
        Blend(image.value[k], occupancy, m_Tissues[Tissue::Ligament]);
        Cover(image, k, occupancy, PhantomBackground);
      }
    });
  };
  for (const Vertebra & vertebra : m_Spine.vertebrae)
  {
    sleeve(vertebra.body);
  }
  for (const Disc & disc : m_Spine.discs)
  {
    ForPixels(
      plane, BoxOf(plane, disc.solid.Centre(), disc.solid.Bound() + 1.0F + soft), [&](size_t k, const Vec3 & p) {
        const float d = disc.solid.Distance(p);
        const float occupancy = Occupancy(d, soft);
        Blend(image.value[k], Occupancy(d - 0.5F, soft), m_Tissues[Tissue::Ligament]);
        if (occupancy <= 0.0F)
        {
          return;
        }
        // The nucleus has no sharp edge; a darker cleft lies at half height.
        const float core = SmoothStep(2.0F, -3.5F, disc.nucleus.Distance(p));
        const float w = disc.nucleus.GetFrame().ToLocal(p).z;
        const float cleft = 1.0F - 0.3F * std::exp(-0.5F * w * w);
        const float annulus = m_Tissues[Tissue::Annulus];
        const float value = annulus + disc.water * core * cleft * (m_Tissues[Tissue::Nucleus] - annulus);
        Blend(image.value[k], occupancy, value * (1.0F + 0.12F * m_Noise.At(p, 0.3F)));
        Cover(image, k, occupancy, PhantomDisc);
      });
  }
}

float
PhantomScene::MarrowValue(const Vec3 & p, const Vertebra & vertebra) const
{
  const float coarse = m_Noise.At(p.x * 0.07F, p.y * 0.07F, p.z * 0.09F);
  // Skewed, so that the lattice of the noise does not show along the image axes.
  const float fine = m_Noise.At(0.26F * p.x + 0.16F * p.z, 0.27F * p.y - 0.13F * p.x, 0.25F * p.z + 0.15F * p.y);
  const float texture = 1.0F + m_Tissues.marrowTexture * (1.1F * coarse + 1.1F * fine);
  float       value = m_Tissues[Tissue::Marrow] * vertebra.marrow * texture;
  for (const Lesion & lesion : vertebra.lesions)
  {
    const float d = lesion.solid.Distance(p);
    if (d < 1.5F)
    {
      const float other = lesion.contrast > 0.0F ? m_Tissues[Tissue::Fluid] : m_Tissues[Tissue::Cortical];
      Blend(value, std::fabs(lesion.contrast) * SmoothStep(1.5F, -1.5F, d), other);
    }
  }
  return value;
}

void
PhantomScene::DrawVertebra(PlaneImage & image, const PhantomPlane & plane, const Vertebra & vertebra) const
{
  const float soft = plane.softness;
  const float margin = soft + 3.0F;
  const Box   arch = Distances(image, plane, vertebra.arch, 2.5F, margin);
  const Box   box = Union(arch, BoxOf(plane, vertebra.body.Centre(), vertebra.body.Bound() + margin));
  if (box.IsEmpty())
  {
    return;
  }
  const float veinStart = vertebra.body.GetDrum().halfDepth - 6.0F;
  const float reach = vertebra.body.Bound() + margin;
  const float shell = m_Tissues.shell;
  ForPixels(plane, box, [&](size_t k, const Vec3 & p) {
    const auto width = static_cast<size_t>(plane.width);
    const int  i = static_cast<int>(k % width);
    const int  j = static_cast<int>(k / width);
    const bool near = i >= arch.i0 && i < arch.i1 && j >= arch.j0 && j < arch.j1;
    float      d = near ? image.scratch[k] : s_Far;
    float      bodyDistance = s_Far;
    const Vec3 fromBody = p - vertebra.body.Centre();
    if (Dot(fromBody, fromBody) < reach * reach)
    {
      bodyDistance = vertebra.body.Distance(p);
      d = SmoothMin(d, bodyDistance, 2.5F);
    }
    if (d > soft + 1.0F)
    {
      return;
    }
    // Bone is not as smooth as a formula.
    d += 0.45F * m_Noise.At(p, 0.24F);
    const float occupancy = Occupancy(d, soft);
    if (occupancy <= 0.0F)
    {
      return;
    }
    const float marrow = this->MarrowValue(p, vertebra);
    Blend(image.value[k], occupancy, m_Tissues[Tissue::Cortical]);
    Blend(image.value[k], Occupancy(d + shell, soft), marrow);
    // The basivertebral vein enters the middle of the back wall.
    const Vec3  q = vertebra.frame.ToLocal(p);
    const float inward = q.y - veinStart;
    const float vein = q.x * q.x / 25.0F + inward * inward / 30.0F + q.z * q.z / 2.2F;
    if (vein < 1.0F)
    {
      Blend(image.value[k], 0.45F * (1.0F - vein), m_Tissues[Tissue::Fluid]);
    }
    Cover(image, k, occupancy, PhantomVertebra);
    if (occupancy > image.numberCover[k])
    {
      image.numberCover[k] = occupancy;
      image.number[k] = vertebra.number;
    }
    const float bodyOccupancy = Occupancy(bodyDistance, soft);
    if (bodyOccupancy > image.body[k])
    {
      image.body[k] = bodyOccupancy;
      image.bodyNumber[k] = vertebra.number;
    }
  });
}

void
PhantomScene::DrawSacrum(PlaneImage & image, const PhantomPlane & plane) const
{
  const float    soft = plane.softness;
  const Vertebra plain;
  const auto     bone = [&](const std::vector<Solid> & solids, PhantomLabel label) {
    const Box box = Distances(image, plane, solids, 5.0F, soft + 5.0F);
    ForPixels(plane, box, [&](size_t k, const Vec3 & p) {
      if (image.scratch[k] > soft + 1.0F)
      {
        return;
      }
      const float d = image.scratch[k] + 0.5F * m_Noise.At(p, 0.2F);
      const float occupancy = Occupancy(d, soft);
      Blend(image.value[k], Occupancy(d - 0.5F, soft), m_Tissues[Tissue::Ligament]);
      if (occupancy <= 0.0F)
      {
        return;
      }
      Blend(image.value[k], occupancy, m_Tissues[Tissue::Cortical]);
      Blend(image.value[k], Occupancy(d + m_Tissues.shell, soft), this->MarrowValue(p, plain));
      Cover(image, k, occupancy, label);
      image.coccyx[k] = label == PhantomSacrum ? (1.0F - occupancy) * image.coccyx[k] : occupancy;
    });
  };
  bone(m_Spine.sacrum.coccyx, PhantomBackground);
  bone(m_Spine.sacrum.bone, PhantomSacrum);
  for (const Solid & remnant : m_Spine.sacrum.remnants)
  {
    ForPixels(plane, BoxOf(plane, remnant.Centre(), remnant.Bound() + soft), [&](size_t k, const Vec3 & p) {
      const float d = remnant.Distance(p);
      Blend(image.value[k], Occupancy(d - 0.8F, soft), m_Tissues[Tissue::Cortical]);
      Blend(image.value[k], Occupancy(d, soft), 0.5F * (m_Tissues[Tissue::Annulus] + m_Tissues[Tissue::Nucleus]));
    });
  }
}

} // namespace verdiff

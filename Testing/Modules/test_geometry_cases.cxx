// The table of Resources/Docs/geometry.md: whatever the storage, a mask lies where the image has it, in mm.
//
// Every voxel of a small volume has a number of its own, which stands for a label. It goes through file, reader,
// sagittal slices, mask, writer and file; then each number is looked for where the patient has it. The second half
// segments a phantom in every storage order and compares with the first, voxel by voxel.
#include "support.h"

#include "core.h"
#include "label_table.h"
#include "nifti.h"
#include "output_file.h"
#include "phantom.h"
#include "sagittal.h"
#include "segment_volume.h"
#include "volume_reader.h"
#include "volume_writer.h"

#include <gtest/gtest.h>
#include <itkImageFileWriter.h>
#include <itkMetaImageIO.h>
#include <itkNrrdImageIO.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

using namespace verdiff;
using namespace verdiff_test;

namespace
{

struct Storage
{
  std::array<size_t, 3> axis{}; // patient axis of each index axis
  std::array<bool, 3>   flip{};
};

std::vector<Storage>
AllStorages()
{
  std::vector<Storage>  storages;
  std::array<size_t, 3> axis{ 0, 1, 2 };
  do
  {
    for (int flips = 0; flips < 8; ++flips)
    {
      storages.push_back({ axis, { (flips & 1) != 0, (flips & 2) != 0, (flips & 4) != 0 } });
    }
  } while (std::next_permutation(axis.begin(), axis.end()));
  return storages;
}

// A box of voxels in the patient: index (left, posterior, superior), then a rotation about the origin.
struct Scene
{
  Size                  size{ 3, 4, 5 };
  std::array<double, 3> spacing{ 4.0, 1.0, 0.5 };
  std::array<double, 3> corner{ 10.0, -20.0, 30.0 };
  Matrix3               rotation = identity;

  VolumeImage::PointType
  Place(size_t number) const
  {
    const size_t           width = size_t(size[0]);
    const size_t           height = size_t(size[1]);
    const double           index[3] = { double(number % width),
                                        double(number / width % height),
                                        double(number / (width * height)) };
    VolumeImage::PointType point;
    for (unsigned int i = 0; i < 3; ++i)
    {
      point[i] = 0.0;
      for (unsigned int j = 0; j < 3; ++j)
      {
        point[i] += rotation[i][j] * (corner[j] + spacing[j] * index[j]);
      }
    }
    return point;
  }

  size_t
  Count() const
  {
    return size_t(size[0] * size[1] * size[2]);
  }
};

// Number of the patient's voxel at stored index @p i.
size_t
NumberAt(const Scene & scene, const Storage & storage, size_t i)
{
  size_t patient[3] = { 0, 0, 0 };
  for (size_t k = 0; k < 3; ++k)
  {
    const size_t a = storage.axis[k];
    const size_t count = size_t(scene.size[a]);
    patient[a] = storage.flip[k] ? count - 1 - i % count : i % count;
    i /= count;
  }
  return patient[0] + size_t(scene.size[0]) * (patient[1] + size_t(scene.size[1]) * patient[2]);
}

// The scene as stored; voxels are value(number).
template <typename TValue>
VolumeImage::Pointer
Stored(const Scene & scene, const Storage & storage, TValue value)
{
  Size                  size{};
  std::array<double, 3> spacing{};
  Matrix3               axes{};
  for (size_t k = 0; k < 3; ++k)
  {
    size[k] = scene.size[storage.axis[k]];
    spacing[k] = scene.spacing[storage.axis[k]];
    axes[storage.axis[k]][k] = storage.flip[k] ? -1.0 : 1.0;
  }
  const auto first = scene.Place(NumberAt(scene, storage, 0));
  const auto image = MakeImage(
    size, spacing, { first[0], first[1], first[2] }, Product(scene.rotation, axes), [](const auto &) { return 0.0f; });
  for (size_t i = 0; i < scene.Count(); ++i)
  {
    image->GetBufferPointer()[i] = value(NumberAt(scene, storage, i));
  }
  return image;
}

float
OwnNumber(size_t number)
{
  return float(number + 1);
}

// Through the slices: labels that are the voxels' own numbers, put back into a volume like the input.
LabelImage::Pointer
MaskFromSlices(const Volume & volume)
{
  const SagittalFrame frame(*volume.image, IsPlanar(volume));
  const auto          mask = LabelImage::New();
  mask->CopyInformation(volume.image);
  mask->SetRegions(volume.image->GetLargestPossibleRegion());
  mask->Allocate(true);
  std::vector<float> plane(size_t(frame.Height() * frame.Width()));
  for (std::int64_t slice = 0; slice < frame.Count(); ++slice)
  {
    frame.Cut(plane.data(), volume.image->GetBufferPointer(), slice);
    const std::vector<std::uint16_t> labels(plane.begin(), plane.end());
    frame.Put(mask->GetBufferPointer(), labels.data(), slice);
  }
  return mask;
}

// Farthest distance in mm between where the mask has a number and where the patient has it; every number must be
// there once.
double
FarthestError(const itk::ImageBase<3> & grid, const std::uint16_t * labels, const Scene & scene)
{
  double           farthest = 0.0;
  std::vector<int> seen(scene.Count(), 0);
  const auto       region = grid.GetLargestPossibleRegion();
  EXPECT_EQ(region.GetNumberOfPixels(), scene.Count());
  for (size_t i = 0; i < scene.Count(); ++i)
  {
    VolumeImage::IndexType index = region.GetIndex();
    index[0] += long(i % region.GetSize()[0]);
    index[1] += long(i / region.GetSize()[0] % region.GetSize()[1]);
    index[2] += long(i / region.GetSize()[0] / region.GetSize()[1]);
    VolumeImage::PointType point;
    grid.TransformIndexToPhysicalPoint(index, point);
    const size_t number = size_t(labels[i]) - 1;
    if (number >= scene.Count())
    {
      ADD_FAILURE() << "label " << labels[i];
      return INFINITY;
    }
    ++seen[number];
    farthest = std::max(farthest, point.EuclideanDistanceTo(scene.Place(number)));
  }
  EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
  return farthest;
}

// A NIfTI file written here: sform only, from the definition of the format.
void
WriteNiftiByHand(const std::string & path, const VolumeImage & image)
{
  std::string bytes(352, '\0');
  const auto  put = [&](size_t offset, auto value) {
    std::memcpy(bytes.data() + offset, &value, sizeof(value));
  };
  const auto size = image.GetLargestPossibleRegion().GetSize();
  put(0, 348);
  put(40, short(3));
  put(70, short(16));
  put(72, short(32));
  put(76, 1.0f);
  put(108, 352.0f);
  put(254, short(2));
  for (unsigned int i = 0; i < 3; ++i)
  {
    const double sign = i < 2 ? -1.0 : 1.0; // LPS to RAS
    put(42 + 2 * i, short(size[i]));
    put(80 + 4 * i, float(image.GetSpacing()[i]));
    put(280 + 16 * i + 12, float(sign * image.GetOrigin()[i]));
    for (unsigned int j = 0; j < 3; ++j)
    {
      put(280 + 16 * i + 4 * j, float(sign * image.GetDirection()[i][j] * image.GetSpacing()[j]));
    }
  }
  bytes.replace(344, 3, "n+1");
  bytes.append(reinterpret_cast<const char *>(image.GetBufferPointer()), size[0] * size[1] * size[2] * sizeof(float));
  WriteFile(path, bytes);
}

void
WriteInput(const std::string & path, const VolumeImage & image)
{
  if (path.find(".nii") != std::string::npos)
  {
    WriteNiftiByHand(path, image);
    return;
  }
  WriteWithItk<float>(path, image);
}

bool
IsNifti(const std::string & name)
{
  return name.find(".nii") != std::string::npos;
}

// The numbers of a case, for the document.
struct Tally
{
  int    files = 0;
  double exact = 0.0;  // farthest, mm, NRRD and MetaImage
  double floats = 0.0; // farthest, mm, where a NIfTI file is on the way

  void
  Add(double distance, bool nifti)
  {
    ++files;
    (nifti ? floats : exact) = std::max(nifti ? floats : exact, distance);
  }

  // NIfTI keeps its numbers as floats of 24 bits: 4e-6 mm at 60 mm from the origin.
  void
  Expect(const std::string & name) const
  {
    std::printf("| %s | %d files; farthest voxel %.0e mm (NRRD, MetaImage), %.0e mm (NIfTI) |\n",
                name.c_str(),
                files,
                exact,
                floats);
    EXPECT_LE(exact, 1e-6) << name;
    EXPECT_LE(floats, 1e-5) << name;
  }
};

const std::vector<Segment> oneSegment = { { 1, "vertebra" } };
const char * const         outputs[] = { "out.nrrd", "out.seg.nrrd", "out.mha", "out.nii.gz", "out.nii" };
const char * const         inputs[] = { "in.nrrd", "in.mha", "in.nii" };

void
RoundTrip(const TempFolder & folder, const Scene & scene, const Storage & storage, Tally & tally)
{
  const auto image = Stored(scene, storage, OwnNumber);
  for (const std::string input : inputs)
  {
    WriteInput(folder / input, *image);
    const Volume volume = ReadVolume(folder / input);
    const auto   mask = MaskFromSlices(volume);
    for (const std::string output : outputs)
    {
      {
        OutputFile file(folder / output);
        WriteLabels(file, *mask, volume, oneSegment);
      }
      const LabelVolume back = ReadLabels(folder / output);
      const bool        nifti = IsNifti(input) || IsNifti(output);
      tally.Add(FarthestError(*back.image, back.image->GetBufferPointer(), scene), nifti);
      EXPECT_EQ(GeometryDifference(*volume.image, *back.image, nifti ? 1e-5 : 1e-6).value_or(""), "");
      if (IsNifti(input) && IsNifti(output))
      {
        EXPECT_EQ(GeometryDifference(*volume.image, *back.image, 0.0).value_or(""), "") << "forms are verbatim";
      }
    }
  }
}

struct Turn
{
  const char * name;
  Matrix3      rotation;
};

std::vector<Turn>
AllTurns()
{
  return { { "upright", identity },
           { "oblique, 15 degrees about left-right", Rotation(0, 15.0) },
           { "oblique, -25 degrees about anterior-posterior", Rotation(1, -25.0) },
           { "oblique, 30 degrees about the body's axis", Rotation(2, 30.0) },
           { "oblique, 45 degrees about left-right", Rotation(0, 45.0) },
           { "oblique, 45 degrees about anterior-posterior", Rotation(1, 45.0) },
           { "oblique, 45 degrees about the body's axis", Rotation(2, 45.0) },
           { "double oblique, 20 and -15 degrees", Product(Rotation(2, 20.0), Rotation(0, -15.0)) },
           { "double oblique, 45 and 30 degrees", Product(Rotation(2, 45.0), Rotation(1, 30.0)) },
           { "oblique about all three axes, 12, -31 and 8 degrees",
             Product(Rotation(0, 12.0), Product(Rotation(1, -31.0), Rotation(2, 8.0))) } };
}

// The thick axis is cut: no other axis is clearly nearer to left-right.
bool
IsNative(const Scene & scene)
{
  const auto left = [&](size_t axis) {
    return std::abs(scene.rotation[0][axis]);
  };
  return left(0) > 0.9 * std::max(left(1), left(2));
}

std::vector<float>
AllSlices(const VolumeImage & image, const SagittalFrame & frame)
{
  std::vector<float> slices(size_t(frame.Count() * frame.Height() * frame.Width()));
  for (std::int64_t s = 0; s < frame.Count(); ++s)
  {
    frame.Cut(slices.data() + s * frame.Height() * frame.Width(), image.GetBufferPointer(), s);
  }
  return slices;
}

} // namespace

TEST(GeometryCases, AllStorageOrdersAndTurns)
{
  const TempFolder folder;
  for (const Turn & turn : AllTurns())
  {
    Scene scene;
    scene.rotation = turn.rotation;
    Tally tally;
    for (const Storage & storage : AllStorages())
    {
      RoundTrip(folder, scene, storage, tally);
    }
    tally.Expect(std::string("48 storage orders, ") + turn.name);
  }
}

TEST(GeometryCases, SingleSlicesInAllStorageOrders)
{
  const TempFolder folder;
  for (const size_t thin : { size_t(0), size_t(1), size_t(2) })
  {
    Tally tally;
    Scene scene;
    scene.size[thin] = 1;
    scene.rotation = Rotation(2, 17.0);
    for (const Storage & storage : AllStorages())
    {
      RoundTrip(folder, scene, storage, tally);
    }
    const char * const names[3] = { "sagittal", "coronal", "axial" };
    tally.Expect(std::string("48 storage orders, one ") + names[thin] + " slice");
  }
}

TEST(GeometryCases, ARegionThatDoesNotBeginAtZero)
{
  const TempFolder folder;
  Tally            tally;
  Scene            scene;
  scene.rotation = Product(Rotation(2, 20.0), Rotation(0, -15.0));
  for (const Storage & storage : AllStorages())
  {
    const auto             image = Stored(scene, storage, OwnNumber);
    VolumeImage::IndexType start{ { 7, -3, 100 } };
    VolumeImage::IndexType back{ { -7, 3, -100 } };
    VolumeImage::PointType origin;
    Volume                 volume;
    image->TransformIndexToPhysicalPoint(back, origin); // Index 7 -3 100 then lies where index 0 was.
    image->SetOrigin(origin);
    image->SetRegions(VolumeImage::RegionType(start, image->GetLargestPossibleRegion().GetSize()));
    volume.image = image;
    const auto mask = MaskFromSlices(volume);
    tally.Add(FarthestError(*mask, mask->GetBufferPointer(), scene), false);
    for (const std::string output : outputs)
    {
      {
        OutputFile file(folder / output);
        WriteLabels(file, *mask, volume, oneSegment);
      }
      const LabelVolume read = ReadLabels(folder / output);
      tally.Add(FarthestError(*read.image, read.image->GetBufferPointer(), scene), IsNifti(output));
      EXPECT_EQ(GeometryDifference(*image, *read.image, IsNifti(output) ? 1e-5 : 1e-6).value_or(""), "");
    }
  }
  tally.Expect("48 storage orders, region beginning at index 7 -3 100");
}

// Two dimensions: rows and columns are taken as stored, the plane keeps its place.
TEST(GeometryCases, PlanesOfTwoDimensions)
{
  using Plane = itk::Image<float, 2>;
  const TempFolder folder;
  Tally            tally;
  for (int way = 0; way < 8; ++way)
  {
    Plane::DirectionType direction;
    const double         a = way & 2 ? -0.8 : 0.8;
    const double         b = way & 4 ? -0.6 : 0.6;
    direction[0][0] = a;
    direction[1][0] = b;
    direction[0][1] = way & 1 ? b : -b;
    direction[1][1] = way & 1 ? -a : a; // the other hand
    const auto plane = Plane::New();
    plane->SetRegions(Plane::SizeType{ { 4, 3 } });
    plane->SetSpacing(Plane::SpacingType(std::array<double, 2>{ 0.7, 1.25 }.data()));
    plane->SetOrigin(Plane::PointType(std::array<double, 2>{ -12.5, 40.25 }.data()));
    plane->SetDirection(direction);
    plane->Allocate();
    for (size_t i = 0; i < 12; ++i)
    {
      plane->GetBufferPointer()[i] = OwnNumber(i);
    }
    for (const std::string input : { "in.nrrd", "in.mha" })
    {
      const auto writer = itk::ImageFileWriter<Plane>::New();
      writer->SetFileName(folder / input);
      writer->SetImageIO(input == "in.mha" ? itk::ImageIOBase::Pointer(itk::MetaImageIO::New())
                                           : itk::ImageIOBase::Pointer(itk::NrrdImageIO::New()));
      writer->SetInput(plane);
      writer->Update();
      const Volume volume = ReadVolume(folder / input);
      EXPECT_EQ(volume.fileDimension, 2);
      const auto mask = MaskFromSlices(volume);
      for (const std::string output : { "out.nrrd", "out.mha", "out.nii.gz" })
      {
        {
          OutputFile file(folder / output);
          WriteLabels(file, *mask, volume, oneSegment);
        }
        const LabelVolume back = ReadLabels(folder / output);
        double            farthest = 0.0;
        for (size_t i = 0; i < 12; ++i)
        {
          ASSERT_EQ(back.image->GetBufferPointer()[i], i + 1);
          Plane::PointType       wanted;
          VolumeImage::PointType found;
          plane->TransformIndexToPhysicalPoint(plane->ComputeIndex(long(i)), wanted);
          back.image->TransformIndexToPhysicalPoint(back.image->ComputeIndex(long(i)), found);
          farthest = std::max(farthest, std::hypot(std::hypot(found[0] - wanted[0], found[1] - wanted[1]), found[2]));
        }
        tally.Add(farthest, IsNifti(output));
      }
    }
  }
  tally.Expect("2D image, 8 ways to lay it, turned by 37 degrees");
}

// What the model sees must not depend on the storage either, not even at 45 degrees.
TEST(GeometryCases, SlicesAreTheSameWhateverTheStorage)
{
  auto turns = AllTurns();
  turns.push_back({ "", Product(Rotation(2, 45.0), Rotation(0, 45.0)) });
  turns.push_back({ "", Product(Rotation(1, -45.0), Rotation(2, 45.0)) });
  turns.push_back({ "", Product(Rotation(0, -45.0), Rotation(1, 10.0)) });
  for (const std::array<double, 3> & spacing : { std::array<double, 3>{ 4.0, 1.0, 0.5 }, { 1.0, 1.0, 1.0 } })
  {
    for (const Turn & turn : turns)
    {
      Scene scene;
      scene.rotation = turn.rotation;
      scene.spacing = spacing;
      std::vector<float> first;
      for (const Storage & storage : AllStorages())
      {
        const auto          image = Stored(scene, storage, OwnNumber);
        const SagittalFrame frame(*image, false);
        const auto          slices = AllSlices(*image, frame);
        first = first.empty() ? slices : first;
        ASSERT_EQ(slices, first) << turn.name;
        if (spacing[0] > 1.0 && IsNative(scene))
        {
          ASSERT_EQ(storage.axis[size_t(frame.SliceAxis())], 0u) << turn.name;
          ASSERT_EQ(storage.flip[size_t(frame.SliceAxis())], frame.SlicesReversed());
        }
      }
    }
  }
}

// A slice must never be a mirror image: of two ways to lay it a rotation is taken.
TEST(GeometryCases, SlicesAreNeverMirrored)
{
  for (int x = -45; x <= 45; x += 15)
  {
    for (int y = -45; y <= 45; y += 15)
    {
      for (int z = -45; z <= 45; z += 15)
      {
        Scene scene;
        scene.rotation = Product(Rotation(0, x), Product(Rotation(1, y), Rotation(2, z)));
        for (const size_t at : { size_t(0), size_t(13), size_t(42) })
        {
          const auto          image = Stored(scene, AllStorages()[at], OwnNumber);
          const SagittalFrame frame(*image, false);
          const auto          slices = AllSlices(*image, frame);
          const size_t        plane = size_t(frame.Height() * frame.Width());
          const auto          place = [&](size_t i) {
            return scene.Place(size_t(slices[i]) - 1);
          };
          const auto left = place(plane) - place(0);
          const auto inferior = place(size_t(frame.Width())) - place(0);
          const auto posterior = place(1) - place(0);
          ASSERT_GT(itk::CrossProduct(inferior, posterior) * left, 0.0) << x << " " << y << " " << z;
        }
      }
    }
  }
}

namespace
{

// A few slices of an MR phantom in the order of the patient's axes.
struct PhantomScene
{
  Scene              scene;
  std::vector<float> values;
};

PhantomScene
SmallPhantom()
{
  const Phantom phantom = MakePhantomVolume({ PhantomModality::Mr, 1, 1, 2.5F }, PhantomProgress());
  Volume        volume;
  Matrix3       axes{};
  for (size_t i = 0; i < 9; ++i)
  {
    axes[i / 3][i % 3] = phantom.direction[i];
  }
  volume.image = MakeImage(
    { phantom.size[0], phantom.size[1], phantom.size[2] }, phantom.spacing, phantom.origin, axes, [](const auto &) {
      return 0.0f;
    });
  std::copy(phantom.pixels.begin(), phantom.pixels.end(), volume.image->GetBufferPointer());
  const SagittalFrame frame(*volume.image, false);
  const auto          slices = AllSlices(*volume.image, frame);
  PhantomScene        small;
  const std::int64_t  count = std::min<std::int64_t>(3, frame.Count());
  const std::int64_t  first = (frame.Count() - count) / 2;
  small.scene.size = { long(count), long(frame.Width()), long(frame.Height()) };
  small.scene.spacing = { 4.4, frame.ColumnSpacing(), frame.RowSpacing() };
  small.values.resize(small.scene.Count());
  for (size_t number = 0; number < small.values.size(); ++number)
  {
    const std::int64_t slice = first + std::int64_t(number) % count;
    const std::int64_t column = std::int64_t(number) / count % frame.Width();
    const std::int64_t row = frame.Height() - 1 - std::int64_t(number) / count / frame.Width();
    small.values[number] = slices[size_t((slice * frame.Height() + row) * frame.Width() + column)];
  }
  return small;
}

class Segmenter
{
public:
  explicit Segmenter(const std::string & model)
  {
    vdn_ctx_options options;
    vdn_ctx *       context = nullptr;
    vdn_ctx_options_init(&options);
    options.device = "cpu";
    if (vdn_ctx_create(&context, &options) != VDN_OK)
    {
      throw Failure(ExitCode::Device, "no context");
    }
    m_Context.reset(context);
    m_Model = LoadModel(m_Context.get(), model);
  }

  std::vector<std::uint16_t>
  Labels(VolumeImage::Pointer image) const
  {
    Volume volume;
    volume.image = image;
    volume.path = "phantom";
    SegmentSettings settings;
    vdn_segment_options_init(&settings.options);
    settings.options.prior_only = 1;
    const SegmentResult result = SegmentVolume(m_Context.get(), m_Model.get(), volume, settings, [](double, double) {});
    EXPECT_EQ(GeometryDifference(*image, *result.labels, 0.0).value_or(""), "");
    EXPECT_EQ(result.labels->GetLargestPossibleRegion(), image->GetLargestPossibleRegion());
    const std::uint16_t * begin = result.labels->GetBufferPointer();
    return { begin, begin + image->GetLargestPossibleRegion().GetNumberOfPixels() };
  }

private:
  Context m_Context;
  Model   m_Model;
};

// Voxels of the reoriented copy whose label is another than that of the canonical one at the same mm.
size_t
Different(const Scene &                      scene,
          const Storage &                    storage,
          const std::vector<std::uint16_t> & labels,
          const std::vector<std::uint16_t> & canonical)
{
  size_t different = 0;
  for (size_t i = 0; i < labels.size(); ++i)
  {
    different += labels[i] != canonical[NumberAt(scene, storage, i)] ? 1 : 0;
  }
  return different;
}

} // namespace

TEST(GeometryCases, SegmentationIsTheSameAtTheSamePlace)
{
  const std::string model = VERDIFF_SOURCE_DIR "/Resources/Models/verdiff-tiny.safetensors";
  if (!std::filesystem::exists(model))
  {
    GTEST_SKIP() << "no bundled model";
  }
  const Segmenter    segmenter(model);
  const PhantomScene phantom = SmallPhantom();
  const auto         value = [&](size_t number) {
    return phantom.values[number];
  };
  Scene        scene = phantom.scene;
  const auto   canonical = segmenter.Labels(Stored(scene, AllStorages()[0], value));
  const size_t marked = canonical.size() - size_t(std::count(canonical.begin(), canonical.end(), 0));
  ASSERT_GT(marked, canonical.size() / 200) << "the model finds vertebrae in the phantom";
  for (const Turn & turn : AllTurns())
  {
    // All 48 upright; one order of each handedness and axis for the rest.
    const bool upright = std::string(turn.name) == "upright";
    size_t     different = 0;
    int        volumes = 0;
    scene.rotation = turn.rotation;
    // Where another axis is nearer to left-right other planes are cut, in every storage order alike.
    const auto wanted = IsNative(scene) ? canonical : segmenter.Labels(Stored(scene, AllStorages()[0], value));
    for (size_t at = 0; at < 48; at += upright ? 1 : 9)
    {
      const Storage storage = AllStorages()[at];
      different += Different(scene, storage, segmenter.Labels(Stored(scene, storage, value)), wanted);
      ++volumes;
    }
    std::printf("| segmentation, %s | %d volumes of %ld x %ld x %ld: %zu of %zu voxels differ, %zu marked in each |\n",
                turn.name,
                volumes,
                scene.size[0],
                scene.size[1],
                scene.size[2],
                different,
                size_t(volumes) * wanted.size(),
                wanted.size() - size_t(std::count(wanted.begin(), wanted.end(), 0)));
    EXPECT_EQ(different, 0u) << turn.name;
  }
}

TEST(GeometryCases, SegmentationOfARegionThatDoesNotBeginAtZero)
{
  const std::string model = VERDIFF_SOURCE_DIR "/Resources/Models/verdiff-tiny.safetensors";
  if (!std::filesystem::exists(model))
  {
    GTEST_SKIP() << "no bundled model";
  }
  const Segmenter    segmenter(model);
  const PhantomScene phantom = SmallPhantom();
  const auto         value = [&](size_t number) {
    return phantom.values[number];
  };
  const auto image = Stored(phantom.scene, AllStorages()[11], value);
  const auto moved = Stored(phantom.scene, AllStorages()[11], value);
  moved->SetRegions(
    VolumeImage::RegionType(VolumeImage::IndexType{ { 5, -6, 7 } }, image->GetLargestPossibleRegion().GetSize()));
  EXPECT_EQ(segmenter.Labels(moved), segmenter.Labels(image));
}

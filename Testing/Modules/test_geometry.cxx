// Slices come out the same way up, in the same order and with the same values however a volume is stored, and
// go back to the voxels they came from.
#include "support.h"

#include "sagittal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

using namespace verdiff;
using namespace verdiff_test;

namespace
{

// Different everywhere and linear, so that every voxel tells where it is. LPS mm.
float
Place(const VolumeImage::PointType & p)
{
  return static_cast<float>(p[0] + 100.0 * p[1] + 10000.0 * p[2]);
}

// All 48 storage orders of a volume that is 3 (left) x 4 (posterior) x 5 (superior) voxels in the patient.
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

const std::array<long, 3>   patientSize{ 3, 4, 5 };
const std::array<double, 3> patientSpacing{ 4.0, 1.0, 0.5 };

VolumeImage::Pointer
Stored(const Storage & storage, const Matrix3 & rotation)
{
  Size                  size{};
  std::array<double, 3> spacing{};
  std::array<double, 3> corner{ 10.0, -20.0, 30.0 };
  Matrix3               axes{};
  for (size_t k = 0; k < 3; ++k)
  {
    const size_t a = storage.axis[k];
    size[k] = patientSize[a];
    spacing[k] = patientSpacing[a];
    axes[a][k] = storage.flip[k] ? -1.0 : 1.0;
    corner[a] += storage.flip[k] ? double(patientSize[a] - 1) * patientSpacing[a] : 0.0;
  }
  std::array<double, 3> origin{};
  for (size_t i = 0; i < 3; ++i)
  {
    for (size_t j = 0; j < 3; ++j)
    {
      origin[i] += rotation[i][j] * corner[j];
    }
  }
  return MakeImage(size, spacing, origin, Product(rotation, axes), Place);
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

TEST(Sagittal, AllStorageOrdersGiveTheSameSlices)
{
  const auto storages = AllStorages();
  ASSERT_EQ(storages.size(), 48u);
  for (const Storage & storage : storages)
  {
    const auto          image = Stored(storage, identity);
    const SagittalFrame frame(*image, false);
    ASSERT_EQ(frame.Count(), 3);
    ASSERT_EQ(frame.Height(), 5);
    ASSERT_EQ(frame.Width(), 4);
    EXPECT_EQ(frame.RowSpacing(), 0.5);
    EXPECT_EQ(frame.ColumnSpacing(), 1.0);
    const auto slices = AllSlices(*image, frame);
    size_t     i = 0;
    for (int s = 0; s < 3; ++s)
    {
      for (int row = 0; row < 5; ++row)
      {
        for (int column = 0; column < 4; ++column, ++i)
        {
          // Right to left, superior to inferior, anterior to posterior.
          const double x = 10.0 + 4.0 * s;
          const double y = -20.0 + 1.0 * column;
          const double z = 30.0 + 0.5 * (4 - row);
          ASSERT_NEAR(slices[i], x + 100.0 * y + 10000.0 * z, 0.05) << s << " " << row << " " << column;
        }
      }
    }
  }
}

TEST(Sagittal, ObliqueStorageOrdersAreCutAlike)
{
  for (const double degrees : { 5.0, -20.0, 29.0 })
  {
    for (int axis = 0; axis < 3; ++axis)
    {
      const Matrix3      rotation = Product(Rotation(axis, degrees), Rotation((axis + 1) % 3, 7.0));
      std::vector<float> first;
      for (const Storage & storage : AllStorages())
      {
        const auto          image = Stored(storage, rotation);
        const SagittalFrame frame(*image, false);
        ASSERT_EQ(frame.Count(), 3);
        const auto slices = AllSlices(*image, frame);
        first = first.empty() ? slices : first;
        for (size_t i = 0; i < slices.size(); ++i)
        {
          ASSERT_NEAR(slices[i], first[i], 0.1) << degrees << " about " << axis;
        }
      }
    }
  }
}

TEST(Sagittal, SlicesGoBackToTheirVoxels)
{
  for (const Storage & storage : AllStorages())
  {
    const auto          image = Stored(storage, Rotation(2, 17.0));
    const SagittalFrame frame(*image, false);
    const size_t        count = image->GetBufferedRegion().GetNumberOfPixels();
    std::vector<float>  back(count, -1.0f);
    std::vector<float>  plane(size_t(frame.Height() * frame.Width()));
    for (std::int64_t s = 0; s < frame.Count(); ++s)
    {
      frame.Cut(plane.data(), image->GetBufferPointer(), s);
      frame.Put(back.data(), plane.data(), s);
    }
    ASSERT_TRUE(std::equal(back.begin(), back.end(), image->GetBufferPointer()));
  }
}

TEST(Sagittal, ARegionThatDoesNotStartAtZeroIsCutWhole)
{
  const auto             image = Stored(AllStorages()[0], identity);
  const auto             whole = AllSlices(*image, SagittalFrame(*image, false));
  const auto             moved = VolumeImage::New();
  VolumeImage::IndexType start{ { 7, -3, 100 } };
  moved->CopyInformation(image);
  moved->SetRegions(VolumeImage::RegionType(start, image->GetLargestPossibleRegion().GetSize()));
  moved->Allocate();
  std::copy_n(image->GetBufferPointer(), whole.size(), moved->GetBufferPointer());
  EXPECT_EQ(AllSlices(*moved, SagittalFrame(*moved, false)), whole);
}

TEST(Sagittal, ATieGoesToTheLargerSpacingAndIsSaid)
{
  // 45 degrees about the long axis: two axes are equally near to left-right.
  const auto          image = MakeImage({ 6, 6, 6 }, { 1.0, 4.0, 1.0 }, { 0, 0, 0 }, Rotation(2, 45.0), Place);
  const SagittalFrame frame(*image, false);
  EXPECT_EQ(frame.SliceAxis(), 1);
  ASSERT_EQ(frame.Notes().size(), 2u);
  EXPECT_NE(frame.Notes()[0].find("axis 2 with spacing 4 mm is cut"), std::string::npos);
  EXPECT_NE(frame.Notes()[1].find("45 degrees off"), std::string::npos);
}

TEST(Sagittal, ASingleSagittalSliceIsTurnedAPictureIsNot)
{
  Volume volume;
  // One slice, stored with columns towards the anterior and rows towards the superior.
  const Matrix3 axes = { { { 0, 0, 1 }, { -1, 0, 0 }, { 0, 1, 0 } } };
  volume.image = MakeImage({ 4, 5, 1 }, { 1, 1, 4 }, { 0, 0, 0 }, axes, Place);
  EXPECT_FALSE(IsPlanar(volume));
  const SagittalFrame turned(*volume.image, IsPlanar(volume));
  std::vector<float>  plane(20);
  turned.Cut(plane.data(), volume.image->GetBufferPointer(), 0);
  EXPECT_GT(plane[0], plane[4]); // superior first
  EXPECT_LT(plane[0], plane[1]); // anterior first: y grows to the posterior
  volume.orientationKnown = false;
  EXPECT_TRUE(IsPlanar(volume));
  const SagittalFrame stored(*volume.image, true);
  stored.Cut(plane.data(), volume.image->GetBufferPointer(), 0);
  EXPECT_TRUE(std::equal(plane.begin(), plane.end(), volume.image->GetBufferPointer()));
}

TEST(Sagittal, AnAxialSliceAloneIsTakenAsStored)
{
  Volume volume;
  volume.image = MakeImage({ 4, 5, 1 }, { 1, 1, 4 }, { 0, 0, 0 }, identity, Place);
  EXPECT_TRUE(IsPlanar(volume));
  const SagittalFrame frame(*volume.image, true);
  EXPECT_EQ(frame.Count(), 1);
  EXPECT_EQ(frame.Height(), 5);
  EXPECT_EQ(frame.Width(), 4);
}

// Surfaces of segments: closed, of the right size at the right place in LPS whatever the storage order,
// outward, named and coloured.
#include "support.h"

#include "label_table.h"
#include "surface.h"

#include <gtest/gtest.h>

#ifdef VERDIFF_VTK
#include <vtkDoubleArray.h>
#include <vtkFeatureEdges.h>
#include <vtkFieldData.h>
#include <vtkMassProperties.h>
#include <vtkNew.h>
#include <vtkPointData.h>
#include <vtkPolyData.h>
#include <vtkSTLReader.h>
#include <vtkSmartPointer.h>
#include <vtkStringArray.h>
#include <vtkXMLPolyDataReader.h>
#endif

#include <cmath>
#include <filesystem>

using namespace verdiff;
using namespace verdiff_test;

namespace
{

using Point = VolumeImage::PointType;

LabelImage::Pointer
MakeLabels(const VolumeImage & grid, const std::function<int(const Point &)> & label)
{
  const auto labels = LabelImage::New();
  labels->CopyInformation(&grid);
  labels->SetRegions(grid.GetLargestPossibleRegion());
  labels->Allocate(true);
  const auto size = grid.GetLargestPossibleRegion().GetSize();
  for (long z = 0; z < long(size[2]); ++z)
  {
    for (long y = 0; y < long(size[1]); ++y)
    {
      for (long x = 0; x < long(size[0]); ++x)
      {
        Point point;
        grid.TransformIndexToPhysicalPoint({ { x, y, z } }, point);
        labels->SetPixel({ { x, y, z } }, static_cast<std::uint16_t>(label(point)));
      }
    }
  }
  return labels;
}

LabelImage::Pointer
MakeLabels(const Size &                              size,
           const std::array<double, 3> &             spacing,
           const std::array<double, 3> &             origin,
           const Matrix3 &                           direction,
           const std::function<int(const Point &)> & label)
{
  return MakeLabels(*MakeImage(size, spacing, origin, direction, [](const Point &) { return 0.0F; }), label);
}

std::function<int(const Point &)>
Ball(const Point & centre, double radius, int label)
{
  return [=](const Point & p) {
    return p.EuclideanDistanceTo(centre) <= radius ? label : 0;
  };
}

Point
PointOf(double x, double y, double z)
{
  Point point;
  point[0] = x;
  point[1] = y;
  point[2] = z;
  return point;
}

// The middle of the grid in mm.
Point
Middle(const Size &                  size,
       const std::array<double, 3> & spacing,
       const std::array<double, 3> & origin,
       const Matrix3 &               direction)
{
  Point point;
  for (size_t i = 0; i < 3; ++i)
  {
    point[static_cast<unsigned int>(i)] = origin[i];
    for (size_t k = 0; k < 3; ++k)
    {
      point[static_cast<unsigned int>(i)] += direction[i][k] * spacing[k] * 0.5 * double(size[k] - 1);
    }
  }
  return point;
}

struct Voxels
{
  double volume = 0.0;
  Point  centroid;
};

Voxels
VoxelsOf(const LabelImage & labels, int label)
{
  Voxels     voxels;
  double     count = 0.0;
  double     sum[3] = {};
  const auto size = labels.GetLargestPossibleRegion().GetSize();
  for (long z = 0; z < long(size[2]); ++z)
  {
    for (long y = 0; y < long(size[1]); ++y)
    {
      for (long x = 0; x < long(size[0]); ++x)
      {
        if (labels.GetPixel({ { x, y, z } }) == label)
        {
          Point point;
          labels.TransformIndexToPhysicalPoint({ { x, y, z } }, point);
          count += 1.0;
          for (unsigned int i = 0; i < 3; ++i)
          {
            sum[i] += point[i];
          }
        }
      }
    }
  }
  const auto spacing = labels.GetSpacing();
  voxels.volume = count * spacing[0] * spacing[1] * spacing[2];
  voxels.centroid = PointOf(sum[0] / count, sum[1] / count, sum[2] / count);
  return voxels;
}

} // namespace

#ifndef VERDIFF_VTK

TEST(Surface, SaysThatItIsNotBuilt)
{
  const TempFolder folder;
  Volume           scan;
  EXPECT_FALSE(SurfacesAvailable());
  const Thrown thrown = FailureOf([&] { PrepareSurfaceFolder(folder / "s", scan); });
  EXPECT_EQ(thrown.code, 2);
  EXPECT_NE(thrown.message.find("built without VTK"), std::string::npos);
  EXPECT_TRUE(folder.Entries().empty());
}

#else

namespace
{

vtkSmartPointer<vtkPolyData>
ReadVtp(const std::string & path)
{
  vtkNew<vtkXMLPolyDataReader> reader;
  reader->SetFileName(path.c_str());
  reader->Update();
  return reader->GetOutput();
}

vtkSmartPointer<vtkPolyData>
ReadStl(const std::string & path)
{
  vtkNew<vtkSTLReader> reader;
  reader->SetFileName(path.c_str());
  reader->Update();
  return reader->GetOutput();
}

long
OpenEdges(vtkPolyData * surface)
{
  vtkNew<vtkFeatureEdges> edges;
  edges->SetInputData(surface);
  edges->BoundaryEdgesOn();
  edges->FeatureEdgesOff();
  edges->NonManifoldEdgesOff();
  edges->ManifoldEdgesOff();
  edges->Update();
  return edges->GetOutput()->GetNumberOfCells();
}

// By the divergence theorem: positive when the triangles turn outwards.
Voxels
InsideOf(vtkPolyData * surface)
{
  Voxels            inside;
  double            moment[3] = {};
  double            base[3];
  vtkIdType         count = 0;
  const vtkIdType * ids = nullptr;
  surface->GetPoint(0, base); // near, for the sake of accuracy
  auto * const cells = surface->GetPolys();
  cells->InitTraversal();
  while (cells->GetNextCell(count, ids))
  {
    double p[3][3];
    for (int k = 0; k < 3; ++k)
    {
      surface->GetPoint(ids[k], p[k]);
      for (int i = 0; i < 3; ++i)
      {
        p[k][i] -= base[i];
      }
    }
    const double part =
      (p[0][0] * (p[1][1] * p[2][2] - p[1][2] * p[2][1]) + p[0][1] * (p[1][2] * p[2][0] - p[1][0] * p[2][2]) +
       p[0][2] * (p[1][0] * p[2][1] - p[1][1] * p[2][0])) /
      6.0;
    inside.volume += part;
    for (int i = 0; i < 3; ++i)
    {
      moment[i] += part * (p[0][i] + p[1][i] + p[2][i]) / 4.0;
    }
  }
  inside.centroid = PointOf(
    base[0] + moment[0] / inside.volume, base[1] + moment[1] / inside.volume, base[2] + moment[2] / inside.volume);
  return inside;
}

std::string
Text(vtkPolyData * surface, const char * key)
{
  auto * const array = vtkStringArray::SafeDownCast(surface->GetFieldData()->GetAbstractArray(key));
  return array ? std::string(array->GetValue(0)) : std::string("(missing)");
}

void
ExpectIsTheSegment(vtkPolyData * surface, const LabelImage & labels, int label, double volumeTolerance)
{
  ASSERT_GT(surface->GetNumberOfPolys(), 0);
  EXPECT_EQ(OpenEdges(surface), 0);
  const Voxels voxels = VoxelsOf(labels, label);
  const Voxels inside = InsideOf(surface);
  EXPECT_NEAR(inside.volume / voxels.volume, 1.0, volumeTolerance);
  const auto spacing = labels.GetSpacing();
  EXPECT_LE(inside.centroid.EuclideanDistanceTo(voxels.centroid),
            0.5 * std::min({ spacing[0], spacing[1], spacing[2] }));
}

const std::vector<Segment> oneVertebra = { { 1, "vertebra" } };

struct Grid
{
  const char *          name;
  Size                  size;
  std::array<double, 3> spacing;
  Matrix3               direction;
};

const Matrix3 mirrored = { { { -1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } } };
const Matrix3 sagittal = { { { 0, 0, 1 }, { 1, 0, 0 }, { 0, -1, 0 } } };

class SurfaceGrid : public testing::TestWithParam<Grid>
{
};

} // namespace

TEST_P(SurfaceGrid, HoldsTheBall)
{
  const Grid &                grid = GetParam();
  const std::array<double, 3> origin = { -40.0, 130.5, -700.25 };
  Point                       centre = Middle(grid.size, grid.spacing, origin, grid.direction);
  centre[0] += 1.3;
  const auto         labels = MakeLabels(grid.size, grid.spacing, origin, grid.direction, Ball(centre, 15.0, 1));
  const TempFolder   folder;
  const SurfaceFiles files = WriteSurfaces(folder.Path(), *labels, oneVertebra);
  EXPECT_EQ(folder.Entries(), (std::vector<std::string>{ "Vertebra.stl", "Vertebra.vtp" }));
  EXPECT_EQ(files.written.size(), 2U);
  EXPECT_TRUE(files.notes.empty());
  for (const auto & surface : { ReadVtp(folder / "Vertebra.vtp"), ReadStl(folder / "Vertebra.stl") })
  {
    SCOPED_TRACE(grid.name);
    ExpectIsTheSegment(surface, *labels, 1, 0.005);
  }
}

INSTANTIATE_TEST_SUITE_P(
  AllKinds,
  SurfaceGrid,
  testing::Values(Grid{ "plain", { 40, 42, 44 }, { 1, 1, 1 }, identity },
                  Grid{ "left-handed", { 40, 42, 44 }, { 1, 1, 1 }, mirrored },
                  Grid{ "sagittal MR", { 60, 70, 13 }, { 0.6, 0.6, 4 }, sagittal },
                  Grid{ "oblique", { 45, 40, 44 }, { 1, 1.2, 1 }, Product(Rotation(0, 30), Rotation(2, 25)) },
                  Grid{ "oblique left-handed",
                        { 45, 40, 44 },
                        { 1.2, 1, 1 },
                        Product(Product(Rotation(1, 40), Rotation(0, 20)), mirrored) }),
  [](const auto & info) {
    std::string name = info.param.name;
    std::replace_if(
      name.begin(), name.end(), [](char c) { return !isalnum(static_cast<unsigned char>(c)); }, '_');
    return name;
  });

TEST(Surface, NormalsPointOutwards)
{
  const auto       labels = MakeLabels({ 30, 30, 30 }, { 1, 1, 1 }, { 0, 0, 0 }, mirrored, [](const Point & p) {
    return p.EuclideanDistanceTo(PointOf(-15, 15, 15)) <= 10 ? 1 : 0;
  });
  const TempFolder folder;
  WriteSurfaces(folder.Path(), *labels, oneVertebra);
  const auto   surface = ReadVtp(folder / "Vertebra.vtp");
  auto * const normals = surface->GetPointData()->GetNormals();
  ASSERT_NE(normals, nullptr);
  for (vtkIdType i = 0; i < surface->GetNumberOfPoints(); ++i)
  {
    double p[3];
    double n[3];
    surface->GetPoint(i, p);
    normals->GetTuple(i, n);
    ASSERT_GT((p[0] + 15) * n[0] + (p[1] - 15) * n[1] + (p[2] - 15) * n[2], 5.0) << i;
  }
}

TEST(Surface, ClosesAtTheBorderOfTheImage)
{
  const auto       labels = MakeLabels({ 12, 14, 16 }, { 1, 2, 1 }, { 5, 6, 7 }, identity, [](const Point & p) {
    return p[0] < 12.5 ? 1 : 0; // touches five sides
  });
  const TempFolder folder;
  WriteSurfaces(folder.Path(), *labels, oneVertebra);
  ExpectIsTheSegment(ReadVtp(folder / "Vertebra.vtp"), *labels, 1, 0.01);
}

TEST(Surface, RoughSegmentsAreClosedToo)
{
  const auto       labels = MakeLabels({ 20, 20, 20 }, { 1, 1, 1 }, { 0, 0, 0 }, identity, [](const Point & p) {
    const auto hash = static_cast<unsigned>(p[0]) * 73856093U ^ static_cast<unsigned>(p[1]) * 19349663U ^
                      static_cast<unsigned>(p[2]) * 83492791U;
    return (hash * 2654435761U >> 16) % 3 == 0 ? 1 : 0;
  });
  const TempFolder folder;
  WriteSurfaces(folder.Path(), *labels, oneVertebra);
  EXPECT_EQ(OpenEdges(ReadVtp(folder / "Vertebra.vtp")), 0);
}

TEST(Surface, SmallThingsKeepTheirVolume)
{
  // A disc of an MR: 30 x 36 x 8 mm in slices of 4 mm; and a single voxel.
  const auto       disc = MakeLabels({ 60, 60, 13 }, { 0.7, 0.7, 4 }, { 0, 0, 0 }, identity, [](const Point & p) {
    const double a = (p[0] - 21) / 15;
    const double b = (p[2] - 24) / 18;
    return std::abs(p[1] - 21) < 4 && a * a + b * b < 1 ? 1 : 0;
  });
  const auto       dot = MakeLabels({ 5, 5, 5 }, { 1, 1, 1 }, { 0, 0, 0 }, identity, Ball(PointOf(2, 2, 2), 0.5, 1));
  const TempFolder folder;
  WriteSurfaces(folder.Path(), *disc, oneVertebra);
  ExpectIsTheSegment(ReadVtp(folder / "Vertebra.vtp"), *disc, 1, 0.01);
  WriteSurfaces(folder.Path(), *dot, oneVertebra);
  const auto surface = ReadVtp(folder / "Vertebra.vtp");
  EXPECT_EQ(OpenEdges(surface), 0);
  EXPECT_GT(InsideOf(surface).volume, 0.0);
}

TEST(Surface, NeighboursAreApart)
{
  const auto       labels = MakeLabels({ 30, 30, 30 }, { 1, 1, 1 }, { 0, 0, 0 }, identity, [](const Point & p) {
    const double r = p.EuclideanDistanceTo(PointOf(15, 15, 15));
    return r < 7 ? 2 : (r < 12 ? 1 : 0); // one within the other
  });
  const TempFolder folder;
  WriteSurfaces(folder.Path(), *labels, { { 1, "vertebra" }, { 2, "canal" } });
  ExpectIsTheSegment(ReadVtp(folder / "Vertebra.vtp"), *labels, 1, 0.01);
  ExpectIsTheSegment(ReadVtp(folder / "Spinal_canal.vtp"), *labels, 2, 0.01);
}

TEST(Surface, CarriesNameColourAndCode)
{
  const auto       labels = MakeLabels({ 30, 30, 30 }, { 1, 1, 1 }, { 0, 0, 0 }, identity, [](const Point & p) {
    return p[2] < 10 ? 7 : (p[2] > 20 ? 300 : 0);
  });
  const TempFolder folder;
  WriteSurfaces(folder.Path(), *labels, { { 7, "L4" }, { 300, "L4-L5 disc" } });
  EXPECT_EQ(folder.Entries(),
            (std::vector<std::string>{ "L4-L5_disc.stl", "L4-L5_disc.vtp", "L4_vertebra.stl", "L4_vertebra.vtp" }));
  const auto surface = ReadVtp(folder / "L4_vertebra.vtp");
  EXPECT_EQ(Text(surface, "SPACE"), "LPS");
  EXPECT_EQ(Text(surface, "Segment_ID"), "Segment_7");
  EXPECT_EQ(Text(surface, "Segment_Name"), "L4 vertebra");
  EXPECT_EQ(Text(surface, "Segment_Tags"), TerminologyTag(LabelEntryFor("L4", 7)) + "|");
  auto * const color = vtkDoubleArray::SafeDownCast(surface->GetFieldData()->GetArray("Segment_Color"));
  ASSERT_NE(color, nullptr);
  ASSERT_EQ(color->GetNumberOfComponents(), 3);
  const LabelEntry entry = LabelEntryFor("L4", 7);
  for (int i = 0; i < 3; ++i)
  {
    EXPECT_NEAR(color->GetComponent(0, i), entry.color[static_cast<size_t>(i)], 1e-12);
  }
  const std::string stl = ReadFile(folder / "L4_vertebra.stl");
  EXPECT_EQ(stl.substr(0, 27), "SPACE=LPS NAME=L4 vertebra ");
  const size_t at = stl.find("COLOR=");
  ASSERT_LT(at, 70U);
  EXPECT_EQ(static_cast<unsigned char>(stl[at + 6]), std::lround(255 * entry.color[0]));
  EXPECT_NE(stl.substr(0, 5), "solid");
}

TEST(Surface, NamesOfFilesAreSafeAndDifferent)
{
  const auto labels = MakeLabels(
    { 8, 3, 3 }, { 1, 1, 1 }, { 0, 0, 0 }, identity, [](const Point & p) { return 1 + static_cast<int>(p[0]) / 2; });
  const TempFolder folder;
  WriteSurfaces(folder.Path(), *labels, { { 1, "../a b" }, { 2, "A b" }, { 3, "\xE6\xA4\x8E" }, { 4, "-rf /" } });
  EXPECT_EQ(folder.Entries(),
            (std::vector<std::string>{ "a_b.stl",
                                       "a_b.vtp",
                                       "segment_2_A_b.stl",
                                       "segment_2_A_b.vtp",
                                       "segment_3.stl",
                                       "segment_3.vtp",
                                       "segment_4_-rf.stl",
                                       "segment_4_-rf.vtp" }));
}

TEST(Surface, SaysWhatIsEmpty)
{
  const auto       labels = MakeLabels({ 9, 9, 9 }, { 1, 1, 1 }, { 0, 0, 0 }, identity, Ball(PointOf(4, 4, 4), 3, 1));
  const TempFolder folder;
  const auto       files = WriteSurfaces(folder.Path(), *labels, { { 1, "vertebra" }, { 2, "canal" } });
  EXPECT_EQ(files.written.size(), 2U);
  ASSERT_EQ(files.notes.size(), 1U);
  EXPECT_NE(files.notes[0].find("Spinal canal"), std::string::npos);
}

TEST(Surface, OneSliceGivesAPlate)
{
  const auto labels = MakeLabels({ 40, 40, 1 }, { 1, 1, 4 }, { 0, 0, 0 }, sagittal, Ball(PointOf(0, 20, -20), 10, 1));
  const TempFolder folder;
  const auto       files = WriteSurfaces(folder.Path(), *labels, oneVertebra);
  ASSERT_EQ(files.notes.size(), 1U);
  EXPECT_NE(files.notes[0].find("one slice"), std::string::npos);
  const auto surface = ReadVtp(folder / "Vertebra.vtp");
  EXPECT_EQ(OpenEdges(surface), 0);
  EXPECT_NEAR(InsideOf(surface).volume / VoxelsOf(*labels, 1).volume, 1.0, 0.05);
}

TEST(Surface, FoldersAreCheckedBeforeTheWork)
{
  const TempFolder folder;
  Volume           scan;
  scan.path = "scan.nrrd";
  PrepareSurfaceFolder(folder / "new", scan);
  EXPECT_TRUE(std::filesystem::is_directory(folder / "new"));
  WriteFile(folder / "new/other.txt", "x");
  PrepareSurfaceFolder(folder / "new", scan); // what is there stays
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder / "new"), {}), 1);
  EXPECT_EQ(FailureOf([&] { PrepareSurfaceFolder(folder / "no/new", scan); }).code, 6);
  EXPECT_EQ(FailureOf([&] { PrepareSurfaceFolder(folder / "new/other.txt", scan); }).code, 6);
  scan.fileDimension = 2;
  const Thrown flat = FailureOf([&] { PrepareSurfaceFolder(folder / "flat", scan); });
  EXPECT_EQ(flat.code, 2);
  EXPECT_NE(flat.message.find("2D"), std::string::npos);
}

TEST(Surface, AFailureLeavesNothing)
{
  const auto labels =
    MakeLabels({ 9, 9, 9 }, { 1, 1, 1 }, { 0, 0, 0 }, identity, [](const Point & p) { return p[0] < 4 ? 1 : 2; });
  const TempFolder folder;
  std::filesystem::create_directory(folder / "Spinal_canal.stl"); // in the way of the last file
  const Thrown thrown = FailureOf([&] {
    WriteSurfaces(folder.Path(), *labels, { { 1, "vertebra" }, { 2, "canal" } });
  });
  EXPECT_EQ(thrown.code, 6);
  EXPECT_EQ(folder.Entries(), std::vector<std::string>{ "Spinal_canal.stl" });
}

#endif

#include "surface.h"

#include "failure.h"
#include "interrupt.h"
#include "label_table.h"
#include "output_file.h"
#include "text.h"

#include <vtkDiscreteFlyingEdges3D.h>
#include <vtkDoubleArray.h>
#include <vtkFieldData.h>
#include <vtkImageData.h>
#include <vtkMassProperties.h>
#include <vtkMatrix4x4.h>
#include <vtkNew.h>
#include <vtkPointData.h>
#include <vtkPolyData.h>
#include <vtkPolyDataNormals.h>
#include <vtkReverseSense.h>
#include <vtkSTLWriter.h>
#include <vtkSmartPointer.h>
#include <vtkStringArray.h>
#include <vtkTransform.h>
#include <vtkTransformPolyDataFilter.h>
#include <vtkUnsignedCharArray.h>
#include <vtkWarpVector.h>
#include <vtkWindowedSincPolyDataFilter.h>
#include <vtkXMLPolyDataWriter.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

namespace verdiff
{
namespace
{

namespace fs = std::filesystem;

// As 3D Slicer smooths its closed surfaces by default (factor 0.5).
constexpr int    smoothingSteps = 40;
constexpr double passBand = 0.01;

struct Box
{
  std::array<long, 3> first{};
  std::array<long, 3> last{};
  size_t              voxels = 0;

  void
  Add(const std::array<long, 3> & at)
  {
    for (size_t k = 0; k < 3; ++k)
    {
      first[k] = voxels == 0 ? at[k] : std::min(first[k], at[k]);
      last[k] = voxels == 0 ? at[k] : std::max(last[k], at[k]);
    }
    ++voxels;
  }
};

std::vector<Box>
BoxesOf(const LabelImage & labels)
{
  std::vector<Box>      boxes(65536);
  const auto            size = labels.GetLargestPossibleRegion().GetSize();
  const std::uint16_t * label = labels.GetBufferPointer();
  for (long z = 0; z < static_cast<long>(size[2]); ++z)
  {
    for (long y = 0; y < static_cast<long>(size[1]); ++y)
    {
      for (long x = 0; x < static_cast<long>(size[0]); ++x, ++label)
      {
        if (*label != 0)
        {
          boxes[*label].Add({ x, y, z });
        }
      }
    }
  }
  return boxes;
}

// The part of the image that holds the segment, with a voxel of background all round, so that what ends
// at the border of the image is closed too. Axes are those of the storage, in mm from the first voxel.
vtkSmartPointer<vtkImageData>
CutMask(const LabelImage & labels, int label, const Box & box)
{
  const auto size = labels.GetLargestPossibleRegion().GetSize();
  const auto spacing = labels.GetSpacing();
  const auto mask = vtkSmartPointer<vtkImageData>::New();
  int        dimensions[3];
  double     origin[3];
  for (int k = 0; k < 3; ++k)
  {
    const auto axis = static_cast<size_t>(k);
    dimensions[k] = static_cast<int>(box.last[axis] - box.first[axis] + 3);
    origin[k] = static_cast<double>(box.first[axis] - 1) * spacing[static_cast<unsigned int>(k)];
  }
  mask->SetDimensions(dimensions);
  mask->SetOrigin(origin);
  mask->SetSpacing(spacing[0], spacing[1], spacing[2]);
  mask->AllocateScalars(VTK_UNSIGNED_CHAR, 1);
  auto * out = static_cast<unsigned char *>(mask->GetScalarPointer());
  std::fill_n(out, mask->GetNumberOfPoints(), static_cast<unsigned char>(0));
  for (long z = box.first[2]; z <= box.last[2]; ++z)
  {
    for (long y = box.first[1]; y <= box.last[1]; ++y)
    {
      const std::uint16_t * row =
        labels.GetBufferPointer() + (z * static_cast<long>(size[1]) + y) * static_cast<long>(size[0]);
      unsigned char * const to =
        out + ((z - box.first[2] + 1) * dimensions[1] + y - box.first[1] + 1) * dimensions[0] + 1;
      std::transform(row + box.first[0], row + box.last[0] + 1, to, [label](std::uint16_t v) {
        return static_cast<unsigned char>(v == label ? 1 : 0);
      });
    }
  }
  return mask;
}

// From storage axes to LPS. Left-handed storage mirrors the surface: its triangles are turned round.
vtkSmartPointer<vtkPolyData>
ToPatient(vtkPolyData * surface, const LabelImage & labels)
{
  const auto            direction = labels.GetDirection();
  LabelImage::PointType origin;
  labels.TransformIndexToPhysicalPoint(labels.GetLargestPossibleRegion().GetIndex(), origin);
  vtkNew<vtkMatrix4x4> matrix;
  for (unsigned int i = 0; i < 3; ++i)
  {
    for (unsigned int j = 0; j < 3; ++j)
    {
      matrix->SetElement(static_cast<int>(i), static_cast<int>(j), direction[i][j]);
    }
    matrix->SetElement(static_cast<int>(i), 3, origin[i]);
  }
  vtkNew<vtkTransform> transform;
  transform->SetMatrix(matrix);
  vtkNew<vtkTransformPolyDataFilter> mover;
  mover->SetTransform(transform);
  mover->SetInputData(surface);
  vtkNew<vtkReverseSense> turner;
  turner->SetReverseCells(matrix->Determinant() < 0.0);
  turner->SetInputConnection(mover->GetOutputPort());
  turner->Update();
  return turner->GetOutput();
}

vtkSmartPointer<vtkPolyData>
WithNormals(vtkPolyData * surface)
{
  vtkNew<vtkPolyDataNormals> normals;
  normals->SplittingOff();
  normals->ConsistencyOff();
  normals->SetInputData(surface);
  normals->Update();
  return normals->GetOutput();
}

// Smoothing rounds edges off and so takes volume, much of a plate or a thin disc. Moving the surface along
// its normals by volume over area gives it back; twice, because the area changes too.
vtkSmartPointer<vtkPolyData>
WithVolume(vtkSmartPointer<vtkPolyData> surface, double volume, double furthest)
{
  for (int round = 0; round < 2; ++round)
  {
    surface = WithNormals(surface);
    vtkNew<vtkMassProperties> mass;
    mass->SetInputData(surface);
    const double          area = mass->GetSurfaceArea();
    const double          step = area > 0.0 ? (volume - mass->GetVolume()) / area : 0.0;
    vtkNew<vtkWarpVector> warp;
    warp->SetInputData(surface);
    warp->SetInputArrayToProcess(0, 0, 0, vtkDataObject::FIELD_ASSOCIATION_POINTS, "Normals");
    warp->SetScaleFactor(std::clamp(step, -furthest, furthest));
    warp->Update();
    surface = warp->GetPolyDataOutput();
  }
  return surface;
}

vtkSmartPointer<vtkPolyData>
MakeSurface(const LabelImage & labels, int label, const Box & box)
{
  vtkNew<vtkDiscreteFlyingEdges3D> edges;
  edges->SetInputData(CutMask(labels, label, box));
  edges->SetValue(0, 1.0);
  edges->ComputeNormalsOff();
  edges->ComputeGradientsOff();
  edges->ComputeScalarsOff();
  vtkNew<vtkWindowedSincPolyDataFilter> smoother;
  smoother->SetInputConnection(edges->GetOutputPort());
  smoother->SetNumberOfIterations(smoothingSteps);
  smoother->SetPassBand(passBand);
  smoother->BoundarySmoothingOff();
  smoother->FeatureEdgeSmoothingOff();
  smoother->NonManifoldSmoothingOn();
  smoother->NormalizeCoordinatesOn();
  smoother->Update();
  const auto   spacing = labels.GetSpacing();
  const double volume = static_cast<double>(box.voxels) * spacing[0] * spacing[1] * spacing[2];
  const double furthest = 0.5 * std::min({ spacing[0], spacing[1], spacing[2] });
  return WithNormals(ToPatient(WithVolume(smoother->GetOutput(), volume, furthest), labels));
}

void
AddText(vtkFieldData * data, const char * key, const std::string & value)
{
  vtkNew<vtkStringArray> array;
  array->SetName(key);
  array->InsertNextValue(value);
  data->AddArray(array);
}

void
AddSegmentData(vtkPolyData * surface, const LabelEntry & entry, int label)
{
  vtkFieldData * const data = surface->GetFieldData();
  AddText(data, "SPACE", "LPS"); // where Slicer looks for the axes of a .vtp
  AddText(data, "Segment_ID", Format("Segment_%d", label));
  AddText(data, "Segment_Name", entry.name);
  AddText(data, "Segment_NameAutoGenerated", "0");
  AddText(data, "Segment_ColorAutoGenerated", "0");
  AddText(data, "Segment_Tags", TerminologyTag(entry) + "|");
  vtkNew<vtkDoubleArray> color;
  color->SetName("Segment_Color");
  color->SetNumberOfComponents(3);
  color->InsertNextTuple(entry.color.data());
  data->AddArray(color);
}

// Letters that no file system and no shell minds.
std::string
SafeName(const std::string & name, int label, std::set<std::string> & taken)
{
  std::string safe;
  for (const char c : name)
  {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-';
    if (plain || (!safe.empty() && safe.back() != '_'))
    {
      safe += plain ? c : '_';
    }
  }
  while (!safe.empty() && safe.back() == '_')
  {
    safe.pop_back();
  }
  safe.resize(std::min<size_t>(safe.size(), 64));
  if (safe.empty() || safe[0] == '-' || !taken.insert(LowerCase(safe)).second)
  {
    safe = Format("segment_%d%s%s", label, safe.empty() ? "" : "_", safe.c_str());
    taken.insert(LowerCase(safe));
  }
  return safe;
}

void
WriteVtp(const std::string & path, vtkPolyData * surface)
{
  OutputFile                   file(path);
  vtkNew<vtkXMLPolyDataWriter> writer;
  writer->SetInputData(surface);
  writer->SetCompressorTypeToZLib();
  writer->SetDataModeToAppended();
  writer->EncodeAppendedDataOn(); // without it the file is not XML
  writer->WriteToOutputStringOn();
  if (writer->Write() != 1)
  {
    throw Failure(ExitCode::Output, path + ": cannot be written");
  }
  file.Write(writer->GetOutputString());
  file.Commit();
}

// 80 bytes before the triangles: the axes as Slicer reads them, the name, and the colour as Materialise's
// programs and MeshLab read it.
vtkSmartPointer<vtkUnsignedCharArray>
StlHeader(const LabelEntry & entry)
{
  std::string text = "SPACE=LPS NAME=" + entry.name;
  text.resize(std::min<size_t>(text.size(), 60));
  text += " COLOR=";
  for (const double component : entry.color)
  {
    text += static_cast<char>(std::lround(255.0 * component));
  }
  text += static_cast<char>(255);
  text.resize(80, ' ');
  const auto header = vtkSmartPointer<vtkUnsignedCharArray>::New();
  for (const char c : text)
  {
    header->InsertNextValue(static_cast<unsigned char>(c));
  }
  return header;
}

void
WriteStl(const std::string & path, vtkPolyData * surface, const LabelEntry & entry)
{
  OutputFile           file(path);
  vtkNew<vtkSTLWriter> writer;
  writer->SetInputData(surface);
  writer->SetFileTypeToBinary();
  writer->SetBinaryHeader(StlHeader(entry));
  writer->SetFileName(file.TemporaryPath().c_str());
  std::error_code error;
  const auto      expected = 84U + 50U * static_cast<std::uintmax_t>(surface->GetNumberOfPolys());
  if (writer->Write() != 1 || fs::file_size(file.TemporaryPath(), error) != expected)
  {
    throw Failure(ExitCode::Output, path + ": cannot be written (a full disk?)");
  }
  file.Commit();
}

struct Surface
{
  LabelEntry                   entry;
  std::string                  name; // of the file
  vtkSmartPointer<vtkPolyData> mesh;
};

void
WriteAll(const std::string & folder, const std::vector<Surface> & surfaces, std::vector<std::string> & written)
{
  for (const Surface & surface : surfaces)
  {
    ThrowIfInterrupted();
    const std::string stem = (fs::path(folder) / surface.name).string();
    WriteVtp(stem + ".vtp", surface.mesh);
    written.push_back(stem + ".vtp");
    WriteStl(stem + ".stl", surface.mesh, surface.entry);
    written.push_back(stem + ".stl");
  }
}

} // namespace

bool
SurfacesAvailable()
{
  return true;
}

void
PrepareSurfaceFolder(const std::string & folder, const Volume & scan)
{
  if (scan.fileDimension == 2)
  {
    throw Failure(ExitCode::Usage,
                  folder + ": no surfaces can be made: " + scan.path + " is one 2D image, a volume is needed");
  }
  std::error_code error;
  if (!fs::is_directory(folder, error) && !fs::create_directory(folder, error))
  {
    throw Failure(ExitCode::Output,
                  folder + ": cannot be made: " + (error ? error.message() : std::string("it is not a folder")));
  }
  OutputFile((fs::path(folder) / "surface.vtp").string()); // throws where nothing can be written
}

SurfaceFiles
WriteSurfaces(const std::string & folder, const LabelImage & labels, const std::vector<Segment> & segments)
{
  SurfaceFiles           files;
  std::vector<Surface>   surfaces;
  std::set<std::string>  taken;
  const std::vector<Box> boxes = BoxesOf(labels);
  for (const Segment & segment : segments)
  {
    ThrowIfInterrupted();
    const LabelEntry entry = LabelEntryFor(segment.name, segment.label);
    const Box &      box = boxes.at(static_cast<std::uint16_t>(segment.label));
    if (box.voxels == 0)
    {
      files.notes.push_back(Format("no surface of %s: no voxel has its label %d", entry.name.c_str(), segment.label));
      continue;
    }
    Surface surface{ entry, SafeName(entry.name, segment.label, taken), MakeSurface(labels, segment.label, box) };
    AddSegmentData(surface.mesh, entry, segment.label);
    surfaces.push_back(surface);
  }
  const auto size = labels.GetLargestPossibleRegion().GetSize();
  if (std::min({ size[0], size[1], size[2] }) == 1)
  {
    files.notes.push_back("the volume is one slice: its surfaces are plates as thick as the slice");
  }
  try
  {
    WriteAll(folder, surfaces, files.written);
  }
  catch (...)
  {
    std::error_code ignored;
    for (const std::string & path : files.written)
    {
      fs::remove(path, ignored);
    }
    throw;
  }
  return files;
}

} // namespace verdiff

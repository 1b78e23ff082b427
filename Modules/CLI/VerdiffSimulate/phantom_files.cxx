#include "phantom_files.h"

#include "failure.h"
#include "nifti.h"
#include "output_file.h"
#include "png_file.h"

#include <itkImageFileWriter.h>
#include <itkJPEGImageIO.h>
#include <itkMetaImageIO.h>

#include <cstring>
#include <filesystem>

namespace verdiff
{
namespace
{

// Offsets in a NIfTI-1 header.
constexpr size_t datatypeAt = 70;
constexpr size_t bitsAt = 72;
constexpr size_t firstFormAt = 252;
constexpr size_t secondFormAt = 254;

void
MakeFolderOf(const std::string & path)
{
  std::error_code error;
  const auto      folder = std::filesystem::path(path).parent_path();
  std::filesystem::create_directories(folder, error);
  if (error)
  {
    throw Failure(ExitCode::Output, folder.string() + ": cannot be made: " + error.message());
  }
}

void
Put(std::vector<unsigned char> & header, size_t at, std::int16_t value)
{
  std::memcpy(header.data() + at, &value, sizeof value);
}

void
WriteNiftiFile(const std::string &        path,
               std::vector<unsigned char> header,
               std::vector<unsigned char> voxels,
               int                        bytesPerVoxel)
{
  MakeFolderOf(path);
  OutputFile file(path);
  WriteNifti(file.TemporaryPath(), header, std::move(voxels), bytesPerVoxel, true);
  file.Commit();
}

// Through ITK, under the temporary name.
template <typename TImage>
void
WriteItk(const std::string & path, const TImage & image, itk::ImageIOBase & io, bool compressed)
{
  MakeFolderOf(path);
  OutputFile file(path);
  const auto writer = itk::ImageFileWriter<TImage>::New();
  writer->SetInput(&image);
  writer->SetImageIO(&io);
  writer->SetUseCompression(compressed);
  writer->SetFileName(file.TemporaryPath());
  try
  {
    writer->Update();
  }
  catch (const itk::ExceptionObject & exception)
  {
    throw Failure(ExitCode::Output, path + ": cannot be written: " + exception.GetDescription());
  }
  file.Commit();
}

} // namespace

void
WriteText(const std::string & path, const std::string & text)
{
  MakeFolderOf(path);
  OutputFile file(path);
  file.Write(text);
  file.Commit();
}

void
WriteScan(const std::string & path, const Phantom & phantom)
{
  constexpr std::int16_t     codeInt16 = 4;
  std::vector<unsigned char> header = NiftiHeaderFor(*GridOf(phantom), 3, false, 2);
  Put(header, datatypeAt, codeInt16);
  Put(header, bitsAt, 16);
  std::vector<unsigned char> voxels(2 * phantom.pixels.size());
  for (size_t i = 0; i < phantom.pixels.size(); ++i)
  {
    const auto value = static_cast<std::int16_t>(phantom.pixels[i]);
    std::memcpy(voxels.data() + 2 * i, &value, 2);
  }
  WriteNiftiFile(path, std::move(header), std::move(voxels), 2);
}

void
WriteLabelVolume(const std::string & path, const Phantom & phantom, const std::vector<uint8_t> & labels)
{
  WriteNiftiFile(path, NiftiHeaderFor(*GridOf(phantom), 3, true, 1), labels, 1);
}

void
WriteVerseMask(const std::string & path, const Phantom & phantom, const std::vector<uint8_t> & labels)
{
  constexpr std::int16_t     codeFloat64 = 64;
  std::vector<unsigned char> header = NiftiHeaderFor(*GridOf(phantom), 3, true, 2);
  Put(header, datatypeAt, codeFloat64);
  Put(header, bitsAt, 64);
  Put(header, firstFormAt, 0);
  Put(header, secondFormAt, 2);
  std::vector<unsigned char> voxels(8 * labels.size());
  for (size_t i = 0; i < labels.size(); ++i)
  {
    const auto value = static_cast<double>(labels[i]);
    std::memcpy(voxels.data() + 8 * i, &value, 8);
  }
  WriteNiftiFile(path, std::move(header), std::move(voxels), 8);
}

void
WriteMha(const std::string & path, const Phantom & phantom, const std::vector<float> & values)
{
  using Image = itk::Image<std::int16_t, 3>;
  const auto image = Image::New();
  const auto grid = GridOf(phantom);
  image->CopyInformation(grid);
  image->SetRegions(grid->GetLargestPossibleRegion());
  image->Allocate();
  for (size_t i = 0; i < values.size(); ++i)
  {
    image->GetBufferPointer()[i] = static_cast<std::int16_t>(values[i]);
  }
  WriteItk(path, *image, *itk::MetaImageIO::New(), true);
}

void
WritePicture(const std::string & path, int width, int height, const std::vector<uint8_t> & pixels, double spacing)
{
  MakeFolderOf(path);
  OutputFile file(path);
  WritePng(file, width, height, 1, pixels, spacing);
}

void
WriteJpeg(const std::string & path, int width, int height, const std::vector<uint8_t> & pixels)
{
  using Image = itk::Image<unsigned char, 2>;
  const auto image = Image::New();
  image->SetRegions(Image::SizeType{ { itk::SizeValueType(width), itk::SizeValueType(height) } });
  image->Allocate();
  std::copy(pixels.begin(), pixels.end(), image->GetBufferPointer());
  const auto io = itk::JPEGImageIO::New();
  io->SetQuality(95);
  WriteItk(path, *image, *io, false);
}

VolumeImage::Pointer
GridOf(const Phantom & phantom)
{
  const auto                 grid = VolumeImage::New();
  VolumeImage::SizeType      size;
  VolumeImage::SpacingType   spacing;
  VolumeImage::PointType     origin;
  VolumeImage::DirectionType direction;
  for (unsigned int a = 0; a < 3; ++a)
  {
    size[a] = static_cast<itk::SizeValueType>(phantom.size[a]);
    spacing[a] = phantom.spacing[a];
    origin[a] = phantom.origin[a];
    for (unsigned int row = 0; row < 3; ++row)
    {
      direction[row][a] = phantom.direction[3 * row + a];
    }
  }
  grid->SetRegions(size);
  grid->SetSpacing(spacing);
  grid->SetOrigin(origin);
  grid->SetDirection(direction);
  return grid;
}

} // namespace verdiff

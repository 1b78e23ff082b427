#include "png_file.h"

#include "failure.h"

#include <itkPNGImageIO.h>

#include <stdexcept>

namespace verdiff
{

void
WritePng(OutputFile & file, int width, int height, int channels, const std::vector<uint8_t> & pixels, double spacing_mm)
{
  const size_t samples = static_cast<size_t>(width) * static_cast<size_t>(height) * static_cast<size_t>(channels);
  if (width < 1 || height < 1 || (channels != 1 && channels != 3) || pixels.size() != samples)
  {
    throw std::invalid_argument("a PNG has at least one pixel, 1 or 3 channels, and all its samples");
  }
  const auto io = itk::PNGImageIO::New();
  io->SetFileName(file.TemporaryPath());
  io->SetNumberOfDimensions(2);
  io->SetDimensions(0, static_cast<itk::SizeValueType>(width));
  io->SetDimensions(1, static_cast<itk::SizeValueType>(height));
  io->SetSpacing(0, spacing_mm > 0.0 ? spacing_mm : 1.0);
  io->SetSpacing(1, spacing_mm > 0.0 ? spacing_mm : 1.0);
  io->SetComponentType(itk::IOComponentEnum::UCHAR);
  io->SetPixelType(channels == 1 ? itk::IOPixelEnum::SCALAR : itk::IOPixelEnum::RGB);
  io->SetNumberOfComponents(static_cast<unsigned int>(channels));
  io->UseCompressionOn();
  // Not every short write is reported, so what counts is what can be read back.
  std::vector<uint8_t> found(pixels.size());
  try
  {
    io->Write(pixels.data());
    const auto reader = itk::PNGImageIO::New();
    reader->SetFileName(file.TemporaryPath());
    reader->ReadImageInformation();
    if (reader->GetImageSizeInBytes() == static_cast<itk::ImageIOBase::SizeType>(samples))
    {
      reader->Read(found.data());
    }
  }
  catch (const itk::ExceptionObject & exception)
  {
    throw Failure(ExitCode::Output, file.Path() + ": cannot be written (a full disk?): " + exception.GetDescription());
  }
  if (found != pixels)
  {
    throw Failure(ExitCode::Output, file.Path() + ": cannot be written (a full disk?): what was read back differs");
  }
  file.Commit();
}

} // namespace verdiff

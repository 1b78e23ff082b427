// The filter against the program, on phantoms: the same bits. And the example that the documentation shows.
#include "itkVerdiffSegmentationImageFilter.h"

#include "phantom.h"
#include "support.h"

#include <itkImageFileReader.h>
#include <itkImageFileWriter.h>
#include <itkMetaImageIO.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace
{

using namespace verdiff_test;

template <typename TImage>
typename TImage::Pointer
ImageOf(const verdiff::Phantom & phantom)
{
  constexpr unsigned int         dimension = TImage::ImageDimension;
  typename TImage::SizeType      size;
  typename TImage::SpacingType   spacing;
  typename TImage::PointType     origin;
  typename TImage::DirectionType direction;
  for (unsigned int i = 0; i < dimension; ++i)
  {
    size[i] = static_cast<itk::SizeValueType>(phantom.size[i]);
    spacing[i] = phantom.spacing[i];
    origin[i] = phantom.origin[i];
    for (unsigned int j = 0; j < dimension; ++j)
    {
      direction[i][j] = dimension == 3 ? phantom.direction[3 * i + j] : double(i == j);
    }
  }
  const auto image = TImage::New();
  image->SetRegions(size);
  image->SetSpacing(spacing);
  image->SetOrigin(origin);
  image->SetDirection(direction);
  image->Allocate();
  std::transform(phantom.pixels.begin(), phantom.pixels.end(), image->GetBufferPointer(), [](float value) {
    return static_cast<typename TImage::PixelType>(value);
  });
  return image;
}

template <typename TImage>
void
Write(const TImage * image, const std::string & path)
{
  const auto writer = itk::ImageFileWriter<TImage>::New();
  writer->SetImageIO(itk::MetaImageIO::New());
  writer->SetFileName(path);
  writer->SetInput(image);
  writer->Update();
}

template <typename TImage>
typename TImage::Pointer
Read(const std::string & path)
{
  const auto reader = itk::ImageFileReader<TImage>::New();
  reader->SetImageIO(itk::MetaImageIO::New());
  reader->SetFileName(path);
  reader->Update();
  return reader->GetOutput();
}

template <typename TImage>
std::vector<typename TImage::PixelType>
Pixels(const TImage * image)
{
  const auto * pixels = image->GetBufferPointer();
  return { pixels, pixels + image->GetBufferedRegion().GetNumberOfPixels() };
}

class AgainstProgram : public testing::Test
{
protected:
  void
  SetUp() override
  {
    if (TestModel().empty())
    {
      GTEST_SKIP() << "no bundled model";
    }
  }

  // Three outputs of both, bit by bit.
  template <typename TImage>
  void
  Compare(const TImage * image, const std::string & modality, itk::VerdiffSegmentationImageFilterEnums::Modality same)
  {
    constexpr unsigned int dimension = TImage::ImageDimension;
    using RealType = itk::Image<float, dimension>;
    using LabelType = itk::Image<unsigned short, dimension>;
    Write(image, folder / "scan.mha");
    std::vector<std::string> arguments = { folder / "scan.mha", folder / "labels.mha", "--model", TestModel() };
    arguments.insert(arguments.end(), { "--modality", modality, "--threads", "1", "--device", "cpu", "--seed", "7" });
    arguments.insert(arguments.end(), { "--steps", "3", "--samples", "2", "--start", "400" });
    arguments.insert(arguments.end(), { "--probabilityVolume", folder / "p.mha" });
    arguments.insert(arguments.end(), { "--uncertaintyVolume", folder / "u.mha" });
    const Outcome outcome = RunTool("VerdiffSegment", arguments);
    ASSERT_EQ(outcome.code, 0) << outcome.err;

    const auto filter = itk::VerdiffSegmentationImageFilter<TImage>::New();
    filter->SetInput(image);
    filter->SetModelFileName(TestModel());
    filter->SetModality(same);
    filter->SetDevice("cpu");
    filter->SetNumberOfThreads(1);
    filter->SetSeed(7);
    filter->SetSteps(3);
    filter->SetSamples(2);
    filter->SetStart(400);
    filter->ProbabilityOutputOn();
    filter->UncertaintyOutputOn();
    filter->Update();
    const auto labels = Pixels(filter->GetOutput());
    EXPECT_GT(labels.size() - size_t(std::count(labels.begin(), labels.end(), 0)), 50u) << "nothing was found";
    EXPECT_EQ(labels, Pixels(Read<LabelType>(folder / "labels.mha").GetPointer()));
    EXPECT_EQ(Pixels(filter->GetProbabilityImage()), Pixels(Read<RealType>(folder / "p.mha").GetPointer()));
    EXPECT_EQ(Pixels(filter->GetUncertaintyImage()), Pixels(Read<RealType>(folder / "u.mha").GetPointer()));
  }

  TempFolder folder;
};

verdiff::PhantomRequest
Request(verdiff::PhantomModality modality, float coarse)
{
  verdiff::PhantomRequest request;
  request.modality = modality;
  request.seed = 11;
  request.coarse = coarse;
  return request;
}

const auto keepOn = [](double) {
  return true;
};

} // namespace

TEST_F(AgainstProgram, MagneticResonance)
{
  const auto phantom = MakePhantomVolume(Request(verdiff::PhantomModality::Mr, 4.0F), keepOn);
  Compare(
    ImageOf<itk::Image<float, 3>>(phantom).GetPointer(), "mr", itk::VerdiffSegmentationImageFilterEnums::Modality::MR);
}

TEST_F(AgainstProgram, ComputedTomography)
{
  const auto phantom = MakePhantomVolume(Request(verdiff::PhantomModality::Ct, 9.0F), keepOn);
  Compare(
    ImageOf<itk::Image<short, 3>>(phantom).GetPointer(), "ct", itk::VerdiffSegmentationImageFilterEnums::Modality::CT);
}

TEST_F(AgainstProgram, Radiograph)
{
  const auto phantoms = MakePhantomRadiographs(Request(verdiff::PhantomModality::Xray, 2.0F), keepOn);
  Compare(ImageOf<itk::Image<unsigned char, 2>>(phantoms[1]).GetPointer(),
          "xray",
          itk::VerdiffSegmentationImageFilterEnums::Modality::XRay);
}

TEST_F(AgainstProgram, TheExampleOfTheDocumentation)
{
  const std::string example = ReadFile(VERDIFF_SOURCE_DIR "/Modules/ITK/examples/segment.cxx");
  const std::string text = ReadFile(VERDIFF_SOURCE_DIR "/Resources/Docs/itk.md");
  ASSERT_FALSE(example.empty());
  EXPECT_NE(text.find("```cpp\n" + example + "```\n"), std::string::npos)
    << "Resources/Docs/itk.md does not show Modules/ITK/examples/segment.cxx as it is";

  const auto phantom = MakePhantomVolume(Request(verdiff::PhantomModality::Mr, 8.0F), keepOn);
  const auto image = ImageOf<itk::Image<float, 3>>(phantom);
  Write(image.GetPointer(), folder / "scan.mha");
  const std::string command =
    "'" VERDIFF_ITK_EXAMPLE "' '" + TestModel() + "' '" + (folder / "scan.mha") + "' '" + (folder / "labels.mha") + "'";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const auto filter = itk::VerdiffSegmentationImageFilter<itk::Image<float, 3>>::New();
  filter->SetInput(image);
  filter->SetModelFileName(TestModel());
  filter->Update();
  EXPECT_EQ(Pixels(filter->GetOutput()),
            Pixels(Read<itk::Image<unsigned short, 3>>(folder / "labels.mha").GetPointer()));
  EXPECT_NE(std::system((command.substr(0, command.find(' ')) + " 2> /dev/null").c_str()), 0);
}

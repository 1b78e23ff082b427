// A small spine in memory, the filter on it, and what it answers: shared by the tests of the filter.
#ifndef itkVerdiffSegmentationTestScan_h
#define itkVerdiffSegmentationTestScan_h

#include "itkVerdiffSegmentationImageFilter.h"

#include "itkImageRegionConstIterator.h"
#include "itkImageRegionIteratorWithIndex.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

namespace
{

using ScanType = itk::Image<float, 3>;
using LabelType = itk::Image<unsigned short, 3>;
using FilterType = itk::VerdiffSegmentationImageFilter<ScanType>;

std::string
Model()
{
  const char * given = std::getenv("VERDIFF_TEST_MODEL");
  return given ? given : VERDIFF_TEST_MODEL_FILE;
}

// Four vertebral bodies with bright fluid behind them, in mm: x to the left, y to the back, z up.
double
Spine(double x, double y, double z)
{
  const bool body = std::abs(x) < 18.0 && std::abs(y) < 15.0 && std::fmod(z + 300.0, 33.0) < 25.0;
  const bool fluid = std::abs(x) < 9.0 && y > 18.0 && y < 30.0;
  const bool inside = std::abs(y) < 45.0;
  return std::floor((body ? 90.0 : (fluid ? 220.0 : (inside ? 35.0 : 4.0))) + 6.0 * std::sin(0.9 * x + 0.7 * y + z));
}

// Eight sagittal slices of 40 x 56 pixels; @p axes[i] is the LPS axis that index axis i runs along, @p signs its
// direction.
template <typename TPixel = float>
typename itk::Image<TPixel, 3>::Pointer
Scan(std::array<int, 3> axes = { { 1, 2, 0 } }, std::array<int, 3> signs = { { 1, -1, 1 } }, long start = 0)
{
  using ImageType = itk::Image<TPixel, 3>;
  constexpr unsigned int          sizes[3] = { 8, 40, 56 };
  constexpr double                spacings[3] = { 4.0, 2.2, 2.0 };
  auto                            direction = typename ImageType::DirectionType();
  typename ImageType::RegionType  region;
  typename ImageType::SpacingType spacing;
  typename ImageType::PointType   origin;
  direction.Fill(0.0);
  for (unsigned int i = 0; i < 3; ++i)
  {
    const int axis = axes[i];
    direction[axis][i] = signs[i];
    region.SetSize(i, sizes[axis]);
    region.SetIndex(i, start * (i + 1));
    spacing[i] = spacings[axis];
    // The middle of the image is the middle of the spine however it is stored.
    origin[axis] = -signs[i] * spacing[i] * (0.5 * (sizes[axis] - 1) + start * (i + 1.0));
  }
  auto image = ImageType::New();
  image->SetRegions(region);
  image->SetSpacing(spacing);
  image->SetOrigin(origin);
  image->SetDirection(direction);
  image->Allocate();
  for (itk::ImageRegionIteratorWithIndex<ImageType> it(image, region); !it.IsAtEnd(); ++it)
  {
    typename ImageType::PointType point;
    image->TransformIndexToPhysicalPoint(it.GetIndex(), point);
    it.Set(static_cast<TPixel>(std::max(0.0, Spine(point[0], point[1], point[2]))));
  }
  return image;
}

template <typename TFilter = FilterType>
typename TFilter::Pointer
Filter(const typename TFilter::InputImageType * image)
{
  const auto filter = TFilter::New();
  filter->SetInput(image);
  filter->SetModelFileName(Model());
  filter->SetDevice("cpu");
  filter->SetNumberOfThreads(1); // small slices, and a test machine that does other things
  filter->SetSteps(2);
  filter->SetSamples(2);
  return filter;
}

template <typename TImage>
std::vector<double>
Values(const TImage * image, const typename TImage::RegionType & region)
{
  std::vector<double> values;
  for (itk::ImageRegionConstIterator<TImage> it(image, region); !it.IsAtEnd(); ++it)
  {
    values.push_back(static_cast<double>(it.Get()));
  }
  return values;
}

template <typename TImage>
std::vector<double>
Values(const TImage * image)
{
  return Values(image, image->GetLargestPossibleRegion());
}

long
CountLabelled(const std::vector<double> & values)
{
  return static_cast<long>(values.size()) - std::count(values.begin(), values.end(), 0.0);
}

// What an update refuses with; empty when it does not.
template <typename TFilter>
std::string
Refusal(TFilter * filter)
{
  try
  {
    filter->Update();
  }
  catch (const itk::ExceptionObject & error)
  {
    return error.GetDescription();
  }
  return "";
}

template <typename TFilter>
void
ExpectRefused(TFilter * filter, const std::string & words)
{
  const std::string said = Refusal(filter);
  EXPECT_NE(said.find(words), std::string::npos) << "said: " << said << "\nwanted: " << words;
}

} // namespace

#endif

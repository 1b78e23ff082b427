// The filter as a part of a pipeline: geometry, regions, streaming, progress, refusals, threads. The model is the
// bundled one; VERDIFF_TEST_MODEL names another.
#include "itkVerdiffSegmentationTestScan.h"

#include "itkCastImageFilter.h"
#include "itkStreamingImageFilter.h"

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <unistd.h>

namespace
{

class Counter
{
public:
  Counter(itk::Object * object, const itk::EventObject & event)
  {
    object->AddObserver(event, [this](const itk::EventObject &) { ++count; });
  }
  int count = 0;
};

} // namespace

TEST(VerdiffSegmentationImageFilter, ParametersAndPrinting)
{
  const auto filter = FilterType::New();
  EXPECT_STREQ(filter->GetNameOfClass(), "VerdiffSegmentationImageFilter");
  EXPECT_EQ(filter->GetSteps(), 0u);
  EXPECT_EQ(filter->GetSamples(), 0u);
  EXPECT_EQ(filter->GetStart(), 0u);
  EXPECT_EQ(filter->GetSeed(), 35u);
  EXPECT_STREQ(filter->GetDevice(), "auto");
  EXPECT_EQ(filter->GetQuality(), FilterType::QualityEnum::Standard);
  EXPECT_EQ(filter->GetPrecision(), FilterType::PrecisionEnum::Automatic);
  EXPECT_TRUE(filter->GetOrientationKnown());
  EXPECT_TRUE(filter->GetSpacingKnown());
  EXPECT_EQ(filter->GetAssumedPixelSpacing(), 0.0);
  EXPECT_TRUE(filter->GetNotesAsWarnings());
  EXPECT_FALSE(filter->GetProbabilityOutput());
  EXPECT_FALSE(filter->GetUncertaintyOutput());
  filter->SetModelFileName("m.safetensors");
  filter->SetSteps(11);
  filter->SetSamples(12);
  filter->SetStart(13);
  filter->SetSeed(uint64_t(1) << 40);
  filter->SetNumberOfThreads(15);
  filter->SetMaximumMemory(16);
  filter->SetModality(FilterType::ModalityEnum::CT);
  filter->SetQuality(FilterType::QualityEnum::Best);
  filter->SetPrecision(FilterType::PrecisionEnum::BFloat16);
  filter->OrientationKnownOff();
  filter->SpacingKnownOff();
  filter->SetAssumedPixelSpacing(0.75);
  filter->NotesAsWarningsOff();
  filter->ProbabilityOutputOn();
  const auto time = filter->GetMTime();
  filter->SetModelFileName("m.safetensors");
  filter->SetNumberOfThreads(15);
  filter->SetModality(FilterType::ModalityEnum::CT);
  filter->ProbabilityOutputOn();
  EXPECT_EQ(filter->GetMTime(), time) << "setting what is set is no change";
  std::ostringstream text;
  filter->Print(text);
  for (const char * line : { "ModelFileName: m.safetensors",
                             "Device: auto",
                             "Steps: 11",
                             "Samples: 12",
                             "Start: 13",
                             "Seed: 1099511627776",
                             "NumberOfThreads: 15",
                             "MaximumMemory: 16",
                             "Modality: itk::VerdiffSegmentationImageFilterEnums::Modality::CT",
                             "Quality: itk::VerdiffSegmentationImageFilterEnums::Quality::Best",
                             "Precision: itk::VerdiffSegmentationImageFilterEnums::Precision::BFloat16",
                             "OrientationKnown: Off",
                             "SpacingKnown: Off",
                             "AssumedPixelSpacing: 0.75",
                             "NotesAsWarnings: Off",
                             "ProbabilityOutput: On",
                             "UncertaintyOutput: Off" })
  {
    EXPECT_NE(text.str().find(line), std::string::npos) << line;
  }
}

TEST(VerdiffSegmentationImageFilter, RefusesWhatCannotWork)
{
  const auto scan = Scan();
  const auto filter = Filter(scan);
  filter->SetModelFileName("");
  ExpectRefused(filter.GetPointer(), "ModelFileName is not set");
  filter->SetModelFileName("/none/m.safetensors");
  ExpectRefused(filter.GetPointer(), "cannot be read or is empty: /none/m.safetensors");
  filter->SetModelFileName(std::filesystem::temp_directory_path().string());
  ExpectRefused(filter.GetPointer(), "cannot be read or is empty");
  filter->SetModelFileName(Model());
  filter->SetSteps(1001);
  ExpectRefused(filter.GetPointer(), "Steps is 1001, must be 0 to 1000");
  filter->SetSteps(2);
  filter->SetSamples(257);
  ExpectRefused(filter.GetPointer(), "Samples is 257, must be 0 to 256");
  filter->SetSamples(2);
  filter->SetStart(1001);
  ExpectRefused(filter.GetPointer(), "Start is 1001, must be 0 to 1000");
  filter->SetStart(0);
  filter->SetNumberOfThreads(1025);
  ExpectRefused(filter.GetPointer(), "NumberOfThreads is 1025");
  filter->SetNumberOfThreads(1);
  filter->SetAssumedPixelSpacing(std::numeric_limits<double>::quiet_NaN());
  ExpectRefused(filter.GetPointer(), "AssumedPixelSpacing is nan mm, must be 0 to 100");
  filter->SetAssumedPixelSpacing(0.0);
  EXPECT_EQ(Refusal(filter.GetPointer()), "");
  filter->SetInput(nullptr);
  ExpectRefused(filter.GetPointer(), "Input Primary is required");
}

TEST(VerdiffSegmentationImageFilter, SaysWhatTheLibrarySays)
{
  const auto scan = Scan();
  const auto filter = Filter(scan);
  filter->SetDevice("abacus");
  ExpectRefused(filter.GetPointer(), "abacus");
  filter->SetDevice("cpu");
  filter->SetMaximumMemory(1);
  ExpectRefused(filter.GetPointer(), "bytes");
  filter->SetMaximumMemory(0);
  filter->SetModelFileName(__FILE__);
  ExpectRefused(filter.GetPointer(), __FILE__);
  filter->SetModelFileName(Model());
  scan->SetPixel({ { 3, 4, 5 } }, std::numeric_limits<float>::quiet_NaN());
  scan->Modified();
  ExpectRefused(filter.GetPointer(), "slice 5");
  EXPECT_EQ(filter->GetOutput()->GetBufferedRegion().GetNumberOfPixels(), 0u) << "no half result";
  scan->SetPixel({ { 3, 4, 5 } }, 1.0f);
  scan->Modified();
  EXPECT_EQ(Refusal(filter.GetPointer()), "");
}

// A copy of the model whose label is 300, and a model that changes on disk.
TEST(VerdiffSegmentationImageFilter, LabelsThatTheOutputCannotHold)
{
  std::ifstream file(Model(), std::ios::binary);
  std::string   bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t  at = bytes.find("vertebra\\\",\\\"label\\\":1}");
  if (at == std::string::npos)
  {
    GTEST_SKIP() << "not the bundled model";
  }
  const auto path = std::filesystem::temp_directory_path() / ("verdiff-itk-" + std::to_string(getpid()) + ".model");
  std::ofstream(path, std::ios::binary) << bytes;
  using SmallFilterType = itk::VerdiffSegmentationImageFilter<ScanType, itk::Image<unsigned char, 3>>;
  const auto scan = Scan();
  const auto filter = Filter<SmallFilterType>(scan);
  filter->SetModelFileName(path.string());
  EXPECT_EQ(Refusal(filter.GetPointer()), "");
  bytes.replace(at, 23, "verteb\\\",\\\"label\\\":300}");
  std::ofstream(path, std::ios::binary) << bytes;
  std::filesystem::last_write_time(path, std::filesystem::last_write_time(path) + std::chrono::seconds(2));
  filter->Modified();
  ExpectRefused(filter.GetPointer(),
                "label 300 (verteb) does not fit the output's pixel type, whose largest value is 255");
  const auto wide = Filter(scan);
  wide->SetModelFileName(path.string());
  EXPECT_EQ(Refusal(wide.GetPointer()), "");
  const auto values = Values(wide->GetOutput());
  EXPECT_EQ(*std::max_element(values.begin(), values.end()), 300.0);
  std::filesystem::remove(path);
}

TEST(VerdiffSegmentationImageFilter, GeometryOfTheInputAndAnyStartIndex)
{
  const auto plain = Filter(Scan());
  plain->Update();
  const auto values = Values(plain->GetOutput());
  EXPECT_GT(CountLabelled(values), 100) << "nothing was found: the tests below would compare nothing";

  const auto scan = Scan({ { 1, 2, 0 } }, { { 1, -1, 1 } }, -3);
  const auto filter = Filter(scan);
  filter->Update();
  const LabelType * labels = filter->GetOutput();
  EXPECT_EQ(labels->GetLargestPossibleRegion(), scan->GetLargestPossibleRegion());
  EXPECT_EQ(labels->GetBufferedRegion(), scan->GetLargestPossibleRegion());
  EXPECT_EQ(labels->GetSpacing(), scan->GetSpacing());
  EXPECT_EQ(labels->GetOrigin(), scan->GetOrigin());
  EXPECT_EQ(labels->GetDirection(), scan->GetDirection());
  EXPECT_EQ(Values(labels), values);
}

TEST(VerdiffSegmentationImageFilter, ObliqueGeometryIsKept)
{
  const auto scan = Scan();
  auto       direction = scan->GetDirection();
  auto       turn = direction;
  turn.SetIdentity();
  turn[0][0] = turn[1][1] = std::cos(0.2);
  turn[0][1] = -std::sin(0.2);
  turn[1][0] = std::sin(0.2);
  scan->SetDirection(turn * direction);
  const auto filter = Filter(scan);
  filter->ProbabilityOutputOn();
  filter->Update();
  EXPECT_EQ(filter->GetOutput()->GetDirection(), scan->GetDirection());
  EXPECT_EQ(filter->GetProbabilityImage()->GetDirection(), scan->GetDirection());
  EXPECT_EQ(filter->GetProbabilityImage()->GetOrigin(), scan->GetOrigin());
}

TEST(VerdiffSegmentationImageFilter, AnyStorageOrder)
{
  const auto sagittal = Filter(Scan());
  sagittal->Update();
  // Axial and coronal, some axes reversed.
  for (const auto & axes : { std::array<int, 3>{ { 0, 1, 2 } }, std::array<int, 3>{ { 0, 2, 1 } } })
  {
    for (const int sign : { 1, -1 })
    {
      const auto filter = Filter(Scan(axes, { { sign, -sign, 1 } }));
      filter->Update();
      const LabelType * labels = filter->GetOutput();
      long              different = 0;
      for (itk::ImageRegionConstIteratorWithIndex<LabelType> it(labels, labels->GetBufferedRegion()); !it.IsAtEnd();
           ++it)
      {
        LabelType::PointType point;
        labels->TransformIndexToPhysicalPoint(it.GetIndex(), point);
        LabelType::IndexType index;
        ASSERT_TRUE(sagittal->GetOutput()->TransformPhysicalPointToIndex(point, index));
        different += it.Get() != sagittal->GetOutput()->GetPixel(index);
      }
      EXPECT_EQ(different, 0);
    }
  }
}

template <typename TPixel>
static std::vector<double>
LabelsFromPixels()
{
  using PixelFilterType = itk::VerdiffSegmentationImageFilter<itk::Image<TPixel, 3>, itk::Image<unsigned char, 3>>;
  const auto filter = Filter<PixelFilterType>(Scan<TPixel>());
  filter->Update();
  return Values(filter->GetOutput());
}

TEST(VerdiffSegmentationImageFilter, AnyPixelType)
{
  const auto expected = LabelsFromPixels<float>();
  EXPECT_GT(CountLabelled(expected), 100);
  EXPECT_EQ(LabelsFromPixels<unsigned char>(), expected);
  EXPECT_EQ(LabelsFromPixels<short>(), expected);
  EXPECT_EQ(LabelsFromPixels<unsigned long long>(), expected);
  EXPECT_EQ(LabelsFromPixels<double>(), expected);
}

// A 2D image is the one slice of a sagittal volume whose rows run down.
TEST(VerdiffSegmentationImageFilter, TwoDimensions)
{
  using FlatType = itk::Image<short, 2>;
  const auto          scan = Scan();
  ScanType::IndexType index = { { 0, 0, 4 } };
  const auto          flat = FlatType::New();
  const auto          slice = ScanType::New();
  flat->SetRegions(FlatType::RegionType({ { 5, -2 } }, { { 40, 56 } }));
  slice->SetRegions(ScanType::SizeType{ { 40, 56, 1 } });
  flat->Allocate();
  slice->Allocate();
  slice->SetDirection(scan->GetDirection());
  slice->SetSpacing(scan->GetSpacing());
  FlatType::SpacingType spacing;
  spacing[0] = scan->GetSpacing()[0];
  spacing[1] = scan->GetSpacing()[1];
  flat->SetSpacing(spacing);
  for (index[1] = 0; index[1] < 56; ++index[1])
  {
    for (index[0] = 0; index[0] < 40; ++index[0])
    {
      flat->SetPixel({ { index[0] + 5, index[1] - 2 } }, static_cast<short>(scan->GetPixel(index)));
      slice->SetPixel({ { index[0], index[1], 0 } }, scan->GetPixel(index));
    }
  }
  const auto filter = Filter<itk::VerdiffSegmentationImageFilter<FlatType>>(flat);
  const auto expected = Filter(slice);
  filter->ProbabilityOutputOn();
  expected->ProbabilityOutputOn();
  // A part of a plane is asked for, the whole is made.
  filter->GetOutput()->SetRequestedRegion(FlatType::RegionType({ { 6, 0 } }, { { 2, 2 } }));
  filter->Update();
  expected->Update();
  EXPECT_EQ(filter->GetOutput()->GetBufferedRegion(), flat->GetLargestPossibleRegion());
  EXPECT_EQ(filter->GetOutput()->GetSpacing(), spacing);
  EXPECT_EQ(Values(filter->GetProbabilityImage()), Values(expected->GetProbabilityImage()));
  EXPECT_EQ(Values(filter->GetOutput()), Values(expected->GetOutput()));
}

TEST(VerdiffSegmentationImageFilter, FurtherOutputsExistWhenAskedFor)
{
  const auto filter = Filter(Scan());
  filter->Update();
  EXPECT_EQ(filter->GetProbabilityImage(), nullptr);
  EXPECT_EQ(filter->GetUncertaintyImage(), nullptr);
  const auto labels = Values(filter->GetOutput());

  filter->UncertaintyOutputOn(); // output 2 without output 1
  filter->Update();
  EXPECT_EQ(filter->GetProbabilityImage(), nullptr);
  const auto uncertainty = Values(filter->GetUncertaintyImage());
  EXPECT_GT(*std::max_element(uncertainty.begin(), uncertainty.end()), 0.0);
  EXPECT_GE(*std::min_element(uncertainty.begin(), uncertainty.end()), 0.0);

  filter->ProbabilityOutputOn();
  filter->Update();
  EXPECT_EQ(Values(filter->GetUncertaintyImage()), uncertainty);
  EXPECT_EQ(Values(filter->GetOutput()), labels);
  const auto probability = Values(filter->GetProbabilityImage());
  long       wrong = 0;
  for (size_t i = 0; i < labels.size(); ++i)
  {
    wrong += probability[i] < 0.0 || probability[i] > 1.0 || (labels[i] > 0.0) != (probability[i] > 0.5);
  }
  EXPECT_EQ(wrong, 0);

  filter->UncertaintyOutputOff();
  filter->Update();
  EXPECT_EQ(filter->GetUncertaintyImage(), nullptr);
  EXPECT_EQ(Values(filter->GetProbabilityImage()), probability);
}

TEST(VerdiffSegmentationImageFilter, StreamedEqualsUnstreamed)
{
  for (const int sign : { 1, -1 })
  {
    const auto scan = Scan({ { 1, 2, 0 } }, { { 1, -1, sign } }, 2);
    const auto whole = Filter(scan);
    whole->Update();
    const auto    filter = Filter(scan);
    const Counter starts(filter, itk::StartEvent());
    const auto    streamer = itk::StreamingImageFilter<LabelType, LabelType>::New();
    streamer->SetInput(filter->GetOutput());
    streamer->SetNumberOfStreamDivisions(3);
    streamer->Update();
    EXPECT_EQ(starts.count, 3);
    EXPECT_EQ(Values(streamer->GetOutput()), Values(whole->GetOutput()));
    EXPECT_LT(filter->GetOutput()->GetBufferedRegion().GetSize(2), 8u) << "the last division only";
  }
}

TEST(VerdiffSegmentationImageFilter, SlicesAcrossTheDivisionsAreMadeOnce)
{
  const auto scan = Scan({ { 0, 1, 2 } }, { { -1, 1, 1 } });
  const auto whole = Filter(scan);
  whole->Update();
  const auto    filter = Filter(scan);
  const Counter starts(filter, itk::StartEvent());
  const auto    streamer = itk::StreamingImageFilter<LabelType, LabelType>::New();
  streamer->SetInput(filter->GetOutput());
  streamer->SetNumberOfStreamDivisions(4);
  streamer->Update();
  EXPECT_EQ(starts.count, 1);
  EXPECT_EQ(Values(streamer->GetOutput()), Values(whole->GetOutput()));
}

TEST(VerdiffSegmentationImageFilter, ARegionIsWholeSlicesAndNoMore)
{
  for (const int sign : { 1, -1 })
  {
    const auto scan = Scan({ { 1, 0, 2 } }, { { 1, sign, 1 } }, -1); // slices along the second axis
    const auto whole = Filter(scan);
    whole->ProbabilityOutputOn();
    whole->UncertaintyOutputOn();
    whole->Update();

    const auto cast = itk::CastImageFilter<ScanType, ScanType>::New();
    cast->SetInput(scan);
    cast->InPlaceOff();
    const auto filter = Filter(cast->GetOutput());
    filter->ProbabilityOutputOn();
    filter->UncertaintyOutputOn();
    ScanType::RegionType expected = scan->GetLargestPossibleRegion();
    expected.SetIndex(1, expected.GetIndex(1) + 5);
    expected.SetSize(1, 2);
    ScanType::RegionType asked = expected;
    asked.SetIndex(0, asked.GetIndex(0) + 7);
    asked.SetSize(0, 1);
    asked.SetSize(2, 3);
    filter->GetProbabilityImage()->SetRequestedRegion(asked); // on a further output
    filter->GetProbabilityImage()->Update();
    EXPECT_EQ(cast->GetOutput()->GetBufferedRegion(), expected);
    EXPECT_EQ(filter->GetOutput()->GetBufferedRegion(), expected);
    EXPECT_EQ(filter->GetProbabilityImage()->GetBufferedRegion(), expected);
    EXPECT_EQ(Values(filter->GetOutput(), expected), Values(whole->GetOutput(), expected));
    EXPECT_EQ(Values(filter->GetProbabilityImage(), expected), Values(whole->GetProbabilityImage(), expected));
    EXPECT_EQ(Values(filter->GetUncertaintyImage(), expected), Values(whole->GetUncertaintyImage(), expected));
  }
}

// More slices than are computed as one slab, and regions that cross its border.
TEST(VerdiffSegmentationImageFilter, ManySlices)
{
  const auto scan = ScanType::New();
  scan->SetRegions(ScanType::SizeType{ { 71, 20, 24 } });
  ScanType::SpacingType spacing(2.0);
  scan->SetSpacing(spacing);
  scan->Allocate();
  for (itk::ImageRegionIteratorWithIndex<ScanType> it(scan, scan->GetBufferedRegion()); !it.IsAtEnd(); ++it)
  {
    const auto index = it.GetIndex();
    it.Set(static_cast<float>(Spine(index[0] - 35.0, 2.0 * index[1] - 20.0, 2.0 * index[2])));
  }
  const auto whole = Filter(scan);
  whole->ProbabilityOutputOn();
  whole->Update();
  const auto filter = Filter(scan);
  filter->ProbabilityOutputOn();
  ScanType::RegionType region = scan->GetLargestPossibleRegion();
  region.SetIndex(0, 29);
  region.SetSize(0, 7);
  filter->GetOutput()->SetRequestedRegion(region);
  filter->Update();
  EXPECT_EQ(Values(filter->GetProbabilityImage(), region), Values(whole->GetProbabilityImage(), region));
}

TEST(VerdiffSegmentationImageFilter, ProgressRisesToOne)
{
  const auto          filter = Filter(Scan());
  std::vector<double> seen;
  const auto          thread = std::this_thread::get_id();
  filter->AddObserver(itk::ProgressEvent(), [&](const itk::EventObject &) {
    EXPECT_EQ(std::this_thread::get_id(), thread);
    seen.push_back(filter->GetProgress());
  });
  filter->Update();
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  ASSERT_GE(seen.size(), 3u);
  EXPECT_FLOAT_EQ(seen.back(), 1.0f);
}

TEST(VerdiffSegmentationImageFilter, AbortStopsAndTheNextUpdateIsWhole)
{
  const auto    filter = Filter(Scan());
  const Counter aborts(filter, itk::AbortEvent());
  filter->SetSteps(100); // long enough for the library to report within a batch
  filter->SetSamples(20);
  double     last = 0.0;
  const auto tag = filter->AddObserver(itk::ProgressEvent(), [&](const itk::EventObject &) {
    last = filter->GetProgress();
    if (last > 0.0)
    {
      filter->AbortGenerateDataOn();
    }
  });
  EXPECT_THROW(filter->Update(), itk::ProcessAborted);
  EXPECT_EQ(aborts.count, 1);
  EXPECT_GT(last, 0.0);
  EXPECT_LT(last, 0.9) << "nothing was saved by stopping";
  EXPECT_EQ(filter->GetOutput()->GetBufferedRegion().GetNumberOfPixels(), 0u);
  filter->RemoveObserver(tag);
  filter->SetSteps(2);
  filter->SetSamples(2);
  filter->Update();
  const auto alone = Filter(Scan());
  alone->Update();
  EXPECT_EQ(Values(filter->GetOutput()), Values(alone->GetOutput()));
}

// An observer's exception must cross the C library unharmed.
TEST(VerdiffSegmentationImageFilter, WhatAnObserverThrowsArrives)
{
  const auto filter = Filter(Scan());
  filter->SetSteps(100);
  filter->SetSamples(20);
  filter->AddObserver(itk::ProgressEvent(), [&](const itk::EventObject &) {
    if (filter->GetProgress() > 0.0f)
    {
      throw std::out_of_range("from an observer");
    }
  });
  EXPECT_THROW(filter->Update(), std::out_of_range);
  filter->RemoveAllObservers();
  filter->SetSteps(2);
  filter->SetSamples(2);
  EXPECT_NO_THROW(filter->Update());
}

TEST(VerdiffSegmentationImageFilter, ComputesWhenSomethingChanged)
{
  const auto    filter = Filter(Scan());
  const Counter starts(filter, itk::StartEvent());
  filter->ProbabilityOutputOn();
  filter->Update();
  filter->Update();
  EXPECT_EQ(starts.count, 1);
  const auto first = Values(filter->GetProbabilityImage());
  filter->SetSeed(36);
  filter->Update();
  EXPECT_EQ(starts.count, 2);
  EXPECT_NE(Values(filter->GetProbabilityImage()), first);
  filter->SetSeed(35);
  filter->SetNumberOfThreads(2); // opens the device anew
  filter->Update();
  EXPECT_EQ(Values(filter->GetProbabilityImage()), first);
  for (const auto modality : { FilterType::ModalityEnum::CT, FilterType::ModalityEnum::XRay })
  {
    filter->SetModality(modality);
    filter->Update();
    EXPECT_EQ(Values(filter->GetProbabilityImage()) == first, modality == FilterType::ModalityEnum::XRay);
  }
}

TEST(VerdiffSegmentationImageFilter, TwoAtOnce)
{
  const auto                       scan = Scan();
  std::vector<std::vector<double>> alone;
  std::vector<FilterType::Pointer> filters;
  for (const uint64_t seed : { 35, 36 })
  {
    const auto filter = Filter(scan);
    filter->SetSeed(seed);
    filter->ProbabilityOutputOn();
    filter->Update();
    alone.push_back(Values(filter->GetProbabilityImage()));
    const auto again = Filter(scan);
    again->SetSeed(seed);
    again->ProbabilityOutputOn();
    filters.push_back(again);
  }
  EXPECT_NE(alone[0], alone[1]);
  for (int round = 0; round < 3; ++round)
  {
    // The scan is shared as an image, not as a pipeline: regions are set on it before the threads start.
    std::vector<std::thread> threads;
    for (const auto & filter : filters)
    {
      filter->Modified();
      threads.emplace_back([filter] { filter->Update(); });
    }
    for (std::thread & thread : threads)
    {
      thread.join();
    }
    EXPECT_EQ(Values(filters[0]->GetProbabilityImage()), alone[0]);
    EXPECT_EQ(Values(filters[1]->GetProbabilityImage()), alone[1]);
  }
}

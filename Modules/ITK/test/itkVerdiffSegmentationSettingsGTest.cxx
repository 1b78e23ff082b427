// What the settings of the filter change, and what it tells of its work.
#include "itkVerdiffSegmentationTestScan.h"

#include <limits>
#include <vdn.h>

#include <numeric>

namespace
{

using QualityEnum = FilterType::QualityEnum;
using Reason = itk::VerdiffSegmentationError::ReasonEnum;

FilterType::Pointer
QualityFilter(const ScanType * scan, QualityEnum quality)
{
  const auto filter = Filter(scan);
  filter->SetSteps(0);
  filter->SetSamples(0);
  filter->SetQuality(quality);
  filter->ProbabilityOutputOn();
  return filter;
}

// The probabilities of the middle slice, which alone is computed.
std::vector<double>
MiddleSlice(FilterType * filter)
{
  auto region = filter->GetInput()->GetLargestPossibleRegion();
  region.SetIndex(2, 4);
  region.SetSize(2, 1);
  filter->GetOutput()->SetRequestedRegion(region);
  filter->Update();
  return Values(filter->GetProbabilityImage(), region);
}

// What a failed update is about; a wrong class of exception leaves the function.
Reason
ReasonOf(FilterType * filter)
{
  try
  {
    filter->Update();
  }
  catch (const itk::VerdiffSegmentationError & error)
  {
    return error.GetReason();
  }
  ADD_FAILURE() << "not refused";
  return Reason::Processing;
}

} // namespace

TEST(VerdiffSegmentationSettings, QualityStandsForStepsAndSamples)
{
  const auto scan = Scan();
  const auto standard = QualityFilter(scan, QualityEnum::Standard);
  const auto best = QualityFilter(scan, QualityEnum::Best);
  const auto probability = MiddleSlice(best);
  EXPECT_NE(probability, MiddleSlice(standard));
  vdn_model_info info;
  vdn_model_get_info(&info, standard->GetModel());
  ASSERT_GT(info.steps, 0);
  ASSERT_GT(info.samples, 0);

  const auto spelled = QualityFilter(scan, QualityEnum::Standard);
  spelled->SetSteps(2 * static_cast<unsigned int>(info.steps));
  spelled->SetSamples(2 * static_cast<unsigned int>(info.samples));
  EXPECT_EQ(probability, MiddleSlice(spelled));
}

TEST(VerdiffSegmentationSettings, FastDrawsNoSamplesUnlessToldHowMany)
{
  const auto scan = Scan();
  const auto fast = QualityFilter(scan, QualityEnum::Fast);
  fast->Update();
  EXPECT_GT(CountLabelled(Values(fast->GetOutput())), 100);
  EXPECT_TRUE(fast->GetSummary().sliceUncertainty.empty());
  fast->SetSeed(99);
  const auto probability = Values(fast->GetProbabilityImage());
  fast->Update();
  EXPECT_EQ(Values(fast->GetProbabilityImage()), probability) << "nothing is drawn, so the seed does nothing";

  fast->UncertaintyOutputOn();
  ExpectRefused(fast.GetPointer(), "quality fast draws no samples");
  EXPECT_EQ(ReasonOf(fast), Reason::Parameter);
  fast->SetSamples(2);
  EXPECT_EQ(Refusal(fast.GetPointer()), "");
  EXPECT_NE(Values(fast->GetProbabilityImage()), probability);
}

TEST(VerdiffSegmentationSettings, PrecisionIsObeyed)
{
  const auto scan = Scan();
  const auto filter = Filter(scan);
  filter->ProbabilityOutputOn();
  filter->SetPrecision(FilterType::PrecisionEnum::Float32);
  filter->Update();
  const auto exact = Values(filter->GetProbabilityImage());
  filter->SetPrecision(FilterType::PrecisionEnum::BFloat16);
  filter->Update();
  const auto rounded = Values(filter->GetProbabilityImage());
  double     largest = 0.0;
  for (size_t i = 0; i < exact.size(); ++i)
  {
    largest = std::max(largest, std::abs(exact[i] - rounded[i]));
  }
  EXPECT_GT(largest, 0.0);
  EXPECT_LT(std::accumulate(exact.begin(), exact.end(), 0.0) / std::accumulate(rounded.begin(), rounded.end(), 0.0),
            1.05);
}

// An image whose spacing says nothing is taken at the size that is said, as if it had that spacing.
TEST(VerdiffSegmentationSettings, AssumedPixelSpacing)
{
  const auto scan = Scan();
  auto       spacing = scan->GetSpacing();
  spacing[0] = 2.5;
  spacing[1] = 2.5;
  scan->SetSpacing(spacing);
  const auto known = Filter(scan);
  known->ProbabilityOutputOn();
  known->Update();
  EXPECT_DOUBLE_EQ(known->GetSummary().rowSpacing, 2.5);

  const auto without = Scan();
  spacing[0] = 1.0;
  spacing[1] = 1.0;
  without->SetSpacing(spacing);
  const auto assumed = Filter(without);
  assumed->ProbabilityOutputOn();
  assumed->NotesAsWarningsOff();
  assumed->SpacingKnownOff();
  assumed->SetAssumedPixelSpacing(2.5);
  assumed->Update();
  EXPECT_DOUBLE_EQ(assumed->GetSummary().rowSpacing, 2.5);
  EXPECT_EQ(Values(assumed->GetProbabilityImage()), Values(known->GetProbabilityImage()));
  ASSERT_EQ(assumed->GetSummary().notes.size(), 1u);
  EXPECT_NE(assumed->GetSummary().notes[0].find("2.5 mm is taken"), std::string::npos)
    << assumed->GetSummary().notes[0];

  assumed->SetAssumedPixelSpacing(0.0);
  assumed->Update();
  vdn_model_info info;
  vdn_model_get_info(&info, assumed->GetModel());
  EXPECT_FLOAT_EQ(static_cast<float>(assumed->GetSummary().rowSpacing), info.assumed_spacing_mm);
}

// One plane whose direction is not the patient's is taken as stored.
TEST(VerdiffSegmentationSettings, OrientationThatSaysNothing)
{
  const auto scan = Scan();
  const auto plane = ScanType::New();
  plane->SetRegions(ScanType::SizeType{ { 40, 56, 1 } });
  plane->SetSpacing(scan->GetSpacing());
  plane->Allocate();
  const auto turned = ScanType::New();
  turned->SetRegions(plane->GetLargestPossibleRegion());
  turned->SetSpacing(scan->GetSpacing());
  turned->Allocate();
  plane->SetDirection(scan->GetDirection());
  for (itk::ImageRegionIteratorWithIndex<ScanType> it(plane, plane->GetLargestPossibleRegion()); !it.IsAtEnd(); ++it)
  {
    auto index = it.GetIndex();
    index[2] = 4;
    it.Set(scan->GetPixel(index));
    turned->SetPixel(it.GetIndex(), scan->GetPixel(index));
  }
  auto reversed = turned->GetDirection();
  reversed[0][0] = 0.0; // an axis across the plane that is not left to right, so that only the setting can help
  reversed[2][0] = 1.0;
  reversed[1][1] = -1.0;
  reversed[0][2] = 1.0;
  reversed[2][2] = 0.0;
  turned->SetDirection(reversed);
  const auto expected = Filter(plane);
  const auto filter = Filter(turned);
  expected->Update();
  filter->OrientationKnownOff();
  filter->Update();
  EXPECT_EQ(Values(filter->GetOutput()), Values(expected->GetOutput()));
}

TEST(VerdiffSegmentationSettings, SummaryTellsOfEverySlice)
{
  // The same patient stored from left to right and from right to left.
  const auto forward = Filter(Scan());
  const auto backward = Filter(Scan({ { 1, 2, 0 } }, { { 1, -1, -1 } }));
  forward->UncertaintyOutputOn();
  backward->UncertaintyOutputOn();
  forward->Update();
  backward->Update();
  const auto & summary = forward->GetSummary();
  EXPECT_EQ(summary.slices, 8);
  EXPECT_EQ(summary.height, 56);
  EXPECT_EQ(summary.width, 40);
  EXPECT_GT(summary.workingHeight, 0);
  EXPECT_DOUBLE_EQ(summary.rowSpacing, 2.0);
  EXPECT_DOUBLE_EQ(summary.columnSpacing, 2.2);
  ASSERT_EQ(summary.sliceUncertainty.size(), 8u);
  EXPECT_EQ(summary.sliceUncertainty, backward->GetSummary().sliceUncertainty) << "numbered from right to left";
  forward->Update();
  EXPECT_EQ(forward->GetSummary().sliceUncertainty.size(), 8u) << "not computed twice, not counted twice";
  ASSERT_NE(forward->GetContext(), nullptr);
  EXPECT_NE(std::string(vdn_ctx_get_device(forward->GetContext())).find("cpu"), std::string::npos);
}

// More slices than are held at once, from the right to the left of the patient and the other way round.
TEST(VerdiffSegmentationSettings, SummaryOfManySlices)
{
  constexpr long slices = 71;
  const auto     make = [](bool descending) {
    const auto scan = ScanType::New();
    scan->SetRegions(ScanType::SizeType{ { slices, 20, 24 } });
    scan->SetSpacing(ScanType::SpacingType(2.0));
    auto direction = scan->GetDirection();
    direction[0][0] = descending ? -1.0 : 1.0;
    direction[1][1] = descending ? -1.0 : 1.0; // right-handed
    scan->SetDirection(direction);
    scan->Allocate();
    for (itk::ImageRegionIteratorWithIndex<ScanType> it(scan, scan->GetBufferedRegion()); !it.IsAtEnd(); ++it)
    {
      auto index = it.GetIndex();
      index[0] = descending ? slices - 1 - index[0] : index[0];
      index[1] = descending ? 19 - index[1] : index[1];
      it.Set(static_cast<float>(Spine(index[0] - 35.0, 2.0 * index[1] - 20.0, 2.0 * index[2])));
    }
    return scan;
  };
  const auto forward = Filter(make(false));
  const auto backward = Filter(make(true));
  forward->Update();
  backward->Update();
  ASSERT_EQ(forward->GetSummary().sliceUncertainty.size(), size_t(slices));
  EXPECT_EQ(forward->GetSummary().slices, slices);
  EXPECT_EQ(forward->GetSummary().sliceUncertainty, backward->GetSummary().sliceUncertainty);
}

TEST(VerdiffSegmentationSettings, ErrorsSayWhatTheyAreAbout)
{
  const auto scan = Scan();
  const auto filter = Filter(scan);
  EXPECT_EQ(filter->GetContext(), nullptr);
  filter->SetDevice("abacus");
  EXPECT_EQ(ReasonOf(filter), Reason::Parameter);
  filter->SetDevice("cuda:60");
  EXPECT_EQ(ReasonOf(filter), Reason::Device);
  filter->SetDevice("cpu");
  filter->SetModelFileName(__FILE__);
  EXPECT_EQ(ReasonOf(filter), Reason::Model);
  filter->SetModelFileName(Model());
  filter->SetMaximumMemory(1);
  EXPECT_EQ(ReasonOf(filter), Reason::Memory);
  filter->SetMaximumMemory(0);
  scan->SetObjectName("patient.nii");
  scan->SetPixel({ { 3, 4, 5 } }, std::numeric_limits<float>::infinity());
  scan->Modified();
  EXPECT_EQ(ReasonOf(filter), Reason::Processing);
}

// Planes and neighbouring slices: what a model is given is the same however a volume is stored, and whether it is
// segmented whole, in parts or by the program. The expected values are cut by hand.
#include "support.h"
#include "training_kit.h"

#include "core.h"
#include "sagittal.h"
#include "segment_volume.h"
#include "volume_reader.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>

using namespace verdiff;
using namespace verdiff_test;

namespace
{

constexpr long width = 12, depth = 16, height = 40; // x, y, z

float
Value(const VolumeImage::PointType & p)
{
  return float(100.0 * std::sin(0.7 * p[0]) + 80.0 * std::cos(0.4 * p[1] + 0.05 * p[0]) + 3.0 * p[2] +
               p[1] * p[2] * 0.1);
}

VolumeImage::Pointer
Scan()
{
  return MakeImage({ width, depth, height }, { 1, 1, 1 }, { 0, 0, 0 }, identity, Value);
}

// The same voxels with the axes in another order, some of them reversed.
VolumeImage::Pointer
Stored(const std::array<int, 3> & order, int reversed)
{
  const long            sizes[3] = { width, depth, height };
  Size                  size{};
  std::array<double, 3> origin{ 0, 0, 0 };
  Matrix3               axes{};
  for (size_t i = 0; i < 3; ++i)
  {
    const auto world = size_t(order[i]);
    const bool back = (reversed >> i & 1) != 0;
    size[i] = sizes[world];
    axes[world][i] = back ? -1.0 : 1.0;
    origin[world] = back ? double(sizes[world] - 1) : 0.0;
  }
  return MakeImage(size, { 1, 1, 1 }, origin, axes, Value);
}

std::vector<float>
AllSlices(const VolumeImage & image, vdn_plane plane)
{
  const SagittalFrame frame(image, false, plane);
  const size_t        size = size_t(frame.Height() * frame.Width());
  std::vector<float>  slices(size * size_t(frame.Count()));
  for (std::int64_t s = 0; s < frame.Count(); ++s)
  {
    frame.Cut(slices.data() + size * size_t(s), image.GetBufferPointer(), s);
  }
  return slices;
}

// Voxel of slice s, row r, column c by the words of sagittal.h; LPS.
VolumeImage::IndexType
IndexOf(vdn_plane plane, long s, long r, long c)
{
  if (plane == VDN_PLANE_AXIAL)
  {
    return { { c, r, s } };
  }
  return plane == VDN_PLANE_CORONAL ? VolumeImage::IndexType{ { c, s, height - 1 - r } }
                                    : VolumeImage::IndexType{ { s, c, height - 1 - r } };
}

struct Extent
{
  long slices, rows, columns;
};

Extent
ExtentOf(vdn_plane plane)
{
  return plane == VDN_PLANE_AXIAL
           ? Extent{ height, depth, width }
           : (plane == VDN_PLANE_CORONAL ? Extent{ depth, height, width } : Extent{ width, height, depth });
}

constexpr vdn_plane planes[] = { VDN_PLANE_SAGITTAL, VDN_PLANE_AXIAL, VDN_PLANE_CORONAL };

class SlicedModel : public testing::TestWithParam<std::tuple<vdn_plane, int>>
{
protected:
  SlicedModel()
    : plane(std::get<0>(GetParam()))
    , neighbours(std::get<1>(GetParam()))
  {
    path = folder / "m.safetensors";
    const std::string command = "./make_model '" + path + "' unit " + std::to_string(neighbours) + " " +
                                std::to_string(int(plane)) + " " + std::to_string(neighbours);
    EXPECT_EQ(std::system(command.c_str()), 0);
    vdn_ctx_options options;
    vdn_ctx_options_init(&options);
    ctx = MakeContext(options, Computing());
    model = LoadModel(ctx.get(), path);
    vdn_segment_options_init(&settings.options);
    settings.options.steps = 2;
    settings.options.samples = 2;
    settings.probability = true;
  }

  SegmentResult
  Segment(const VolumeImage::Pointer & image)
  {
    Volume volume;
    volume.image = image;
    volume.path = "scan";
    return SegmentVolume(ctx.get(), model.get(), volume, settings, [](double, double) {});
  }

  // Foreground probability of every slice, from pixels stacked by hand.
  std::vector<float>
  Expected(const VolumeImage & image)
  {
    const Extent       e = ExtentOf(plane);
    std::vector<float> pixels;
    for (long s = 0; s < e.slices; ++s)
    {
      for (long p = 0; p < e.rows * e.columns; ++p)
      {
        for (long n = 0; n < neighbours; ++n)
        {
          const long at = std::clamp(s + n - neighbours / 2, 0L, e.slices - 1);
          pixels.push_back(image.GetPixel(IndexOf(plane, at, p / e.columns, p % e.columns)));
        }
      }
    }
    std::vector<float> probability(size_t(2 * e.slices * e.rows * e.columns));
    vdn_slices         slices{};
    slices.count = e.slices;
    slices.height = e.rows;
    slices.width = e.columns;
    slices.image_channels = neighbours;
    slices.pixels = pixels.data();
    EXPECT_EQ(vdn_segment(ctx.get(), probability.data(), nullptr, &slices, model.get(), &settings.options), VDN_OK)
      << vdn_ctx_error(ctx.get());
    std::vector<float> foreground;
    for (size_t i = 0; i < probability.size(); i += 2)
    {
      foreground.push_back(1.0f - probability[i]);
    }
    return foreground;
  }

  const vdn_plane plane;
  const int       neighbours;
  TempFolder      folder;
  std::string     path;
  Context         ctx;
  Model           model;
  SegmentSettings settings;
};

} // namespace

TEST(Plane, SlicesAreTheSameHoweverTheVolumeIsStored)
{
  for (const vdn_plane plane : planes)
  {
    const auto         scan = Scan();
    const auto         reference = AllSlices(*scan, plane);
    const Extent       e = ExtentOf(plane);
    const std::int64_t slice = e.rows * e.columns;
    for (const long i : { 0L, 1L, e.columns, slice, 3 * slice + 2 * e.columns + 1 })
    {
      EXPECT_EQ(reference[size_t(i)], scan->GetPixel(IndexOf(plane, i / slice, i % slice / e.columns, i % e.columns)));
    }
    for (const std::array<int, 3> & order :
         { std::array<int, 3>{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } })
    {
      for (int reversed = 0; reversed < 8; ++reversed)
      {
        EXPECT_EQ(AllSlices(*Stored(order, reversed), plane), reference) << PlaneName(plane) << " " << reversed;
      }
    }
  }
}

TEST(Plane, ASliceOfThePlaneIsTurnedOthersAreTakenAsStored)
{
  Volume volume;
  volume.image = MakeImage({ 8, 9, 1 }, { 1, 1, 1 }, { 0, 0, 0 }, identity, Value);
  EXPECT_FALSE(IsPlanar(volume, VDN_PLANE_AXIAL));
  EXPECT_TRUE(IsPlanar(volume, VDN_PLANE_CORONAL));
}

TEST_P(SlicedModel, GetsTheSlicesCutByHand)
{
  const auto   image = Scan();
  const auto   expected = Expected(*image);
  const auto   result = Segment(image);
  const Extent e = ExtentOf(plane);
  EXPECT_EQ(result.slices, e.slices);
  float smallest = 1.0f, largest = 0.0f;
  for (long i = 0; i < e.slices * e.rows * e.columns; ++i)
  {
    const long s = i / (e.rows * e.columns);
    const auto index = IndexOf(plane, s, i / e.columns % e.rows, i % e.columns);
    ASSERT_NEAR(result.probability->GetPixel(index), expected[size_t(i)], 1e-5) << "slice " << s;
    smallest = std::min(smallest, expected[size_t(i)]);
    largest = std::max(largest, expected[size_t(i)]);
  }
  EXPECT_GT(largest - smallest, 0.01f); // the model does tell pixels apart
}

TEST_P(SlicedModel, APartWithItsNeighboursIsThePartOfTheWhole)
{
  const auto            image = Scan();
  const auto            whole = Segment(image);
  const int             axis = plane == VDN_PLANE_AXIAL ? 2 : (plane == VDN_PLANE_CORONAL ? 1 : 0);
  const long            reach = neighbours / 2;
  const long            first = 5, count = 3;
  Size                  size = { width, depth, height };
  std::array<double, 3> origin{ 0, 0, 0 };
  size[size_t(axis)] = count + 2 * reach;
  origin[size_t(axis)] = double(first - reach);
  settings.firstSlice = first;
  settings.contextBefore = settings.contextAfter = reach;
  const auto part = Segment(MakeImage(size, { 1, 1, 1 }, origin, identity, Value));
  EXPECT_EQ(part.slices, count);
  for (long s = first; s < first + count; ++s)
  {
    for (const long r : { 0L, 3L, 7L })
    {
      auto       index = IndexOf(plane, s, r, 2);
      const auto expected = whole.probability->GetPixel(index);
      index[unsigned(axis)] -= first - reach;
      EXPECT_NEAR(part.probability->GetPixel(index), expected, 1e-5);
    }
  }
}

// The program works slab by slab, 32 slices and their neighbours at a time.
TEST_P(SlicedModel, TheProgramGivesTheSame)
{
  for (const int reversed : { 0, 7 })
  {
    const auto image = Stored({ 2, 0, 1 }, reversed);
    WriteWithItk<float>(folder / "scan.mha", *image);
    const Outcome outcome = RunTool("VerdiffSegment",
                                    { folder / "scan.mha",
                                      folder / "out.nrrd",
                                      "--model",
                                      path,
                                      "--modality",
                                      "mr",
                                      "--steps",
                                      "2",
                                      "--samples",
                                      "2",
                                      "--device",
                                      "cpu",
                                      "--precision",
                                      "f32",
                                      "--probabilityVolume",
                                      folder / "p.nrrd" });
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const auto expected = Segment(image);
    const auto found = ReadVolume(folder / "p.nrrd");
    const auto count = image->GetLargestPossibleRegion().GetNumberOfPixels();
    double     difference = 0.0;
    for (size_t i = 0; i < count; ++i)
    {
      difference = std::max(
        difference, double(std::abs(found.image->GetBufferPointer()[i] - expected.probability->GetBufferPointer()[i])));
    }
    EXPECT_LT(difference, 1e-5) << reversed;
  }
}

INSTANTIATE_TEST_SUITE_P(Planes,
                         SlicedModel,
                         testing::Values(std::make_tuple(VDN_PLANE_SAGITTAL, 3),
                                         std::make_tuple(VDN_PLANE_AXIAL, 1),
                                         std::make_tuple(VDN_PLANE_AXIAL, 5),
                                         std::make_tuple(VDN_PLANE_CORONAL, 3)));

namespace
{

template <typename TNumber>
TNumber
NumberAt(const std::string & bytes, size_t at)
{
  TNumber number{};
  std::memcpy(&number, bytes.data() + at, sizeof number);
  return number;
}

} // namespace

// Slices of Resources/Formats/slice-store.md, read as that text says, against slices cut by hand.
TEST(Training, IsGivenTheSlicesThatSegmentingCuts)
{
  constexpr long   neighbours = 3;
  const TempFolder folder;
  for (const char * id : { "a", "b", "c", "d" })
  {
    const auto value = [id](const auto & p) {
      return std::floor(Value(p)) + float(300 * (id[0] - 'a'));
    };
    const auto mask = [](const auto & p) {
      return p[0] > 3 && p[1] > 3 && p[2] > 10 && p[2] < 30 ? 1.0F : 0.0F;
    };
    std::filesystem::create_directories(folder / "set/imagesTr");
    std::filesystem::create_directories(folder / "set/labelsTr");
    WriteWithItk<short>(folder / (std::string("set/imagesTr/") + id + "_0000.mha"),
                        *MakeImage({ width, depth, height }, { 1, 1, 1 }, { 0, 0, 0 }, identity, value));
    WriteWithItk<unsigned char>(folder / (std::string("set/labelsTr/") + id + ".mha"),
                                *MakeImage({ width, depth, height }, { 1, 1, 1 }, { 0, 0, 0 }, identity, mask));
  }
  WriteFile(folder / "set/dataset.json",
            R"({"channel_names": {"0": "MR"}, "labels": {"background": 0, "vertebra": 1}, "file_ending": ".mha"})");
  const Outcome outcome = RunTool("VerdiffTrain",
                                  { folder / "set",
                                    folder / "m",
                                    "--config",
                                    "unit",
                                    "--steps",
                                    "1",
                                    "--threads",
                                    "1",
                                    "--plane",
                                    "axial",
                                    "--neighbours",
                                    "3",
                                    "--emptySlices",
                                    "1" });
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::string store = ReadFile(folder / "m/slices.store");
  EXPECT_EQ(NumberAt<std::uint32_t>(store, 72), 1u); // axial
  EXPECT_EQ(NumberAt<std::uint32_t>(store, 76), 3u);
  EXPECT_EQ(NumberAt<float>(store, 60), 1.0F); // the middle of the data, 1 mm
  const auto index = NumberAt<std::uint64_t>(store, 24);
  const auto first = ReadVolume(folder / "set/imagesTr/a_0000.mha");
  for (const long s : { 0L, 1L, 17L, height - 1 })
  {
    const size_t entry = index + 80 * size_t(s);
    const auto   record = NumberAt<std::uint64_t>(store, entry);
    ASSERT_EQ(NumberAt<std::int64_t>(store, entry + 16), s);
    ASSERT_EQ(NumberAt<std::int32_t>(store, entry + 24), depth);
    ASSERT_EQ(NumberAt<std::int32_t>(store, entry + 28), width);
    for (long p = 0; p < depth * width; ++p)
    {
      for (long n = 0; n < neighbours; ++n)
      {
        const long  slice = std::clamp(s + n - 1, 0L, height - 1);
        const float expected = first.image->GetPixel(IndexOf(VDN_PLANE_AXIAL, slice, p / width, p % width));
        ASSERT_EQ(NumberAt<float>(store, record + 4 * size_t(p * neighbours + n)), expected)
          << s << " " << p << " " << n;
      }
    }
  }
}

namespace
{

// Mean Dice over a subject's labels of the report of VerdiffEvaluate, by case.
std::map<std::string, double>
DiceByCase(const std::string & report)
{
  std::map<std::string, double> dice;
  const auto                    json = nlohmann::json::parse(ReadFile(report));
  for (const auto & one : json["cases"])
  {
    dice[one["case"]] = one["labels"][0]["dice"];
  }
  return dice;
}

struct Cutting
{
  const char * plane;
  const char * neighbours;
};

class TrainedModel : public testing::TestWithParam<Cutting>
{
};

} // namespace

// From a data set to a mask with the programs alone. The test table scores slices that the training cut; VerdiffSegment
// cuts the files itself: the same subject must come to the same Dice. Alone, the condition net draws no noise.
TEST_P(TrainedModel, SegmentsAsItsTestTableSays)
{
  const TempFolder folder;
  const auto       set = SmallSet("mr", { "--coarse", "4", "--labels", "vertebra" });
  WriteFile(folder / "quick.json", R"({"network": "condition", "batch": 4, "validation_slices": 8, "lr": 0.01, "ema": 0,
                  "aug_elastic_p": 0, "aug_gamma_p": 0, "aug_noise_p": 0, "aug_blur_p": 0, "aug_bias_p": 0})");
  const Outcome trained = RunTool("VerdiffTrain",
                                  ShortRun(set,
                                           folder / "m",
                                           folder / "quick.json",
                                           { "--steps",
                                             "200",
                                             "--plane",
                                             GetParam().plane,
                                             "--neighbours",
                                             GetParam().neighbours,
                                             "--spacing",
                                             "3.5",
                                             "--emptySlices",
                                             "1" }));
  ASSERT_EQ(trained.code, 0) << trained.err;
  std::filesystem::create_directories(folder / "out");
  for (const auto & entry : std::filesystem::directory_iterator(set + "/labelsTr"))
  {
    const std::string id = entry.path().filename().string().substr(0, 6);
    const Outcome     outcome = RunTool("VerdiffSegment",
                                    { set + "/imagesTr/" + id + "_0000.nii.gz",
                                          folder / ("out/" + id + ".nii.gz"),
                                          "--model",
                                          folder / "m/model.safetensors",
                                          "--modality",
                                          "mr",
                                          "--threads",
                                          "1",
                                          "--device",
                                          "cpu",
                                          "--precision",
                                          "f32",
                                          "--report",
                                          folder / "r.json" });
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const auto scan = ReadVolume(set + "/imagesTr/" + id + "_0000.nii.gz");
    const auto mask = ReadLabels(folder / ("out/" + id + ".nii.gz"));
    EXPECT_EQ(GeometryDifference(*scan.image, *mask.image, 1e-5).value_or(""), "");
  }
  const Outcome scored =
    RunTool("VerdiffEvaluate", { set + "/labelsTr", folder / "out", "--report", folder / "scores.json" });
  ASSERT_EQ(scored.code, 0) << scored.err;
  const auto table = nlohmann::json::parse(ReadFile(folder / "m/test.json"));
  const auto values = table["prior"]["vertebra"]["dice_per_subject"]["values"];
  ASSERT_EQ(values.size(), 1u);
  EXPECT_GT(values[0], 0.1) << GetParam().plane << GetParam().neighbours; // it has learned something
  std::string found;
  for (const auto & [id, dice] : DiceByCase(folder / "scores.json"))
  {
    found += std::abs(dice - values[0].get<double>()) < 1e-9 ? id : "";
  }
  EXPECT_EQ(found.size(), 6u) << "test table " << values[0] << ", files " << ReadFile(folder / "scores.json");
}

INSTANTIATE_TEST_SUITE_P(Cuttings,
                         TrainedModel,
                         testing::Values(Cutting{ "axial", "1" }, Cutting{ "sagittal", "3" }, Cutting{ "axial", "3" }));

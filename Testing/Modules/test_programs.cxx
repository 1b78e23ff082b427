// The programs as a user calls them: every bad input has its message and exit code and leaves nothing behind;
// good input gives the files it promises.
#include "support.h"

#include "volume_reader.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <dlfcn.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <thread>

using namespace verdiff;
using namespace verdiff_test;
using Json = nlohmann::json;

namespace
{

VolumeImage::Pointer
Scan(const Matrix3 & direction = identity, const Size & size = { 6, 12, 10 })
{
  return MakeImage(size, { 3.0, 1.0, 1.0 }, { -7.5, 4.0, 11.0 }, direction, [](const auto & p) {
    return float(400.0 * std::exp(-0.02 * (p[1] * p[1] + p[2] * p[2])) + 20.0 * std::sin(p[0]));
  });
}

// Expect a refusal with @p code whose only line on stderr contains @p words.
void
ExpectRefused(const Outcome & outcome, int code, const std::string & words)
{
  EXPECT_EQ(outcome.code, code) << outcome.err;
  EXPECT_NE(outcome.err.find(words), std::string::npos) << "said: " << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
}

bool
HasDriver()
{
  return dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL) != nullptr;
}

class BadInput : public testing::Test
{
protected:
  BadInput()
  {
    WriteFile(model, "this is no model");
  }

  // VerdiffSegment @p input into the output folder, which must stay empty.
  void
  ExpectSegmentRefuses(const std::string & input, int code, const std::string & words)
  {
    const Outcome outcome =
      RunTool("VerdiffSegment", { input, output / "out.seg.nrrd", "--model", model, "--report", output / "r.json" });
    ExpectRefused(outcome, code, words);
    EXPECT_TRUE(output.Entries().empty());
  }

  TempFolder        input;
  TempFolder        output;
  const std::string model = input / "model.safetensors";
};

} // namespace

TEST_F(BadInput, MissingFile)
{
  ExpectSegmentRefuses(input / "none.nii.gz", 3, "none.nii.gz: no such file or folder");
}

TEST_F(BadInput, TruncatedCompressedNifti)
{
  // A header that promises more than there is; the gzip checksum and every cut are tested with the reader.
  WriteFile(input / "t.nii.gz", std::string("\x1f\x8b\x08\0\0\0\0\0\0\3", 10) + "abc");
  ExpectSegmentRefuses(input / "t.nii.gz", 3, "t.nii.gz");
}

TEST_F(BadInput, EmptyDicomFolderAndTwoSeries)
{
  std::filesystem::create_directory(input / "dicom");
  ExpectSegmentRefuses(input / "dicom", 3, "the folder holds no file");
  DicomSlice slice;
  WriteFile(input / "dicom/1.dcm", DicomBytes(slice));
  slice.series = "1.2.3.5";
  WriteFile(input / "dicom/2.dcm", DicomBytes(slice));
  ExpectSegmentRefuses(input / "dicom", 3, "holds 2 series, needs one");
}

TEST_F(BadInput, FourDimensionalAndColourVolumes)
{
  const std::string header = "NRRD0004\ntype: uchar\ndimension: 4\nsizes: 3 2 2 2\nencoding: raw\n";
  WriteFile(input / "4d.nrrd", header + "kinds: domain domain domain domain\n\n" + std::string(24, 'a'));
  ExpectSegmentRefuses(input / "4d.nrrd", 3, "4-D volume: axis 4 has 2 values, must be 1");
  WriteFile(input / "rgb.nrrd", header + "kinds: RGB-color domain domain domain\n\n" + std::string(24, 'a'));
  ExpectSegmentRefuses(input / "rgb.nrrd", 3, "3 values per voxel, must be 1");
}

TEST_F(BadInput, NanVoxelsAndZeroSpacing)
{
  const auto image = Scan();
  image->GetBufferPointer()[5] = std::numeric_limits<float>::quiet_NaN();
  WriteWithItk<float>(input / "nan.mha", *image);
  ExpectSegmentRefuses(input / "nan.mha", 3, "1 of 720 voxels are NaN or infinite, the first at index 5 0 0");
  WriteFile(input / "zero.nrrd",
            "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nspacings: 1 1 0\nencoding: raw\n\n12345678");
  ExpectSegmentRefuses(input / "zero.nrrd", 3, "spacings has 0");
}

TEST_F(BadInput, DamagedAndMissingModel)
{
  WriteWithItk<short>(input / "ok.nrrd", *Scan());
  ExpectSegmentRefuses(input / "ok.nrrd", 4, "model.safetensors");
  const Outcome missing =
    RunTool("VerdiffSegment", { input / "ok.nrrd", output / "o.nrrd", "--model", input / "no.st" });
  ExpectRefused(missing, 4, "no.st: no such model file");
  ExpectRefused(RunTool("VerdiffInspect", { model }), 4, "model.safetensors");
  EXPECT_TRUE(output.Entries().empty());
}

TEST_F(BadInput, ModelForAnotherNumberOfChannels)
{
  WriteWithItk<short>(input / "ok.nrrd", *Scan());
  const std::string two = input / "two.safetensors";
  ASSERT_EQ(std::system(("./make_model '" + two + "' unit 2").c_str()), 0);
  const Outcome outcome = RunTool("VerdiffSegment", { input / "ok.nrrd", output / "o.nrrd", "--model", two });
  ExpectRefused(outcome, 4, "the model needs 2 image channels, " + (input / "ok.nrrd") + " has 1");
  EXPECT_TRUE(output.Entries().empty());
}

TEST_F(BadInput, UnwritableOutput)
{
  WriteWithItk<short>(input / "ok.nrrd", *Scan());
  const auto run = [&](const std::string & path) {
    return RunTool("VerdiffSegment", { input / "ok.nrrd", path, "--model", model });
  };
  ExpectRefused(run(output / "none/out.nrrd"), 6, "is not an existing folder");
  ExpectRefused(run(output.Path()), 6, "it exists and is not a file");
  ExpectRefused(run(output / "out.xyz"), 2, "use .seg.nrrd, .nrrd, .nii.gz or .mha");
  ExpectRefused(run(output / "out.png"), 2, "2D image only");
  ExpectRefused(run(input / "ok.nrrd"), 2, "is given twice");
  EXPECT_TRUE(output.Entries().empty());
  EXPECT_EQ(FailureOf([&] { ReadVolume(input / "ok.nrrd"); }).message, "");
}

TEST_F(BadInput, WrongUse)
{
  ExpectRefused(RunTool("VerdiffSegment", {}), 2, "missing argument inputVolume");
  ExpectRefused(RunTool("VerdiffSegment", { "a", "b", "--steps", "-1" }), 2, "out of range");
  ExpectRefused(RunTool("VerdiffSegment", { "a", "b", "--steps=3" }), 2, "--steps VALUE");
  ExpectRefused(RunTool("VerdiffInspect", {}), 2, "either a model file or --config");
  ExpectRefused(RunTool("VerdiffInspect", { "--config", "tiny", "--size", "12" }), 2, "not height x width");
  ExpectRefused(RunTool("VerdiffInspect", { "--config", "huge" }), 2, "huge");
  ExpectRefused(RunTool("VerdiffTrain", { "a" }), 2, "missing argument outputFolder");
}

TEST_F(BadInput, DevicesThatCannotBeUsed)
{
  WriteWithItk<short>(input / "ok.nrrd", *Scan());
  const auto run = [&](const std::string & device, const std::string & prefix) {
    return RunTool(
      "VerdiffSegment", { input / "ok.nrrd", output / "o.nrrd", "--device", device, "--model", model }, prefix);
  };
  ExpectRefused(run("cuda", "VERDIFF_CUDA_LIBRARY=/none/x.so"), 5, "device cuda: CUDA library /none/x.so: ");
  ExpectRefused(run("tpu", ""), 2, "device \"tpu\": there are auto, cpu, cuda, cuda:N");
  ExpectRefused(run("cuda:", ""), 2, "device \"cuda:\"");
  ExpectRefused(
    RunTool("VerdiffTrain", { input.Path(), output / "m", "--device", "cuda:1" }, "VERDIFF_CUDA_LIBRARY=/none/x.so"),
    5,
    "device cuda:1: CUDA library /none/x.so: ");
  std::filesystem::remove(output / "m");
  if (!HasDriver())
  {
    ExpectRefused(run("cuda:2", "VERDIFF_CUDA_LIBRARY="), 5, "device cuda:2: no NVIDIA driver: libcuda.so.1: ");
  }
  EXPECT_TRUE(output.Entries().empty());
}

TEST_F(BadInput, QuestionsOpenNoDevice)
{
  // The loader tells what it looks for; with the C library that has this only.
  const std::string watch = "LD_DEBUG=files VERDIFF_CUDA_LIBRARY=";
  WriteWithItk<short>(input / "ok.nrrd", *Scan());
  const Outcome work = RunTool("VerdiffSegment", { input / "ok.nrrd", output / "o.nrrd", "--quality", "fast" }, watch);
  if (work.err.find("libcuda.so.1") == std::string::npos)
  {
    GTEST_SKIP() << "this loader does not tell";
  }
  for (const char * program : { "VerdiffSegment", "VerdiffTrain" })
  {
    for (const char * question : { "--help", "--xml", "--version" })
    {
      const Outcome outcome = RunTool(program, { question }, watch);
      EXPECT_EQ(outcome.code, 0);
      EXPECT_EQ(outcome.err.find("cuda"), std::string::npos) << program << " " << question;
    }
  }
}

namespace
{

// A data set of two 2D cases, changed by the tests below.
class BadDataset : public testing::Test
{
protected:
  BadDataset()
  {
    std::filesystem::create_directories(set / "imagesTr");
    std::filesystem::create_directories(set / "labelsTr");
    for (const char * id : { "a_s1", "b_s1" })
    {
      WritePng(set / (std::string("imagesTr/") + id + "_0000.png"), 16, 12, 1, [](int x, int y, int) { return x * y; });
      WritePng(
        set / (std::string("labelsTr/") + id + ".png"), 16, 12, 1, [](int x, int, int) { return x > 7 ? 1 : 0; });
    }
    Describe(R"({"background": 0, "vertebra": 1})");
  }

  void
  Describe(const std::string & labels,
           const std::string & more = R"("channel_names": {"0": "MR T2"}, "file_ending": ".png")")
  {
    WriteFile(set / "dataset.json", "{\"labels\": " + labels + (more.empty() ? "" : ", " + more) + "}");
  }

  void
  ExpectRefusedWith(int code, const std::string & words, const std::vector<std::string> & options = {})
  {
    std::vector<std::string> arguments = { set.Path(), result / "model", "--config", "unit" };
    arguments.insert(arguments.end(), options.begin(), options.end());
    ExpectRefused(RunTool("VerdiffTrain", arguments), code, words);
    const std::filesystem::path folder(result / "model");
    EXPECT_TRUE(!std::filesystem::exists(folder) || std::filesystem::is_empty(folder));
  }

  TempFolder set;
  TempFolder result;
};

} // namespace

TEST_F(BadDataset, LabelsOfAnotherSize)
{
  WritePng(set / "labelsTr/b_s1.png", 15, 12, 1, [](int, int, int) { return 0; });
  ExpectRefusedWith(3, "labelsTr/b_s1.png: not on the grid of");
  ExpectRefusedWith(3, "size 16 x 12 x 1 and 15 x 12 x 1");
}

TEST_F(BadDataset, LabelValuesThatAreNotDescribed)
{
  WritePng(set / "labelsTr/b_s1.png", 16, 12, 1, [](int x, int y, int) { return x == 3 && y == 2 ? 9 : 0; });
  ExpectRefusedWith(3, "labelsTr/b_s1.png: label 9 at index 3 2 0 is not in");
}

TEST_F(BadDataset, MissingImagesLabelsAndDescription)
{
  std::filesystem::remove(set / "imagesTr/b_s1_0000.png");
  ExpectRefusedWith(3, "imagesTr/b_s1_0000.png: no such file, needed for");
  std::filesystem::remove_all(set / "labelsTr");
  ExpectRefusedWith(3, "labelsTr: cannot be read");
  std::filesystem::remove(set / "dataset.json");
  ExpectRefusedWith(3, "dataset.json: no such file");
}

TEST_F(BadDataset, DescriptionsThatDoNotFit)
{
  Describe(R"({"background": 0, "spine": [1, 2]})");
  ExpectRefusedWith(3, "label \"spine\" is a list of values");
  Describe(R"({"background": 0, "spine": "1"})");
  ExpectRefusedWith(3, "label \"spine\" is \"1\", must be an integer");
  Describe(R"({"background": 0})");
  ExpectRefusedWith(3, "at least one other label");
  Describe(R"({"background": 0, "vertebra": 1})", R"("channel_names": {"0": "MR"}, "file_ending": ".tif")");
  ExpectRefusedWith(3, "file_ending is \".tif\"");
  Describe(R"({"background": 0, "vertebra": 1})", R"("file_ending": ".png")");
  ExpectRefusedWith(3, "channel_names is missing");
  Describe(R"({"background": 0, "vertebra": 1})", R"("channel_names": {"0": "photo"}, "file_ending": ".png")");
  ExpectRefusedWith(3, "do not tell the modality");
  WriteFile(set / "dataset.json", "{");
  ExpectRefusedWith(3, "dataset.json: not JSON");
}

TEST_F(BadDataset, ForegroundLabelsThatAreNotThere)
{
  ExpectRefusedWith(2, "has no label \"disc\"", { "--foreground", "disc" });
  ExpectRefusedWith(2, "has no label 4", { "--foreground", "1,4" });
  ExpectRefusedWith(2, "0 is the background", { "--foreground", "0" });
}

TEST_F(BadDataset, UnwritableFolder)
{
  WriteFile(set / "file", "");
  ExpectRefused(RunTool("VerdiffTrain", { set.Path(), set / "file/model" }), 6, "the folder cannot be made");
}

TEST(Evaluate, RefusesOtherGridsAndMissingCases)
{
  const TempFolder a;
  const TempFolder b;
  const auto       labels = [](const Size & size, double spacing) {
    return MakeImage(
      size, { spacing, 1, 1 }, { 0, 0, 0 }, identity, [](const auto & p) { return p[1] > 2 ? 1.0f : 0.0f; });
  };
  WriteWithItk<unsigned char>(a / "x.nrrd", *labels({ 4, 5, 6 }, 1.0));
  ExpectRefused(RunTool("VerdiffEvaluate", { a.Path(), b.Path() }), 3, "no prediction for case x");
  WriteWithItk<unsigned char>(b / "x.mha", *labels({ 4, 5, 6 }, 1.1));
  ExpectRefused(RunTool("VerdiffEvaluate", { a / "x.nrrd", b / "x.mha" }), 3, "spacing 1 1 1 and 1.1 1 1 mm");
  WriteWithItk<unsigned char>(b / "x.mha", *labels({ 4, 5, 7 }, 1.0));
  ExpectRefused(RunTool("VerdiffEvaluate", { a.Path(), b.Path() }), 3, "size 4 x 5 x 6 and 4 x 5 x 7");
  ExpectRefused(RunTool("VerdiffEvaluate", { a.Path(), b / "x.mha" }), 2, "two files or two folders");
  ExpectRefused(RunTool("VerdiffEvaluate", { a / "x.nrrd", a / "x.nrrd", "--labels", "1,x" }), 2, "not a label");
}

TEST(Evaluate, ScoresTwoFoldersOfDifferentFormats)
{
  const TempFolder a;
  const TempFolder b;
  const TempFolder r;
  const auto       labels = [](double edge) {
    return MakeImage(
      { 10, 10, 4 }, { 2, 1, 3 }, { 0, 0, 0 }, identity, [=](const auto & p) { return p[0] < edge ? 2.0f : 0.0f; });
  };
  WriteWithItk<unsigned char>(a / "one.nrrd", *labels(9)); // 5 of 10 columns
  WriteWithItk<unsigned char>(b / "one.mha", *labels(7));  // 4 columns
  WriteWithItk<unsigned char>(a / "two.mha", *labels(9));
  WriteWithItk<unsigned char>(b / "two.nrrd", *labels(9));
  const Outcome outcome = RunTool("VerdiffEvaluate", { a.Path(), b.Path(), "--report", r / "r.json" });
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json report = Json::parse(ReadFile(r / "r.json"));
  ASSERT_EQ(report["cases"].size(), 2u);
  const Json score = report["cases"][0]["labels"][0];
  EXPECT_EQ(score["label"], 2);
  EXPECT_EQ(score["true_positive"], 160);
  EXPECT_EQ(score["false_negative"], 40);
  EXPECT_NEAR(score["dice"].get<double>(), 320.0 / 360.0, 1e-12);
  const double first = 320.0 / 360.0;
  const Json   overall = report["overall"][1];
  EXPECT_NEAR(overall["dice"]["mean"].get<double>(), (first + 1.0) / 2.0, 1e-12);
  EXPECT_NEAR(overall["dice"]["sd"].get<double>(), (1.0 - first) / std::sqrt(2.0), 1e-12); // n - 1
  EXPECT_NE(outcome.out.find("overall, 2 cases"), std::string::npos);
}

namespace
{

class WithModel : public testing::Test
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

  Outcome
  Segment(const std::string &      in,
          const std::string &      out,
          std::vector<std::string> options = {},
          const std::string &      prefix = "")
  {
    options.insert(options.begin(), { in, out, "--model", TestModel() });
    return RunTool("VerdiffSegment", options, prefix);
  }

  TempFolder folder;
};

} // namespace

TEST_F(WithModel, OutputsLieOnTheGridOfAnObliqueScan)
{
  const auto scan = Scan(Product(Rotation(1, 20.0), Rotation(2, -15.0)));
  WriteWithItk<short>(folder / "scan.nrrd", *scan);
  for (const char * name : { "o.seg.nrrd", "o.mha", "o.nii.gz" })
  {
    const Outcome outcome = Segment(folder / "scan.nrrd", folder / name, { "--quality", "fast" });
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    EXPECT_EQ(GeometryDifference(*scan, *ReadLabels(folder / name).image, 1e-5).value_or(""), "");
  }
}

TEST_F(WithModel, StoredOtherwiseGivesTheSameLabels)
{
  const auto    scan = Scan(identity, { 3, 40, 48 });
  const Matrix3 turned = { { { 0, 0, -1 }, { 1, 0, 0 }, { 0, -1, 0 } } }; // axes: posterior, inferior, right
  const auto    other = MakeImage({ 40, 48, 3 }, { 1, 1, 3 }, { -1.5, 4.0, 58.0 }, turned, [&](const auto & p) {
    VolumeImage::IndexType index;
    EXPECT_TRUE(scan->TransformPhysicalPointToIndex(p, index));
    return scan->GetPixel(index);
  });
  WriteWithItk<short>(folder / "a.nrrd", *scan);
  WriteWithItk<short>(folder / "b.nrrd", *other);
  for (const std::string name : { "a", "b" })
  {
    const Outcome outcome = Segment(
      folder / (name + ".nrrd"), folder / (name + ".mha"), { "--modality", "mr", "--steps", "1", "--samples", "1" });
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }
  const auto a = ReadLabels(folder / "a.mha").image;
  const auto b = ReadLabels(folder / "b.mha").image;
  for (size_t i = 0; i < 3 * 40 * 48; ++i)
  {
    VolumeImage::PointType point;
    LabelImage::IndexType  index;
    a->TransformIndexToPhysicalPoint(a->ComputeIndex(long(i)), point);
    ASSERT_TRUE(b->TransformPhysicalPointToIndex(point, index));
    ASSERT_EQ(a->GetBufferPointer()[i], b->GetPixel(index)) << i;
  }
}

TEST_F(WithModel, APictureGivesAPicture)
{
  WritePng(folder / "in.png", 40, 32, 1, [](int x, int y, int) { return x * 3 + y; });
  const Outcome outcome =
    Segment(folder / "in.png", folder / "out.png", { "--quality", "fast", "--report", folder / "r.json" });
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(SizeText(*ReadLabels(folder / "out.png").image), "40 x 32 x 1");
  const Json report = Json::parse(ReadFile(folder / "r.json"));
  EXPECT_EQ(report["geometry"]["spacing_known"], false);
  EXPECT_TRUE(report["labels"][0]["volume_ml"].is_null());
  EXPECT_NE(report["notice"].get<std::string>().find("Not for clinical use"), std::string::npos);
}

TEST_F(WithModel, AutoRunsOnTheProcessorAndSaysWhy)
{
  WriteWithItk<short>(folder / "scan.nrrd", *Scan());
  const auto run = [&](const std::string & device) {
    return Segment(folder / "scan.nrrd",
                   folder / "o.nrrd",
                   { "--quality", "fast", "--report", folder / "r.json", "--device", device },
                   "VERDIFF_CUDA_LIBRARY=/none/x.so");
  };
  const Outcome outcome = run("auto");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_NE(outcome.out.find("cuda: CUDA library /none/x.so: "), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("; running on the CPU\n"), std::string::npos) << outcome.out;
  EXPECT_EQ(Json::parse(ReadFile(folder / "r.json"))["device"].get<std::string>().compare(0, 3, "cpu"), 0);
  EXPECT_EQ(run("cpu").out.find("cuda"), std::string::npos);
}

TEST_F(WithModel, TheDeviceInUseIsReportedAndGivesTheSameLabels)
{
  const std::string emulated = VERDIFF_BIN "/../tests/libverdiff_cuda_emulated.so";
  if (!std::filesystem::exists(emulated))
  {
    GTEST_SKIP() << "no emulated device";
  }
  WriteWithItk<short>(folder / "scan.nrrd", *Scan(identity, { 2, 20, 24 }));
  const auto run = [&](const std::string & device) {
    const Outcome outcome = Segment(folder / "scan.nrrd",
                                    folder / (device + ".mha"),
                                    { "--quality",
                                      "fast",
                                      "--precision",
                                      "f32",
                                      "--modality",
                                      "mr",
                                      "--device",
                                      device,
                                      "--probabilityVolume",
                                      folder / (device + "p.mha"),
                                      "--report",
                                      folder / (device + ".json") },
                                    "VERDIFF_CUDA_LIBRARY=" + emulated);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return Json::parse(ReadFile(folder / (device + ".json")))["device"].get<std::string>();
  };
  EXPECT_EQ(run("cpu").compare(0, 3, "cpu"), 0);
  EXPECT_EQ(run("cuda").compare(0, 16, "cuda:0 (emulated"), 0);
  const auto a = ReadVolume(folder / "cpup.mha").image;
  const auto b = ReadVolume(folder / "cudap.mha").image;
  for (size_t i = 0; i < 2 * 20 * 24; ++i)
  {
    ASSERT_NEAR(a->GetBufferPointer()[i], b->GetBufferPointer()[i], 1e-3) << i;
  }
}

TEST_F(WithModel, MemoryIsBounded)
{
  WriteWithItk<short>(folder / "scan.nrrd", *Scan(identity, { 2, 64, 64 }));
  const TempFolder output;
  ExpectRefused(Segment(folder / "scan.nrrd", output / "o.nrrd", { "--device", "cpu", "--maxMemory", "1" }),
                7,
                "over the memory limit");
  EXPECT_TRUE(output.Entries().empty());
  EXPECT_EQ(
    Segment(folder / "scan.nrrd", output / "o.nrrd", { "--device", "cpu", "--maxMemory", "4096", "--quality", "fast" })
      .code,
    0);
}

TEST_F(WithModel, ProgressTagsAreWholeAndMonotonic)
{
  WriteWithItk<short>(folder / "scan.nrrd", *Scan());
  // Long enough for more than one block, however quick the machine.
  const Outcome outcome = Segment(folder / "scan.nrrd", folder / "o.nrrd", { "--steps", "100", "--samples", "6" });
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  double      last = 0.0;
  int         count = 0;
  std::string rest = outcome.out;
  for (size_t at = rest.find("<filter-progress>"); at != std::string::npos; at = rest.find("<filter-progress>", at + 1))
  {
    const double fraction = std::stod(rest.substr(at + 17));
    EXPECT_GE(fraction, last);
    last = fraction;
    ++count;
  }
  EXPECT_GE(count, 2);
  EXPECT_EQ(last, 1.0);
  EXPECT_EQ(outcome.out.compare(0, 14, "<filter-start>"), 0);
  EXPECT_NE(outcome.out.find("<filter-end>"), std::string::npos);
}

TEST_F(WithModel, AFullDiskLeavesNothing)
{
  WriteWithItk<short>(folder / "scan.nrrd", *Scan(identity, { 4, 64, 64 }));
  const TempFolder output;
  // No file may grow at all; that holds for the captured stdout and stderr too, so there is no message here.
  const Outcome outcome = Segment(folder / "scan.nrrd", output / "o.mha", { "--quality", "fast" }, "ulimit -f 0;");
  EXPECT_EQ(outcome.code, 6);
  EXPECT_TRUE(output.Entries().empty());
}

TEST_F(WithModel, ASignalStopsTheWorkAndLeavesNothing)
{
  WriteWithItk<short>(folder / "scan.nrrd", *Scan(identity, { 40, 96, 96 }));
  const TempFolder output;
  const Outcome    outcome = Segment(folder / "scan.nrrd",
                                  output / "o.nrrd",
                                  { "--samples", "64", "--steps", "200", "--modality", "mr" },
                                  "(sleep 1.5; kill -TERM $$) &");
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  EXPECT_NE(outcome.err.find("stopped by a signal"), std::string::npos);
  EXPECT_TRUE(output.Entries().empty());
}

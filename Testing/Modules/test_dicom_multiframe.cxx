// Enhanced multi-frame MR and CT: place, size and scale of every frame come from its functional groups.
#include "dicom_maker.h"
#include "support.h"

#include "volume_reader.h"

#include <gtest/gtest.h>

using namespace verdiff;
using namespace verdiff_test;
using namespace verdiff_test::made;

namespace
{

constexpr int columns = 3;
constexpr int rows = 2;

// Frame f holds 100 f, 100 f + 1, ...
std::vector<std::uint16_t>
Pixels(int frames)
{
  std::vector<std::uint16_t> pixels;
  for (int f = 0; f < frames; ++f)
  {
    for (int i = 0; i < columns * rows; ++i)
    {
      pixels.push_back(static_cast<std::uint16_t>(100 * f + i));
    }
  }
  return pixels;
}

float
Value(const Volume & volume, long slice, long i)
{
  return volume.image->GetBufferPointer()[slice * columns * rows + i];
}

// Stored from left to right with a gap of 4 mm, in no order.
std::vector<EnhancedFrame>
ThreeFrames()
{
  std::vector<EnhancedFrame> frames(3);
  const double               x[3] = { 6.0, 14.0, 10.0 };
  for (size_t f = 0; f < 3; ++f)
  {
    frames[f].position = Place(x[f], -5.0, 7.0);
  }
  return frames;
}

std::string
Refusal(const std::string & path)
{
  const Thrown thrown = FailureOf([&] { ReadVolume(path); });
  EXPECT_EQ(thrown.code, 3);
  return thrown.message;
}

} // namespace

TEST(DicomMultiframe, FramesLieWhereTheirGroupsSay)
{
  const TempFolder folder;
  for (const char * modality : { "MR", "CT" })
  {
    for (const auto & syntax :
         { gdcm::TransferSyntax::ExplicitVRLittleEndian, gdcm::TransferSyntax::ImplicitVRLittleEndian })
    {
      Save(folder / "e.dcm", Enhanced(columns, rows, Pixels(3), modality, ThreeFrames()), syntax);
      const Volume volume = ReadVolume(folder / "e.dcm");
      EXPECT_EQ(SizeText(*volume.image), "3 x 2 x 3");
      EXPECT_EQ(volume.modality, std::string(modality) == "CT" ? VDN_MODALITY_CT : VDN_MODALITY_MR);
      EXPECT_EQ(volume.image->GetSpacing()[0], 0.75); // between columns
      EXPECT_EQ(volume.image->GetSpacing()[1], 0.5);
      EXPECT_EQ(volume.image->GetSpacing()[2], 4.0);
      // y cross -z is -x: slices are numbered from left to right.
      EXPECT_EQ(volume.image->GetOrigin()[0], 14.0);
      EXPECT_EQ(volume.image->GetOrigin()[1], -5.0);
      EXPECT_EQ(volume.image->GetOrigin()[2], 7.0);
      EXPECT_EQ(volume.image->GetDirection()[1][0], 1.0);
      EXPECT_EQ(volume.image->GetDirection()[2][1], -1.0);
      EXPECT_EQ(volume.image->GetDirection()[0][2], -1.0);
      EXPECT_EQ(Value(volume, 0, 0), 100.0f);
      EXPECT_EQ(Value(volume, 1, 5), 205.0f);
      EXPECT_EQ(Value(volume, 2, 1), 1.0f);
      EXPECT_TRUE(volume.warnings.empty());
    }
  }
}

TEST(DicomMultiframe, EveryFrameHasItsOwnScale)
{
  const TempFolder folder;
  auto             frames = ThreeFrames();
  frames[0].slope = 2.0;
  frames[1].intercept = -1024.0;
  frames[2].slope = 0.5;
  frames[2].intercept = 3.0;
  Save(folder / "e.dcm", Enhanced(columns, rows, Pixels(3), "CT", frames));
  const Volume volume = ReadVolume(folder / "e.dcm");
  EXPECT_EQ(Value(volume, 2, 4), 8.0f);             // frame 1: 4 * 2
  EXPECT_EQ(Value(volume, 0, 4), 104.0f - 1024.0f); // frame 2
  EXPECT_EQ(Value(volume, 1, 4), 105.0f);           // frame 3: 204 / 2 + 3
}

TEST(DicomMultiframe, CompressedFramesHaveTheSameValues)
{
  const TempFolder folder;
  Save(folder / "plain.dcm", Enhanced(16, 16, std::vector<std::uint16_t>(Pixels(128)), "MR", ThreeFrames()));
  const Volume plain = ReadVolume(folder / "plain.dcm");
  for (const auto syntax : { gdcm::TransferSyntax::RLELossless,
                             gdcm::TransferSyntax::JPEGLosslessProcess14_1,
                             gdcm::TransferSyntax::JPEGLSLossless,
                             gdcm::TransferSyntax::JPEG2000Lossless })
  {
    Save(folder / "packed.dcm", Enhanced(16, 16, Pixels(128), "MR", ThreeFrames()));
    Compress(folder / "packed.dcm", syntax);
    const Volume packed = ReadVolume(folder / "packed.dcm");
    EXPECT_EQ(GeometryDifference(*plain.image, *packed.image, 0.0).value_or(""), "");
    EXPECT_TRUE(std::equal(
      plain.image->GetBufferPointer(), plain.image->GetBufferPointer() + 768, packed.image->GetBufferPointer()))
      << gdcm::TransferSyntax::GetTSString(syntax);
  }
}

TEST(DicomMultiframe, EchoesTimesStacksAndSpacingsAreToldApart)
{
  const TempFolder folder;
  const auto       write = [&](const std::function<void(EnhancedFrame &, int)> & change) {
    std::vector<EnhancedFrame> frames(6);
    for (int f = 0; f < 6; ++f)
    {
      frames[size_t(f)].position = Place(4.0 * (f / 2), 0, 0);
      change(frames[size_t(f)], f);
    }
    Save(folder / "e.dcm", Enhanced(columns, rows, Pixels(6), "MR", frames));
    return Refusal(folder / "e.dcm");
  };
  const std::string echoes = write([](EnhancedFrame & frame, int f) { frame.echo = f % 2 == 0 ? 100.5 : 12.0; });
  EXPECT_NE(echoes.find("holds 2 volumes in 1 series, needs one; choose by its number with --series"),
            std::string::npos)
    << echoes;
  EXPECT_NE(echoes.find("1 = 1.2.3.4 (MR, \"\", 3 slices of 3 x 2, sagittal, 0.75 mm, stack 1, echo 12)"),
            std::string::npos)
    << echoes;
  EXPECT_NE(echoes.find("echo 100.5"), std::string::npos);
  const Volume second = ReadVolume(folder / "e.dcm", "2");
  EXPECT_EQ(Value(second, 2, 0), 0.0f);
  EXPECT_EQ(Value(second, 0, 0), 400.0f);

  const std::string times = write([](EnhancedFrame & frame, int f) { frame.time = 1 + f % 2; });
  EXPECT_NE(times.find("time 2"), std::string::npos) << times;
  const std::string stacks = write([](EnhancedFrame & frame, int f) { frame.stack = f % 2 == 0 ? "A" : "B"; });
  EXPECT_NE(stacks.find("stack B"), std::string::npos) << stacks;
  const std::string spacings = write([](EnhancedFrame & frame, int f) { frame.spacing = f % 2 == 0 ? "1\\1" : ""; });
  EXPECT_NE(spacings.find("sagittal, 1 mm"), std::string::npos) << spacings;
  const std::string planes = write(
    [](EnhancedFrame & frame, int f) { frame.orientation = f % 2 == 0 ? "1\\0\\0\\0\\1\\0" : "0\\1\\0\\0\\0\\-1"; });
  EXPECT_NE(planes.find("axial"), std::string::npos) << planes;
  const std::string same = write([](EnhancedFrame &, int) {});
  EXPECT_NE(same.find("e.dcm frame 5 and e.dcm frame 6 are at the same place"), std::string::npos) << same;
}

TEST(DicomMultiframe, FramesWithoutAPlaceAreRefused)
{
  const TempFolder folder;
  auto             frames = ThreeFrames();
  frames[1].position = "";
  Save(folder / "e.dcm", Enhanced(columns, rows, Pixels(3), "MR", frames));
  EXPECT_NE(Refusal(folder / "e.dcm")
              .find("no ImagePositionPatient (0020,0032) or ImageOrientationPatient "
                    "(0020,0037) for e.dcm frame 2"),
            std::string::npos);
  // A film of one place: a secondary capture with frames but without functional groups.
  Save(folder / "film.dcm", Slice(columns, rows, Pixels(3), "1", 0.0));
  EXPECT_NE(Refusal(folder / "film.dcm").find("slices without them cannot be put in order"), std::string::npos);
}

// DICOM folders: order, spacing and values are right; what is no regular volume is refused.
#include "support.h"

#include "volume_reader.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace verdiff;
using namespace verdiff_test;

namespace
{

std::string
Position(double x, double y, double z)
{
  return std::to_string(x) + "\\" + std::to_string(y) + "\\" + std::to_string(z);
}

// Slices 0 .. count-1 go through @p change before they are written as <instance>.dcm.
void
WriteSeries(const TempFolder & folder, int count, const std::function<void(DicomSlice &, int)> & change)
{
  for (int i = 0; i < count; ++i)
  {
    DicomSlice slice;
    slice.instance = 100 - i; // against the order in space
    slice.position = Position(0, 0, 3.0 * i);
    slice.pixels.assign(30, short(i * 10));
    slice.pixels[1] = 1;
    change(slice, i);
    WriteFile(folder / (std::to_string(slice.instance) + ".dcm"), DicomBytes(slice));
  }
}

std::string
Refusal(const TempFolder & folder)
{
  const Thrown thrown = FailureOf([&] { ReadVolume(folder.Path()); });
  EXPECT_EQ(thrown.code, 3);
  return thrown.message;
}

} // namespace

TEST(Dicom, SlicesAreOrderedInSpaceAndRescaled)
{
  const TempFolder folder;
  WriteSeries(folder, 4, [](DicomSlice & s, int) {
    s.modality = "CT";
    s.slope = "2";
    s.intercept = "-1024";
    s.spacing = "0.5\\0.75";
  });
  const Volume volume = ReadVolume(folder.Path());
  EXPECT_EQ(SizeText(*volume.image), "5 x 6 x 4");
  EXPECT_EQ(volume.image->GetSpacing()[0], 0.75); // between columns
  EXPECT_EQ(volume.image->GetSpacing()[1], 0.5);  // between rows
  EXPECT_EQ(volume.image->GetSpacing()[2], 3.0);
  EXPECT_EQ(volume.modality, VDN_MODALITY_CT);
  for (int i = 0; i < 4; ++i)
  {
    EXPECT_EQ(volume.image->GetBufferPointer()[30 * i], float(i * 10) * 2 - 1024);
    EXPECT_EQ(volume.image->GetBufferPointer()[30 * i + 1], -1022.0f);
  }
}

TEST(Dicom, ASagittalSeriesRunsAlongItsNormal)
{
  const TempFolder folder;
  WriteSeries(folder, 3, [](DicomSlice & s, int i) {
    s.orientation = "0\\1\\0\\0\\0\\-1";
    s.position = Position(20 - 4.0 * i, 5, 6);
  });
  const Volume volume = ReadVolume(folder.Path());
  EXPECT_EQ(volume.image->GetSpacing()[2], 4.0);
  EXPECT_EQ(volume.image->GetDirection()[0][2], -1.0); // y cross -z = -x
  EXPECT_EQ(volume.image->GetOrigin()[0], 20.0);
  EXPECT_EQ(volume.image->GetBufferPointer()[60], 20.0f);
}

TEST(Dicom, Monochrome1IsInverted)
{
  const TempFolder folder;
  DicomSlice       slice;
  slice.photometric = "MONOCHROME1";
  slice.modality = "DX";
  slice.pixels.assign(30, 10);
  slice.pixels[3] = 200;
  WriteFile(folder / "x.dcm", DicomBytes(slice));
  const Volume volume = ReadVolume(folder / "x.dcm");
  EXPECT_EQ(volume.image->GetBufferPointer()[3], 10.0f);
  EXPECT_EQ(volume.image->GetBufferPointer()[4], 200.0f);
  EXPECT_EQ(volume.modality, VDN_MODALITY_XRAY);
  EXPECT_EQ(volume.fileDimension, 2);
}

TEST(Dicom, AnXrayWithoutPixelSpacingIsReadAndSaysSo)
{
  const TempFolder folder;
  DicomSlice       slice;
  slice.modality = "CR";
  slice.position = "";
  slice.spacing = "";
  WriteFile(folder / "x.dcm", DicomBytes(slice));
  const Volume volume = ReadVolume(folder / "x.dcm");
  EXPECT_FALSE(volume.spacingKnown);
  EXPECT_FALSE(volume.orientationKnown);
}

TEST(Dicom, AnEmptyFolderIsRefused)
{
  const TempFolder folder;
  EXPECT_NE(Refusal(folder).find("holds no file"), std::string::npos);
  WriteFile(folder / "notes.txt", "no DICOM here");
  EXPECT_NE(Refusal(folder).find("none of its 1 files is a DICOM image"), std::string::npos);
}

TEST(Dicom, TwoSeriesAreListedAndOneCanBeChosen)
{
  const TempFolder folder;
  WriteSeries(folder, 6, [](DicomSlice & s, int i) { s.series = i % 2 == 0 ? "1.2.10" : "1.2.20"; });
  const std::string message = Refusal(folder);
  EXPECT_NE(message.find("holds 2 series"), std::string::npos);
  EXPECT_NE(message.find("1 = 1.2.10 (MR, \"Sagittal\", 3 slices of 5 x 6, axial, 0.5 mm)"), std::string::npos);
  EXPECT_NE(message.find("--series"), std::string::npos);
  const Volume volume = ReadVolume(folder.Path(), "1.2.20");
  EXPECT_EQ(volume.image->GetBufferPointer()[0], 10.0f);
  EXPECT_EQ(volume.image->GetSpacing()[2], 6.0);
  EXPECT_EQ(ReadVolume(folder.Path(), "2").image->GetBufferPointer()[0], 10.0f) << "the number in the list";
  for (const char * wrong : { "9.9", "0", "3" })
  {
    const Thrown thrown = FailureOf([&] { ReadVolume(folder.Path(), wrong); });
    EXPECT_EQ(thrown.code, 3);
    EXPECT_NE(thrown.message.find(std::string("has no series ") + wrong + ", but 1 = 1.2.10"), std::string::npos);
  }
}

TEST(Dicom, UnevenGapsAreRefused)
{
  const TempFolder folder;
  WriteSeries(folder, 5, [](DicomSlice & s, int i) { s.position = Position(0, 0, 3.0 * i + (i > 2 ? 3.0 : 0.0)); });
  EXPECT_NE(Refusal(folder).find("uneven slices: gaps from 3 to 6 mm"), std::string::npos);
}

TEST(Dicom, GantryTiltIsRefusedWithItsAngle)
{
  const TempFolder folder;
  WriteSeries(folder, 4, [](DicomSlice & s, int i) { s.position = Position(0, 3.0 * i * std::tan(0.2), 3.0 * i); });
  EXPECT_NE(Refusal(folder).find("gantry tilt: the stack leans by 11.5 degrees"), std::string::npos);
}

TEST(Dicom, SlicesTwiceAtOnePlaceAreRefused)
{
  const TempFolder folder;
  WriteSeries(folder, 4, [](DicomSlice & s, int i) { s.position = Position(0, 0, 3.0 * (i / 2)); });
  EXPECT_NE(Refusal(folder).find("at the same place"), std::string::npos);
}

TEST(Dicom, AnotherSizeSpacingOrOrientationIsAnotherVolume)
{
  const TempFolder a;
  WriteSeries(a, 3, [](DicomSlice & s, int i) {
    s.rows = i == 1 ? 5 : 6;
    s.pixels.resize(size_t(s.rows * s.columns));
  });
  EXPECT_NE(Refusal(a).find("holds 2 volumes in 1 series"), std::string::npos);
  EXPECT_NE(Refusal(a).find("2 slices of 5 x 6"), std::string::npos);
  EXPECT_NE(Refusal(a).find("1 slice of 5 x 5"), std::string::npos);
  const TempFolder b;
  WriteSeries(b, 3, [](DicomSlice & s, int i) { s.orientation = i == 1 ? "0\\1\\0\\0\\0\\-1" : s.orientation; });
  EXPECT_NE(Refusal(b).find("1 slice of 5 x 6, sagittal"), std::string::npos);
  const TempFolder c;
  WriteSeries(c, 3, [](DicomSlice & s, int i) { s.spacing = i == 1 ? "0.6\\0.6" : s.spacing; });
  EXPECT_NE(Refusal(c).find("1 slice of 5 x 6, axial, 0.6 mm"), std::string::npos);
  const TempFolder d;
  WriteSeries(d, 3, [](DicomSlice & s, int) { s.spacing = "0\\0"; });
  EXPECT_NE(Refusal(d).find("PixelSpacing is 0\\0, must be above 0"), std::string::npos);
}

TEST(Dicom, SlicesWithoutPositionColourAndCutPixelsAreRefused)
{
  const TempFolder a;
  WriteSeries(a, 3, [](DicomSlice & s, int i) { s.position = i == 1 ? "" : s.position; });
  EXPECT_NE(Refusal(a).find("no ImagePositionPatient"), std::string::npos);
  const TempFolder b;
  WriteSeries(b, 2, [](DicomSlice & s, int) {
    s.samples = 3;
    s.photometric = "RGB";
    s.pixels.assign(90, 4);
  });
  EXPECT_NE(Refusal(b).find("colour image: 3 samples per pixel"), std::string::npos);
  const TempFolder c;
  WriteSeries(c, 3, [](DicomSlice &, int) {});
  const std::string bytes = ReadFile(c / "99.dcm");
  WriteFile(c / "99.dcm", bytes.substr(0, bytes.size() - 20));
  EXPECT_FALSE(Refusal(c).empty());
}

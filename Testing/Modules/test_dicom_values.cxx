// What DICOM says about values and belonging together: bits, padding, MONOCHROME1, syntaxes; copies, localizers,
// echoes, leaning stacks.
#include "dicom_maker.h"
#include "support.h"

#include "text.h"
#include "volume_reader.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace verdiff;
using namespace verdiff_test;
using namespace verdiff_test::made;

namespace
{

constexpr int columns = 4;
constexpr int rows = 3;

std::vector<std::uint16_t>
Pixels(int base)
{
  std::vector<std::uint16_t> pixels;
  for (int i = 0; i < columns * rows; ++i)
  {
    pixels.push_back(static_cast<std::uint16_t>(base + i));
  }
  return pixels;
}

// Slices 0 .. count-1, 3 mm apart, go through @p change.
void
WriteSlices(const TempFolder & folder, int count, const std::function<void(DataSet &, int)> & change)
{
  for (int i = 0; i < count; ++i)
  {
    DataSet data = Slice(columns, rows, Pixels(100 * i), std::to_string(i + 1), 3.0 * i);
    change(data, i);
    Save(folder / (std::to_string(i) + ".dcm"), data);
  }
}

std::vector<float>
Values(const Volume & volume)
{
  const float * begin = volume.image->GetBufferPointer();
  return { begin, begin + volume.image->GetBufferedRegion().GetNumberOfPixels() };
}

std::string
Refusal(const std::string & path)
{
  const Thrown thrown = FailureOf([&] { ReadVolume(path); });
  EXPECT_EQ(thrown.code, 3);
  return thrown.message;
}

std::string
OnlyWarning(const Volume & volume)
{
  EXPECT_EQ(volume.warnings.size(), 1u);
  return volume.warnings.empty() ? "" : volume.warnings[0];
}

DataSet
OnePixel(std::uint16_t value, int allocated, int stored, int high, int isSigned)
{
  DataSet data = Slice(2, 1, { value, 5 }, "1", 0.0);
  PutShort(data, Tag(0x0028, 0x0100), allocated);
  PutShort(data, Tag(0x0028, 0x0101), stored);
  PutShort(data, Tag(0x0028, 0x0102), high);
  PutShort(data, Tag(0x0028, 0x0103), isSigned);
  return data;
}

} // namespace

TEST(DicomValues, UnusedBitsAreNoPartOfTheValue)
{
  const TempFolder folder;
  const auto       first = [&](const DataSet & data) {
    Save(folder / "b.dcm", data);
    return Values(ReadVolume(folder / "b.dcm"))[0];
  };
  EXPECT_EQ(first(OnePixel(0x0fff, 16, 12, 11, 1)), -1.0f) << "12 signed bits without sign extension";
  EXPECT_EQ(first(OnePixel(0xffff, 16, 12, 11, 1)), -1.0f);
  EXPECT_EQ(first(OnePixel(0x0800, 16, 12, 11, 1)), -2048.0f);
  EXPECT_EQ(first(OnePixel(0x07ff, 16, 12, 11, 1)), 2047.0f);
  EXPECT_EQ(first(OnePixel(0xf123, 16, 12, 11, 0)), 0x123) << "an overlay in the upper bits";
  EXPECT_EQ(first(OnePixel(0xffff, 16, 16, 15, 0)), 65535.0f);
  EXPECT_EQ(first(OnePixel(0xffff, 16, 16, 15, 1)), -1.0f);
  Save(folder / "b.dcm", OnePixel(0x1235, 16, 12, 15, 0));
  EXPECT_NE(Refusal(folder / "b.dcm").find("HighBit is 15 with 12 bits stored, must be 11"), std::string::npos);
}

TEST(DicomValues, PaddingCountsAsTheSmallestTrueValue)
{
  const TempFolder folder;
  WriteSlices(folder, 2, [](DataSet & data, int i) {
    auto pixels = Pixels(50 + 100 * i);
    pixels[0] = 63536; // -2000, as CT scanners write around the reconstructed circle
    pixels[5] = 63536;
    PutBytes(data, Tag(0x7fe0, 0x0010), VR::OW, pixels.data(), pixels.size() * 2);
    PutShort(data, Tag(0x0028, 0x0103), 1);
    PutNumber(data, Tag(0x0028, 0x0120), VR::SS, std::int16_t(-2000));
    PutText(data, Tag(0x0008, 0x0060), VR::CS, "CT");
    PutText(data, Tag(0x0028, 0x1052), VR::DS, "-1024");
    PutText(data, Tag(0x0028, 0x1053), VR::DS, "1");
  });
  const Volume volume = ReadVolume(folder.Path());
  EXPECT_EQ(OnlyWarning(volume),
            folder.Path() + ": 4 voxels hold the padding value -2000; they count as the smallest other value");
  EXPECT_EQ(Values(volume)[0], 51.0f - 1024.0f);
  EXPECT_EQ(Values(volume)[1], 51.0f - 1024.0f);
  EXPECT_EQ(Values(volume)[17], 51.0f - 1024.0f);
  EXPECT_EQ(Values(volume)[23], 161.0f - 1024.0f);
}

TEST(DicomValues, PaddingMayBeARangeAndSurvivesInversion)
{
  const TempFolder folder;
  WriteSlices(folder, 1, [](DataSet & data, int) {
    PutShort(data, Tag(0x0028, 0x0120), 0); // 0, 1 and 2 are padding
    PutShort(data, Tag(0x0028, 0x0121), 2);
    PutText(data, Tag(0x0028, 0x0004), VR::CS, "MONOCHROME1");
  });
  const Volume volume = ReadVolume(folder / "0.dcm");
  // 3 .. 11 turn into 11 .. 3; padding stays the darkest.
  EXPECT_EQ(Values(volume), (std::vector<float>{ 3, 3, 3, 11, 10, 9, 8, 7, 6, 5, 4, 3 }));
  ASSERT_EQ(volume.warnings.size(), 2u);
  EXPECT_NE(volume.warnings[0].find("MONOCHROME1, intensities were inverted"), std::string::npos);
  EXPECT_NE(volume.warnings[1].find("3 voxels hold the padding value"), std::string::npos);
}

TEST(DicomValues, Monochrome1TurnsMrAndXraysButNoHounsfieldUnits)
{
  const TempFolder folder;
  for (const std::string modality : { "MR", "DX", "CT" })
  {
    WriteSlices(folder, 2, [&](DataSet & data, int) {
      PutText(data, Tag(0x0008, 0x0060), VR::CS, modality);
      PutText(data, Tag(0x0028, 0x0004), VR::CS, "MONOCHROME1");
      PutText(data, Tag(0x0028, 0x1052), VR::DS, "-10");
      PutText(data, Tag(0x0028, 0x1053), VR::DS, "2");
    });
    const Volume volume = ReadVolume(folder.Path());
    // Stored 0 .. 111 over both slices.
    EXPECT_EQ(Values(volume)[0], modality == "CT" ? -10.0f : 212.0f) << modality;
    EXPECT_EQ(Values(volume)[23], modality == "CT" ? 212.0f : -10.0f) << modality;
    EXPECT_NE(OnlyWarning(volume).find(modality == "CT" ? "not inverted" : "were inverted"), std::string::npos);
  }
}

TEST(DicomValues, SlopesMayDifferFromSliceToSlice)
{
  const TempFolder folder;
  WriteSlices(folder, 3, [](DataSet & data, int i) {
    PutText(data, Tag(0x0028, 0x1052), VR::DS, std::to_string(i));
    PutText(data, Tag(0x0028, 0x1053), VR::DS, FormatNumber(1.0 / (1 << i)));
  });
  const auto values = Values(ReadVolume(folder.Path()));
  EXPECT_EQ(values[4], 4.0f);
  EXPECT_EQ(values[12 + 4], 104.0f / 2 + 1);
  EXPECT_EQ(values[24 + 4], 204.0f / 4 + 2);
}

TEST(DicomValues, AModalityTableIsNotAppliedAndThatIsSaid)
{
  const TempFolder folder;
  WriteSlices(folder, 1, [](DataSet & data, int) {
    PutSequence(
      data, Tag(0x0028, 0x3000), { Nested([](DataSet & d) { PutText(d, Tag(0x0028, 0x3003), VR::LO, "x"); }) });
  });
  EXPECT_NE(OnlyWarning(ReadVolume(folder / "0.dcm")).find("Modality LUT (0028,3000) is not applied"),
            std::string::npos);
}

TEST(DicomValues, EverySyntaxGivesTheSameValues)
{
  using gdcm::TransferSyntax;
  const TempFolder folder;
  const auto       pixels = [] {
    std::vector<std::uint16_t> values;
    for (int i = 0; i < 32 * 24; ++i)
    {
      values.push_back(static_cast<std::uint16_t>(i * 7919 % 4096));
    }
    return values;
  }();
  const DataSet data = Slice(32, 24, pixels, "1", 0.0);
  const auto    expect = [&](const std::string & name) {
    const auto values = Values(ReadVolume(folder / name));
    EXPECT_TRUE(std::equal(values.begin(), values.end(), pixels.begin(), pixels.end())) << name;
  };
  const std::pair<const char *, TransferSyntax::TSType> plain[] = {
    { "explicit.dcm", TransferSyntax::ExplicitVRLittleEndian },
    { "implicit.dcm", TransferSyntax::ImplicitVRLittleEndian },
    { "big.dcm", TransferSyntax::ExplicitVRBigEndian },
    { "deflated.dcm", TransferSyntax::DeflatedExplicitVRLittleEndian },
  };
  for (const auto & [name, syntax] : plain)
  {
    Save(folder / name, data, syntax);
    expect(name);
  }
  const std::pair<const char *, TransferSyntax::TSType> packed[] = {
    { "rle.dcm", TransferSyntax::RLELossless },
    { "jpeg.dcm", TransferSyntax::JPEGLosslessProcess14 },
    { "jpeg1.dcm", TransferSyntax::JPEGLosslessProcess14_1 },
    { "jpegls.dcm", TransferSyntax::JPEGLSLossless },
    { "j2k.dcm", TransferSyntax::JPEG2000Lossless },
  };
  for (const auto & [name, syntax] : packed)
  {
    Save(folder / name, data);
    Compress(folder / name, syntax);
    expect(name);
    const std::string whole = ReadFile(folder / name);
    WriteFile(folder / name, whole.substr(0, whole.size() * 2 / 3));
    EXPECT_NE(Refusal(folder / name).find(name), std::string::npos);
  }
}

TEST(DicomValues, AFilmSyntaxIsRefusedByName)
{
  const TempFolder folder;
  Save(folder / "0.dcm", Slice(columns, rows, Pixels(0), "1", 0.0));
  Compress(folder / "0.dcm", gdcm::TransferSyntax::RLELossless);
  std::string       bytes = ReadFile(folder / "0.dcm");
  const std::string rle = std::string("1.2.840.10008.1.2.5") + '\0';
  const std::string film = std::string("1.2.840.10008.1.2.4.100");
  const size_t      at = bytes.find(rle);
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, rle.size(), film + '\0');
  bytes[at - 2] = char(film.size() + 1);
  bytes[140] = char(bytes[140] + 4); // the length of the file meta information
  WriteFile(folder / "0.dcm", bytes);
  EXPECT_NE(Refusal(folder / "0.dcm").find("1.2.840.10008.1.2.4.100"), std::string::npos) << Refusal(folder / "0.dcm");
}

TEST(DicomGroups, CopiesCountOnce)
{
  const TempFolder folder;
  WriteSlices(folder, 3, [](DataSet &, int) {});
  WriteFile(folder / "1 (copy).dcm", ReadFile(folder / "1.dcm"));
  WriteFile(folder / "2 (copy).dcm", ReadFile(folder / "2.dcm"));
  const Volume volume = ReadVolume(folder.Path());
  EXPECT_EQ(SizeText(*volume.image), "4 x 3 x 3");
  EXPECT_EQ(volume.image->GetSpacing()[2], 3.0);
  EXPECT_EQ(Values(volume)[24], 200.0f);
  EXPECT_EQ(OnlyWarning(volume),
            folder.Path() + ": 2 files are copies of others (same SOPInstanceUID); each image is taken once");
}

TEST(DicomGroups, LocalizersAndMasksAreLeftOut)
{
  const TempFolder folder;
  WriteSlices(folder, 4, [](DataSet & data, int i) {
    if (i == 3)
    {
      PutText(data, Tag(0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY\\LOCALIZER");
      PutText(data, Tag(0x0020, 0x0037), VR::DS, "0\\1\\0\\0\\0\\-1");
    }
  });
  DataSet mask = Picture(columns, rows, Pixels(0), "99");
  PutText(mask, Tag(0x0008, 0x0060), VR::CS, "SEG");
  PutText(mask, Tag(0x0020, 0x000e), VR::UI, "1.2.3.9");
  Save(folder / "mask.dcm", mask);
  const Volume volume = ReadVolume(folder.Path());
  EXPECT_EQ(SizeText(*volume.image), "4 x 3 x 3");
  ASSERT_EQ(volume.warnings.size(), 2u);
  EXPECT_NE(volume.warnings[0].find("1 files that are no DICOM images were left out"), std::string::npos);
  EXPECT_NE(volume.warnings[1].find("1 localizer images were left out"), std::string::npos);
  // Alone it is an image like any other.
  EXPECT_EQ(SizeText(*ReadVolume(folder / "3.dcm").image), "4 x 3 x 1");
}

TEST(DicomGroups, WhatLiesAtOnePlaceIsToldApart)
{
  const std::pair<Tag, std::pair<VR::VRType, const char *>> keys[] = {
    { Tag(0x0020, 0x0100), { VR::IS, "time" } }, { Tag(0x0018, 0x0081), { VR::DS, "echo" } },
    { Tag(0x0008, 0x0008), { VR::CS, "kind" } }, { Tag(0x0020, 0x0012), { VR::IS, "acquisition" } },
    { Tag(0x0018, 0x1060), { VR::DS, "time" } }, { Tag(0x0018, 0x0086), { VR::IS, "echo" } },
  };
  for (const auto & [tag, kind] : keys)
  {
    const TempFolder folder;
    WriteSlices(folder, 6, [tag = tag, kind = kind](DataSet & data, int i) {
      PutText(data, Tag(0x0020, 0x0032), VR::DS, Place(0, 0, 3.0 * (i / 2)));
      PutText(data, tag, kind.first, i % 2 == 0 ? "90" : "8");
    });
    const std::string message = Refusal(folder.Path());
    EXPECT_NE(message.find(std::string(kind.second) + " 8)"), std::string::npos) << message;
    EXPECT_NE(message.find(std::string(kind.second) + " 90)"), std::string::npos) << message;
    EXPECT_EQ(Values(ReadVolume(folder.Path(), "1"))[12], 300.0f) << kind.second; // 8 before 90
    EXPECT_EQ(Values(ReadVolume(folder.Path(), "2"))[12], 200.0f) << kind.second;
  }
  // Acquisitions one after the other are one volume.
  const TempFolder folder;
  WriteSlices(
    folder, 4, [](DataSet & data, int i) { PutText(data, Tag(0x0020, 0x0012), VR::IS, std::to_string(i / 2)); });
  EXPECT_EQ(SizeText(*ReadVolume(folder.Path()).image), "4 x 3 x 4");
}

TEST(DicomGroups, AMosaicIsRefused)
{
  const TempFolder folder;
  WriteSlices(folder, 1, [](DataSet & data, int) {
    PutText(data, Tag(0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY\\M\\ND\\MOSAIC");
  });
  EXPECT_NE(Refusal(folder / "0.dcm").find("mosaic: one picture with many slices"), std::string::npos);
}

// A stack may lean by less than the gantry's tilt: its grid follows the slices exactly.
TEST(DicomGroups, AStackThatLeansALittleIsFollowed)
{
  const TempFolder folder;
  const double     lean = std::tan(0.4 * M_PI / 180.0);
  WriteSlices(folder, 21, [&](DataSet & data, int i) {
    PutText(data,
            Tag(0x0020, 0x0032),
            VR::DS,
            FormatNumber(1.0) + "\\" + FormatNumber(3.0 * i * lean, 12) + "\\" + FormatNumber(3.0 * i));
  });
  const Volume           volume = ReadVolume(folder.Path());
  VolumeImage::PointType last;
  volume.image->TransformIndexToPhysicalPoint(VolumeImage::IndexType{ { 0, 0, 20 } }, last);
  EXPECT_NEAR(last[0], 1.0, 1e-6);
  EXPECT_NEAR(last[1], 60.0 * lean, 1e-6);
  EXPECT_NEAR(last[2], 60.0, 1e-6);
  EXPECT_NE(OnlyWarning(volume).find("not exactly at right angles"), std::string::npos);
}

TEST(DicomGroups, SmallGapsMustNotAddUp)
{
  const TempFolder folder;
  WriteSlices(folder, 81, [](DataSet & data, int i) {
    // 0.9 % too wide for forty slices, then as much too narrow: 1.08 mm in the middle.
    const double z = 3.0 * i + 0.027 * (i <= 40 ? i : 80 - i);
    PutText(data, Tag(0x0020, 0x0032), VR::DS, Place(0, 0, z));
  });
  EXPECT_NE(Refusal(folder.Path()).find("slices are shifted: 40.dcm is 1.08 mm from its place in an even stack"),
            std::string::npos)
    << Refusal(folder.Path());
}

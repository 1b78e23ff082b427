// Files in and out: grids survive, damage is found, NIfTI forms are repeated, NRRD carries segments.
#include "support.h"

#include "label_table.h"
#include "nifti.h"
#include "output_file.h"
#include "volume_reader.h"
#include "volume_writer.h"

#include <gtest/gtest.h>
#include <itkMetaDataObject.h>
#include <itkNrrdImageIO.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

using namespace verdiff;
using namespace verdiff_test;

namespace
{

const Matrix3 oblique = Product(Rotation(0, 12.0), Product(Rotation(1, -31.0), Rotation(2, 8.0)));

VolumeImage::Pointer
Sample(const Matrix3 & direction = oblique)
{
  int next = 0;
  return MakeImage({ 5, 4, 3 }, { 0.7, 1.1, 3.3 }, { -12.25, 40.5, 7.125 }, direction, [&](const auto &) {
    return float(next++ * 7 % 101 - 20);
  });
}

// A NIfTI-1 file byte by byte.
struct NiftiFile
{
  short              dim[8] = { 3, 3, 2, 2, 1, 1, 1, 1 };
  short              datatype = 4;
  short              bits = 16;
  float              pixdim[8] = { 1, 1, 2, 3, 0, 0, 0, 0 };
  float              slope = 0;
  float              intercept = 0;
  short              qform = 0;
  short              sform = 1;
  float              quaternion[6] = { 0, 0, 0, 0, 0, 0 };
  float              rows[12] = { 1, 0, 0, 5, 0, 2, 0, 6, 0, 0, 3, 7 };
  std::vector<short> voxels = std::vector<short>(12, 9);
  bool               big = false; // byte order

  template <typename T>
  void
  Put(std::string & bytes, size_t offset, T value) const
  {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    if (big)
    {
      std::reverse(raw, raw + sizeof(T));
    }
    bytes.replace(offset, sizeof(T), raw, sizeof(T));
  }

  std::string
  Bytes() const
  {
    std::string bytes(352, '\0');
    Put<int>(bytes, 0, 348);
    for (size_t i = 0; i < 8; ++i)
    {
      Put(bytes, 40 + 2 * i, dim[i]);
      Put(bytes, 76 + 4 * i, pixdim[i]);
    }
    Put(bytes, 70, datatype);
    Put(bytes, 72, bits);
    Put(bytes, 108, 352.0f);
    Put(bytes, 112, slope);
    Put(bytes, 116, intercept);
    bytes[123] = 10; // mm and s
    Put(bytes, 252, qform);
    Put(bytes, 254, sform);
    for (size_t i = 0; i < 6; ++i)
    {
      Put(bytes, 256 + 4 * i, quaternion[i]);
    }
    for (size_t i = 0; i < 12; ++i)
    {
      Put(bytes, 280 + 4 * i, rows[i]);
    }
    bytes.replace(344, 3, "n+1");
    for (const short voxel : voxels)
    {
      bytes += "  ";
      Put(bytes, bytes.size() - 2, voxel);
    }
    return bytes;
  }
};

std::string
Gzip(const std::string & bytes)
{
  const TempFolder folder;
  const gzFile     file = gzopen((folder / "z").c_str(), "wb");
  gzwrite(file, bytes.data(), unsigned(bytes.size()));
  gzclose(file);
  return ReadFile(folder / "z");
}

std::string
ReadFailure(const std::string & path, int code = 3)
{
  const Thrown thrown = FailureOf([&] { ReadVolume(path); });
  EXPECT_EQ(thrown.code, code) << path;
  EXPECT_EQ(thrown.message.find('\n'), std::string::npos);
  EXPECT_NE(thrown.message.find(path.substr(path.rfind('/') + 1)), std::string::npos)
    << "names the file: " << thrown.message;
  return thrown.message;
}

// Written by us, read by ITK or us: the grid of @p reference to 1e-6 (float headers of NIfTI: 1e-5).
void
ExpectSameGrid(const itk::ImageBase<3> & reference, const itk::ImageBase<3> & found, double tolerance)
{
  EXPECT_EQ(GeometryDifference(reference, found, tolerance).value_or(""), "");
}

LabelImage::Pointer
LabelsLike(const VolumeImage & image, int largest = 3)
{
  const auto labels = LabelImage::New();
  labels->CopyInformation(&image);
  labels->SetRegions(image.GetLargestPossibleRegion());
  labels->Allocate(true);
  const size_t count = image.GetLargestPossibleRegion().GetNumberOfPixels();
  for (size_t i = 0; i < count; ++i)
  {
    labels->GetBufferPointer()[i] = static_cast<std::uint16_t>(i % 2 == 0 ? 0 : (i % size_t(largest + 1)));
  }
  labels->GetBufferPointer()[0] = static_cast<std::uint16_t>(largest);
  return labels;
}

const std::vector<Segment> segments = { { 1, "vertebra" }, { 2, "L4-L5 disc" }, { 3, "something else" } };

} // namespace

TEST(ReadVolume, ItkWrittenFilesKeepGridAndValues)
{
  const TempFolder folder;
  for (const Matrix3 & direction :
       { identity, oblique, Product(oblique, Matrix3{ { { -1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } } }) })
  {
    const auto image = Sample(direction);
    for (const char * name : { "a.nrrd", "a.mha" })
    {
      WriteWithItk<short>(folder / name, *image);
      const Volume volume = ReadVolume(folder / name);
      ExpectSameGrid(*image, *volume.image, 1e-6);
      EXPECT_TRUE(
        std::equal(image->GetBufferPointer(), image->GetBufferPointer() + 60, volume.image->GetBufferPointer()));
      EXPECT_TRUE(volume.warnings.empty());
    }
  }
}

TEST(WriteLabels, GridSurvivesEveryFormat)
{
  const TempFolder folder;
  for (const Matrix3 & direction :
       { identity, oblique, Product(Matrix3{ { { 0, 0, 1 }, { 1, 0, 0 }, { 0, -1, 0 } } }, oblique) })
  {
    Volume reference;
    reference.image = Sample(direction);
    for (const char * name : { "l.nrrd", "l.seg.nrrd", "l.mha", "l.nii.gz", "l.nii" })
    {
      for (const int largest : { 3, 300 })
      {
        const auto labels = LabelsLike(*reference.image, largest);
        OutputFile file(folder / name);
        WriteLabels(file, *labels, reference, segments);
        const LabelVolume back = ReadLabels(folder / name);
        SCOPED_TRACE(name);
        ExpectSameGrid(
          *reference.image, *back.image, std::string(name).find(".nii") != std::string::npos ? 1e-5 : 1e-6);
        EXPECT_TRUE(
          std::equal(labels->GetBufferPointer(), labels->GetBufferPointer() + 60, back.image->GetBufferPointer()));
      }
    }
  }
  EXPECT_EQ(folder.Entries().size(), 5u) << "no temporary file is left";
}

TEST(WriteLabels, NrrdCarriesSlicersSegmentKeys)
{
  const TempFolder folder;
  Volume           reference;
  reference.image = Sample();
  {
    OutputFile file(folder / "s.seg.nrrd");
    WriteLabels(file, *LabelsLike(*reference.image), reference, segments);
  }
  const auto io = itk::NrrdImageIO::New();
  io->SetFileName(folder / "s.seg.nrrd");
  io->ReadImageInformation();
  EXPECT_EQ(io->GetComponentType(), itk::IOComponentEnum::UCHAR);
  const auto key = [&](const std::string & name) {
    std::string value = "(missing)";
    itk::ExposeMetaData<std::string>(io->GetMetaDataDictionary(), name, value);
    return value;
  };
  EXPECT_EQ(key("Segment0_ID"), "Segment_1");
  EXPECT_EQ(key("Segment0_Name"), "Vertebra");
  EXPECT_EQ(key("Segment0_LabelValue"), "1");
  EXPECT_EQ(key("Segment0_Layer"), "0");
  EXPECT_EQ(key("Segment0_Extent"), "0 4 0 3 0 2"); // the whole grid, or Slicer cuts
  EXPECT_EQ(key("Segment0_Color"), "0.945098 0.839216 0.568627");
  EXPECT_EQ(key("Segment0_Tags"),
            "TerminologyEntry:Segmentation category and type - DICOM master list~SCT^123037004^Anatomical "
            "Structure~SCT^51282000^Vertebra~^^~Anatomic codes - DICOM master list~^^~^^|");
  EXPECT_NE(key("Segment1_Tags").find("SCT^360499006^Intervertebral disc"), std::string::npos);
  EXPECT_NE(key("Segment1_Tags").find("SCT^122496007^Lumbar spine"), std::string::npos);
  EXPECT_EQ(key("Segment2_Name"), "something else");
  EXPECT_EQ(key("Segment3_ID"), "(missing)");
  EXPECT_EQ(key("Segmentation_MasterRepresentation"), "Binary labelmap");
  EXPECT_NE(ReadFile(folder / "s.seg.nrrd").find("encoding: gzip"), std::string::npos);
}

TEST(LabelTable, NamesAreFoundWhateverTheirSpelling)
{
  EXPECT_EQ(LabelEntryFor("disc", 2).type.value, "360499006");
  EXPECT_EQ(LabelEntryFor("L4", 1).name, "L4 vertebra");
  EXPECT_EQ(LabelEntryFor("vertebrae_L4", 1).type.value, "11994002");
  EXPECT_EQ(LabelEntryFor("Spinal-Canal", 1).type.value, "61853006");
  std::vector<int> values;
  for (const LabelEntry & entry : LabelTable())
  {
    values.push_back(entry.value);
    EXPECT_FALSE(entry.type.value.empty()) << entry.name;
  }
  for (size_t i = 0; i < values.size(); ++i)
  {
    EXPECT_EQ(values[i], int(i) + 1) << "small and contiguous";
  }
}

TEST(Nifti, SformAndQformGiveTheirGrids)
{
  const TempFolder folder;
  NiftiFile        file;
  WriteFile(folder / "s.nii", file.Bytes());
  const Volume s = ReadVolume(folder / "s.nii");
  EXPECT_EQ(s.image->GetSpacing()[1], 2.0);
  EXPECT_EQ(s.image->GetOrigin()[0], -5.0); // RAS to LPS
  EXPECT_EQ(s.image->GetOrigin()[2], 7.0);
  EXPECT_EQ(s.image->GetDirection()[0][0], -1.0);
  EXPECT_EQ(s.image->GetDirection()[2][2], 1.0);

  // 90 degrees about z: x to y; and a left-handed grid by qfac -1.
  file.sform = 0;
  file.qform = 1;
  file.pixdim[0] = -1;
  file.quaternion[2] = std::sqrt(0.5f);
  file.quaternion[3] = 1;
  WriteFile(folder / "q.nii", file.Bytes());
  const Volume q = ReadVolume(folder / "q.nii");
  EXPECT_NEAR(q.image->GetDirection()[1][0], -1.0, 1e-6);
  EXPECT_NEAR(q.image->GetDirection()[0][1], 1.0, 1e-6);
  EXPECT_NEAR(q.image->GetDirection()[2][2], -1.0, 1e-6);
  EXPECT_NEAR(q.image->GetOrigin()[0], -1.0, 1e-6);
}

TEST(Nifti, ScalingByteOrderAndGzipGiveTheSameValues)
{
  const TempFolder folder;
  NiftiFile        file;
  for (short i = 0; i < 12; ++i)
  {
    file.voxels[size_t(i)] = short(i * 300 - 1000);
  }
  file.slope = 2;
  file.intercept = -7;
  WriteFile(folder / "little.nii", file.Bytes());
  WriteFile(folder / "little.nii.gz", Gzip(file.Bytes()));
  file.big = true;
  WriteFile(folder / "big.nii", file.Bytes());
  for (const char * name : { "little.nii", "little.nii.gz", "big.nii" })
  {
    const Volume volume = ReadVolume(folder / name);
    for (int i = 0; i < 12; ++i)
    {
      EXPECT_EQ(volume.image->GetBufferPointer()[i], float((i * 300 - 1000) * 2 - 7)) << name;
    }
    EXPECT_EQ(volume.image->GetOrigin()[1], -6.0);
  }
}

// Everything that places voxels: dim, pixdim, units, codes, quaternion, sform.
static std::string
Placing(const std::string & header)
{
  return header.substr(40, 16) + header.substr(76, 32) + header.substr(123, 1) + header.substr(252, 76);
}

TEST(Nifti, OutputRepeatsBothFormsVerbatim)
{
  const TempFolder folder;
  for (const bool big : { false, true })
  {
    NiftiFile file;
    file.big = big;
    file.qform = 1;
    file.sform = 2; // differs from the qform by far
    file.quaternion[0] = 0.1f;
    file.quaternion[4] = -33.3f;
    file.rows[3] = 12.345f;
    file.slope = 3;
    WriteFile(folder / "in.nii", file.Bytes());
    const Volume volume = ReadVolume(folder / "in.nii");
    ASSERT_EQ(volume.warnings.size(), 1u);
    EXPECT_NE(volume.warnings[0].find("qform and sform differ"), std::string::npos);
    for (const int largest : { 3, 999 })
    {
      const auto labels = LabelsLike(*volume.image, largest);
      {
        OutputFile output(folder / "out.nii");
        WriteLabels(output, *labels, volume, segments);
      }
      EXPECT_TRUE(Placing(ReadFile(folder / "out.nii")) == Placing(file.Bytes()));
      const LabelVolume back = ReadLabels(folder / "out.nii");
      EXPECT_TRUE(
        std::equal(labels->GetBufferPointer(), labels->GetBufferPointer() + 12, back.image->GetBufferPointer()));
    }
  }
}

TEST(Nifti, NearlyRightAnglesAreRepairedOthersRefused)
{
  const TempFolder folder;
  NiftiFile        file;
  file.rows[1] = 0.02f; // second axis leans by 0.6 degrees
  WriteFile(folder / "lean.nii", file.Bytes());
  const Volume lean = ReadVolume(folder / "lean.nii");
  ASSERT_EQ(lean.warnings.size(), 1u);
  EXPECT_NE(lean.warnings[0].find("not exactly at right angles"), std::string::npos);
  const auto d = lean.image->GetDirection();
  EXPECT_NEAR(d[0][0] * d[0][1] + d[1][0] * d[1][1] + d[2][0] * d[2][1], 0.0, 1e-9);
  file.rows[1] = 0.5f;
  WriteFile(folder / "shear.nii", file.Bytes());
  EXPECT_NE(ReadFailure(folder / "shear.nii").find("sheared"), std::string::npos);
}

// Three decimals are what several converters write; the output repeats the input's bytes all the same.
TEST(Nifti, ARoundedSformIsRepairedAndRepeated)
{
  const TempFolder folder;
  NiftiFile        file;
  const Matrix3    turn = Product(Rotation(0, 12.3), Product(Rotation(1, -31.7), Rotation(2, 8.9)));
  const double     spacing[3] = { 0.7, 1.1, 3.3 };
  for (size_t i = 0; i < 3; ++i)
  {
    file.pixdim[i + 1] = float(spacing[i]);
    for (size_t j = 0; j < 3; ++j)
    {
      file.rows[4 * i + j] = float(std::round(turn[i][j] * spacing[j] * 1000.0) / 1000.0);
    }
  }
  WriteFile(folder / "rounded.nii", file.Bytes());
  const Volume volume = ReadVolume(folder / "rounded.nii");
  ASSERT_EQ(volume.warnings.size(), 1u);
  EXPECT_NE(volume.warnings[0].find("not exactly at right angles; the nearest rotation, 0.0"), std::string::npos)
    << volume.warnings[0];
  for (unsigned int i = 0; i < 3; ++i)
  {
    for (unsigned int j = 0; j < 3; ++j)
    {
      const double sign = i < 2 ? -1.0 : 1.0;
      EXPECT_NEAR(sign * volume.image->GetDirection()[i][j], turn[i][j], 1e-3);
      double product = 0.0;
      for (unsigned int k = 0; k < 3; ++k)
      {
        product += volume.image->GetDirection()[k][i] * volume.image->GetDirection()[k][j];
      }
      EXPECT_NEAR(product, i == j ? 1.0 : 0.0, 1e-12) << "a rotation";
    }
  }
  {
    OutputFile output(folder / "out.nii");
    WriteLabels(output, *LabelsLike(*volume.image), volume, segments);
  }
  EXPECT_TRUE(Placing(ReadFile(folder / "out.nii")) == Placing(file.Bytes()));
}

// Of a shear by s the nearest rotation is atan(s / 2) away from both axes.
TEST(Nifti, ShearIsJudgedByItsAngle)
{
  const TempFolder folder;
  const auto       found = [&](float shear) {
    NiftiFile file;
    file.rows[1] = 2.0f * shear;
    WriteFile(folder / "s.nii", file.Bytes());
    return FailureOf([&] { ReadVolume(folder / "s.nii"); }).message;
  };
  EXPECT_EQ(found(0.034f), "");
  EXPECT_EQ(found(0.036f),
            (folder / "s.nii") +
              ": the axes are sheared: they are 1.03 degrees from the nearest rotation, at most 1 is "
              "accepted");
}

TEST(Nifti, LengthsThatDisagreeAreSaid)
{
  const TempFolder folder;
  NiftiFile        file;
  file.pixdim[2] = 2.5f;
  WriteFile(folder / "p.nii", file.Bytes());
  const Volume volume = ReadVolume(folder / "p.nii");
  EXPECT_EQ(volume.image->GetSpacing()[1], 2.0);
  ASSERT_EQ(volume.warnings.size(), 1u);
  EXPECT_EQ(volume.warnings[0],
            (folder / "p.nii") + ": voxels are 1 2 3 mm by the sform and 1 2.5 3 mm by pixdim; the sform is used");
}

// Refused from the header, before memory is taken for it.
TEST(Nifti, SizesThatNoSuchFileHoldsAreRefusedAtOnce)
{
  const TempFolder folder;
  NiftiFile        file;
  file.dim[1] = file.dim[2] = 32000;
  file.dim[3] = 1000;
  WriteFile(folder / "huge.nii", file.Bytes());
  WriteFile(folder / "huge.nii.gz", Gzip(file.Bytes()));
  EXPECT_NE(ReadFailure(folder / "huge.nii").find("truncated: 376 bytes, the header needs 2048000000348"),
            std::string::npos);
  EXPECT_NE(ReadFailure(folder / "huge.nii.gz").find("the header needs 2048000000348 unpacked"), std::string::npos);
}

TEST(Nifti, RefusesWhatIsNoSingleGreyVolume)
{
  const TempFolder folder;
  const auto       refusal = [&](const std::function<void(NiftiFile &)> & change) {
    NiftiFile file;
    change(file);
    WriteFile(folder / "bad.nii", file.Bytes());
    return ReadFailure(folder / "bad.nii");
  };
  EXPECT_NE(refusal([](NiftiFile & f) { f.dim[0] = 4, f.dim[4] = 30; }).find("4-D volume: dim[4] is 30, must be 1"),
            std::string::npos);
  EXPECT_NE(refusal([](NiftiFile & f) { f.dim[0] = 5, f.dim[5] = 3; }).find("vector volume: dim[5] is 3"),
            std::string::npos);
  EXPECT_NE(refusal([](NiftiFile & f) { f.datatype = 128; }).find("datatype is 128 (colour)"), std::string::npos);
  EXPECT_NE(refusal([](NiftiFile & f) { f.pixdim[2] = 0; }).find("pixdim[2] is 0, must be above 0"), std::string::npos);
  EXPECT_NE(refusal([](NiftiFile & f) { f.pixdim[3] = NAN; }).find("pixdim[3] is nan"), std::string::npos);
  EXPECT_NE(refusal([](NiftiFile & f) { f.dim[1] = -3; }).find("dim[1] is -3"), std::string::npos);
  EXPECT_NE(refusal([](NiftiFile & f) { f.dim[0] = 0; }).find("dim[0] is 0"), std::string::npos);
  EXPECT_NE(refusal([](NiftiFile & f) { f.rows[0] = 0; }).find("srow"), std::string::npos);
  EXPECT_NE(refusal([](NiftiFile & f) { f.voxels.resize(11); }).find("truncated"), std::string::npos);
}

TEST(Nifti, EveryCutOfAGzipFileIsRefused)
{
  const TempFolder  folder;
  NiftiFile         file;
  const std::string whole = Gzip(file.Bytes());
  for (size_t bytes = 0; bytes < whole.size(); ++bytes)
  {
    WriteFile(folder / "cut.nii.gz", whole.substr(0, bytes));
    EXPECT_FALSE(ReadFailure(folder / "cut.nii.gz").empty()) << bytes;
  }
}

TEST(Nifti, FlippedBitsInAGzipFileAreFound)
{
  const TempFolder folder;
  NiftiFile        file;
  file.dim[1] = 30;
  file.dim[2] = 20;
  file.voxels.assign(1200, 0);
  for (size_t i = 0; i < 1200; ++i)
  {
    file.voxels[i] = short(i * 7919 % 1000);
  }
  const std::string whole = Gzip(file.Bytes());
  for (size_t at = 12; at < whole.size(); at += 17) // after the gzip header, whose bytes are not covered
  {
    std::string damaged = whole;
    damaged[at] = char(damaged[at] ^ 0x10);
    WriteFile(folder / "bits.nii.gz", damaged);
    EXPECT_FALSE(ReadFailure(folder / "bits.nii.gz").empty()) << at;
  }
}

TEST(ReadVolume, TruncatedContainersAreRefused)
{
  const TempFolder folder;
  const auto       image = Sample();
  WriteWithItk<short>(folder / "whole.nrrd", *image);
  WriteWithItk<short>(folder / "whole.mha", *image);
  WritePng(folder / "whole.png", 9, 8, 1, [](int x, int y, int) { return x * y; });
  for (const std::string extension : { ".nrrd", ".mha", ".png" })
  {
    const std::string whole = ReadFile(folder / ("whole" + extension));
    EXPECT_EQ(FailureOf([&] { ReadVolume(folder / ("whole" + extension)); }).message, "");
    for (const size_t lost : { size_t(1), size_t(10), whole.size() / 2 })
    {
      WriteFile(folder / ("cut" + extension), whole.substr(0, whole.size() - lost));
      EXPECT_FALSE(ReadFailure(folder / ("cut" + extension)).empty()) << extension << " less " << lost;
    }
  }
}

TEST(ReadVolume, DamagedPixelsAreFoundByChecksum)
{
  const TempFolder folder;
  WriteWithItk<short>(folder / "a.nrrd", *Sample());
  WriteWithItk<short>(folder / "a.mha", *Sample());
  WritePng(folder / "a.png", 9, 8, 1, [](int x, int y, int) { return x * y; });
  for (const std::string name : { "a.nrrd", "a.mha", "a.png" })
  {
    std::string bytes = ReadFile(folder / name);
    bytes[bytes.size() - 22] = char(bytes[bytes.size() - 22] ^ 0x44);
    WriteFile(folder / name, bytes);
    EXPECT_FALSE(ReadFailure(folder / name).empty()) << name;
  }
}

TEST(ReadVolume, RefusesMissingEmptyAndUnknownFiles)
{
  const TempFolder folder;
  EXPECT_NE(ReadFailure(folder / "none.nii.gz").find("no such file or folder"), std::string::npos);
  WriteFile(folder / "empty.nrrd", "");
  EXPECT_NE(ReadFailure(folder / "empty.nrrd").find("empty (0 bytes)"), std::string::npos);
  WriteFile(folder / "text.txt", "hello");
  EXPECT_NE(ReadFailure(folder / "text.txt").find("unknown format (.txt)"), std::string::npos);
  WriteFile(folder / "fake.nii.gz", "hello hello hello");
  EXPECT_FALSE(ReadFailure(folder / "fake.nii.gz").empty());
}

TEST(ReadVolume, CountsVoxelsThatAreNoNumbers)
{
  const TempFolder folder;
  const auto       image = Sample();
  image->GetBufferPointer()[7] = std::numeric_limits<float>::quiet_NaN(); // index 2 1 0
  image->GetBufferPointer()[30] = std::numeric_limits<float>::infinity();
  WriteWithItk<float>(folder / "nan.nrrd", *image);
  EXPECT_NE(ReadFailure(folder / "nan.nrrd").find("2 of 60 voxels are NaN or infinite, the first at index 2 1 0"),
            std::string::npos);
}

TEST(ReadVolume, RefusesBadNrrdHeaders)
{
  const TempFolder  folder;
  const std::string start = "NRRD0004\ntype: short\n";
  const auto        refusal = [&](const std::string & rest, size_t bytes) {
    WriteFile(folder / "bad.nrrd", start + rest + "encoding: raw\nendian: little\n\n" + std::string(bytes, 'x'));
    return ReadFailure(folder / "bad.nrrd");
  };
  EXPECT_NE(refusal("dimension: 3\nsizes: 2 2 2\nspacings: 1 0 1\n", 16).find("spacings has 0"), std::string::npos);
  EXPECT_NE(refusal("dimension: 3\nsizes: 2 2 2\nspace: left-posterior-superior\nspace directions: (1,0,0) (0,0,0) "
                    "(0,0,1)\nspace origin: (0,0,0)\n",
                    16)
              .find("space directions has (0,0,0)"),
            std::string::npos);
  EXPECT_NE(refusal("dimension: 4\nsizes: 2 2 2 2\nkinds: domain domain domain domain\n", 32).find("4-D"),
            std::string::npos);
  EXPECT_NE(
    refusal("dimension: 4\nsizes: 3 2 2 2\nkinds: RGB-color domain domain domain\n", 48).find("3 values per voxel"),
    std::string::npos);
  EXPECT_NE(refusal("dimension: 3\nsizes: 2 2 2\nspacings: 1 nan 1\n", 16).find("spacings has nan"), std::string::npos);
  EXPECT_FALSE(refusal("dimension: 3\nsizes: 2 2 2\nspace: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) "
                       "(0,0,1)\nspace origin: (0,nan,0)\n",
                       16)
                 .empty());
  EXPECT_NE(refusal("dimension: 3\nsizes: 2 2 2\nspace: left-posterior-superior\nspace directions: (1,0,0) (0.5,1,0) "
                    "(0,0,1)\nspace origin: (0,0,0)\n",
                    16)
              .find("the axes are sheared: they are 13.3 degrees"),
            std::string::npos);
  EXPECT_NE(refusal("dimension: 3\nsizes: 2 2 2\n", 15).find("15 bytes of voxels, the header needs 16"),
            std::string::npos);
}

TEST(ReadVolume, RefusesBadMetaImageHeaders)
{
  const TempFolder folder;
  const auto       refusal = [&](const std::string & rest, size_t bytes = 16) {
    WriteFile(folder / "bad.mha",
              "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n" + rest +
                "ElementType = MET_SHORT\nElementDataFile = LOCAL\n" + std::string(bytes, 'x'));
    return ReadFailure(folder / "bad.mha");
  };
  const std::string size = "DimSize = 2 2 2\n";
  EXPECT_NE(refusal(size + "ElementSpacing = 1 0 1\n").find("elementspacing has 0"), std::string::npos);
  EXPECT_NE(refusal(size + "ElementSpacing = 1 nan 1\n").find("elementspacing has nan"), std::string::npos);
  EXPECT_NE(refusal(size, 15).find("15 bytes of voxels, the header needs 16"), std::string::npos);
  EXPECT_NE(refusal(size + "ElementNumberOfChannels = 3\n", 48).find("3 values per voxel, must be 1"),
            std::string::npos);
  EXPECT_NE(refusal("DimSize = 2 -2 2\n").find("DimSize has \"-2\""), std::string::npos);
  EXPECT_NE(refusal(size + "TransformMatrix = 1 0 0 0.44721 0.89443 0 0 0 1\n").find("sheared: they are 13.3 degrees"),
            std::string::npos)
    << refusal(size + "TransformMatrix = 1 0 0 0.44721 0.89443 0 0 0 1\n");
  EXPECT_NE(
    refusal(size + "TransformMatrix = 1 0 0 0 nan 0 0 0 1\n").find("transformmatrix has \"nan\", must be a number"),
    std::string::npos);
  EXPECT_NE(refusal(size + "Offset = 1 inf 0\n").find("offset has \"inf\""), std::string::npos);
  EXPECT_FALSE(refusal(size + "TransformMatrix = 1 0 0 0 0 0 0 0 1\n").empty());
  EXPECT_NE(refusal(size + "TransformMatrix = 1 0 0 0 2 0 0 0 1\n").find("direction of axis 2 has length 2, must be 1"),
            std::string::npos);
}

// Encodings that only ITK reads, and gzip that is none.
TEST(ReadVolume, RefusesNrrdDataThatIsNotWhatItSays)
{
  const TempFolder  folder;
  const std::string start = "NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 2\nendian: little\nencoding: ";
  for (const std::string encoding : { "gzip\n\n", "ascii\n\n1 2 3 4 5 6 7", "hex\n\n0001", "bzip2\n\nBZh9" })
  {
    const std::string name = "n_" + encoding.substr(0, encoding.find('\n')) + ".nrrd";
    WriteFile(folder / name, start + encoding + (encoding[0] == 'g' ? std::string(40, 'x') : ""));
    EXPECT_FALSE(ReadFailure(folder / name).empty());
  }
  EXPECT_NE(ReadFailure(folder / "n_gzip.nrrd").find("do not begin as gzip data"), std::string::npos);
}

TEST(ReadVolume, ColourPicturesAreRefusedGreyOnesAccepted)
{
  const TempFolder folder;
  WritePng(folder / "grey.png", 4, 3, 3, [](int x, int y, int) { return 10 * x + y; });
  const Volume grey = ReadVolume(folder / "grey.png");
  EXPECT_EQ(grey.image->GetBufferPointer()[5], 11.0f); // x 1, y 1
  EXPECT_FALSE(grey.spacingKnown);
  EXPECT_EQ(grey.fileDimension, 2);
  WritePng(folder / "colour.png", 4, 3, 3, [](int x, int y, int c) { return x == 2 && y == 1 && c == 0 ? 200 : 20; });
  EXPECT_NE(ReadFailure(folder / "colour.png").find("colour image: pixel 2, 1 is 200 20 20"), std::string::npos);
}

TEST(ReadLabels, RefusesFractionsAndNegatives)
{
  const TempFolder folder;
  const auto       image = Sample();
  WriteWithItk<short>(folder / "neg.nrrd", *image);
  const Thrown thrown = FailureOf([&] { ReadLabels(folder / "neg.nrrd"); });
  EXPECT_EQ(thrown.code, 3);
  EXPECT_NE(thrown.message.find("label -20 at index 0 0 0, must be an integer from 0 to 65535"), std::string::npos);
}

TEST(OutputFile, AppearsOnlyWhenCommitted)
{
  const TempFolder folder;
  WriteFile(folder / "x.nrrd", "old");
  {
    OutputFile file(folder / "x.nrrd");
    file.Write("half");
    EXPECT_EQ(folder.Entries().size(), 2u);
  }
  EXPECT_EQ(folder.Entries(), std::vector<std::string>{ "x.nrrd" });
  EXPECT_EQ(ReadFile(folder / "x.nrrd"), "old");
  {
    OutputFile file(folder / "x.nrrd");
    file.Write("new");
    file.Commit();
  }
  EXPECT_EQ(folder.Entries(), std::vector<std::string>{ "x.nrrd" });
  EXPECT_EQ(ReadFile(folder / "x.nrrd"), "new");
}

TEST(OutputFile, UnwritablePlacesAreFoundAtOnce)
{
  const TempFolder folder;
  WriteFile(folder / "file", "");
  for (const std::string & path : { folder / "none/x.nrrd", folder / "file/x.nrrd", folder.Path(), std::string() })
  {
    EXPECT_EQ(FailureOf([&] { OutputFile file(path); }).code, 6) << path;
  }
}

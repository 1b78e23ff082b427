#include "support.h"

#include "failure.h"

#include <itkImageFileWriter.h>
#include <itkMetaImageIO.h>
#include <itkNrrdImageIO.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

namespace verdiff_test
{

namespace fs = std::filesystem;

TempFolder::TempFolder()
{
  std::string pattern = (fs::temp_directory_path() / "verdiff-test-XXXXXX").string();
  if (!mkdtemp(pattern.data()))
  {
    throw std::runtime_error("no temporary folder");
  }
  m_Path = pattern;
}

TempFolder::~TempFolder()
{
  std::error_code error;
  fs::remove_all(m_Path, error);
}

std::vector<std::string>
TempFolder::Entries() const
{
  std::vector<std::string> names;
  for (const auto & entry : fs::directory_iterator(m_Path))
  {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string
ReadFile(const std::string & path)
{
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

void
WriteFile(const std::string & path, const std::string & bytes)
{
  std::ofstream(path, std::ios::binary) << bytes;
}

Outcome
RunTool(const std::string & program, const std::vector<std::string> & arguments, const std::string & prefix)
{
  const TempFolder folder;
  std::string      command = prefix + " exec '" VERDIFF_BIN "/" + program + "'";
  for (const std::string & argument : arguments)
  {
    command += " '" + argument + "'";
  }
  command += " > '" + (folder / "out") + "' 2> '" + (folder / "err") + "'";
  const int status = std::system(command.c_str());
  Outcome   outcome;
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.out = ReadFile(folder / "out");
  outcome.err = ReadFile(folder / "err");
  return outcome;
}

std::string
TestModel()
{
  const char *      given = std::getenv("VERDIFF_TEST_MODEL");
  const std::string path = given ? given : VERDIFF_SOURCE_DIR "/Resources/Models/verdiff-tiny.safetensors";
  return fs::exists(path) ? path : std::string();
}

Matrix3
Product(const Matrix3 & a, const Matrix3 & b)
{
  Matrix3 c{};
  for (size_t i = 0; i < 3; ++i)
  {
    for (size_t j = 0; j < 3; ++j)
    {
      for (size_t k = 0; k < 3; ++k)
      {
        c[i][j] += a[i][k] * b[k][j];
      }
    }
  }
  return c;
}

Matrix3
Rotation(int axis, double degrees)
{
  const double angle = degrees * M_PI / 180.0;
  const size_t i = (size_t(axis) + 1) % 3;
  const size_t j = (size_t(axis) + 2) % 3;
  Matrix3      r = identity;
  r[i][i] = std::cos(angle);
  r[i][j] = -std::sin(angle);
  r[j][i] = std::sin(angle);
  r[j][j] = std::cos(angle);
  return r;
}

verdiff::VolumeImage::Pointer
MakeImage(const Size &                                                          size,
          const std::array<double, 3> &                                         spacing,
          const std::array<double, 3> &                                         origin,
          const Matrix3 &                                                       direction,
          const std::function<float(const verdiff::VolumeImage::PointType &)> & value)
{
  const auto image = verdiff::VolumeImage::New();
  image->SetRegions(verdiff::VolumeImage::SizeType{ { size_t(size[0]), size_t(size[1]), size_t(size[2]) } });
  verdiff::VolumeImage::DirectionType axes;
  for (unsigned int i = 0; i < 3; ++i)
  {
    for (unsigned int j = 0; j < 3; ++j)
    {
      axes[i][j] = direction[i][j];
    }
  }
  image->SetSpacing(spacing.data());
  image->SetOrigin(origin.data());
  image->SetDirection(axes);
  image->Allocate();
  const size_t count = image->GetBufferedRegion().GetNumberOfPixels();
  for (size_t i = 0; i < count; ++i)
  {
    verdiff::VolumeImage::PointType point;
    image->TransformIndexToPhysicalPoint(image->ComputeIndex(long(i)), point);
    image->GetBufferPointer()[i] = value(point);
  }
  return image;
}

template <typename TPixel>
void
WriteWithItk(const std::string & path, const verdiff::VolumeImage & image)
{
  using Image = itk::Image<TPixel, 3>;
  const auto copy = Image::New();
  copy->CopyInformation(&image);
  copy->SetRegions(image.GetLargestPossibleRegion());
  copy->Allocate();
  const size_t count = image.GetLargestPossibleRegion().GetNumberOfPixels();
  std::transform(image.GetBufferPointer(), image.GetBufferPointer() + count, copy->GetBufferPointer(), [](float v) {
    return static_cast<TPixel>(v);
  });
  const auto writer = itk::ImageFileWriter<Image>::New();
  if (path.find(".nrrd") != std::string::npos)
  {
    writer->SetImageIO(itk::NrrdImageIO::New());
  }
  else
  {
    writer->SetImageIO(itk::MetaImageIO::New());
  }
  writer->SetFileName(path);
  writer->SetInput(copy);
  writer->SetUseCompression(true);
  writer->Update();
}

template void
WriteWithItk<float>(const std::string &, const verdiff::VolumeImage &);
template void
WriteWithItk<short>(const std::string &, const verdiff::VolumeImage &);
template void
WriteWithItk<unsigned char>(const std::string &, const verdiff::VolumeImage &);

static std::string
BigEndian(std::uint32_t value)
{
  return { char(value >> 24), char(value >> 16), char(value >> 8), char(value) };
}

static std::string
PngChunk(const std::string & name, const std::string & data)
{
  const std::string body = name + data;
  return BigEndian(std::uint32_t(data.size())) + body +
         BigEndian(std::uint32_t(crc32(0, reinterpret_cast<const Bytef *>(body.data()), uInt(body.size()))));
}

void
WritePng(const std::string & path, int width, int height, int channels, const std::function<int(int, int, int)> & value)
{
  std::string rows;
  for (int y = 0; y < height; ++y)
  {
    rows += '\0'; // no filter
    for (int x = 0; x < width; ++x)
    {
      for (int c = 0; c < channels; ++c)
      {
        rows += char(value(x, y, c));
      }
    }
  }
  uLongf      length = compressBound(uLong(rows.size()));
  std::string packed(length, '\0');
  compress(reinterpret_cast<Bytef *>(packed.data()),
           &length,
           reinterpret_cast<const Bytef *>(rows.data()),
           uLong(rows.size()));
  packed.resize(length);
  std::string header = BigEndian(std::uint32_t(width)) + BigEndian(std::uint32_t(height));
  header += char(8);
  header += char(channels == 3 ? 2 : 0);
  header += std::string(3, '\0');
  WriteFile(path, "\x89PNG\r\n\x1a\n" + PngChunk("IHDR", header) + PngChunk("IDAT", packed) + PngChunk("IEND", ""));
}

static std::string
LittleEndian(std::uint32_t value, int bytes)
{
  std::string text;
  for (int i = 0; i < bytes; ++i)
  {
    text += char(value >> (8 * i));
  }
  return text;
}

static std::string
Element(int group, int element, const std::string & type, std::string value)
{
  const bool wide = type == "OB" || type == "OW";
  if (value.size() % 2 != 0)
  {
    value += type == "UI" || type == "OB" ? '\0' : ' ';
  }
  return LittleEndian(std::uint32_t(group), 2) + LittleEndian(std::uint32_t(element), 2) + type +
         (wide ? std::string(2, '\0') + LittleEndian(std::uint32_t(value.size()), 4)
               : LittleEndian(std::uint32_t(value.size()), 2)) +
         value;
}

static std::string
Number(int value)
{
  return LittleEndian(std::uint32_t(value), 2);
}

std::string
DicomBytes(const DicomSlice & s)
{
  const std::string classUid = "1.2.840.10008.5.1.4.1.1.4";
  const std::string instanceUid = s.series + "." + std::to_string(s.instance);
  const std::string meta = Element(2, 1, "OB", std::string("\0\1", 2)) + Element(2, 2, "UI", classUid) +
                           Element(2, 3, "UI", instanceUid) + Element(2, 0x10, "UI", "1.2.840.10008.1.2.1") +
                           Element(2, 0x12, "UI", "1.2.3.4.5");
  std::string bytes(128, '\0');
  bytes += "DICM" + Element(2, 0, "UL", LittleEndian(std::uint32_t(meta.size()), 4)) + meta;
  bytes += Element(8, 0x16, "UI", classUid) + Element(8, 0x18, "UI", instanceUid) + Element(8, 0x60, "CS", s.modality) +
           Element(8, 0x103e, "LO", "Sagittal") + Element(0x18, 0x50, "DS", "4") + Element(0x20, 0xd, "UI", "1.2.3") +
           Element(0x20, 0xe, "UI", s.series) + Element(0x20, 0x13, "IS", std::to_string(s.instance));
  if (!s.position.empty())
  {
    bytes += Element(0x20, 0x32, "DS", s.position) + Element(0x20, 0x37, "DS", s.orientation);
  }
  bytes += Element(0x28, 2, "US", Number(s.samples)) + Element(0x28, 4, "CS", s.photometric);
  if (s.samples > 1)
  {
    bytes += Element(0x28, 6, "US", Number(0));
  }
  bytes += Element(0x28, 0x10, "US", Number(s.rows)) + Element(0x28, 0x11, "US", Number(s.columns));
  if (!s.spacing.empty())
  {
    bytes += Element(0x28, 0x30, "DS", s.spacing);
  }
  bytes += Element(0x28, 0x100, "US", Number(16)) + Element(0x28, 0x101, "US", Number(16)) +
           Element(0x28, 0x102, "US", Number(15)) + Element(0x28, 0x103, "US", Number(1));
  bytes += Element(0x28, 0x1052, "DS", s.intercept) + Element(0x28, 0x1053, "DS", s.slope);
  std::string  pixels;
  const size_t count = size_t(s.rows) * size_t(s.columns) * size_t(s.samples);
  for (size_t i = 0; i < count; ++i)
  {
    pixels += Number(s.pixels.empty() ? 7 : s.pixels.at(i));
  }
  return bytes + Element(0x7fe0, 0x10, "OW", pixels);
}

Thrown
FailureOf(const std::function<void()> & call)
{
  try
  {
    call();
  }
  catch (const verdiff::Failure & failure)
  {
    return { failure.what(), static_cast<int>(failure.Code()) };
  }
  return {};
}

} // namespace verdiff_test

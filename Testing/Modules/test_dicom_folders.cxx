// Real series of several vendors: what Resources/Docs/geometry.md says of each folder is what is found.
#include "support.h"

#include "text.h"
#include "volume_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <sstream>

using namespace verdiff;
using namespace verdiff_test;

namespace
{

const std::string root = VERDIFF_SHARED_DATA "/";

// One line, without the place of the data on this machine.
std::string
Tidy(std::string text)
{
  for (size_t at = text.find(root); at != std::string::npos; at = text.find(root))
  {
    text.erase(at, root.size());
  }
  return text;
}

// Rounded, so that the last bits of another compiler do not show.
std::string
Rounded(double value, double unit)
{
  return FormatNumber(std::round(value / unit) * unit + 0.0, 9);
}

std::string
GridText(const VolumeImage & image)
{
  std::string spacing, origin, direction;
  for (unsigned int i = 0; i < 3; ++i)
  {
    spacing += " " + Rounded(image.GetSpacing()[i], 1e-4);
    origin += " " + Rounded(image.GetOrigin()[i], 1e-3);
    for (unsigned int j = 0; j < 3; ++j)
    {
      direction += (i > 0 && j == 0 ? "; " : " ") + Rounded(image.GetDirection()[i][j], 1e-4);
    }
  }
  return SizeText(image) + " voxels, spacing" + spacing + " mm, origin" + origin + ", direction" + direction;
}

std::string
ResultOf(const std::string & folder)
{
  std::string  result;
  const Thrown thrown = FailureOf([&] {
    const Volume volume = ReadVolume(root + folder);
    result = "read: " + GridText(*volume.image);
    for (const std::string & warning : volume.warnings)
    {
      result += "; warning: " + warning;
    }
  });
  return Tidy(thrown.code < 0 ? result : "refused: " + thrown.message);
}

struct Row
{
  std::string folder;
  std::string result;
};

// "| `folder` | what it is | result |"
std::vector<Row>
DocumentedRows()
{
  std::vector<Row>   rows;
  std::istringstream lines(ReadFile(VERDIFF_SOURCE_DIR "/Resources/Docs/geometry.md"));
  for (std::string line; std::getline(lines, line);)
  {
    const auto cells = Split(line, '|');
    if (cells.size() == 5 && (Trim(cells[1]).rfind("`odd_dicom/", 0) == 0 || Trim(cells[1]).rfind("`ct_", 0) == 0))
    {
      const std::string name = Trim(cells[1]);
      rows.push_back({ name.substr(1, name.size() - 2), Trim(cells[3]) });
    }
  }
  return rows;
}

// Every folder that holds a DICOM file.
std::set<std::string>
FoldersThatAreThere()
{
  std::set<std::string> folders;
  for (const auto & entry : std::filesystem::recursive_directory_iterator(root))
  {
    const std::string path = Tidy(entry.path().parent_path().string());
    if (entry.path().extension() == ".dcm" || path == "ct_abdomen_dicom_jpeg2000/series")
    {
      folders.insert(path);
    }
  }
  return folders;
}

} // namespace

TEST(DicomFolders, EveryFolderGivesWhatTheDocumentSays)
{
  if (!std::filesystem::exists(root + "odd_dicom"))
  {
    GTEST_SKIP() << "no " << root << "odd_dicom";
  }
  std::set<std::string> documented;
  for (const Row & row : DocumentedRows())
  {
    documented.insert(row.folder);
    EXPECT_EQ(ResultOf(row.folder), row.result) << row.folder;
  }
  EXPECT_EQ(documented, FoldersThatAreThere());
}

// Converted by another program, which stores some axes the other way round: the same value at the same mm.
TEST(DicomFolders, VoxelsLieWhereAnotherConverterPutsThem)
{
  if (!std::filesystem::exists(root + "odd_dicom"))
  {
    GTEST_SKIP() << "no " << root << "odd_dicom";
  }
  int compared = 0;
  for (const std::string & folder : FoldersThatAreThere())
  {
    const std::string truth = root + folder + "_ground_truth.nii.gz";
    if (!std::filesystem::exists(truth) || ResultOf(folder).rfind("read", 0) != 0)
    {
      continue;
    }
    SCOPED_TRACE(folder);
    const Volume found = ReadVolume(root + folder);
    const Volume wanted = ReadVolume(truth);
    const size_t count = found.image->GetBufferedRegion().GetNumberOfPixels();
    ASSERT_EQ(wanted.image->GetBufferedRegion().GetNumberOfPixels(), count);
    double farthest = 0.0;
    size_t different = 0;
    for (size_t i = 0; i < count; ++i)
    {
      VolumeImage::PointType point, there;
      found.image->TransformIndexToPhysicalPoint(found.image->ComputeIndex(long(i)), point);
      const auto index = wanted.image->TransformPhysicalPointToIndex(point);
      ASSERT_TRUE(wanted.image->GetLargestPossibleRegion().IsInside(index)) << point;
      wanted.image->TransformIndexToPhysicalPoint(index, there);
      farthest = std::max(farthest, point.EuclideanDistanceTo(there));
      const float value = found.image->GetBufferPointer()[i];
      different += std::abs(value - wanted.image->GetPixel(index)) > 1e-3f * std::max(1.0f, std::abs(value)) ? 1 : 0;
    }
    EXPECT_LE(farthest, 0.01) << "mm";
    EXPECT_EQ(different, 0u);
    ++compared;
  }
  EXPECT_GE(compared, 10);
}

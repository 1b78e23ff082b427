#include "dicom_index.h"

#include "failure.h"
#include "interrupt.h"
#include "text.h"

#include <gdcmDataSet.h>
#include <gdcmReader.h>
#include <gdcmSequenceOfItems.h>
#include <gdcmStringFilter.h>
#include <gdcmTrace.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

namespace verdiff
{
namespace
{

using gdcm::Tag;

std::vector<double>
Numbers(const std::string & text)
{
  std::vector<double> numbers;
  for (const std::string & part : Split(text, '\\'))
  {
    const auto value = ParseDouble(Trim(part));
    if (!value)
    {
      return {};
    }
    numbers.push_back(*value);
  }
  return numbers;
}

// Text of an element of a string type; "" when it is not there.
std::string
TextOf(const gdcm::DataSet & data, const Tag & tag)
{
  if (!data.FindDataElement(tag))
  {
    return {};
  }
  const gdcm::ByteValue * bytes = data.GetDataElement(tag).GetByteValue();
  if (!bytes)
  {
    return {};
  }
  std::string text(bytes->GetPointer(), bytes->GetLength());
  text.erase(std::remove(text.begin(), text.end(), '\0'), text.end());
  return Trim(text);
}

std::vector<double>
NumbersOf(const gdcm::DataSet & data, const Tag & tag)
{
  return Numbers(TextOf(data, tag));
}

gdcm::SmartPointer<gdcm::SequenceOfItems>
Sequence(const gdcm::DataSet & data, const Tag & tag)
{
  if (!data.FindDataElement(tag))
  {
    return nullptr;
  }
  return data.GetDataElement(tag).GetValueAsSQ();
}

// The data set inside functional group @p group of frame @p number, from the per-frame groups first
// and the shared ones otherwise (PS3.3 C.7.6.16).
std::optional<gdcm::DataSet>
FunctionalGroup(const gdcm::DataSet & data, int number, const Tag & group)
{
  const auto inItem = [&](const Tag & sequenceTag, int item) -> std::optional<gdcm::DataSet> {
    const auto groups = Sequence(data, sequenceTag);
    if (!groups || static_cast<int>(groups->GetNumberOfItems()) < item)
    {
      return std::nullopt;
    }
    const auto macro = Sequence(groups->GetItem(static_cast<size_t>(item)).GetNestedDataSet(), group);
    if (!macro || macro->GetNumberOfItems() < 1)
    {
      return std::nullopt;
    }
    return macro->GetItem(1).GetNestedDataSet();
  };
  const auto own = inItem(Tag(0x5200, 0x9230), number + 1);
  return own ? own : inItem(Tag(0x5200, 0x9229), 1);
}

void
SetPosition(DicomFrame & frame, const std::vector<double> & numbers)
{
  if (numbers.size() == 3)
  {
    frame.position = Vector3{ numbers[0], numbers[1], numbers[2] };
  }
}

void
SetOrientation(DicomFrame & frame, const std::vector<double> & numbers)
{
  if (numbers.size() == 6)
  {
    frame.rowAxis = Vector3{ numbers[0], numbers[1], numbers[2] };
    frame.columnAxis = Vector3{ numbers[3], numbers[4], numbers[5] };
  }
}

void
SetRescale(DicomFrame & frame, const gdcm::DataSet & data)
{
  const auto slope = NumbersOf(data, Tag(0x0028, 0x1053));
  const auto intercept = NumbersOf(data, Tag(0x0028, 0x1052));
  if (slope.size() == 1 && slope[0] != 0.0)
  {
    frame.slope = slope[0];
  }
  if (intercept.size() == 1)
  {
    frame.intercept = intercept[0];
  }
}

void
SetSpacing(DicomFile & file, const gdcm::DataSet & data)
{
  const auto spacing = NumbersOf(data, Tag(0x0028, 0x0030));
  const auto thickness = NumbersOf(data, Tag(0x0018, 0x0050));
  if (spacing.size() == 2)
  {
    file.rowSpacing = spacing[0];
    file.columnSpacing = spacing[1];
  }
  if (thickness.size() == 1)
  {
    file.thickness = thickness[0];
  }
}

void
AddFrames(DicomFile & file, const gdcm::DataSet & data, int count)
{
  DicomFrame plain;
  plain.path = file.path;
  SetPosition(plain, NumbersOf(data, Tag(0x0020, 0x0032)));
  SetOrientation(plain, NumbersOf(data, Tag(0x0020, 0x0037)));
  SetRescale(plain, data);
  SetSpacing(file, data);
  for (int number = 0; number < count; ++number)
  {
    DicomFrame frame = plain;
    frame.number = number;
    if (count > 1)
    {
      frame.position.reset(); // One position for many frames places none of them.
    }
    if (const auto group = FunctionalGroup(data, number, Tag(0x0020, 0x9113)))
    {
      SetPosition(frame, NumbersOf(*group, Tag(0x0020, 0x0032)));
    }
    if (const auto group = FunctionalGroup(data, number, Tag(0x0020, 0x9116)))
    {
      SetOrientation(frame, NumbersOf(*group, Tag(0x0020, 0x0037)));
    }
    if (const auto group = FunctionalGroup(data, number, Tag(0x0028, 0x9145)))
    {
      SetRescale(frame, *group);
    }
    if (const auto group = FunctionalGroup(data, number, Tag(0x0028, 0x9110)))
    {
      SetSpacing(file, *group);
    }
    file.frames.push_back(frame);
  }
  const auto detector = NumbersOf(data, Tag(0x0018, 0x1164));
  if (!file.rowSpacing && detector.size() == 2)
  {
    file.rowSpacing = detector[0];
    file.columnSpacing = detector[1];
    file.spacingAtDetector = true;
  }
}

// GDCM fills what is missing of cut pixel data in silence, so the length of the file is looked at here.
// @p position: where the value of the pixel data begins.
void
CheckWhole(const DicomFile & file, gdcm::TransferSyntax syntax, long long position, int bitsAllocated)
{
  constexpr long long tailBytes = 1 << 16;
  std::ifstream       stream(file.path, std::ios::binary | std::ios::ate);
  const long long     bytes = static_cast<long long>(stream.tellg());
  if (syntax == gdcm::TransferSyntax::DeflatedExplicitVRLittleEndian || file.samples != 1 || position <= 0)
  {
    return;
  }
  if (!syntax.IsEncapsulated())
  {
    const long long needed = position + static_cast<long long>(file.rows) * file.columns * file.samples *
                                          static_cast<long long>(file.frames.size()) * bitsAllocated / 8;
    if (bytes < needed)
    {
      throw Failure(ExitCode::Input,
                    file.path + Format(": truncated: %lld bytes, the header needs %lld", bytes, needed));
    }
    return;
  }
  // Compressed pixel data ends with a sequence delimiter.
  std::string tail(static_cast<size_t>(std::min(bytes, tailBytes)), '\0');
  stream.seekg(bytes - static_cast<long long>(tail.size()));
  stream.read(tail.data(), static_cast<std::streamsize>(tail.size()));
  if (tail.find("\xfe\xff\xdd\xe0") == std::string::npos)
  {
    throw Failure(ExitCode::Input, file.path + ": truncated: the compressed pixel data does not end");
  }
}

} // namespace

bool
LooksLikeDicom(const std::string & path)
{
  gdcm::Trace::WarningOff(); // GDCM writes to stderr, which hosts show as failures.
  gdcm::Trace::ErrorOff();
  gdcm::Reader reader;
  reader.SetFileName(path.c_str());
  return reader.CanRead();
}

std::optional<DicomFile>
ReadDicomHeader(const std::string & path)
{
  if (!LooksLikeDicom(path))
  {
    return std::nullopt;
  }
  gdcm::Reader reader;
  const Tag    pixelData(0x7fe0, 0x0010);
  reader.SetFileName(path.c_str());
  if (!reader.ReadUpToTag(pixelData, { pixelData }))
  {
    throw Failure(ExitCode::Input, path + ": damaged: its DICOM header cannot be read");
  }
  const gdcm::DataSet & data = reader.GetFile().GetDataSet();
  gdcm::StringFilter    filter;
  filter.SetFile(reader.GetFile());
  const auto integer = [&](const Tag & tag, int otherwise) {
    const auto value = data.FindDataElement(tag) ? ParseInteger(Trim(filter.ToString(tag))) : std::nullopt;
    return value ? static_cast<int>(*value) : otherwise;
  };
  DicomFile file;
  file.path = path;
  file.rows = integer(Tag(0x0028, 0x0010), 0);
  file.columns = integer(Tag(0x0028, 0x0011), 0);
  if (file.rows < 1 || file.columns < 1)
  {
    return std::nullopt; // A report, a structure set, a DICOMDIR: no image.
  }
  file.samples = integer(Tag(0x0028, 0x0002), 1);
  file.series = TextOf(data, Tag(0x0020, 0x000e));
  file.description = TextOf(data, Tag(0x0008, 0x103e));
  file.modality = TextOf(data, Tag(0x0008, 0x0060));
  file.photometric = TextOf(data, Tag(0x0028, 0x0004));
  const char * syntax = reader.GetFile().GetHeader().GetDataSetTransferSyntax().GetString();
  file.transferSyntax = syntax ? syntax : "unknown";
  AddFrames(file, data, std::max(integer(Tag(0x0028, 0x0008), 1), 1));
  CheckWhole(file,
             reader.GetFile().GetHeader().GetDataSetTransferSyntax(),
             static_cast<long long>(reader.GetStreamCurrentPosition()),
             integer(Tag(0x0028, 0x0100), 16));
  return file;
}

std::vector<DicomFile>
ReadDicomFolder(const std::string & folder, int & others)
{
  std::vector<std::string> paths;
  int                      subfolders = 0;
  std::error_code          error;
  for (const auto & entry : std::filesystem::directory_iterator(folder, error))
  {
    subfolders += entry.is_directory() ? 1 : 0;
    if (entry.is_regular_file())
    {
      paths.push_back(entry.path().string());
    }
  }
  if (error)
  {
    throw Failure(ExitCode::Input, folder + ": cannot be read: " + error.message());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<DicomFile> files;
  others = 0;
  for (const std::string & path : paths)
  {
    ThrowIfInterrupted();
    if (auto file = ReadDicomHeader(path))
    {
      files.push_back(std::move(*file));
    }
    else
    {
      ++others;
    }
  }
  if (files.empty())
  {
    throw Failure(ExitCode::Input,
                  paths.empty() ? folder + Format(": the folder holds no file (its %d subfolders are not searched); "
                                                  "give the folder of one DICOM series",
                                                  subfolders)
                                : folder + Format(": none of its %zu files is a DICOM image; give the folder of one "
                                                  "DICOM series",
                                                  paths.size()));
  }
  return files;
}

} // namespace verdiff

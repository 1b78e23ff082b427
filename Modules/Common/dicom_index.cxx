#include "dicom_index.h"

#include "dicom_elements.h"
#include "dicom_frames.h"
#include "failure.h"
#include "interrupt.h"
#include "text.h"

#include <gdcmReader.h>
#include <gdcmStringFilter.h>
#include <gdcmTrace.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace verdiff
{

using namespace dicom;

namespace
{

// Objects with rows and columns that are no picture of the patient.
bool
IsDerivedObject(const std::string & modality)
{
  return modality == "SEG" || modality == "RTDOSE" || modality == "PR" || modality == "REG";
}

std::optional<DicomPadding>
PaddingOf(const gdcm::DataSet & data, bool isSigned)
{
  const auto value = [&](const Tag & tag) -> std::optional<double> {
    if (isSigned)
    {
      const auto found = BinaryOf<std::int16_t>(data, tag);
      return found ? std::optional<double>(*found) : std::nullopt;
    }
    const auto found = BinaryOf<std::uint16_t>(data, tag);
    return found ? std::optional<double>(*found) : std::nullopt;
  };
  const auto first = value(Tag(0x0028, 0x0120));
  if (!first)
  {
    return std::nullopt;
  }
  const double limit = value(Tag(0x0028, 0x0121)).value_or(*first);
  return DicomPadding{ std::min(*first, limit), std::max(*first, limit) };
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
  file.bitsStored = integer(Tag(0x0028, 0x0101), 16);
  file.highBit = integer(Tag(0x0028, 0x0102), file.bitsStored - 1);
  file.instance = TextOf(data, Tag(0x0008, 0x0018));
  file.series = TextOf(data, Tag(0x0020, 0x000e));
  file.description = TextOf(data, Tag(0x0008, 0x103e));
  file.modality = TextOf(data, Tag(0x0008, 0x0060));
  file.photometric = TextOf(data, Tag(0x0028, 0x0004));
  file.imageType = TextOf(data, Tag(0x0008, 0x0008));
  file.lookUpTable = SequenceOf(data, Tag(0x0028, 0x3000)) != nullptr;
  file.padding = PaddingOf(data, integer(Tag(0x0028, 0x0103), 0) == 1);
  if (IsDerivedObject(file.modality))
  {
    return std::nullopt;
  }
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

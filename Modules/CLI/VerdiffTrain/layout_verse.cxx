// VerSe'19 and '20. By subject: rawdata/sub-X/sub-X*_ct.nii.gz with derivatives/sub-X/sub-X*_seg-vert_msk.nii.gz, in
// one folder or in one per part (training, validation, test). As for the challenge: X.nii.gz beside X_seg.nii.gz.
#include "layout.h"
#include "text.h"

#include <filesystem>
#include <functional>
#include <set>

namespace verdiff
{
namespace
{

namespace fs = std::filesystem;

constexpr const char * maskEnding = "_seg-vert_msk.nii.gz";
constexpr const char * imageEnding = "_ct.nii.gz";
constexpr const char * flatEnding = "_seg.nii.gz";

bool
HasParts(const std::string & folder)
{
  return IsFolder(folder + "/rawdata") && IsFolder(folder + "/derivatives");
}

// The folder itself, or the folders in it that hold a part each.
std::vector<std::string>
Parts(const std::string & folder)
{
  std::vector<std::string> parts;
  if (HasParts(folder))
  {
    return { folder };
  }
  for (const std::string & name : NamesIn(folder))
  {
    if (HasParts(folder + "/" + name))
    {
      parts.push_back(folder + "/" + name);
    }
  }
  return parts;
}

// Files below @p folder, at most three folders down, that end so.
std::vector<std::string>
FilesBelow(const std::string & folder, const std::string & ending, int depth = 3)
{
  std::vector<std::string> files;
  for (const std::string & name : NamesIn(folder))
  {
    const std::string path = folder + "/" + name;
    if (Without(name, ending) && IsFile(path))
    {
      files.push_back(path);
    }
    else if (depth > 0 && IsFolder(path))
    {
      const auto below = FilesBelow(path, ending, depth - 1);
      files.insert(files.end(), below.begin(), below.end());
    }
  }
  return files;
}

std::string
FileName(const std::string & path)
{
  return fs::path(path).filename().string();
}

// "verse012_CT-sag" and "GL003" are names of the challenge.
bool
IsChallengeName(const std::string & name)
{
  const std::string lower = LowerCase(name);
  return lower.rfind("verse", 0) == 0 || (lower.rfind("gl", 0) == 0 && name.size() > 2 && isdigit(name[2]) != 0);
}

std::vector<std::string>
ChallengeMasks(const std::string & folder)
{
  std::vector<std::string> masks;
  for (const std::string & path : FilesBelow(folder, flatEnding, 2))
  {
    if (IsChallengeName(FileName(path)))
    {
      masks.push_back(path);
    }
  }
  return masks;
}

// A patient has several scans: "sub-verse012_dir-sag", "verse012_CT-sag" and "sub-gl003" name the subject first.
std::string
SubjectOf(const std::string & id)
{
  return id.substr(0, id.find('_'));
}

// The file of centroids whose name begins so; "" when there is none.
std::string
CentroidsBeside(const std::string & stem)
{
  for (const char * ending : { "_seg-subreg_ctd.json", "_ctd.json", "_iso-ctd.json" })
  {
    if (IsFile(stem + ending))
    {
      return stem + ending;
    }
  }
  return "";
}

void
AddPart(Dataset & dataset, const std::string & part)
{
  std::set<std::string> masked;
  const bool            test = LowerCase(FileName(part)).find("test") != std::string::npos;
  for (const std::string & mask : FilesBelow(part + "/derivatives", maskEnding))
  {
    const std::string id = *Without(FileName(mask), maskEnding);
    const std::string below = fs::path(mask).parent_path().lexically_relative(part + "/derivatives").string();
    const std::string image = part + "/rawdata/" + (below == "." ? "" : below + "/") + id + imageEnding;
    masked.insert(image);
    if (!IsFile(image))
    {
      AddMissing(dataset, id, image, mask);
      continue;
    }
    DatasetCase one;
    one.id = id;
    one.subject = SubjectOf(id);
    one.test = test;
    one.images = { image };
    one.labels = mask;
    one.centroids = CentroidsBeside(*Without(mask, maskEnding));
    dataset.cases.push_back(std::move(one));
  }
  for (const std::string & image : FilesBelow(part + "/rawdata", imageEnding))
  {
    if (masked.count(image) == 0)
    {
      const std::string id = *Without(FileName(image), imageEnding);
      const std::string below = fs::path(image).parent_path().lexically_relative(part + "/rawdata").string();
      AddMissing(dataset, id, part + "/derivatives/" + below + "/" + id + maskEnding, image);
    }
  }
}

void
AddChallenge(Dataset & dataset)
{
  const auto masks = ChallengeMasks(dataset.folder);
  for (const std::string & mask : masks)
  {
    const std::string image = *Without(mask, flatEnding) + ".nii.gz";
    const std::string id = *Without(FileName(mask), flatEnding);
    if (!IsFile(image))
    {
      AddMissing(dataset, id, image, mask);
      continue;
    }
    DatasetCase one;
    one.id = id;
    one.subject = SubjectOf(id);
    one.images = { image };
    one.labels = mask;
    one.centroids = CentroidsBeside(*Without(mask, flatEnding));
    dataset.cases.push_back(std::move(one));
  }
  for (const std::string & image : FilesBelow(dataset.folder, ".nii.gz", 2))
  {
    const std::string stem = *Without(image, ".nii.gz");
    if (IsChallengeName(FileName(image)) && !Without(image, flatEnding) && !IsFile(stem + flatEnding))
    {
      AddMissing(dataset, FileName(stem), stem + flatEnding, image);
    }
  }
}

std::optional<std::string>
Recognise(const std::string & folder)
{
  const auto parts = Parts(folder);
  if (!parts.empty())
  {
    for (const std::string & part : parts)
    {
      if (!FilesBelow(part + "/derivatives", maskEnding).empty())
      {
        return "rawdata and derivatives with *_seg-vert_msk.nii.gz";
      }
    }
    return std::nullopt;
  }
  if (!ChallengeMasks(folder).empty())
  {
    return "verse* or GL* files with *_seg.nii.gz beside them";
  }
  return std::nullopt;
}

void
Read(Dataset & dataset)
{
  dataset.channels = { "CT" };
  dataset.modality = VDN_MODALITY_CT;
  UseSource(dataset, "verse");
  const auto parts = Parts(dataset.folder);
  for (const std::string & part : parts)
  {
    AddPart(dataset, part);
  }
  if (parts.empty())
  {
    AddChallenge(dataset);
  }
  dataset.notes.push_back(dataset.folder +
                          ": in VerSe vertebrae that are cut by the edge of the scan are not labelled");
}

} // namespace

const Layout layoutVerse = {
  "verse",
  "rawdata and derivatives with *_ct.nii.gz and *_seg-vert_msk.nii.gz, or verse*.nii.gz with "
  "verse*_seg.nii.gz",
  Recognise,
  Read
};

} // namespace verdiff

// CTSpine1K: volumes/<source>/<stem>.nii.gz with labels/<source>/<stem>_seg.nii.gz, here or in raw_data. Stems may hold
// dots (1.3.6.1.4.1.9328.50.4.0001). data_split.txt names the parts; as published it lies in metadata beside raw_data.
#include "layout.h"
#include "text.h"

#include <map>

namespace verdiff
{
namespace
{

constexpr const char * imageEnding = ".nii.gz";
constexpr const char * maskEnding = "_seg.nii.gz";

std::string
Root(const std::string & folder)
{
  for (const char * below : { "", "/raw_data" })
  {
    if (IsFolder(folder + below + "/volumes") && IsFolder(folder + below + "/labels"))
    {
      return folder + below;
    }
  }
  return "";
}

// Reported faulty by users of the data and not mended in it; the end of the stem, and what is known.
struct KnownFault
{
  const char * source;
  const char * stemEnd;
  const char * text;
};

constexpr KnownFault knownFaults[] = {
  { "COLONOG", "0482", "label 14 should be 15 (reported by users of the data)" },
  { "COLONOG", "0500", "label 14 should be 15 (reported by users of the data)" },
  { "COLONOG", "0103", "labels are not continuous (reported by users of the data)" },
  { "COLONOG", "0291", "label 22 is lost (reported by users of the data)" },
  { "COLONOG", "0730", "label 22 is lost (reported by users of the data)" },
};

void
NoteKnownFaults(Dataset & dataset, const std::string & source, const std::string & stem, const std::string & mask)
{
  const std::string name = LowerCase(source);
  for (const KnownFault & fault : knownFaults)
  {
    if (name.rfind("colon", 0) == 0 && EndsWith(stem, fault.stemEnd))
    {
      dataset.findings.push_back(
        { Severity::Warning, "known", source + "_" + stem, mask, fault.text, "look at it; mend it or take it away" });
    }
  }
}

// Where the parts are named; "" when nowhere.
std::string
SplitFile(const std::string & folder)
{
  for (const char * place : { "/data_split.txt", "/metadata/data_split.txt", "/../metadata/data_split.txt" })
  {
    if (IsFile(folder + place))
    {
      return folder + place;
    }
  }
  return "";
}

// Stem of a file to "trainset", "test_public" or "test_private".
std::map<std::string, std::string>
ReadSplit(const std::string & path)
{
  std::map<std::string, std::string> partOf;
  std::string                        part;
  for (const std::string & line : LinesOf(path))
  {
    const std::string text = Trim(line);
    if (!text.empty() && text.back() == ':')
    {
      part = text.substr(0, text.size() - 1);
    }
    else if (!text.empty())
    {
      partOf[Without(text, imageEnding).value_or(text)] = part;
    }
  }
  return partOf;
}

std::vector<std::string>
Sources(const std::string & labels)
{
  std::vector<std::string> sources;
  for (const std::string & name : NamesIn(labels))
  {
    if (IsFolder(labels + "/" + name))
    {
      sources.push_back(name);
    }
  }
  return sources;
}

std::optional<std::string>
Recognise(const std::string & folder)
{
  const std::string root = Root(folder);
  if (root.empty())
  {
    return std::nullopt;
  }
  for (const std::string & source : Sources(root + "/labels"))
  {
    for (const std::string & name : NamesIn(root + "/labels/" + source))
    {
      if (Without(name, maskEnding))
      {
        return "volumes and labels with a folder for each source and *_seg.nii.gz";
      }
    }
  }
  return std::nullopt;
}

void
AddSource(Dataset &                                  dataset,
          const std::string &                        root,
          const std::string &                        source,
          const std::map<std::string, std::string> & partOf)
{
  const std::string labels = root + "/labels/" + source + "/";
  const std::string volumes = root + "/volumes/" + source + "/";
  for (const std::string & name : NamesIn(labels))
  {
    const auto stem = Without(name, maskEnding);
    if (!stem)
    {
      continue;
    }
    NoteKnownFaults(dataset, source, *stem, labels + name);
    if (!IsFile(volumes + *stem + imageEnding))
    {
      AddMissing(dataset, source + "_" + *stem, volumes + *stem + imageEnding, labels + name);
      continue;
    }
    const auto  part = partOf.find(*stem);
    DatasetCase one;
    one.id = source + "_" + *stem;
    one.test = part != partOf.end() && part->second.rfind("test", 0) == 0;
    one.images = { volumes + *stem + imageEnding };
    one.labels = labels + name;
    dataset.cases.push_back(std::move(one));
  }
  for (const std::string & name : NamesIn(volumes))
  {
    const auto stem = Without(name, imageEnding);
    if (stem && !IsFile(labels + *stem + maskEnding))
    {
      AddMissing(dataset, source + "_" + *stem, labels + *stem + maskEnding, volumes + name);
    }
  }
}

void
Read(Dataset & dataset)
{
  const std::string root = Root(dataset.folder);
  dataset.channels = { "CT" };
  dataset.modality = VDN_MODALITY_CT;
  UseSource(dataset, "ctspine1k");
  const std::string split = SplitFile(dataset.folder);
  const auto        partOf = ReadSplit(split);
  if (split.empty())
  {
    dataset.notes.push_back(dataset.folder + ": no data_split.txt here or in metadata: the cases that the authors set "
                                             "apart for testing are not known and are trained on");
  }
  for (const std::string & source : Sources(root + "/labels"))
  {
    AddSource(dataset, root, source, partOf);
  }
}

} // namespace

const Layout layoutCtspine = { "ctspine1k",
                               "volumes/SOURCE/STEM.nii.gz and labels/SOURCE/STEM_seg.nii.gz, here or in raw_data",
                               Recognise,
                               Read };

} // namespace verdiff

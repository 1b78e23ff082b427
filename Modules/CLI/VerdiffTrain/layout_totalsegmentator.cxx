// TotalSegmentator: a folder for each subject with ct.nii.gz (or mri.nii.gz) and segmentations/<structure>.nii.gz, one
// file per structure; meta.csv with ';' names the parts. Values here are the canonical ones of label_source.h.
#include "label_source.h"
#include "layout.h"
#include "text.h"

#include <algorithm>
#include <map>
#include <set>

namespace verdiff
{
namespace
{

constexpr const char * ending = ".nii.gz";

// Subjects whose vertebrae users of the data found wrong, CT version of 1204 to 1228 subjects.
constexpr const char * knownFaults[] = { "s0941", "s0350", "s0513", "s0603", "s0676", "s0071", "s0128" };

std::string
ImageOf(const std::string & subject)
{
  for (const char * name : { "/ct.nii.gz", "/mri.nii.gz" })
  {
    if (IsFile(subject + name))
    {
      return subject + name;
    }
  }
  return "";
}

std::vector<std::string>
Subjects(const std::string & folder)
{
  std::vector<std::string> subjects;
  for (const std::string & name : NamesIn(folder))
  {
    if (IsFolder(folder + "/" + name + "/segmentations"))
    {
      subjects.push_back(name);
    }
  }
  return subjects;
}

// Structures of the spine among the files of a subject.
std::map<std::string, int>
SpineFiles(const std::string & segmentations)
{
  std::map<std::string, int> files;
  for (const std::string & name : NamesIn(segmentations))
  {
    const auto stem = Without(name, ending);
    const int  canonical = stem ? CanonicalOfName(*stem) : 0;
    if (canonical != 0)
    {
      files[*stem] = canonical;
    }
  }
  return files;
}

std::set<std::string>
TestSubjects(const std::string & folder)
{
  std::set<std::string> test;
  const auto            lines = LinesOf(folder + "/meta.csv");
  size_t                column = 0;
  for (size_t i = 0; i < lines.size(); ++i)
  {
    const auto cells = Split(lines[i], ';');
    if (i == 0)
    {
      column = static_cast<size_t>(std::find(cells.begin(), cells.end(), "split") - cells.begin());
    }
    else if (column < cells.size() && Trim(cells[column]) == "test")
    {
      test.insert(Trim(cells[0]));
    }
  }
  return test;
}

std::optional<std::string>
Recognise(const std::string & folder)
{
  for (const std::string & subject : Subjects(folder))
  {
    const std::string path = folder + "/" + subject;
    if (!ImageOf(path).empty() && !SpineFiles(path + "/segmentations").empty())
    {
      return "folders with ct.nii.gz or mri.nii.gz and segmentations";
    }
  }
  return std::nullopt;
}

// Every subject needs the structures that any has: one that lacks a file would teach that there is none.
std::map<std::string, int>
AllStructures(const Dataset & dataset)
{
  std::map<std::string, int> all;
  for (const std::string & subject : Subjects(dataset.folder))
  {
    const auto files = SpineFiles(dataset.folder + "/" + subject + "/segmentations");
    all.insert(files.begin(), files.end());
  }
  return all;
}

void
AddSubject(Dataset & dataset, const std::string & subject, const std::map<std::string, int> & structures, bool test)
{
  const std::string path = dataset.folder + "/" + subject;
  DatasetCase       one;
  bool              whole = true;
  one.id = subject;
  one.test = test;
  one.labels = path + "/segmentations";
  one.images = { ImageOf(path) };
  if (one.images[0].empty())
  {
    AddMissing(
      dataset, subject, path + (dataset.modality == VDN_MODALITY_MR ? "/mri.nii.gz" : "/ct.nii.gz"), one.labels);
    whole = false;
  }
  for (const auto & [name, canonical] : structures)
  {
    const std::string file = one.labels + "/" + name + ending;
    one.parts.push_back({ file, canonical });
    if (!IsFile(file))
    {
      AddMissing(dataset, subject, file, path);
      whole = false;
    }
  }
  if (std::find(std::begin(knownFaults), std::end(knownFaults), LowerCase(subject)) != std::end(knownFaults))
  {
    dataset.findings.push_back({ Severity::Warning,
                                 "known",
                                 subject,
                                 one.labels,
                                 "vertebrae reported wrong by users of the data",
                                 "look at it; mend it or take it away" });
  }
  if (whole)
  {
    dataset.cases.push_back(std::move(one));
  }
}

// CT values are Hounsfield units, those of MR are not: the two are prepared in different ways.
bool
IsCt(const std::string & folder)
{
  std::string ct, mr;
  for (const std::string & subject : Subjects(folder))
  {
    const std::string image = ImageOf(folder + "/" + subject);
    if (!image.empty())
    {
      (EndsWith(image, "/ct.nii.gz") ? ct : mr) = image;
    }
  }
  if (!ct.empty() && !mr.empty())
  {
    RefuseDataset(folder,
                  "holds CT and MR (" + ct + ", " + mr +
                    "); put them into two folders and give the second one with --moreData");
  }
  return mr.empty();
}

void
Read(Dataset & dataset)
{
  const bool ct = IsCt(dataset.folder);
  const auto structures = AllStructures(dataset);
  const auto test = TestSubjects(dataset.folder);
  dataset.channels = { ct ? "CT" : "MR" };
  dataset.modality = ct ? VDN_MODALITY_CT : VDN_MODALITY_MR;
  dataset.labels[0] = "background";
  for (const auto & [name, canonical] : structures)
  {
    dataset.labels[canonical] = name;
    dataset.canonical[canonical] = canonical;
  }
  dataset.labelsFrom = "the files of its segmentations folders";
  for (const std::string & subject : Subjects(dataset.folder))
  {
    AddSubject(dataset, subject, structures, test.count(subject) > 0);
  }
  for (const std::string & name : NamesIn(dataset.folder))
  {
    const std::string path = dataset.folder + "/" + name;
    if (!ImageOf(path).empty() && !IsFolder(path + "/segmentations"))
    {
      AddMissing(dataset, name, path + "/segmentations", ImageOf(path));
    }
  }
}

} // namespace

const Layout layoutTotalsegmentator = {
  "totalsegmentator",
  "SUBJECT/ct.nii.gz (or mri.nii.gz) and SUBJECT/segmentations/vertebrae_*.nii.gz",
  Recognise,
  Read
};

} // namespace verdiff

#include "dataset.h"

#include "label_source.h"
#include "layout.h"
#include "text.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace verdiff
{
namespace
{

namespace fs = std::filesystem;

constexpr const Layout * layouts[] = { &layoutNnunet, &layoutVerse,      &layoutCtspine,  &layoutSpider,
                                       &layoutAasce,  &layoutMrspineseg, &layoutSudirman, &layoutTotalsegmentator };

struct Match
{
  const Layout * layout;
  std::string    reason;
};

// The first file below @p folder, at most three folders down, that ends so; "" without.
std::string
FirstBelow(const std::string & folder, const std::string & ending, int depth = 3)
{
  for (const std::string & name : NamesIn(folder))
  {
    const std::string path = folder + "/" + name;
    const std::string below = depth > 0 && IsFolder(path) ? FirstBelow(path, ending, depth - 1) : "";
    if (!below.empty() || (EndsWith(LowerCase(name), ending) && IsFile(path)))
    {
      return below.empty() ? path : below;
    }
  }
  return "";
}

[[noreturn]] void
RefuseUnknown(const std::string & folder)
{
  std::string       looked;
  const std::string mat = FirstBelow(folder, ".mat");
  for (const Layout * layout : layouts)
  {
    looked += std::string(layout == layouts[0] ? "" : "; ") + layout->name + ": " + layout->lookedFor;
  }
  RefuseDataset(folder,
                "no data set of a known layout; " + (mat.empty() ? "" : mat + ": .mat files are not read; ") +
                  "looked for " + looked);
}

Match
Recognise(const std::string & folder, const std::string & stated)
{
  std::vector<Match> matches;
  for (const Layout * layout : layouts)
  {
    const bool asked = stated == layout->name;
    if (!asked && stated != "auto")
    {
      continue;
    }
    if (const auto reason = layout->recognise(folder))
    {
      matches.push_back({ layout, *reason });
    }
    else if (asked)
    {
      RefuseDataset(folder, "no data set of layout " + stated + "; looked for " + layout->lookedFor);
    }
  }
  if (matches.empty())
  {
    RefuseUnknown(folder);
  }
  if (matches.size() > 1)
  {
    RefuseDataset(folder,
                  Format("fits %zu layouts: %s (%s) and %s (%s); say which with --layout",
                         matches.size(),
                         matches[0].layout->name,
                         matches[0].reason.c_str(),
                         matches[1].layout->name,
                         matches[1].reason.c_str()));
  }
  return matches[0];
}

void
CheckIds(const Dataset & dataset)
{
  for (size_t i = 1; i < dataset.cases.size(); ++i)
  {
    if (dataset.cases[i].id == dataset.cases[i - 1].id)
    {
      RefuseDataset(dataset.cases[i].labels,
                    "has the case id " + dataset.cases[i].id + " of " + dataset.cases[i - 1].labels);
    }
  }
}

// When the authors set some cases apart those alone are for testing; a folder of test cases only is used.
void
SettleTestCases(Dataset & dataset)
{
  const auto set = std::count_if(dataset.cases.begin(), dataset.cases.end(), [](const auto & c) { return c.test; });
  const bool all = size_t(set) == dataset.cases.size();
  for (DatasetCase & one : dataset.cases)
  {
    one.test = one.test && !all;
  }
  if (set > 0 && !all)
  {
    dataset.notes.push_back(
      Format("%s: %d of %zu cases are set apart for testing by the authors of the data and are not trained on",
             dataset.folder.c_str(),
             int(set),
             dataset.cases.size()));
  }
}

} // namespace

Dataset
ReadDataset(const std::string & folder, const std::string & layout)
{
  if (!IsFolder(folder))
  {
    RefuseDataset(folder, "no such folder");
  }
  const Match match = Recognise(folder, layout);
  Dataset     dataset;
  dataset.folder = folder;
  dataset.layout = match.layout->name;
  dataset.reason = match.reason;
  dataset.name = fs::path(folder).lexically_normal().filename().string();
  if (dataset.name.empty())
  {
    dataset.name = fs::path(folder).lexically_normal().parent_path().filename().string();
  }
  match.layout->read(dataset);
  for (DatasetCase & one : dataset.cases)
  {
    one.subject = one.subject.empty() ? one.id : one.subject;
  }
  std::sort(dataset.cases.begin(), dataset.cases.end(), [](const auto & a, const auto & b) { return a.id < b.id; });
  CheckIds(dataset);
  SettleTestCases(dataset);
  if (dataset.cases.empty() && dataset.findings.empty())
  {
    RefuseDataset(folder, "a data set of layout " + dataset.layout + " without any case");
  }
  return dataset;
}

vdn_modality
DatasetModality(const Dataset & dataset, const std::string & stated)
{
  if (stated == "mr" || stated == "ct" || stated == "xray")
  {
    return stated == "ct" ? VDN_MODALITY_CT : (stated == "xray" ? VDN_MODALITY_XRAY : VDN_MODALITY_MR);
  }
  if (dataset.modality)
  {
    return *dataset.modality;
  }
  std::string names;
  for (const std::string & channel : dataset.channels)
  {
    names += " " + LowerCase(channel) + " ";
  }
  const auto has = [&](const char * word) {
    return names.find(word) != std::string::npos;
  };
  if (has("x-ray") || has("xray") || has("radiograph") || has(" cr ") || has(" dx "))
  {
    return VDN_MODALITY_XRAY;
  }
  if (has(" ct") || has("ct "))
  {
    return VDN_MODALITY_CT;
  }
  if (has("mr") || has("t1") || has("t2") || has("stir") || has("flair"))
  {
    return VDN_MODALITY_MR;
  }
  RefuseDataset(dataset.folder + "/dataset.json",
                "channel_names (" + Trim(names) + ") do not tell the modality; give --modality mr, ct or xray");
}

SubjectSlice
SplitCaseId(const std::string & id)
{
  const size_t at = id.rfind("_s");
  if (at != std::string::npos && at > 0)
  {
    const std::string digits = id.substr(at + 2);
    if (!digits.empty() && std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; }))
    {
      return { id.substr(0, at), ParseInteger(digits) };
    }
  }
  return { id, std::nullopt };
}

// ---- what layouts share ----

std::vector<std::string>
NamesIn(const std::string & folder)
{
  std::vector<std::string> names;
  std::error_code          error;
  for (const auto & entry : fs::directory_iterator(folder, error))
  {
    const std::string name = entry.path().filename().string();
    if (name[0] != '.')
    {
      names.push_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool
IsFolder(const std::string & path)
{
  std::error_code error;
  return fs::is_directory(path, error);
}

bool
IsFile(const std::string & path)
{
  std::error_code error;
  return fs::is_regular_file(path, error);
}

std::optional<std::string>
Without(const std::string & text, const std::string & ending)
{
  if (text.size() <= ending.size() || !EndsWith(text, ending))
  {
    return std::nullopt;
  }
  return text.substr(0, text.size() - ending.size());
}

void
UseSource(Dataset & dataset, const std::string & source)
{
  dataset.labels[0] = "background";
  for (const SourceLabel & label : SourceLabels(source))
  {
    dataset.labels[label.value] = label.name;
    dataset.canonical[label.value] = label.canonical;
  }
  dataset.labelsFrom = "the labels of layout " + dataset.layout;
}

void
AddMissing(Dataset & dataset, const std::string & caseId, const std::string & file, const std::string & neededFor)
{
  dataset.findings.push_back({ Severity::Fault,
                               "missing",
                               caseId,
                               file,
                               "no such file, needed for " + neededFor,
                               "put the file there, or take " + neededFor + " away" });
}

std::vector<std::string>
LinesOf(const std::string & path)
{
  std::vector<std::string> lines;
  std::ifstream            file(path, std::ios::binary);
  for (std::string line; std::getline(file, line);)
  {
    if (!line.empty() && line.back() == '\r')
    {
      line.pop_back();
    }
    lines.push_back(line);
  }
  return lines;
}

} // namespace verdiff

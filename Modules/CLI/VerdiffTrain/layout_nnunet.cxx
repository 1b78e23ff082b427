// nnU-Net's raw layout: dataset.json, imagesTr/CASE_0000.ext, labelsTr/CASE.ext; version 1's dataset.json as well.
#include "label_source.h"
#include "layout.h"
#include "text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <set>

namespace verdiff
{
namespace
{

using Json = nlohmann::json;

Json
ReadJson(const std::string & path)
{
  std::ifstream file(path, std::ios::binary);
  if (!file)
  {
    RefuseDataset(path, "no such file; a data set folder holds dataset.json, imagesTr and labelsTr");
  }
  try
  {
    return Json::parse(file);
  }
  catch (const Json::exception & exception)
  {
    RefuseDataset(path, std::string("not JSON: ") + exception.what());
  }
}

bool
IsVersion1(const Json & json)
{
  return json.is_object() && !json.contains("channel_names") && json.contains("modality") && json.contains("training");
}

std::vector<std::string>
ReadChannels(const std::string & path, const Json & json, const char * key)
{
  const std::string name = key;
  if (!json.contains(name) || !json[name].is_object() || json[name].empty())
  {
    RefuseDataset(path, name + " is missing, must be an object such as {\"0\": \"CT\"}");
  }
  std::vector<std::string> channels(json[name].size());
  for (const auto & [number, channel] : json[name].items())
  {
    const auto index = ParseInteger(number);
    if (!index || *index < 0 || *index >= static_cast<long long>(channels.size()) || !channel.is_string())
    {
      RefuseDataset(path, name + " has \"" + number + "\", must number the channels 0, 1, ...");
    }
    channels[size_t(*index)] = channel.get<std::string>();
  }
  return channels;
}

void
AddLabel(Dataset & dataset, const std::string & path, const std::string & name, int value)
{
  if (!dataset.labels.emplace(value, name).second)
  {
    RefuseDataset(
      path,
      Format("label value %d has two names, \"%s\" and \"%s\"", value, dataset.labels[value].c_str(), name.c_str()));
  }
  if (LowerCase(name) == "ignore")
  {
    dataset.ignore = value;
  }
  else if (const int canonical = value == 0 ? 0 : CanonicalOfName(name))
  {
    dataset.canonical[value] = canonical;
  }
}

// "1+2" of [1, 2].
std::string
Joined(const Json & values)
{
  std::string text;
  for (const Json & value : values)
  {
    text += (text.empty() ? "" : "+") + value.dump();
  }
  return text;
}

// Version 2 has {"name": value}, version 1 {"value": "name"}.
void
ReadLabelNames(Dataset & dataset, const std::string & path, const Json & json, bool version1)
{
  if (!json.contains("labels") || !json["labels"].is_object())
  {
    RefuseDataset(path, "labels is missing, must be an object such as {\"background\": 0, \"vertebra\": 1}");
  }
  for (const auto & [key, content] : json["labels"].items())
  {
    if (version1)
    {
      const auto value = ParseInteger(key);
      if (!value || *value < 0 || *value > 65535 || !content.is_string())
      {
        RefuseDataset(path, "label \"" + key + "\" is " + content.dump() + ", must be a number and a name");
      }
      AddLabel(dataset, path, content.get<std::string>(), static_cast<int>(*value));
      continue;
    }
    if (content.is_array())
    {
      RefuseDataset(
        path,
        "label \"" + key + "\" is a list of values (a region, " + content.dump() +
          "); regions may overlap and are not trained: give every value a name of its own, and merge values "
          "with --classes \"" +
          key + "=" + Joined(content) + "\"");
    }
    if (!content.is_number_integer() || content.get<long long>() < 0 || content.get<long long>() > 65535)
    {
      RefuseDataset(path, "label \"" + key + "\" is " + content.dump() + ", must be an integer from 0 to 65535");
    }
    AddLabel(dataset, path, key, content.get<int>());
  }
  if (dataset.labels.count(0) == 0 || dataset.labels.size() < 2)
  {
    RefuseDataset(path, "labels must hold a background 0 and at least one other label");
  }
}

std::string
ImageOf(const Dataset & dataset, const std::string & id, size_t channel, const std::string & ending)
{
  const std::string images = dataset.folder + "/imagesTr/";
  const std::string numbered = images + id + Format("_%04zu", channel) + ending;
  const std::string plain = images + id + ending;
  // Decathlon folders of version 1 do not number the channel of a file that has only one.
  return dataset.channels.size() == 1 && !IsFile(numbered) && IsFile(plain) ? plain : numbered;
}

void
AddCase(Dataset & dataset, const std::string & id, const std::string & ending, std::set<std::string> & used)
{
  DatasetCase        one;
  const SubjectSlice subject = SplitCaseId(id);
  bool               whole = true;
  one.id = id;
  one.subject = subject.subject;
  one.slice = subject.slice;
  one.labels = dataset.folder + "/labelsTr/" + id + ending;
  for (size_t channel = 0; channel < dataset.channels.size(); ++channel)
  {
    one.images.push_back(ImageOf(dataset, id, channel, ending));
    used.insert(one.images.back());
    if (!IsFile(one.images.back()))
    {
      AddMissing(dataset, id, one.images.back(), one.labels);
      whole = false;
    }
  }
  if (whole)
  {
    dataset.cases.push_back(std::move(one));
  }
}

// Cases are what labelsTr holds; each needs every channel in imagesTr, and an image its labels.
void
FindCases(Dataset & dataset, const std::string & ending)
{
  const std::string labels = dataset.folder + "/labelsTr";
  if (!IsFolder(labels))
  {
    RefuseDataset(labels, "cannot be read: no such folder");
  }
  std::set<std::string> used;
  bool                  any = false;
  for (const std::string & name : NamesIn(labels))
  {
    if (const auto id = Without(name, ending))
    {
      AddCase(dataset, *id, ending, used);
      any = true;
    }
  }
  if (!any)
  {
    RefuseDataset(labels, "holds no file that ends in " + ending + " (file_ending in dataset.json)");
  }
  for (const std::string & name : NamesIn(dataset.folder + "/imagesTr"))
  {
    const std::string path = dataset.folder + "/imagesTr/" + name;
    const auto        stem = Without(name, ending);
    if (stem && used.count(path) == 0)
    {
      const bool        numbered = stem->size() > 5 && (*stem)[stem->size() - 5] == '_';
      const std::string id = numbered ? stem->substr(0, stem->size() - 5) : *stem;
      if (!IsFile(labels + "/" + id + ending))
      {
        AddMissing(dataset, id, labels + "/" + id + ending, path);
      }
    }
  }
}

// Version 1 says the ending only in its list.
std::string
EndingOfVersion1(const std::string & path, const Json & json)
{
  const Json & list = json["training"];
  if (!list.is_array() || list.empty() || !list[0].is_object() || !list[0].contains("label") ||
      !list[0]["label"].is_string())
  {
    RefuseDataset(path, "training is no list of {\"image\": ..., \"label\": ...}");
  }
  return ImageExtension(list[0]["label"].get<std::string>());
}

// What the list of version 1 names must be there.
void
CheckTrainingList(Dataset & dataset, const Json & json)
{
  for (const Json & item : json["training"])
  {
    const std::string label = item.is_object() ? item.value("label", std::string()) : std::string();
    const std::string path = dataset.folder + "/" + (label.rfind("./", 0) == 0 ? label.substr(2) : label);
    if (label.empty() || !IsFile(path))
    {
      AddMissing(dataset, ImageStem(path), path, dataset.folder + "/dataset.json (training)");
    }
  }
}

void
CheckNumTraining(Dataset & dataset, const std::string & path, const Json & json)
{
  const Json            number = json.value("numTraining", Json());
  std::set<std::string> ids;
  for (const DatasetCase & one : dataset.cases)
  {
    ids.insert(one.id);
  }
  for (const Finding & finding : dataset.findings)
  {
    ids.insert(finding.caseId);
  }
  const size_t found = ids.size();
  if (number.is_number_integer() && number.get<long long>() != static_cast<long long>(found))
  {
    dataset.findings.push_back(
      { Severity::Warning,
        "count",
        "",
        path,
        Format("numTraining is %lld, the folder holds %zu cases", number.get<long long>(), found),
        "see whether files are missing, then set numTraining to what is there" });
  }
}

std::optional<std::string>
Recognise(const std::string & folder)
{
  if (!IsFile(folder + "/dataset.json") && !IsFolder(folder + "/imagesTr") && !IsFolder(folder + "/labelsTr"))
  {
    return std::nullopt;
  }
  return "dataset.json, imagesTr, labelsTr";
}

void
Read(Dataset & dataset)
{
  const std::string path = dataset.folder + "/dataset.json";
  const Json        json = ReadJson(path);
  const bool        version1 = IsVersion1(json);
  dataset.labelsFrom = path;
  dataset.channels = ReadChannels(path, json, version1 ? "modality" : "channel_names");
  ReadLabelNames(dataset, path, json, version1);
  static const std::set<std::string> endings = { ".png", ".nii.gz", ".nrrd", ".mha" };
  const Json ending = version1 ? Json(EndingOfVersion1(path, json)) : json.value("file_ending", Json());
  if (!ending.is_string() || endings.count(ending.get<std::string>()) == 0)
  {
    RefuseDataset(path, "file_ending is " + ending.dump() + ", must be \".png\", \".nii.gz\", \".nrrd\" or \".mha\"");
  }
  dataset.reason += version1 ? " (dataset.json of version 1)" : " (dataset.json of version 2)";
  FindCases(dataset, ending.get<std::string>());
  if (version1)
  {
    CheckTrainingList(dataset, json);
  }
  CheckNumTraining(dataset, path, json);
  if (IsFile(dataset.folder + "/splits_final.json"))
  {
    dataset.notes.push_back(dataset.folder +
                            "/splits_final.json is not read: subjects are shared out anew, by the seed");
  }
}

} // namespace

const Layout layoutNnunet = { "nnunet", "dataset.json with imagesTr and labelsTr", Recognise, Read };

} // namespace verdiff

#include "dataset.h"

#include "failure.h"
#include "text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

namespace verdiff
{
namespace
{

namespace fs = std::filesystem;
using Json = nlohmann::json;

[[noreturn]] void
Refuse(const std::string & path, const std::string & reason)
{
  throw Failure(ExitCode::Input, path + ": " + reason);
}

Json
ReadJson(const std::string & path)
{
  std::ifstream file(path, std::ios::binary);
  if (!file)
  {
    Refuse(path, "no such file; a data set folder holds dataset.json, imagesTr and labelsTr");
  }
  try
  {
    return Json::parse(file);
  }
  catch (const Json::exception & exception)
  {
    Refuse(path, std::string("not JSON: ") + exception.what());
  }
}

std::vector<std::string>
ReadChannels(const std::string & path, const Json & json)
{
  if (!json.contains("channel_names") || !json["channel_names"].is_object() || json["channel_names"].empty())
  {
    Refuse(path, "channel_names is missing, must be an object such as {\"0\": \"CT\"}");
  }
  std::vector<std::string> channels(json["channel_names"].size());
  for (const auto & [key, name] : json["channel_names"].items())
  {
    const auto index = ParseInteger(key);
    if (!index || *index < 0 || *index >= static_cast<long long>(channels.size()) || !name.is_string())
    {
      Refuse(path, "channel_names has \"" + key + "\", must number the channels 0, 1, ...");
    }
    channels[size_t(*index)] = name.get<std::string>();
  }
  return channels;
}

void
ReadLabelNames(Dataset & dataset, const std::string & path, const Json & json)
{
  if (!json.contains("labels") || !json["labels"].is_object())
  {
    Refuse(path, "labels is missing, must be an object such as {\"background\": 0, \"vertebra\": 1}");
  }
  for (const auto & [name, value] : json["labels"].items())
  {
    if (value.is_array())
    {
      Refuse(path, "label \"" + name + "\" is a list of values (a region); one integer per label is needed");
    }
    if (!value.is_number_integer() || value.get<long long>() < 0 || value.get<long long>() > 65535)
    {
      Refuse(path, "label \"" + name + "\" is " + value.dump() + ", must be an integer from 0 to 65535");
    }
    const int number = value.get<int>();
    if (!dataset.labels.emplace(number, name).second)
    {
      Refuse(
        path,
        Format(
          "label value %d has two names, \"%s\" and \"%s\"", number, dataset.labels[number].c_str(), name.c_str()));
    }
    if (LowerCase(name) == "ignore")
    {
      dataset.ignore = number;
    }
  }
  if (dataset.labels.count(0) == 0 || dataset.labels.size() < 2)
  {
    Refuse(path, "labels must hold a background 0 and at least one other label");
  }
}

// Cases are what labelsTr holds; each needs every channel in imagesTr.
void
FindCases(Dataset & dataset, const std::string & ending)
{
  const fs::path           labels = fs::path(dataset.folder) / "labelsTr";
  const fs::path           images = fs::path(dataset.folder) / "imagesTr";
  std::error_code          error;
  std::vector<std::string> ids;
  for (const auto & entry : fs::directory_iterator(labels, error))
  {
    const std::string name = entry.path().filename().string();
    if (name[0] != '.' && EndsWith(name, ending))
    {
      ids.push_back(name.substr(0, name.size() - ending.size()));
    }
  }
  if (error)
  {
    Refuse(labels.string(), "cannot be read: " + error.message());
  }
  if (ids.empty())
  {
    Refuse(labels.string(), "holds no file that ends in " + ending + " (file_ending in dataset.json)");
  }
  std::sort(ids.begin(), ids.end());
  for (const std::string & id : ids)
  {
    DatasetCase one;
    one.id = id;
    one.labels = (labels / (id + ending)).string();
    for (size_t channel = 0; channel < dataset.channels.size(); ++channel)
    {
      one.images.push_back((images / (id + Format("_%04zu", channel) + ending)).string());
      if (!fs::exists(one.images.back()))
      {
        Refuse(one.images.back(), "no such file, needed for " + one.labels);
      }
    }
    dataset.cases.push_back(std::move(one));
  }
}

// Label values of @p dataset that one item of --foreground means; empty when there is none.
std::set<int>
ValuesOf(const Dataset & dataset, const Dataset & first, const std::string & item)
{
  std::string name = LowerCase(item);
  if (const auto value = ParseInteger(item))
  {
    const auto found = first.labels.find(static_cast<int>(*value));
    if (found == first.labels.end())
    {
      throw Failure(ExitCode::Usage, "--foreground: " + first.folder + " has no label " + item);
    }
    if (&dataset == &first)
    {
      return { found->first };
    }
    name = LowerCase(found->second);
  }
  std::set<int> values;
  for (const auto & [value, label] : dataset.labels)
  {
    if (LowerCase(label) == name)
    {
      values.insert(value);
    }
  }
  return values;
}

void
MergeForeground(ClassMap & map, const std::vector<Dataset> & datasets, const std::string & foreground)
{
  std::set<std::string> names;
  for (size_t d = 0; d < datasets.size(); ++d)
  {
    auto & classes = map.ofDataset[d];
    for (const auto & entry : datasets[d].labels)
    {
      classes[size_t(entry.first)] = 0;
    }
    bool any = false;
    for (const std::string & item : Split(foreground, ','))
    {
      const auto values = ValuesOf(datasets[d], datasets[0], Trim(item));
      if (values.empty() && d == 0)
      {
        throw Failure(ExitCode::Usage, "--foreground: " + datasets[d].folder + " has no label \"" + Trim(item) + "\"");
      }
      for (const int value : values)
      {
        if (value == 0)
        {
          throw Failure(ExitCode::Usage, "--foreground: 0 is the background");
        }
        classes[size_t(value)] = 1;
        names.insert(datasets[d].labels.at(value));
        any = true;
      }
    }
    if (!any)
    {
      Refuse(datasets[d].folder, "has none of the labels of --foreground " + foreground);
    }
  }
  map.names = { "background", names.size() == 1 ? *names.begin() : "foreground" };
  map.values = { 0, 1 };
}

void
KeepLabels(ClassMap & map, const std::vector<Dataset> & datasets)
{
  std::map<std::string, std::uint8_t> classOf;
  for (const auto & [value, name] : datasets[0].labels)
  {
    if (datasets[0].ignore != value)
    {
      classOf[LowerCase(name)] = static_cast<std::uint8_t>(map.names.size());
      map.names.push_back(value == 0 ? "background" : name);
      map.values.push_back(value);
    }
  }
  if (map.names.size() > VDN_MAX_CLASSES)
  {
    Refuse(datasets[0].folder,
           Format("has %zu labels, at most %d are possible", map.names.size(), int(VDN_MAX_CLASSES)));
  }
  for (size_t d = 0; d < datasets.size(); ++d)
  {
    std::set<std::string> seen;
    for (const auto & [value, name] : datasets[d].labels)
    {
      const auto found = value == 0 ? classOf.find(LowerCase(datasets[0].labels.at(0))) : classOf.find(LowerCase(name));
      if (datasets[d].ignore == value)
      {
        continue;
      }
      if (found == classOf.end())
      {
        Refuse(datasets[d].folder,
               "label \"" + name + "\" is not in " + datasets[0].folder + "; choose labels with --foreground");
      }
      map.ofDataset[d][size_t(value)] = found->second;
      seen.insert(found->first);
    }
    if (seen.size() != classOf.size())
    {
      Refuse(datasets[d].folder, "lacks labels of " + datasets[0].folder + "; choose labels with --foreground");
    }
  }
}

} // namespace

Dataset
ReadDataset(const std::string & folder)
{
  Dataset dataset;
  dataset.folder = folder;
  if (!fs::is_directory(folder))
  {
    Refuse(folder, "no such folder");
  }
  dataset.name = fs::path(folder).lexically_normal().filename().string();
  if (dataset.name.empty())
  {
    dataset.name = fs::path(folder).lexically_normal().parent_path().filename().string();
  }
  const std::string path = (fs::path(folder) / "dataset.json").string();
  const Json        json = ReadJson(path);
  dataset.channels = ReadChannels(path, json);
  ReadLabelNames(dataset, path, json);
  static const std::set<std::string> endings = { ".png", ".nii.gz", ".nrrd", ".mha" };
  const Json                         ending = json.value("file_ending", Json());
  if (!ending.is_string() || endings.count(ending.get<std::string>()) == 0)
  {
    Refuse(path, "file_ending is " + ending.dump() + ", must be \".png\", \".nii.gz\", \".nrrd\" or \".mha\"");
  }
  FindCases(dataset, ending.get<std::string>());
  return dataset;
}

vdn_modality
DatasetModality(const Dataset & dataset, const std::string & stated)
{
  if (stated == "mr" || stated == "ct" || stated == "xray")
  {
    return stated == "ct" ? VDN_MODALITY_CT : (stated == "xray" ? VDN_MODALITY_XRAY : VDN_MODALITY_MR);
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
  if (has(" ct ") || has(" ct") || has("ct "))
  {
    return VDN_MODALITY_CT;
  }
  if (has("mr") || has("t1") || has("t2") || has("stir") || has("flair"))
  {
    return VDN_MODALITY_MR;
  }
  Refuse(dataset.folder + "/dataset.json",
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

ClassMap
MakeClassMap(const std::vector<Dataset> & datasets, const std::string & foreground)
{
  ClassMap map;
  map.ofDataset.resize(datasets.size());
  for (size_t d = 0; d < datasets.size(); ++d)
  {
    map.ofDataset[d].fill(ClassMap::unknown);
    if (datasets[d].channels.size() != datasets[0].channels.size())
    {
      Refuse(datasets[d].folder,
             Format("has %zu channels, %s has %zu",
                    datasets[d].channels.size(),
                    datasets[0].folder.c_str(),
                    datasets[0].channels.size()));
    }
  }
  if (foreground.empty())
  {
    KeepLabels(map, datasets);
  }
  else
  {
    MergeForeground(map, datasets, foreground);
  }
  for (size_t d = 0; d < datasets.size(); ++d)
  {
    if (datasets[d].ignore)
    {
      map.ofDataset[d][size_t(*datasets[d].ignore)] = ClassMap::ignored;
    }
  }
  return map;
}

} // namespace verdiff

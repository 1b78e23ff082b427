#include "slices_recipe.h"

#include "failure.h"
#include "text.h"

#include <vdn.h>

#include <filesystem>
#include <fstream>

namespace verdiff
{
namespace
{

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// FNV-1a of 64 bits; Fowler, Noll and Vo, draft-eastlake-fnv.
class Fingerprint
{
public:
  void
  Add(const std::string & text)
  {
    for (const char c : text + '\n')
    {
      m_Value = (m_Value ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    }
  }

  void
  AddFile(const std::string & path)
  {
    std::error_code error;
    if (path.empty())
    {
      return;
    }
    Add(path);
    Add(std::to_string(fs::file_size(path, error)));
    Add(std::to_string(fs::last_write_time(path, error).time_since_epoch().count()));
  }

  std::string
  Text() const
  {
    return Format("%016llx", (unsigned long long)m_Value);
  }

private:
  std::uint64_t m_Value = 0xcbf29ce484222325ULL;
};

std::string
FingerprintOf(const Dataset & dataset)
{
  Fingerprint all;
  for (const DatasetCase & one : dataset.cases)
  {
    for (const std::string & image : one.images)
    {
      all.AddFile(image);
    }
    all.AddFile(one.labels);
    all.AddFile(one.centroids);
    for (const LabelPart & part : one.parts)
    {
      all.AddFile(part.path);
    }
    for (const double corner : one.corners)
    {
      all.Add(FormatNumber(corner, 9));
    }
  }
  return all.Text();
}

} // namespace

Json
SlicesRecipe(const std::vector<Dataset> & datasets, const ClassMap & classes, const Parameters & parameters)
{
  Json recipe;
  recipe["version"] = VDN_VERSION;
  for (const Dataset & dataset : datasets)
  {
    recipe["data"].push_back(
      { { "name", dataset.name }, { "cases", dataset.cases.size() }, { "files", FingerprintOf(dataset) } });
  }
  recipe["class_names"] = classes.names;
  for (const char * name : { "task",
                             "foreground",
                             "classes",
                             "spacing",
                             "pixelSpacing",
                             "modality",
                             "plane",
                             "neighbours",
                             "emptySlices",
                             "slicesPerCase",
                             "faults" })
  {
    recipe[name] = parameters.String(name);
  }
  return recipe;
}

bool
SlicesAreThere(const std::string & store, const std::string & path, const Json & recipe, bool resume)
{
  if (!fs::exists(store) || !fs::exists(path))
  {
    return false;
  }
  std::ifstream file(path);
  Json          found = Json::parse(file, nullptr, false);
  if (!resume)
  {
    return found == recipe;
  }
  Json wanted = recipe;
  for (Json * one : { &found, &wanted })
  {
    if (one->is_object() && one->contains("data"))
    {
      for (Json & data : (*one)["data"])
      {
        data.erase("files");
      }
    }
  }
  if (found != wanted)
  {
    throw Failure(ExitCode::Usage,
                  path + ": the slices there were made from other data or options; give the same ones to resume");
  }
  return true;
}

} // namespace verdiff

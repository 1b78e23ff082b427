#include "dataset_classes.h"

#include "failure.h"
#include "label_source.h"
#include "text.h"

#include <algorithm>
#include <map>
#include <set>

namespace verdiff
{
namespace
{

[[noreturn]] void
RefuseUsage(const std::string & reason)
{
  throw Failure(ExitCode::Usage, reason);
}

[[noreturn]] void
RefuseInput(const std::string & path, const std::string & reason)
{
  throw Failure(ExitCode::Input, path + ": " + reason);
}

// "vertebra, disc, canal": what a data set has, for messages.
std::string
LabelNames(const Dataset & dataset)
{
  constexpr size_t most = 8;
  std::string      names;
  size_t           count = 0;
  for (const auto & [value, name] : dataset.labels)
  {
    if (value != 0 && ++count <= most)
    {
      names += (names.empty() ? "" : ", ") + name;
    }
  }
  return names + (count > most ? Format(" and %zu more", count - most) : "");
}

// Every label of @p dataset is background until a class takes it.
void
StartFromBackground(ClassMap & map, const std::vector<Dataset> & datasets)
{
  for (size_t d = 0; d < datasets.size(); ++d)
  {
    for (const auto & entry : datasets[d].labels)
    {
      map.ofDataset[d][size_t(entry.first)] = 0;
    }
  }
  map.names = { "background" };
  map.values = { 0 };
}

// ---- by values and names ----

// Label values of @p dataset that one item of @p option means; empty when there is none.
std::set<int>
ValuesOf(const Dataset & dataset, const Dataset & first, const std::string & item, const char * option)
{
  std::string name = LowerCase(item);
  if (const auto value = ParseInteger(item))
  {
    const auto found = first.labels.find(static_cast<int>(*value));
    if (found == first.labels.end())
    {
      RefuseUsage(std::string(option) + ": " + first.folder + " has no label " + item);
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

// As ValuesOf, for "20-25" too: those values of the range that are labels.
std::set<int>
ValuesOfItem(const Dataset & dataset, const Dataset & first, const std::string & item)
{
  const auto ends = Split(item, '-');
  const auto from = ends.size() == 2 ? ParseInteger(Trim(ends[0])) : std::nullopt;
  const auto to = ends.size() == 2 ? ParseInteger(Trim(ends[1])) : std::nullopt;
  if (!from || !to)
  {
    return ValuesOf(dataset, first, item, "--classes");
  }
  std::set<int> values;
  for (const auto & entry : first.labels)
  {
    if (entry.first >= *from && entry.first <= *to)
    {
      const auto here = ValuesOf(dataset, first, std::to_string(entry.first), "--classes");
      values.insert(here.begin(), here.end());
    }
  }
  return values;
}

void
TakeValue(ClassMap & map, const Dataset & dataset, size_t d, int value, const char * option)
{
  const auto klass = static_cast<std::uint8_t>(map.names.size() - 1);
  auto &     place = map.ofDataset[d][size_t(value)];
  if (value == 0)
  {
    RefuseUsage(std::string(option) + ": 0 is the background");
  }
  if (place != 0 && place != klass)
  {
    RefuseUsage(std::string(option) + ": label " + dataset.labels.at(value) + " is in two classes");
  }
  place = klass;
}

void
MergeForeground(ClassMap & map, const std::vector<Dataset> & datasets, const std::string & foreground)
{
  std::set<std::string> names;
  StartFromBackground(map, datasets);
  map.names.push_back("foreground");
  map.values.push_back(1);
  for (size_t d = 0; d < datasets.size(); ++d)
  {
    bool any = false;
    for (const std::string & item : Split(foreground, ','))
    {
      const auto values = ValuesOf(datasets[d], datasets[0], Trim(item), "--foreground");
      if (values.empty() && d == 0)
      {
        RefuseUsage("--foreground: " + datasets[d].folder + " has no label \"" + Trim(item) + "\"");
      }
      for (const int value : values)
      {
        TakeValue(map, datasets[d], d, value, "--foreground");
        names.insert(datasets[d].labels.at(value));
        any = true;
      }
    }
    if (!any)
    {
      RefuseInput(datasets[d].folder, "has none of the labels of --foreground " + foreground);
    }
  }
  map.names[1] = names.size() == 1 ? *names.begin() : "foreground";
}

void
AddListedClass(ClassMap & map, const std::vector<Dataset> & datasets, const std::string & text)
{
  const size_t equals = text.find('=');
  if (equals == std::string::npos || Trim(text.substr(0, equals)).empty())
  {
    RefuseUsage("--classes: \"" + Trim(text) + "\" is not NAME=LABELS, such as vertebra=1-25+101-125");
  }
  map.names.push_back(Trim(text.substr(0, equals)));
  map.values.push_back(static_cast<int>(map.names.size()) - 1);
  for (size_t d = 0; d < datasets.size(); ++d)
  {
    bool any = false;
    for (const std::string & item : Split(text.substr(equals + 1), '+'))
    {
      for (const int value : ValuesOfItem(datasets[d], datasets[0], Trim(item)))
      {
        TakeValue(map, datasets[d], d, value, "--classes");
        any = true;
      }
    }
    if (!any)
    {
      RefuseUsage("--classes: " + datasets[d].folder + " has no label for " + Trim(text) + "; it has " +
                  LabelNames(datasets[d]));
    }
  }
}

void
ListClasses(ClassMap & map, const std::vector<Dataset> & datasets, const std::string & classes)
{
  StartFromBackground(map, datasets);
  for (const std::string & text : Split(classes, ';'))
  {
    if (!Trim(text).empty())
    {
      AddListedClass(map, datasets, text);
    }
  }
}

void
KeepLabels(ClassMap & map, const std::vector<Dataset> & datasets)
{
  std::map<std::string, std::uint8_t> classOf;
  for (const auto & [value, name] : datasets[0].labels)
  {
    if (datasets[0].ignore != value && map.names.size() <= VDN_MAX_CLASSES)
    {
      classOf[LowerCase(name)] = static_cast<std::uint8_t>(map.names.size());
      map.names.push_back(value == 0 ? "background" : name);
      map.values.push_back(value);
    }
  }
  if (map.names.size() > VDN_MAX_CLASSES)
  {
    RefuseInput(datasets[0].folder,
                Format("has %zu labels, at most %d are possible; choose with --task, --foreground or --classes",
                       datasets[0].labels.size(),
                       int(VDN_MAX_CLASSES)));
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
        RefuseInput(datasets[d].folder,
                    "label \"" + name + "\" is not in " + datasets[0].folder +
                      "; choose labels with --task or --foreground");
      }
      map.ofDataset[d][size_t(value)] = found->second;
      seen.insert(found->first);
    }
    if (seen.size() != classOf.size())
    {
      RefuseInput(datasets[d].folder,
                  "lacks labels of " + datasets[0].folder + "; choose labels with --task or --foreground");
    }
  }
}

// ---- by what the labels are ----

std::set<int>
ValuesOfStructure(const Dataset & dataset, Structure structure)
{
  std::set<int> values;
  for (const auto & [value, canonical] : dataset.canonical)
  {
    if (value != 0 && StructureOf(canonical) == structure)
    {
      values.insert(value);
    }
  }
  return values;
}

constexpr struct
{
  Structure    structure;
  const char * name;
} structures[] = { { Structure::Vertebra, "vertebra" },
                   { Structure::Disc, "disc" },
                   { Structure::Canal, "canal" },
                   { Structure::Sacrum, "sacrum" } };

void
MakeBinary(ClassMap & map, const std::vector<Dataset> & datasets)
{
  StartFromBackground(map, datasets);
  map.names.push_back("vertebra");
  map.values.push_back(1);
  for (size_t d = 0; d < datasets.size(); ++d)
  {
    const auto values = ValuesOfStructure(datasets[d], Structure::Vertebra);
    if (values.empty())
    {
      RefuseUsage("--task binary needs vertebrae; " + datasets[d].folder + " has " + LabelNames(datasets[d]) +
                  "; name the labels with --foreground");
    }
    for (const int value : values)
    {
      TakeValue(map, datasets[d], d, value, "--task");
    }
  }
}

// Labels that no file has are not there: VerSe's table has a sacrum that nobody drew.
std::set<int>
ValuesThere(const std::vector<Dataset> &       datasets,
            const std::vector<std::set<int>> & present,
            size_t                             d,
            Structure                          structure)
{
  std::set<int> values = ValuesOfStructure(datasets[d], structure);
  const bool    any = present.empty() ||
                   std::any_of(values.begin(), values.end(), [&](int value) { return present[d].count(value) > 0; });
  return any ? values : std::set<int>();
}

void
MakeStructures(ClassMap & map, const std::vector<Dataset> & datasets, const std::vector<std::set<int>> & present)
{
  StartFromBackground(map, datasets);
  for (const auto & one : structures)
  {
    const bool wanted = !ValuesThere(datasets, present, 0, one.structure).empty();
    if (wanted)
    {
      map.names.push_back(one.name);
      map.values.push_back(static_cast<int>(&one - structures) + 1);
    }
    for (size_t d = 0; d < datasets.size(); ++d)
    {
      const auto values = ValuesThere(datasets, present, d, one.structure);
      if (wanted == values.empty())
      {
        RefuseUsage(std::string("--task structures: ") + datasets[d].folder +
                    (wanted ? " does not label the " : " labels the ") + one.name + ", " + datasets[0].folder +
                    (wanted ? " does; what is not labelled would be learned as background"
                            : " does not; choose the classes with --classes"));
      }
      for (const int value : values)
      {
        TakeValue(map, datasets[d], d, value, "--task");
      }
    }
  }
  if (map.names.size() < 3)
  {
    RefuseUsage("--task structures needs two of vertebra, disc, canal, sacrum; " + datasets[0].folder + " has " +
                LabelNames(datasets[0]));
  }
}

void
MakeLevels(ClassMap & map, const std::vector<Dataset> & datasets, const std::vector<std::set<int>> & present)
{
  StartFromBackground(map, datasets);
  std::map<int, int> classOf; // canonical number to class, in the order of the body
  for (size_t d = 0; d < datasets.size(); ++d)
  {
    bool any = false;
    for (const auto & [value, canonical] : datasets[d].canonical)
    {
      const bool sacral = StructureOf(canonical) == Structure::Sacrum;
      if (StructureOf(canonical) == Structure::Vertebra && !IsLevel(canonical))
      {
        RefuseUsage("--task levels: label \"" + datasets[d].labels.at(value) + "\" of " + datasets[d].folder +
                    " has no level");
      }
      if ((IsLevel(canonical) || sacral) && (present.empty() || present[d].count(value) > 0))
      {
        classOf[canonical] = 0;
        any = any || !sacral;
      }
    }
    if (!any)
    {
      RefuseUsage("--task levels needs vertebrae with levels; " + datasets[d].folder + " has " +
                  LabelNames(datasets[d]));
    }
  }
  std::vector<int> order;
  for (const auto & entry : classOf)
  {
    order.push_back(entry.first);
  }
  std::sort(order.begin(), order.end(), [](int a, int b) { return LevelOrder(a) < LevelOrder(b); });
  for (const int canonical : order)
  {
    map.names.push_back(CanonicalName(canonical));
    map.values.push_back(canonical);
    for (size_t d = 0; d < datasets.size(); ++d)
    {
      for (const auto & [value, number] : datasets[d].canonical)
      {
        if (number == canonical)
        {
          TakeValue(map, datasets[d], d, value, "--task");
        }
      }
    }
  }
}

void
CheckChoice(const std::vector<Dataset> & datasets, const ClassChoice & choice)
{
  const int chosen = int(choice.task != "labels") + int(!choice.foreground.empty()) + int(!choice.classes.empty());
  if (chosen > 1)
  {
    RefuseUsage("--task, --foreground and --classes each choose the classes; give one of them");
  }
  for (const Dataset & dataset : datasets)
  {
    if (dataset.channels.size() != datasets[0].channels.size())
    {
      RefuseInput(dataset.folder,
                  Format("has %zu channels, %s has %zu",
                         dataset.channels.size(),
                         datasets[0].folder.c_str(),
                         datasets[0].channels.size()));
    }
  }
}

} // namespace

ClassMap
MakeClassMap(const std::vector<Dataset> &       datasets,
             const ClassChoice &                choice,
             const std::vector<std::set<int>> & present)
{
  ClassMap map;
  CheckChoice(datasets, choice);
  map.ofDataset.resize(datasets.size());
  for (auto & classes : map.ofDataset)
  {
    classes.fill(ClassMap::unknown);
  }
  if (!choice.foreground.empty())
  {
    MergeForeground(map, datasets, choice.foreground);
  }
  else if (!choice.classes.empty())
  {
    ListClasses(map, datasets, choice.classes);
  }
  else if (choice.task == "binary")
  {
    MakeBinary(map, datasets);
  }
  else if (choice.task == "structures")
  {
    MakeStructures(map, datasets, present);
  }
  else if (choice.task == "levels")
  {
    MakeLevels(map, datasets, present);
  }
  else
  {
    KeepLabels(map, datasets);
  }
  if (map.names.size() > VDN_MAX_CLASSES)
  {
    RefuseUsage(Format("%zu classes are more than the %d that are possible", map.names.size(), int(VDN_MAX_CLASSES)));
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

// What the doctor found, as text and as JSON.
#include "doctor.h"

#include "label_source.h"
#include "text.h"

#include <nlohmann/json.hpp>

namespace verdiff
{
namespace
{

using Json = nlohmann::ordered_json;

std::string
Summary(const Dataset & dataset, const Checkup & checkup)
{
  const auto faults = CountOf(checkup.findings, Severity::Fault);
  const auto cases = FaultyCases(checkup.findings).size();
  return dataset.folder + Format(": %zu cases read, %lld faults in %zu cases, %lld warnings, %lld repaired",
                                 checkup.cases.size(),
                                 (long long)faults,
                                 cases,
                                 (long long)CountOf(checkup.findings, Severity::Warning),
                                 (long long)CountOf(checkup.findings, Severity::Repaired));
}

// "1 vertebra in 12 cases" for every label that occurs.
std::string
LabelText(const Dataset & dataset, const Checkup & checkup)
{
  std::map<int, int> cases;
  for (const CaseFacts & facts : checkup.cases)
  {
    for (const auto & entry : facts.voxels)
    {
      ++cases[entry.first];
    }
  }
  std::string text;
  for (const auto & [value, count] : cases)
  {
    const auto name = dataset.labels.find(value);
    if (value != 0 && name != dataset.labels.end())
    {
      text += (text.empty() ? "" : ", ") + Format("%d ", value) + name->second + Format(" in %d", count);
    }
  }
  return text.empty() ? "none" : text;
}

Json
CaseJson(const DatasetCase & one, const Checkup & checkup)
{
  Json json = { { "id", one.id }, { "subject", one.subject }, { "images", one.images }, { "labels", one.labels } };
  json["test"] = one.test;
  for (const CaseFacts & facts : checkup.cases)
  {
    if (facts.id == one.id)
    {
      json["slices"] = facts.size[0];
      json["size"] = { facts.size[1], facts.size[2] };
      json["spacing"] = { facts.spacing[0], facts.spacing[1] };
      json["type"] = facts.type;
      for (const auto & [value, count] : facts.voxels)
      {
        json["voxels"][std::to_string(value)] = count;
      }
    }
  }
  return json;
}

Json
DatasetJson(const Dataset & dataset, const Checkup & checkup)
{
  Json json = { { "folder", dataset.folder }, { "layout", dataset.layout }, { "reason", dataset.reason } };
  json["notes"] = dataset.notes;
  for (const auto & [value, name] : dataset.labels)
  {
    const auto canonical = dataset.canonical.find(value);
    Json       label = { { "value", value }, { "name", name } };
    if (canonical != dataset.canonical.end() && canonical->second != 0)
    {
      label["canonical"] = canonical->second;
    }
    json["labels"].push_back(label);
  }
  json["cases"] = Json::array();
  for (const DatasetCase & one : dataset.cases)
  {
    json["cases"].push_back(CaseJson(one, checkup));
  }
  json["findings"] = Json::array();
  for (const Finding & f : checkup.findings)
  {
    json["findings"].push_back({ { "severity", SeverityName(f.severity) },
                                 { "kind", f.kind },
                                 { "case", f.caseId },
                                 { "file", f.file },
                                 { "text", f.text },
                                 { "remedy", f.remedy } });
  }
  json["faults"] = CountOf(checkup.findings, Severity::Fault);
  json["warnings"] = CountOf(checkup.findings, Severity::Warning);
  json["repaired"] = CountOf(checkup.findings, Severity::Repaired);
  return json;
}

} // namespace

std::vector<std::string>
CheckupText(const Dataset & dataset, const Checkup & checkup)
{
  std::vector<std::string> lines = { dataset.folder + ": layout " + dataset.layout + ", recognised by " +
                                     dataset.reason };
  lines.push_back("labels: " + LabelText(dataset, checkup));
  lines.insert(lines.end(), dataset.notes.begin(), dataset.notes.end());
  for (const Finding & f : checkup.findings)
  {
    lines.push_back(std::string(SeverityName(f.severity)) + " " + f.kind + ": " + f.file + ": " + f.text +
                    ". Mend: " + f.remedy);
  }
  lines.push_back(Summary(dataset, checkup));
  return lines;
}

std::string
CheckupJson(const std::vector<Dataset> & datasets, const std::vector<Checkup> & checkups)
{
  Json json = { { "format", 1 }, { "datasets", Json::array() } };
  for (size_t d = 0; d < datasets.size(); ++d)
  {
    json["datasets"].push_back(DatasetJson(datasets[d], checkups[d]));
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace verdiff

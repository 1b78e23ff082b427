// VerdiffEvaluate REFERENCE PREDICTION: a table on stdout, all numbers in the report.
#include "VerdiffEvaluateCLP.h"
#include "scores.h"
#include "trust.h"

#include "interrupt.h"
#include "output_file.h"
#include "program.h"
#include "text.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>
#include <memory>

namespace
{

using namespace verdiff;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

struct Pair
{
  std::string reference;
  std::string prediction;
};

// Label files of a folder by stem.
std::map<std::string, std::string>
LabelFiles(const std::string & folder)
{
  static const std::set<std::string> extensions = { ".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".png" };
  std::map<std::string, std::string> files;
  std::error_code                    error;
  for (const auto & entry : fs::directory_iterator(folder, error))
  {
    const std::string path = entry.path().string();
    if (!entry.is_regular_file() || extensions.count(ImageExtension(path)) == 0 ||
        entry.path().filename().string()[0] == '.')
    {
      continue;
    }
    const auto [found, added] = files.emplace(ImageStem(path), path);
    if (!added)
    {
      throw Failure(ExitCode::Input,
                    path + ": the same case as " + found->second + "; a folder needs one file per case");
    }
  }
  if (error)
  {
    throw Failure(ExitCode::Input, folder + ": cannot be read: " + error.message());
  }
  return files;
}

std::vector<Pair>
FindPairs(const std::string & reference, const std::string & prediction, Progress & progress)
{
  for (const std::string & path : { reference, prediction })
  {
    if (!fs::exists(path))
    {
      throw Failure(ExitCode::Input, path + ": no such file or folder");
    }
  }
  if (fs::is_directory(reference) != fs::is_directory(prediction))
  {
    throw Failure(ExitCode::Usage, "reference and prediction must be two files or two folders");
  }
  if (!fs::is_directory(reference))
  {
    return { { reference, prediction } };
  }
  const auto        references = LabelFiles(reference);
  auto              predictions = LabelFiles(prediction);
  std::vector<Pair> pairs;
  for (const auto & [stem, path] : references)
  {
    const auto found = predictions.find(stem);
    if (found == predictions.end())
    {
      throw Failure(ExitCode::Input, prediction + ": no prediction for case " + stem + " of " + reference);
    }
    pairs.push_back({ path, found->second });
    predictions.erase(found);
  }
  if (pairs.empty())
  {
    throw Failure(ExitCode::Input, reference + ": holds no label file (.nii.gz, .nrrd, .mha, .png)");
  }
  for (const auto & extra : predictions)
  {
    progress.Print("Warning: " + extra.second + ": no reference, left out");
  }
  return pairs;
}

std::set<int>
ReadLabelList(const std::string & text)
{
  std::set<int> labels;
  for (const std::string & part : Split(text, ','))
  {
    const auto label = ParseInteger(Trim(part));
    if (text.empty())
    {
      break;
    }
    if (!label || *label < 1 || *label > 65535)
    {
      throw Failure(ExitCode::Usage, "--labels: \"" + part + "\" is not a label from 1 to 65535");
    }
    labels.insert(static_cast<int>(*label));
  }
  return labels;
}

// A label that neither file holds says nothing about the prediction.
bool
Occurs(const vdn_score & score)
{
  return score.true_positive + score.false_positive + score.false_negative > 0;
}

// Overall summaries: for each label, and with key 0 for the means of the cases over their labels.
std::map<int, std::vector<Summary>>
Overall(const std::vector<CaseScores> & cases)
{
  std::map<int, std::vector<std::vector<double>>> values;
  for (const CaseScores & scores : cases)
  {
    std::vector<std::vector<double>> ofCase(measureCount);
    for (const auto & [label, score] : scores.labels)
    {
      auto & ofLabel = values[label];
      ofLabel.resize(measureCount);
      for (int m = 0; Occurs(score) && m < measureCount; ++m)
      {
        ofLabel[size_t(m)].push_back(Measure(score, m));
        ofCase[size_t(m)].push_back(Measure(score, m));
      }
    }
    values[0].resize(measureCount);
    for (size_t m = 0; m < measureCount; ++m)
    {
      values[0][m].push_back(Summarise(ofCase[m]).mean);
    }
  }
  std::map<int, std::vector<Summary>> overall;
  for (const auto & [label, ofLabel] : values)
  {
    for (const auto & ofMeasure : ofLabel)
    {
      overall[label].push_back(Summarise(ofMeasure));
    }
  }
  return overall;
}

std::string
Cell(double value, int decimals)
{
  return std::isnan(value) ? "-" : Format("%.*f", decimals, value);
}

std::string
SummaryCell(const Summary & summary, int decimals)
{
  return Cell(summary.mean, decimals) + " ± " + Cell(summary.deviation, decimals);
}

void
PrintTable(Progress & progress, const std::vector<CaseScores> & cases)
{
  const std::string unit = cases[0].millimetres ? "mm" : "px";
  progress.Print(Pad("case", 28) + Pad("label", 8) + Pad("Dice", 18) + Pad("IoU", 18) + Pad("HD95 " + unit, 18) +
                 "mean distance " + unit);
  const auto row = [&](const std::string & name, const std::string & label, auto cell) {
    progress.Print(Pad(name, 28) + Pad(label, 8) + Pad(cell(0), 18) + Pad(cell(1), 18) + Pad(cell(2), 18) + cell(3));
  };
  for (const CaseScores & scores : cases)
  {
    for (const auto & entry : scores.labels)
    {
      row(scores.name, Format("%d", entry.first), [&](int m) { return Cell(Measure(entry.second, m), m < 2 ? 4 : 2); });
    }
  }
  for (const auto & entry : Overall(cases))
  {
    row(Format("overall, %zu cases", entry.second[0].count),
        entry.first == 0 ? "all" : Format("%d", entry.first),
        [&](int m) { return SummaryCell(entry.second[size_t(m)], m < 2 ? 4 : 2); });
  }
}

Json
NumberJson(double value)
{
  return std::isnan(value) ? Json() : Json(value);
}

Json
CaseJson(const CaseScores & scores)
{
  Json json;
  json["case"] = scores.name;
  json["reference"] = scores.reference;
  json["prediction"] = scores.prediction;
  json["distance_unit"] = scores.millimetres ? "mm" : "pixel";
  json["labels"] = Json::array();
  for (const auto & [label, score] : scores.labels)
  {
    Json entry;
    entry["label"] = label;
    entry["true_positive"] = score.true_positive;
    entry["false_positive"] = score.false_positive;
    entry["false_negative"] = score.false_negative;
    for (int m = 0; m < measureCount; ++m)
    {
      entry[MeasureName(m)] = NumberJson(Measure(score, m));
    }
    json["labels"].push_back(entry);
  }
  return json;
}

// The map of a case: the file itself, or the file of the same name in a folder; empty without @p given.
std::string
MapOf(const std::string & given, const std::string & reference)
{
  if (given.empty() || !fs::is_directory(given))
  {
    return given;
  }
  const auto files = LabelFiles(given);
  const auto found = files.find(ImageStem(reference));
  if (found == files.end())
  {
    throw Failure(ExitCode::Input, given + ": no map for case " + ImageStem(reference));
  }
  return found->second;
}

std::string
ReportJson(const std::vector<CaseScores> & cases, const Json & trust)
{
  Json json;
  json["program"] = std::string("Verdiff ") + VDN_VERSION;
  json["notice"] = "Research software. Not for clinical use.";
  json["cases"] = Json::array();
  for (const CaseScores & scores : cases)
  {
    json["cases"].push_back(CaseJson(scores));
  }
  for (const auto & [label, summaries] : Overall(cases))
  {
    Json entry;
    entry["label"] = label == 0 ? Json("all") : Json(label);
    for (int m = 0; m < measureCount; ++m)
    {
      const Summary & s = summaries[size_t(m)];
      entry[MeasureName(m)] = { { "mean", NumberJson(s.mean) }, { "sd", NumberJson(s.deviation) }, { "n", s.count } };
    }
    json["overall"].push_back(entry);
  }
  if (!trust.is_null())
  {
    json["calibration"] = trust;
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

void
Evaluation(Program & program)
{
  const Parameters &  parameters = program.parameters;
  const std::set<int> only = ReadLabelList(parameters.String("labels"));
  const std::string   report = parameters.String("report");
  const auto    pairs = FindPairs(parameters.String("reference"), parameters.String("prediction"), program.progress);
  const auto    file = report.empty() ? nullptr : std::make_unique<OutputFile>(report);
  const Context ctx = MakeContext(program.progress, { "cpu", int(parameters.Integer("threads")) });
  const std::string       probability = parameters.String("probability");
  const std::string       uncertainty = parameters.String("uncertainty");
  std::vector<CaseScores> cases;
  std::vector<CaseTrust>  trust;
  if (probability.empty() && !uncertainty.empty())
  {
    throw Failure(ExitCode::Usage, "--uncertainty needs --probability beside it");
  }
  program.progress.Start();
  for (size_t i = 0; i < pairs.size(); ++i)
  {
    ThrowIfInterrupted();
    program.progress.SetRange(double(i) / double(pairs.size()), double(i + 1) / double(pairs.size()), "");
    program.progress.Report(0.0, Format("Case %zu of %zu", i + 1, pairs.size()));
    cases.push_back(
      ScoreCase(ctx.get(), pairs[i].reference, pairs[i].prediction, only, parameters.Double("pixelSpacing")));
    if (!probability.empty())
    {
      const std::string & reference = pairs[i].reference;
      trust.push_back(ScoreTrust(ctx.get(),
                                 reference,
                                 MapOf(probability, reference),
                                 MapOf(uncertainty, reference),
                                 only,
                                 parameters.Double("pixelSpacing")));
    }
  }
  PrintTable(program.progress, cases);
  if (!trust.empty())
  {
    PrintTrust(ctx.get(), program.progress, trust);
  }
  if (file)
  {
    file->Write(ReportJson(cases, trust.empty() ? Json() : TrustJson(ctx.get(), trust)));
    file->Commit();
  }
}

} // namespace

int
main(int argc, char * argv[])
{
  return verdiff::RunProgram(argc, argv, XMLModuleDescription, Evaluation);
}

#include "test_table.h"

#include "text.h"

#include <nlohmann/json.hpp>

#include <fstream>

namespace verdiff
{

using Json = nlohmann::ordered_json;

static std::string
Cell(const Json & arm, const std::string & name, const char * measure)
{
  const Json value = arm.value(name, Json::object()).value(measure, Json::object());
  if (!value.contains("mean") || !value["mean"].is_number())
  {
    return "-";
  }
  const Json deviation = value.value("sd", Json());
  return Format("%.4f", value["mean"].get<double>()) + " ± " +
         (deviation.is_number() ? Format("%.4f", deviation.get<double>()) : std::string("-"));
}

// A member of nested objects; null when one is missing.
static Json
At(const Json & json, std::initializer_list<std::string> names)
{
  Json value = json;
  for (const std::string & name : names)
  {
    value = value.is_object() ? value.value(name, Json()) : Json();
  }
  return value;
}

static std::string
Number(const Json & value)
{
  return value.is_number() ? Format("%.4f", value.get<double>()) : "-";
}

// Dice of one pass and of the ensemble minus that of the prior, with 95 % intervals over subjects.
static void
PrintDifferences(Progress & progress, const Json & json)
{
  for (const char * arm : { "one_pass", "ensemble" })
  {
    const Json classes = At(json, { "differences", std::string(arm) + "_minus_prior" });
    for (const auto & entry : classes.items())
    {
      for (const char * measure : { "dice_per_slice", "dice_per_subject" })
      {
        const Json d = At(entry.value(), { measure });
        progress.Print(Pad(entry.key(), 24) + Pad(measure, 18) + Pad(std::string(arm) + " - prior", 20) +
                       Number(At(d, { "mean" })) + " [" + Number(At(d, { "low" })) + ", " + Number(At(d, { "high" })) +
                       "]");
      }
    }
  }
}

// Whether the probabilities are honest, and whether the uncertainty finds the bad slices.
static void
PrintCalibration(Progress & progress, const Json & json)
{
  progress.Print(Pad("calibration", 24) + Pad("ECE", 9) + Pad("ECE band", 10) + Pad("Brier", 9) +
                 Pad("Brier band", 12) + Pad("uncertainty", 20) + Pad("Pearson", 9) + Pad("Spearman", 10) +
                 Pad("AURC", 9) + "best AURC");
  for (const char * arm : { "prior", "one_pass", "ensemble" })
  {
    const Json c = At(json, { "calibration", arm });
    for (const char * score : { "entropy", "mutual_information" })
    {
      const Json s = At(c, { score });
      if (!s.is_object())
      {
        continue;
      }
      progress.Print(Pad(arm, 24) + Pad(Number(At(c, { "ece" })), 9) + Pad(Number(At(c, { "ece_band" })), 10) +
                     Pad(Number(At(c, { "brier" })), 9) + Pad(Number(At(c, { "brier_band" })), 12) + Pad(score, 20) +
                     Pad(Number(At(s, { "pearson" })), 9) + Pad(Number(At(s, { "spearman" })), 10) +
                     Pad(Number(At(s, { "aurc" })), 9) + Number(At(s, { "best_aurc" })));
    }
  }
}

void
PrintTestTable(Progress & progress, const std::string & path)
{
  static const char * const arms[] = { "prior", "one_pass", "ensemble" };
  static const char * const measures[] = { "dice_per_slice", "dice_per_subject", "iou_per_slice", "iou_per_subject" };
  std::ifstream             file(path);
  const Json                json = Json::parse(file, nullptr, false);
  if (!json.is_object() || !json.contains(arms[0]))
  {
    return;
  }
  progress.Print("Test split, " + json.value("slices", Json(0)).dump() + " slices (" + path + ")");
  progress.Print(Pad("class", 24) + Pad("measure", 18) + Pad("prior", 20) + Pad("one pass", 20) + "ensemble");
  for (const auto & entry : json[arms[0]].items())
  {
    for (const char * measure : measures)
    {
      std::string line = Pad(entry.key(), 24) + Pad(measure, 18);
      for (const char * arm : arms)
      {
        line += Pad(Cell(json.value(arm, Json::object()), entry.key(), measure), 20);
      }
      progress.Print(line);
    }
  }
  PrintDifferences(progress, json);
  PrintCalibration(progress, json);
}

} // namespace verdiff

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
}

} // namespace verdiff

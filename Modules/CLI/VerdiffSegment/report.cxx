#include "report.h"

#include "label_table.h"

#include <nlohmann/json.hpp>

#include <array>
#include <sys/resource.h>

namespace verdiff
{
namespace
{

using Json = nlohmann::ordered_json;

Json
GeometryJson(const Volume & volume, const itk::VerdiffSegmenter::Summary & result)
{
  Json       json;
  const auto size = volume.image->GetLargestPossibleRegion().GetSize();
  json["size"] = { size[0], size[1], size[2] };
  for (unsigned int i = 0; i < 3; ++i)
  {
    json["spacing_mm"].push_back(volume.image->GetSpacing()[i]);
    json["origin_lps_mm"].push_back(volume.image->GetOrigin()[i]);
    for (unsigned int j = 0; j < 3; ++j)
    {
      json["direction_lps"].push_back(volume.image->GetDirection()[i][j]);
    }
  }
  json["spacing_known"] = volume.spacingKnown;
  json["slices"] = result.slices;
  json["slice_pixels"] = { result.height, result.width };
  json["slice_pixel_mm"] = { result.rowSpacing, result.columnSpacing };
  json["working_pixels"] = { result.workingHeight, result.workingWidth };
  return json;
}

Json
ModelJson(const vdn_model_info & info)
{
  Json json;
  json["config"] = info.config;
  json["parameters"] = info.parameters;
  json["pixel_spacing_mm"] = double(info.pixel_spacing_mm);
  json["classes"] = info.classes;
  const Json metadata = info.metadata_json ? Json::parse(info.metadata_json, nullptr, false) : Json();
  json["metadata"] = metadata.is_discarded() ? Json(info.metadata_json) : metadata;
  return json;
}

// Volumes need a pixel size; without one the number of voxels has to do.
Json
LabelsJson(const vdn_model_info & info, const Volume & volume, const LabelImage & image)
{
  std::vector<size_t>   counts(65536, 0);
  const std::uint16_t * labels = image.GetBufferPointer();
  const size_t          voxels = image.GetLargestPossibleRegion().GetNumberOfPixels();
  for (size_t i = 0; i < voxels; ++i)
  {
    ++counts[labels[i]];
  }
  const auto   spacing = volume.image->GetSpacing();
  const double millilitres = spacing[0] * spacing[1] * spacing[2] / 1000.0;
  Json         json = Json::array();
  for (int k = 1; k < info.classes; ++k)
  {
    const size_t count = counts[static_cast<std::uint16_t>(info.class_label[k])];
    Json         entry;
    entry["label"] = info.class_label[k];
    entry["name"] = LabelEntryFor(info.class_name[k], info.class_label[k]).name;
    entry["voxels"] = count;
    entry["volume_ml"] = volume.spacingKnown && volume.fileDimension == 3 ? Json(double(count) * millilitres) : Json();
    json.push_back(entry);
  }
  return json;
}

Json
OptionsJson(const Parameters & parameters)
{
  Json json;
  for (const Parameter & p : parameters.All())
  {
    if (p.index < 0)
    {
      json[p.name] = p.type == "boolean" ? Json(p.given) : Json(p.given ? p.values.back() : p.defaultValue);
    }
  }
  return json;
}

} // namespace

std::string
MakeReport(const SegmentReport & report)
{
  const Volume &         volume = *report.volume;
  const auto &           result = *report.summary;
  const vdn_model_info & info = *report.info;
  Json                   json;
  json["program"] = std::string("Verdiff ") + VDN_VERSION;
  json["notice"] = "Research software. Not for clinical use.";
  json["input"] = { { "path", volume.path }, { "format", FormatName(volume.format) } };
  json["output"] = report.parameters->String("outputSegmentation");
  json["geometry"] = GeometryJson(volume, result);
  json["modality"] = { { "used", ModalityName(report.modality->modality) }, { "because", report.modality->reason } };
  json["model"] = ModelJson(info);
  json["device"] = vdn_ctx_get_device(report.ctx);
  json["options"] = OptionsJson(*report.parameters);
  json["seconds"] = { { "model", report.modelSeconds },
                      { "read", report.readSeconds },
                      { "segment", report.segmentSeconds },
                      { "write", report.writeSeconds } };
  std::int64_t now = 0;
  std::int64_t peak = 0;
  vdn_ctx_get_memory(report.ctx, &now, &peak);
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  json["memory"] = { { "peak_program_bytes", std::int64_t(usage.ru_maxrss) * 1024 }, { "peak_engine_bytes", peak } };
  vdn_ctx_get_device_memory(report.ctx, &now, &peak);
  if (peak > 0)
  {
    json["memory"]["peak_device_bytes"] = peak;
  }
  json["labels"] = LabelsJson(info, volume, *report.labels);
  json["slice_mean_uncertainty_nats"] = result.sliceUncertainty.empty() ? Json() : Json(result.sliceUncertainty);
  std::vector<std::string> remarks = volume.warnings;
  remarks.insert(remarks.end(), result.notes.begin(), result.notes.end());
  remarks.insert(remarks.end(), report.log->begin(), report.log->end());
  json["remarks"] = remarks;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace verdiff

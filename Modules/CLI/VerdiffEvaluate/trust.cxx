#include "trust.h"

#include "text.h"
#include "volume_reader.h"

#include <cmath>
#include <optional>

namespace verdiff
{
namespace
{

using Json = nlohmann::ordered_json;

constexpr double geometryTolerance = 1e-4;

Volume
ReadMap(const std::string & path, const LabelVolume & reference)
{
  Volume map = ReadVolume(path);
  CheckFinite(map);
  std::optional<std::string> difference;
  if (map.image->GetLargestPossibleRegion().GetSize() != reference.image->GetLargestPossibleRegion().GetSize())
  {
    difference = "size " + SizeText(*reference.image) + " and " + SizeText(*map.image);
  }
  else if (reference.spacingKnown && map.spacingKnown)
  {
    difference = GeometryDifference(*reference.image, *map.image, geometryTolerance);
  }
  if (difference)
  {
    throw Failure(ExitCode::Input,
                  path + ": not on the grid of " + reference.path + ": " + *difference +
                    " (the map second), must agree to 1e-4");
  }
  return map;
}

std::vector<std::uint16_t>
Foreground(const LabelVolume & reference, const std::set<int> & only)
{
  const std::uint16_t *      labels = reference.image->GetBufferPointer();
  const size_t               count = reference.image->GetLargestPossibleRegion().GetNumberOfPixels();
  std::vector<std::uint16_t> mask(count);
  for (size_t i = 0; i < count; ++i)
  {
    mask[i] = only.empty() ? labels[i] != 0 : only.count(labels[i]) > 0;
  }
  return mask;
}

vdn_calibration
Pooled(const std::vector<CaseTrust> & cases, vdn_calibration vdn_probability_score::*part)
{
  vdn_calibration sum{};
  for (const CaseTrust & c : cases)
  {
    vdn_calibration_pool(&sum, &(c.score.*part));
  }
  return sum;
}

// Nothing for fewer than two cases.
std::optional<vdn_selection>
Select(vdn_ctx * ctx, const std::vector<CaseTrust> & cases)
{
  std::vector<double> uncertainty;
  std::vector<double> risk;
  for (const CaseTrust & c : cases)
  {
    uncertainty.push_back(c.score.uncertainty);
    risk.push_back(1.0 - c.score.dice);
  }
  if (cases.size() < 2)
  {
    return std::nullopt;
  }
  vdn_selection selection;
  Check(ctx,
        vdn_score_selection(ctx, &selection, uncertainty.data(), risk.data(), std::int64_t(cases.size())),
        ExitCode::Processing);
  return selection;
}

std::string
Cell(double value)
{
  return std::isnan(value) ? "-" : Format("%.4f", value);
}

Json
NumberJson(double value)
{
  return std::isnan(value) ? Json() : Json(value);
}

Json
CalibrationJson(const vdn_calibration & all, const vdn_calibration & band)
{
  return { { "ece", NumberJson(vdn_calibration_ece(&all)) },
           { "brier", NumberJson(vdn_calibration_brier(&all)) },
           { "ece_band", NumberJson(vdn_calibration_ece(&band)) },
           { "brier_band", NumberJson(vdn_calibration_brier(&band)) } };
}

std::string
Row(const vdn_calibration & all, const vdn_calibration & band)
{
  return Pad(Cell(vdn_calibration_ece(&all)), 10) + Pad(Cell(vdn_calibration_ece(&band)), 11) +
         Pad(Cell(vdn_calibration_brier(&all)), 10) + Pad(Cell(vdn_calibration_brier(&band)), 12);
}

} // namespace

CaseTrust
ScoreTrust(vdn_ctx *             ctx,
           const std::string &   reference,
           const std::string &   probability,
           const std::string &   uncertainty,
           const std::set<int> & only,
           double                pixelSpacing)
{
  const LabelVolume labels = ReadLabels(reference);
  const Volume      p = ReadMap(probability, labels);
  const Volume      unsure = uncertainty.empty() ? Volume{} : ReadMap(uncertainty, labels);
  const auto        extent = labels.image->GetLargestPossibleRegion().GetSize();
  auto              spacing = labels.spacingKnown ? labels.image->GetSpacing() : p.image->GetSpacing();
  if (!labels.spacingKnown && !p.spacingKnown)
  {
    spacing.Fill(pixelSpacing > 0.0 ? pixelSpacing : 1.0);
  }
  const std::int64_t size[3] = { std::int64_t(extent[2]), std::int64_t(extent[1]), std::int64_t(extent[0]) };
  const double       lengths[3] = { spacing[2], spacing[1], spacing[0] };
  CaseTrust          trust{ ImageStem(reference), {} };
  const vdn_status   status = vdn_score_probability(ctx,
                                                  &trust.score,
                                                  Foreground(labels, only).data(),
                                                  p.image->GetBufferPointer(),
                                                  unsure.image ? unsure.image->GetBufferPointer() : nullptr,
                                                  size,
                                                  lengths);
  if (status == VDN_ERR_NUMERIC) // the file's fault: both maps are finite
  {
    throw Failure(ExitCode::Input, probability + ": " + vdn_ctx_error(ctx));
  }
  Check(ctx, status, ExitCode::Input, probability);
  return trust;
}

void
PrintTrust(vdn_ctx * ctx, Progress & progress, const std::vector<CaseTrust> & cases)
{
  progress.Print(Pad("calibration", 28) + Pad("ECE", 10) + Pad("ECE band", 11) + Pad("Brier", 10) +
                 Pad("Brier band", 12) + Pad("uncertainty", 13) + "Dice of p > 1/2");
  for (const CaseTrust & c : cases)
  {
    progress.Print(Pad(c.name, 28) + Row(c.score.all, c.score.band) + Pad(Cell(c.score.uncertainty), 13) +
                   Cell(c.score.dice));
  }
  progress.Print(Pad("all voxels", 28) +
                 Row(Pooled(cases, &vdn_probability_score::all), Pooled(cases, &vdn_probability_score::band)));
  if (const auto s = Select(ctx, cases))
  {
    progress.Print("uncertainty and 1 - Dice: Pearson " + Cell(s->pearson) + ", Spearman " + Cell(s->spearman) +
                   "; AURC " + Cell(s->aurc) + ", at best " + Cell(s->best_aurc));
    std::string curve;
    for (int i = 0; i < VDN_COVERAGES; ++i)
    {
      curve += Format("%s%d %% %.4f", i > 0 ? ", " : "", 10 * (i + 1), s->risk[i]);
    }
    progress.Print("mean 1 - Dice of the surest cases: " + curve);
  }
}

Json
TrustJson(vdn_ctx * ctx, const std::vector<CaseTrust> & cases)
{
  Json json = CalibrationJson(Pooled(cases, &vdn_probability_score::all), Pooled(cases, &vdn_probability_score::band));
  json["cases"] = Json::array();
  for (const CaseTrust & c : cases)
  {
    Json entry = CalibrationJson(c.score.all, c.score.band);
    entry["case"] = c.name;
    entry["uncertainty"] = NumberJson(c.score.uncertainty);
    entry["dice"] = c.score.dice;
    json["cases"].push_back(entry);
  }
  if (const auto s = Select(ctx, cases))
  {
    json["selection"] = { { "pearson", NumberJson(s->pearson) },
                          { "spearman", NumberJson(s->spearman) },
                          { "aurc", s->aurc },
                          { "best_aurc", s->best_aurc },
                          { "risk_at_coverage", std::vector<double>(s->risk, s->risk + VDN_COVERAGES) } };
  }
  return json;
}

} // namespace verdiff

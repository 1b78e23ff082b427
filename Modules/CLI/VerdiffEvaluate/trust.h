// Probability and uncertainty volumes against a reference: are they honest, and do they find the failures?
#pragma once

#include "core.h"
#include "progress.h"

#include <nlohmann/json.hpp>

#include <set>
#include <string>
#include <vector>

namespace verdiff
{

struct CaseTrust
{
  std::string           name;
  vdn_probability_score score;
};

/// Score a volume of foreground probabilities (0 to 1) on the grid of @p reference.
/// @param uncertainty   a map on the same grid; empty: the entropy of the probability
/// @param only          labels of the reference that are foreground; empty: all but 0
/// @param pixelSpacing  mm of files that record none; 0: one
/// @throw Failure (Input).
CaseTrust
ScoreTrust(vdn_ctx *             ctx,
           const std::string &   reference,
           const std::string &   probability,
           const std::string &   uncertainty,
           const std::set<int> & only,
           double                pixelSpacing);

/// Calibration of each case and of all voxels together; with two cases or more also whether the uncertainty
/// tells which have a low Dice.
void
PrintTrust(vdn_ctx * ctx, Progress & progress, const std::vector<CaseTrust> & cases);

nlohmann::ordered_json
TrustJson(vdn_ctx * ctx, const std::vector<CaseTrust> & cases);

} // namespace verdiff

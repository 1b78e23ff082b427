// What the slices of a training were made from, written beside them, so that they are made again only when need be.
#pragma once

#include "dataset.h"
#include "dataset_classes.h"
#include "parameters.h"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace verdiff
{

/// Data sets, classes, every option that decides what a slice holds, the program's version and a fingerprint of the
/// files' paths, sizes and times of change.
nlohmann::ordered_json
SlicesRecipe(const std::vector<Dataset> & datasets, const ClassMap & classes, const Parameters & parameters);

/// Whether the slices in @p store may be used for @p recipe: @p path, written when they were done, says the same. To
/// resume, the files need not have kept their times and places.
/// @throw Failure (Usage) to resume with others.
bool
SlicesAreThere(const std::string &             store,
               const std::string &             path,
               const nlohmann::ordered_json & recipe,
               bool                            resume);

} // namespace verdiff

// Which label values make which class of the model.
#pragma once

#include "dataset.h"

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace verdiff
{

/// Class index of every label value of each data set.
struct ClassMap
{
  static constexpr std::uint8_t ignored = 255;
  static constexpr std::uint8_t unknown = 254;

  std::vector<std::string>                     names;     // by class, "background" first
  std::vector<int>                             values;    // label value written for each class
  std::vector<std::array<std::uint8_t, 65536>> ofDataset; // label value to class
};

/// What the user wants to be told apart; at most one of foreground and classes, and then task is "labels".
struct ClassChoice
{
  /// labels: every label of the first data set, others are matched by name. binary: vertebrae. structures: vertebra,
  /// disc, canal, sacrum, those that there are. levels: each vertebra, numbered as in label_source.h.
  std::string task = "labels";
  /// Comma-separated values (of the first data set) or names of labels that become one class.
  std::string foreground;
  /// "vertebra=1-25+101-125;disc=disc": classes in their order, each of values, ranges and names of labels.
  std::string classes;
};

/// @param present  label values that occur in the files of each data set, for task levels; empty when not known yet.
/// @throw Failure (Usage) for what the labels cannot give, (Input) for data sets that do not fit together.
ClassMap
MakeClassMap(const std::vector<Dataset> &       datasets,
             const ClassChoice &                choice,
             const std::vector<std::set<int>> & present = {});

} // namespace verdiff

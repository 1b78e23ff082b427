// A data set in nnU-Net's raw layout: dataset.json, imagesTr/CASE_0000.ext, labelsTr/CASE.ext.
#pragma once

#include <vdn.h>

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace verdiff
{

struct DatasetCase
{
  std::string              id;
  std::vector<std::string> images; // one file per channel
  std::string              labels;
};

struct Dataset
{
  std::string                folder;
  std::string                name; // of the folder
  std::vector<std::string>   channels;
  std::map<int, std::string> labels; // value to name, background 0 included
  std::optional<int>         ignore; // value of the label named "ignore"
  std::vector<DatasetCase>   cases;  // by id
};

/// @throw Failure (Input) naming the file and the field.
Dataset
ReadDataset(const std::string & folder);

/// From "stated" ("auto", "mr", "ct", "xray"), otherwise from the channel names.
/// @throw Failure (Input) when they do not tell.
vdn_modality
DatasetModality(const Dataset & dataset, const std::string & stated);

/// Case id up to the last "_s<number>" ("spider007_s049" gives "spider007"), and that number.
struct SubjectSlice
{
  std::string              subject;
  std::optional<long long> slice;
};
SubjectSlice
SplitCaseId(const std::string & id);

/// Class index of every label value of one data set.
struct ClassMap
{
  static constexpr std::uint8_t ignored = 255;
  static constexpr std::uint8_t unknown = 254;

  std::vector<std::string>                     names;     // by class, "background" first
  std::vector<int>                             values;    // label value written for each class
  std::vector<std::array<std::uint8_t, 65536>> ofDataset; // label value to class
};

/// @param foreground  comma-separated label values (of the first data set) or names to merge into one
///                    class; empty keeps each label of the first data set as a class. Further data sets
///                    are matched by label name.
/// @throw Failure (Usage) for an unknown label, (Input) for data sets that do not fit together.
ClassMap
MakeClassMap(const std::vector<Dataset> & datasets, const std::string & foreground);

} // namespace verdiff

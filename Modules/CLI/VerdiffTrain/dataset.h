// A data set in any of the layouts that layout.h knows: its cases, what their label values mean, and what is wrong
// with the folder itself. Files are not opened here; doctor.h does that.
#pragma once

#include "finding.h"

#include <vdn.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace verdiff
{

/// A file in which every voxel that is not 0 belongs to one structure.
struct LabelPart
{
  std::string path;
  int         value = 0;
};

struct DatasetCase
{
  std::string              id;
  std::string              subject;      // a split never separates cases of one
  std::optional<long long> slice;        // number of a case that is one slice of its subject
  bool                     test = false; // set apart by the authors of the data: checked, not trained on
  std::vector<std::string> images;       // one file per channel
  std::string              labels;       // the file with label values; of parts and corners only named in messages
  std::string              centroids;    // a file of VerSe beside the labels; mostly none
  std::vector<LabelPart>   parts;        // instead: one file per structure
  std::vector<double>      corners; // instead: x, y of four corners per label 1, 2, ... in parts of width and height
};

struct Dataset
{
  std::string                 folder;
  std::string                 name;       // of the folder
  std::string                 layout;     // "nnunet", "verse", ...
  std::string                 reason;     // what it was recognised by
  std::string                 labelsFrom; // where the meaning of label values is written, for messages
  std::vector<std::string>    channels;
  std::optional<vdn_modality> modality;  // when the layout tells
  std::map<int, std::string>  labels;    // value to name, background 0 included
  std::map<int, int>          canonical; // value to number of label_source.h; those that have one
  std::optional<int>          ignore;    // value of the label named "ignore"
  std::vector<DatasetCase>    cases;     // by id
  Findings                    findings;  // about the folder: missing partners, repaired rows, ...
  std::vector<std::string>    notes;     // what the user should know, one line each
};

/// @param layout  "auto", or the name of one when the folder fits several.
/// @throw Failure (Input) naming the file and the field, or what was looked for.
Dataset
ReadDataset(const std::string & folder, const std::string & layout = "auto");

/// From "stated" ("auto", "mr", "ct", "xray"), otherwise from the layout or the channel names.
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

} // namespace verdiff

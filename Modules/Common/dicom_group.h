// Which of many DICOM frames make one volume.
#pragma once

#include "dicom_index.h"

#include <string>
#include <vector>

namespace verdiff
{

struct DicomGroup
{
  std::string             series;
  std::string             modality;
  std::string             description;
  std::string             difference; // what tells it from the other groups of its series: "echo 90"
  std::vector<DicomFrame> frames;
  int                     rows = 0;
  int                     columns = 0;
};

/// Frames of one series, size, pixel spacing, orientation and stack make a group. Where several lie at one place
/// they are told apart by time, echo, b-value, kind of image or acquisition, whichever does it. The same image
/// twice counts once; localizers are left out where there are other images. What was left out is said in
/// @p warnings.
std::vector<DicomGroup>
GroupFrames(const std::vector<DicomFile> & files, const std::string & path, std::vector<std::string> & warnings);

/// The group that is alone, or the one that was asked for.
/// @param wanted  a SeriesInstanceUID, or the number that a group has in the list of the refusal; empty: any
/// @throw Failure (Input) with the numbered list of groups when there are several.
DicomGroup
ChooseGroup(const std::vector<DicomGroup> & groups, const std::string & path, const std::string & wanted);

/// "axial", "sagittal", "coronal", with "oblique" before it when more than 20 degrees off; "" without axes.
std::string
PlaneName(const DicomFrame & frame);

} // namespace verdiff

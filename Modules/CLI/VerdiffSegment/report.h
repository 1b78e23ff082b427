// The JSON report of a segmentation.
#pragma once

#include "modality.h"
#include "parameters.h"
#include "volume.h"

#include <itkVerdiffSegmenter.h>

#include <chrono>
#include <string>
#include <vector>

namespace verdiff
{

class Stopwatch
{
public:
  /// Seconds since the last call or since it was made.
  double
  Lap()
  {
    const auto   now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - m_Last).count();
    m_Last = now;
    return seconds;
  }

private:
  std::chrono::steady_clock::time_point m_Last = std::chrono::steady_clock::now();
};

/// Everything that a report tells about; the pointers are borrowed.
struct SegmentReport
{
  double                                 modelSeconds = 0.0;
  double                                 readSeconds = 0.0;
  double                                 segmentSeconds = 0.0;
  double                                 writeSeconds = 0.0;
  const Parameters *                     parameters = nullptr;
  const vdn_ctx *                        ctx = nullptr;
  const vdn_model_info *                 info = nullptr;
  const Volume *                         volume = nullptr;
  const ModalityChoice *                 modality = nullptr;
  const itk::VerdiffSegmenter::Summary * summary = nullptr;
  const std::vector<std::string> *       log = nullptr; // lines of the library
  const LabelImage *                     labels = nullptr;
};

std::string
MakeReport(const SegmentReport & report);

} // namespace verdiff

// A picture to judge a segmentation by eye: sagittal planes with truth and result outlined.
#pragma once

#include "canvas.h"
#include "volume.h"

#include <string>

namespace verdiff
{

struct PreviewInput
{
  Volume              scan;
  LabelImage::Pointer reference;    // may be null
  LabelImage::Pointer segmentation; // may be null
  std::string         title;
};

/// Three planes about the middle of the labelled region side by side (one for a 2D image), in the right
/// proportions, about @p width pixels wide: reference green, segmentation red, any label counts.
/// @throw Failure (Input) when the grids differ in size.
Canvas
DrawPreview(const PreviewInput & input, int width = 1500);

/// What is not 0 is inside; rows of width, the top one first.
struct Mask
{
  const uint8_t * values = nullptr;
  int             width = 0;
  int             height = 0;
};

/// Draw the outline of @p mask into the frame, smoothed. What touches the border is closed along it.
void
DrawOutline(Canvas & canvas, const Mask & mask, const Frame & frame, Color color, double lineWidth);

} // namespace verdiff

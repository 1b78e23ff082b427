// Line charts, as of the loss and the scores of a training run.
#pragma once

#include "canvas.h"

#include <cmath>
#include <string>
#include <vector>

namespace verdiff
{

struct Curve
{
  std::string         name;
  std::vector<double> x;
  std::vector<double> y; // as many as x; what is not finite leaves a gap
  Color               color;
  bool                right = false; // on the right axis
  double              width = 1.5;   // pixels
};

struct Plot
{
  std::string        title;
  std::string        xLabel;
  std::string        leftLabel;
  std::string        rightLabel;
  bool               logarithmicLeft = false; // values that are not positive are then left out
  double             leftLow = NAN;           // ends of the left axis; NaN takes what the curves need
  double             leftHigh = NAN;
  std::vector<Curve> curves;
};

/// Round numbers that cover @p low .. @p high, about @p wanted of them, rising.
std::vector<double>
RoundTicks(double low, double high, int wanted);

/// Draw @p plot into the frame: axes with ticks for what the curves of
/// each side span, curves, a legend. Without any point it says so.
void
DrawPlot(Canvas & canvas, const Frame & frame, const Plot & plot);

} // namespace verdiff

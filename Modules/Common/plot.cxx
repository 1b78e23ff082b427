#include "plot.h"

#include "text.h"

#include <algorithm>
#include <cmath>

namespace verdiff
{
namespace
{

constexpr Color paper{ 255, 255, 255 };
constexpr Color ink{ 40, 40, 40 };
constexpr Color faint{ 225, 225, 225 };
constexpr int   letters = 15; // pixels
constexpr int   titleLetters = 20;

// Logarithms of 1, 2 and 5 times powers of ten within the range; evenly spaced ones when it is short.
std::vector<double>
DecadeTicks(double low, double high)
{
  std::vector<double> ticks;
  for (double power = std::floor(low); power <= high; power += 1.0)
  {
    for (const double lead : { 1.0, 2.0, 5.0 })
    {
      const double tick = power + std::log10(lead);
      if (tick >= low && tick <= high)
      {
        ticks.push_back(tick);
      }
    }
  }
  return ticks.size() > 1 ? ticks : RoundTicks(low, high, 4);
}

struct Axis
{
  bool                used = false;
  bool                logarithmic = false;
  double              low = 0.0;
  double              high = 1.0;
  std::vector<double> ticks;

  double
  Map(double value) const
  {
    return logarithmic ? (value > 0.0 ? std::log10(value) : NAN) : value;
  }

  /// 0 at the low end, 1 at the high one.
  double
  Share(double value) const
  {
    return (this->Map(value) - low) / (high - low);
  }

  void
  Add(double value)
  {
    const double mapped = this->Map(value);
    if (std::isfinite(mapped))
    {
      low = used ? std::min(low, mapped) : mapped;
      high = used ? std::max(high, mapped) : mapped;
      used = true;
    }
  }

  void
  Finish(bool tight)
  {
    if (!(high - low > 1e-9 * std::max(std::fabs(low), std::fabs(high))))
    {
      const double some = std::max(0.5 * std::fabs(high), 0.5);
      low -= some;
      high += some;
    }
    ticks = RoundTicks(low, high, 6);
    if (!tight)
    {
      const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : high - low;
      low = std::min(low, std::floor(low / step + 1e-9) * step);
      high = std::max(high, std::ceil(high / step - 1e-9) * step);
      ticks = logarithmic ? DecadeTicks(low, high) : RoundTicks(low, high, 6);
    }
  }
};

struct Axes
{
  Axis bottom;
  Axis left;
  Axis right;
};

Axes
MakeAxes(const Plot & plot)
{
  Axes axes;
  axes.left.logarithmic = plot.logarithmicLeft;
  for (const Curve & curve : plot.curves)
  {
    Axis & side = curve.right ? axes.right : axes.left;
    for (size_t i = 0; i < std::min(curve.x.size(), curve.y.size()); ++i)
    {
      if (std::isfinite(curve.x[i]) && std::isfinite(side.Map(curve.y[i])))
      {
        axes.bottom.Add(curve.x[i]);
        side.Add(curve.y[i]);
      }
    }
  }
  if (axes.left.used)
  {
    axes.left.Add(plot.leftLow);
    axes.left.Add(plot.leftHigh);
  }
  axes.bottom.Finish(true);
  axes.left.Finish(false);
  axes.right.Finish(false);
  return axes;
}

std::string
TickText(const Axis & axis, double tick)
{
  return FormatNumber(axis.logarithmic ? std::pow(10.0, tick) : tick, axis.logarithmic ? 2 : 4);
}

void
DrawBottomAxis(Canvas & canvas, const Frame & area, const Axis & axis, const std::string & label)
{
  const int bottom = area.y + area.height;
  for (const double tick : axis.ticks)
  {
    const double      at = area.x + area.width * (tick - axis.low) / (axis.high - axis.low);
    const std::string text = FormatNumber(tick, 6);
    canvas.Fill({ static_cast<int>(at), area.y, 1, area.height }, faint);
    canvas.Fill({ static_cast<int>(at), bottom, 1, 6 }, ink);
    canvas.Text(static_cast<int>(at) - Canvas::TextWidth(text, letters) / 2, bottom + 10, text, ink, letters);
  }
  canvas.Text(area.x + (area.width - Canvas::TextWidth(label, letters)) / 2, bottom + 34, label, ink, letters);
}

void
DrawSideAxis(Canvas & canvas, const Frame & area, const Axis & axis, const std::string & label, bool right)
{
  const int edge = right ? area.x + area.width : area.x;
  for (const double tick : axis.ticks)
  {
    const int at = area.y + area.height - static_cast<int>(area.height * (tick - axis.low) / (axis.high - axis.low));
    const std::string text = TickText(axis, tick);
    const int         wide = Canvas::TextWidth(text, letters);
    if (!right)
    {
      canvas.Fill({ area.x, at, area.width, 1 }, faint);
    }
    canvas.Fill({ right ? edge : edge - 6, at, 6, 1 }, ink);
    canvas.Text(right ? edge + 10 : edge - 10 - wide, at - 9, text, ink, letters);
  }
  const int wide = Canvas::TextWidth(label, letters);
  canvas.Text(right ? edge - wide : edge, area.y - 22, label, ink, letters);
}

void
DrawCurve(Canvas & canvas, const Frame & area, const Axes & axes, const Curve & curve)
{
  const Axis & side = curve.right ? axes.right : axes.left;
  double       beforeX = NAN;
  double       beforeY = NAN;
  const size_t count = std::min(curve.x.size(), curve.y.size());
  for (size_t i = 0; i < count; ++i)
  {
    const double x = area.x + area.width * axes.bottom.Share(curve.x[i]);
    const double y = area.y + area.height * (1.0 - side.Share(curve.y[i]));
    if (std::isfinite(beforeX) && std::isfinite(beforeY))
    {
      canvas.Line(beforeX, beforeY, x, y, curve.color, curve.width);
    }
    else if (count <= 2 || i + 1 == count || !std::isfinite(side.Map(curve.y[i + 1])))
    {
      canvas.Line(x - 2, y, x + 2, y, curve.color, 4.0); // a single point
    }
    beforeX = x;
    beforeY = y;
  }
}

void
DrawLegend(Canvas & canvas, const Frame & area, const Plot & plot)
{
  int x = area.x;
  int y = area.y + area.height + 62;
  for (const Curve & curve : plot.curves)
  {
    const std::string name = curve.name + (curve.right ? " (right)" : "");
    const int         wide = 44 + Canvas::TextWidth(name, letters) + 24;
    if (x + wide > area.x + area.width && x > area.x)
    {
      x = area.x;
      y += 22;
    }
    canvas.Fill({ x, y + 7, 32, 4 }, curve.color);
    canvas.Text(x + 44, y, name, ink, letters);
    x += wide;
  }
}

} // namespace

std::vector<double>
RoundTicks(double low, double high, int wanted)
{
  std::vector<double> ticks;
  const double        span = high - low;
  if (!(span > 0.0) || !std::isfinite(span) || wanted < 1)
  {
    return ticks;
  }
  const double rough = span / wanted;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double lead = rough / power;
  const double step = power * (lead <= 1.0 ? 1.0 : lead <= 2.0 ? 2.0 : lead <= 5.0 ? 5.0 : 10.0);
  const double last = std::floor(high / step + 1e-9);
  for (double k = std::ceil(low / step - 1e-9); k <= last; k += 1.0)
  {
    ticks.push_back(k * step + 0.0); // not -0
  }
  return ticks;
}

void
DrawPlot(Canvas & canvas, const Frame & frame, const Plot & plot)
{
  canvas.Fill(frame, paper);
  const int centred = frame.x + (frame.width - Canvas::TextWidth(plot.title, titleLetters)) / 2;
  canvas.Text(centred, frame.y + 12, plot.title, ink, titleLetters);
  const int   rows = 1 + static_cast<int>(plot.curves.size()) / 4;
  const Frame area{
    frame.x + 100, frame.y + 70, std::max(20, frame.width - 200), std::max(20, frame.height - 150 - 22 * rows)
  };
  const Axes axes = MakeAxes(plot);
  if (!axes.bottom.used)
  {
    canvas.Text(area.x, area.y, "no data yet", ink, letters);
    return;
  }
  DrawBottomAxis(canvas, area, axes.bottom, plot.xLabel);
  if (axes.left.used)
  {
    DrawSideAxis(canvas, area, axes.left, plot.leftLabel, false);
  }
  if (axes.right.used)
  {
    DrawSideAxis(canvas, area, axes.right, plot.rightLabel, true);
  }
  canvas.Rectangle({ area.x, area.y, area.width + 1, area.height + 1 }, ink);
  for (const Curve & curve : plot.curves)
  {
    DrawCurve(canvas, area, axes, curve);
  }
  DrawLegend(canvas, area, plot);
}

} // namespace verdiff

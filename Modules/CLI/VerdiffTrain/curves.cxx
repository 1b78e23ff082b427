#include "curves.h"

#ifdef VERDIFF_DRAWING

#include "plot.h"
#include "png_file.h"
#include "text.h"

#include <algorithm>
#include <fstream>
#include <utility>
#include <vector>

namespace verdiff
{
namespace
{

constexpr int width = 1100;
constexpr int panelHeight = 450;

struct Series
{
  std::string                            name;
  std::vector<std::pair<double, double>> points;
};

struct Log
{
  std::vector<Series> losses;
  std::vector<Series> scores;
  double              lastStep = 1.0;
};

std::vector<Series>
ReadColumns(const std::string & path)
{
  std::vector<Series> curves;
  std::ifstream       file(path);
  std::string         line;
  while (std::getline(file, line))
  {
    const auto cells = Split(Trim(line), ',');
    if (curves.empty())
    {
      for (const std::string & name : cells)
      {
        curves.push_back({ Trim(name), {} });
      }
      continue;
    }
    const auto step = ParseDouble(Trim(cells[0]));
    for (size_t i = 1; step && i < std::min(cells.size(), curves.size()); ++i)
    {
      if (const auto value = ParseDouble(Trim(cells[i])))
      {
        curves[i].points.emplace_back(*step, *value);
      }
    }
  }
  return curves;
}

void
Take(std::vector<Series> &       curves,
     const std::vector<Series> & columns,
     const std::string &         column,
     const std::string &         name)
{
  for (const Series & curve : columns)
  {
    if (curve.name == column && !curve.points.empty())
    {
      curves.push_back({ name, curve.points });
    }
  }
}

Log
ReadLog(const std::string & logPath, const std::string & validationPath)
{
  Log                       log;
  const std::vector<Series> training = ReadColumns(logPath);
  const std::vector<Series> validation = ReadColumns(validationPath);
  Take(log.losses, training, "loss", "training loss");
  Take(log.losses, validation, "loss", "validation loss");
  Take(log.scores, validation, "prior_dice", "prior");
  Take(log.scores, validation, "onepass_dice", "one pass");
  return log;
}

// Means over windows, so that a curve of thousands of noisy steps can be read.
Series
Smoothed(const Series & curve)
{
  const size_t window = std::max<size_t>(1, curve.points.size() / 200);
  Series       smooth{ curve.name, {} };
  for (size_t i = 0; i + window <= curve.points.size(); i += window)
  {
    double step = 0.0;
    double value = 0.0;
    for (size_t j = i; j < i + window; ++j)
    {
      step += curve.points[j].first / double(window);
      value += curve.points[j].second / double(window);
    }
    smooth.points.emplace_back(step, value);
  }
  return smooth;
}

Plot
PlotOf(const std::string & title, const std::vector<Series> & series)
{
  static const Color colors[] = { Color{ 31, 119, 180 }, Color{ 214, 39, 40 } };
  Plot               plot;
  plot.title = title;
  plot.xLabel = "step";
  for (size_t i = 0; i < series.size(); ++i)
  {
    const Series smooth = Smoothed(series[i]);
    Curve        curve{ smooth.name, {}, {}, colors[i % 2], false, 2.0 };
    for (const auto & point : smooth.points)
    {
      curve.x.push_back(point.first);
      curve.y.push_back(point.second);
    }
    plot.curves.push_back(curve);
  }
  return plot;
}

} // namespace

std::string
DrawCurves(const std::string & picturePath, const std::string & logPath, const std::string & validationPath)
{
  const Log log = ReadLog(logPath, validationPath);
  if (log.losses.empty() && log.scores.empty())
  {
    return logPath + ": no losses to draw";
  }
  Canvas canvas(width, 2 * panelHeight, Color{ 255, 255, 255 });
  Plot   losses = PlotOf("Loss", log.losses);
  losses.logarithmicLeft = true;
  DrawPlot(canvas, { 0, 0, width, panelHeight }, losses);
  Plot scores = PlotOf("Validation Dice", log.scores);
  scores.leftLow = 0.0;
  scores.leftHigh = 1.0;
  DrawPlot(canvas, { 0, panelHeight, width, panelHeight }, scores);
  OutputFile file(picturePath);
  WritePng(file, canvas.Width(), canvas.Height(), 3, canvas.Pixels());
  return {};
}

} // namespace verdiff

#else

namespace verdiff
{

std::string
DrawCurves(const std::string &, const std::string & logPath, const std::string &)
{
  return "Verdiff was built without VTK, which draws them; the numbers are in " + logPath;
}

} // namespace verdiff

#endif

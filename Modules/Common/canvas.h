// A picture in memory to draw on: lines, text, images. VTK draws, without a display. Pixel (0, 0) is the top
// left one, and its centre lies at (0.5, 0.5).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

class vtkImageCanvasSource2D;

namespace verdiff
{

struct Color
{
  uint8_t red = 0;
  uint8_t green = 0;
  uint8_t blue = 0;
};

/// A part of the picture, in pixels.
struct Frame
{
  int x = 0;
  int y = 0;
  int width = 0;
  int height = 0;
};

/// Grey values: rows of width, the top one first; @p low is black, @p high white.
struct GreyImage
{
  const float * values = nullptr;
  int           width = 0;
  int           height = 0;
  float         low = 0.0F;
  float         high = 1.0F;
};

class Canvas
{
public:
  /// @throw std::invalid_argument unless both sizes are 1 .. 16000.
  Canvas(int width, int height, Color background);

  int
  Width() const
  {
    return m_Width;
  }
  int
  Height() const
  {
    return m_Height;
  }

  /// Line from (x0, y0) to (x1, y1), longer by half its width at both ends so that lines that follow each
  /// other join. What lies outside is left out, as in all that follows; an end that is not finite draws
  /// nothing.
  void
  Line(double x0, double y0, double x1, double y1, Color color, double width);

  void
  Fill(const Frame & frame, Color color);

  /// Lines one pixel wide just inside the frame.
  void
  Rectangle(const Frame & frame, Color color);

  /// Top left corner of the first letter at (x, y), letters of @p size pixels; UTF-8.
  void
  Text(int x, int y, const std::string & text, Color color, int size);

  static int
  TextWidth(const std::string & text, int size);

  /// Draw @p image into the frame, enlarged or reduced without jags; NaN is black.
  void
  Image(const Frame & frame, const GreyImage & image);

  /// RGB, the top row first.
  std::vector<uint8_t>
  Pixels() const;

private:
  using Pen = std::unique_ptr<vtkImageCanvasSource2D, void (*)(vtkImageCanvasSource2D *)>;

  int m_Width;
  int m_Height;
  Pen m_Pen;
};

} // namespace verdiff

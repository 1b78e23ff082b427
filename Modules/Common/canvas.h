// A picture in memory to draw on: lines, text, images. Pixel (0, 0) is the top left one, and its centre
// lies at (0.5, 0.5).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace verdiff
{

struct Color
{
  uint8_t red = 0;
  uint8_t green = 0;
  uint8_t blue = 0;
};

class Canvas
{
public:
  /// @throw std::invalid_argument unless both sizes are 1 .. 32767.
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

  /// @throw std::out_of_range outside the canvas.
  Color
  At(int x, int y) const;

  /// Mix @p color into one pixel; pixels outside are left out, as in all that follows.
  void
  Blend(int x, int y, Color color, double opacity);

  /// Smooth-edged line from (x0, y0) to (x1, y1) with round ends.
  void
  Line(double x0, double y0, double x1, double y1, Color color, double width);

  void
  Fill(int x, int y, int width, int height, Color color);

  /// Frame one pixel wide inside the given box.
  void
  Rectangle(int x, int y, int width, int height, Color color);

  /// Top left corner of the first letter at (x, y). Letters are 5 x 7 dots of @p scale pixels, 6 dots
  /// apart; what is not ASCII shows as '?'.
  void
  Text(int x, int y, const std::string & text, Color color, int scale);

  static int
  TextWidth(const std::string & text, int scale);
  static int
  TextHeight(int scale);

  /// Draw grey values (ih rows of iw) into the box; @p lo is black, @p hi white. Enlarging is smooth
  /// (Catmull-Rom), reducing averages; NaN is black.
  void
  Image(int x, int y, int width, int height, const float * grey, int iw, int ih, float lo, float hi);

  /// Bytes of a PNG file.
  std::string
  Png() const;

  /// Write a PNG file, complete or not at all.
  /// @throw Failure (Output).
  void
  WritePng(const std::string & path) const;

private:
  int                  m_Width;
  int                  m_Height;
  std::vector<uint8_t> m_Pixels; // RGB
};

} // namespace verdiff

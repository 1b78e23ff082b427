#include "canvas.h"

#include "font.h"
#include "output_file.h"
#include "png_encoder.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace verdiff
{
namespace
{

// Taps of one output pixel in a row or column of the input.
struct Taps
{
  int                first = 0;
  std::vector<float> weights;
};

float
CatmullRom(float x)
{
  const float a = std::fabs(x);
  if (a >= 2.0F)
  {
    return 0.0F;
  }
  return a < 1.0F ? 1.0F + a * a * (1.5F * a - 2.5F) : 2.0F + a * (-4.0F + a * (2.5F - 0.5F * a));
}

std::vector<Taps>
MakeTaps(int from, int to)
{
  std::vector<Taps> all(static_cast<size_t>(to));
  const float       ratio = static_cast<float>(from) / static_cast<float>(to);
  const float       stretch = std::max(1.0F, ratio); // a wider kernel when reducing, against aliasing
  for (int i = 0; i < to; ++i)
  {
    Taps &      taps = all[static_cast<size_t>(i)];
    const float centre = (static_cast<float>(i) + 0.5F) * ratio - 0.5F;
    const int   begin = static_cast<int>(std::ceil(centre - 2.0F * stretch));
    const int   end = static_cast<int>(std::floor(centre + 2.0F * stretch));
    float       sum = 0.0F;
    taps.first = begin;
    for (int k = begin; k <= end; ++k)
    {
      taps.weights.push_back(CatmullRom((static_cast<float>(k) - centre) / stretch));
      sum += taps.weights.back();
    }
    for (float & weight : taps.weights)
    {
      weight /= sum;
    }
  }
  return all;
}

// Edges are repeated; NaN counts as 0 so that one bad pixel stays one bad spot.
float
Weighted(const Taps & taps, const float * values, int count, size_t stride)
{
  float sum = 0.0F;
  for (size_t k = 0; k < taps.weights.size(); ++k)
  {
    const int   at = std::clamp(taps.first + static_cast<int>(k), 0, count - 1);
    const float value = values[static_cast<size_t>(at) * stride];
    sum += std::isfinite(value) ? taps.weights[k] * value : 0.0F;
  }
  return sum;
}

uint8_t
Mix(uint8_t from, uint8_t to, double opacity)
{
  return static_cast<uint8_t>(std::lround(from + opacity * (to - from)));
}

} // namespace

Canvas::Canvas(int width, int height, Color background)
  : m_Width(width)
  , m_Height(height)
{
  if (width < 1 || height < 1 || width > 32767 || height > 32767)
  {
    throw std::invalid_argument("a canvas has 1 to 32767 pixels on each side");
  }
  m_Pixels.resize(3 * static_cast<size_t>(width) * static_cast<size_t>(height));
  this->Fill(0, 0, width, height, background);
}

Color
Canvas::At(int x, int y) const
{
  if (x < 0 || y < 0 || x >= m_Width || y >= m_Height)
  {
    throw std::out_of_range("pixel outside the canvas");
  }
  const size_t k = 3 * (static_cast<size_t>(y) * static_cast<size_t>(m_Width) + static_cast<size_t>(x));
  return { m_Pixels[k], m_Pixels[k + 1], m_Pixels[k + 2] };
}

void
Canvas::Blend(int x, int y, Color color, double opacity)
{
  if (x < 0 || y < 0 || x >= m_Width || y >= m_Height || !(opacity > 0.0))
  {
    return;
  }
  const size_t    k = 3 * (static_cast<size_t>(y) * static_cast<size_t>(m_Width) + static_cast<size_t>(x));
  const double    share = std::min(opacity, 1.0);
  uint8_t * const pixel = &m_Pixels[k];
  pixel[0] = Mix(pixel[0], color.red, share);
  pixel[1] = Mix(pixel[1], color.green, share);
  pixel[2] = Mix(pixel[2], color.blue, share);
}

void
Canvas::Line(double x0, double y0, double x1, double y1, Color color, double width)
{
  if (!std::isfinite(x0) || !std::isfinite(y0) || !std::isfinite(x1) || !std::isfinite(y1))
  {
    return;
  }
  const double half = 0.5 * width;
  const auto   low = [&](double a, double b) {
    return static_cast<int>(std::floor(std::max(-1.0, std::min(a, b) - half - 1.0)));
  };
  const auto high = [&](double a, double b, int limit) {
    return static_cast<int>(std::ceil(std::min(static_cast<double>(limit), std::max(a, b) + half + 1.0)));
  };
  const double dx = x1 - x0;
  const double dy = y1 - y0;
  const double length2 = dx * dx + dy * dy;
  for (int y = low(y0, y1); y <= high(y0, y1, m_Height); ++y)
  {
    for (int x = low(x0, x1); x <= high(x0, x1, m_Width); ++x)
    {
      const double px = x + 0.5 - x0;
      const double py = y + 0.5 - y0;
      const double t = length2 > 0.0 ? std::clamp((px * dx + py * dy) / length2, 0.0, 1.0) : 0.0;
      const double distance = std::hypot(px - t * dx, py - t * dy);
      this->Blend(x, y, color, std::clamp(half + 0.5 - distance, 0.0, 1.0));
    }
  }
}

void
Canvas::Fill(int x, int y, int width, int height, Color color)
{
  const int right = std::min(x + width, m_Width);
  const int bottom = std::min(y + height, m_Height);
  for (int j = std::max(y, 0); j < bottom; ++j)
  {
    for (int i = std::max(x, 0); i < right; ++i)
    {
      this->Blend(i, j, color, 1.0);
    }
  }
}

void
Canvas::Rectangle(int x, int y, int width, int height, Color color)
{
  this->Fill(x, y, width, 1, color);
  this->Fill(x, y + height - 1, width, 1, color);
  this->Fill(x, y, 1, height, color);
  this->Fill(x + width - 1, y, 1, height, color);
}

void
Canvas::Text(int x, int y, const std::string & text, Color color, int scale)
{
  int left = x;
  for (const char letter : text)
  {
    const auto code = static_cast<unsigned char>(letter);
    if ((code & 0xC0) == 0x80)
    {
      continue; // a later byte of a UTF-8 character that has been shown as '?'
    }
    const size_t glyph = code >= 32 && code < 127 ? code - 32U : static_cast<size_t>('?' - 32);
    for (int row = 0; row < 7; ++row)
    {
      for (int column = 0; column < 5; ++column)
      {
        if ((fontRows[glyph][row] >> (4 - column)) & 1)
        {
          this->Fill(left + column * scale, y + row * scale, scale, scale, color);
        }
      }
    }
    left += 6 * scale;
  }
}

int
Canvas::TextWidth(const std::string & text, int scale)
{
  int letters = 0;
  for (const char letter : text)
  {
    letters += (static_cast<unsigned char>(letter) & 0xC0) != 0x80;
  }
  return letters > 0 ? (6 * letters - 1) * scale : 0;
}

int
Canvas::TextHeight(int scale)
{
  return 7 * scale;
}

void
Canvas::Image(int x, int y, int width, int height, const float * grey, int iw, int ih, float lo, float hi)
{
  if (width < 1 || height < 1 || iw < 1 || ih < 1)
  {
    return;
  }
  const std::vector<Taps> across = MakeTaps(iw, width);
  const std::vector<Taps> down = MakeTaps(ih, height);
  std::vector<float>      wide(static_cast<size_t>(ih) * static_cast<size_t>(width));
  for (size_t j = 0; j < static_cast<size_t>(ih); ++j)
  {
    for (size_t i = 0; i < across.size(); ++i)
    {
      wide[j * across.size() + i] = Weighted(across[i], grey + j * static_cast<size_t>(iw), iw, 1);
    }
  }
  const float scale = hi > lo ? 255.0F / (hi - lo) : 0.0F;
  for (size_t j = 0; j < down.size(); ++j)
  {
    for (size_t i = 0; i < across.size(); ++i)
    {
      const float value = Weighted(down[j], wide.data() + i, ih, across.size());
      const auto  level = static_cast<uint8_t>(std::clamp(scale * (value - lo) + 0.5F, 0.0F, 255.0F));
      this->Blend(x + static_cast<int>(i), y + static_cast<int>(j), { level, level, level }, 1.0);
    }
  }
}

std::string
Canvas::Png() const
{
  return EncodePng(m_Width, m_Height, 3, m_Pixels);
}

void
Canvas::WritePng(const std::string & path) const
{
  OutputFile file(path);
  file.Write(this->Png());
  file.Commit();
}

} // namespace verdiff

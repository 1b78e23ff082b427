#include "canvas.h"

#include <vtkFreeTypeTools.h>
#include <vtkImageCanvasSource2D.h>
#include <vtkImageData.h>
#include <vtkImageMapToWindowLevelColors.h>
#include <vtkImageResize.h>
#include <vtkImageShrink3D.h>
#include <vtkImageSincInterpolator.h>
#include <vtkNew.h>
#include <vtkStdString.h>
#include <vtkTextProperty.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

namespace verdiff
{
namespace
{

// VTK's canvas knows no soft edges: everything is drawn this many times larger, then averaged.
constexpr int fine = 2;
constexpr int largest = 16000;

void
Choose(vtkImageCanvasSource2D & pen, Color color)
{
  pen.SetDrawColor(color.red, color.green, color.blue);
}

void
SetFont(vtkTextProperty & font, Color color, int size)
{
  font.SetFontFamilyToArial(); // comes with VTK
  font.SetFontSize(size * fine);
  font.SetColor(color.red / 255.0, color.green / 255.0, color.blue / 255.0);
}

using Corner = std::array<int, 2>;

// By height: VTK fills too much when two of the corners are level and the third is not given last.
void
FillTriangle(vtkImageCanvasSource2D & pen, std::array<Corner, 3> corners)
{
  std::sort(corners.begin(), corners.end(), [](const Corner & a, const Corner & b) { return a[1] < b[1]; });
  pen.FillTriangle(corners[0][0], corners[0][1], corners[1][0], corners[1][1], corners[2][0], corners[2][1]);
}

constexpr int dotsPerInch = 72; // letters of n points have n pixels

// VTK counts rows from the bottom.
vtkSmartPointer<vtkImageData>
Upright(const GreyImage & grey)
{
  const auto image = vtkSmartPointer<vtkImageData>::New();
  image->SetDimensions(grey.width, grey.height, 1);
  image->AllocateScalars(VTK_FLOAT, 1);
  for (int row = 0; row < grey.height; ++row)
  {
    const float * const from = grey.values + static_cast<size_t>(row) * static_cast<size_t>(grey.width);
    std::transform(from,
                   from + grey.width,
                   static_cast<float *>(image->GetScalarPointer(0, grey.height - 1 - row, 0)),
                   [&grey](float v) { return std::isfinite(v) ? v : grey.low; });
  }
  return image;
}

} // namespace

Canvas::Canvas(int width, int height, Color background)
  : m_Width(width)
  , m_Height(height)
  , m_Pen(vtkImageCanvasSource2D::New(), [](vtkImageCanvasSource2D * pen) { pen->Delete(); })
{
  if (width < 1 || height < 1 || width > largest || height > largest)
  {
    throw std::invalid_argument("a canvas has 1 to 16000 pixels on each side");
  }
  m_Pen->SetScalarTypeToUnsignedChar();
  m_Pen->SetNumberOfScalarComponents(3);
  m_Pen->SetExtent(0, width * fine - 1, 0, height * fine - 1, 0, 0);
  this->Fill({ 0, 0, width, height }, background);
}

void
Canvas::Line(double x0, double y0, double x1, double y1, Color color, double width)
{
  const double length = std::hypot(x1 - x0, y1 - y0);
  if (!std::isfinite(length))
  {
    return;
  }
  // Far outside nothing can be seen, and integers end.
  const double far = 4.0 * largest;
  const double half = 0.5 * width;
  const double alongX = length > 0.0 ? half * (x1 - x0) / length : half;
  const double alongY = length > 0.0 ? half * (y1 - y0) / length : 0.0;
  // VTK fills both ends of a row, one fine pixel more than the corners say.
  const double acrossX = std::copysign(std::max(std::fabs(alongY) - 0.5 / fine, 0.0), alongY);
  const auto   column = [&](double x) {
    return static_cast<int>(std::lround(fine * std::clamp(x, -far, far)));
  };
  const auto row = [&](double y) {
    return static_cast<int>(std::lround(fine * std::clamp(m_Height - y, -far, far)));
  };
  const Corner corners[4] = { { column(x0 - alongX + acrossX), row(y0 - alongY - alongX) },
                              { column(x1 + alongX + acrossX), row(y1 + alongY - alongX) },
                              { column(x1 + alongX - acrossX), row(y1 + alongY + alongX) },
                              { column(x0 - alongX - acrossX), row(y0 - alongY + alongX) } };
  Choose(*m_Pen, color);
  FillTriangle(*m_Pen, { corners[0], corners[1], corners[2] });
  FillTriangle(*m_Pen, { corners[0], corners[2], corners[3] });
}

void
Canvas::Fill(const Frame & frame, Color color)
{
  const int left = std::max(frame.x, 0);
  const int top = std::max(frame.y, 0);
  const int right = std::min(frame.x + frame.width, m_Width);
  const int bottom = std::min(frame.y + frame.height, m_Height);
  if (left < right && top < bottom)
  {
    Choose(*m_Pen, color);
    m_Pen->FillBox(fine * left, fine * right - 1, fine * (m_Height - bottom), fine * (m_Height - top) - 1);
  }
}

void
Canvas::Rectangle(const Frame & frame, Color color)
{
  this->Fill({ frame.x, frame.y, frame.width, 1 }, color);
  this->Fill({ frame.x, frame.y + frame.height - 1, frame.width, 1 }, color);
  this->Fill({ frame.x, frame.y, 1, frame.height }, color);
  this->Fill({ frame.x + frame.width - 1, frame.y, 1, frame.height }, color);
}

void
Canvas::Text(int x, int y, const std::string & text, Color color, int size)
{
  vtkNew<vtkTextProperty> font;
  vtkNew<vtkImageData>    letters; // RGBA; padded beyond drawn
  int                     drawn[2] = { 0, 0 };
  SetFont(*font, color, size);
  if (text.empty() ||
      !vtkFreeTypeTools::GetInstance()->RenderString(font, vtkStdString(text), dotsPerInch, letters, drawn))
  {
    return;
  }
  m_Pen->Update(); // the output shares its pixels with what is drawn on
  vtkImageData * const picture = m_Pen->GetOutput();
  const int            bottom = fine * (m_Height - y) - drawn[1];
  for (int row = std::max(0, -bottom); row < std::min(drawn[1], fine * m_Height - bottom); ++row)
  {
    for (int column = std::max(0, -fine * x); column < std::min(drawn[0], fine * (m_Width - x)); ++column)
    {
      const auto * const ink = static_cast<unsigned char *>(letters->GetScalarPointer(column, row, 0));
      auto * const paper = static_cast<unsigned char *>(picture->GetScalarPointer(fine * x + column, bottom + row, 0));
      for (int k = 0; k < 3; ++k)
      {
        paper[k] = static_cast<unsigned char>((ink[k] * ink[3] + paper[k] * (255 - ink[3]) + 127) / 255);
      }
    }
  }
}

int
Canvas::TextWidth(const std::string & text, int size)
{
  vtkNew<vtkTextProperty> font;
  int                     box[4] = { 0, -1, 0, -1 };
  SetFont(*font, {}, size);
  if (!text.empty())
  {
    vtkFreeTypeTools::GetInstance()->GetBoundingBox(font, vtkStdString(text), dotsPerInch, box);
  }
  return (box[1] - box[0] + fine) / fine;
}

void
Canvas::Image(const Frame & frame, const GreyImage & image)
{
  if (frame.width < 1 || frame.height < 1 || image.width < 1 || image.height < 1)
  {
    return;
  }
  vtkNew<vtkImageSincInterpolator> kernel; // reduces without moire: vtkImageResize switches that on
  vtkNew<vtkImageResize>           resize;
  resize->SetInputData(Upright(image));
  resize->SetInterpolator(kernel);
  resize->BorderOn();
  resize->SetOutputDimensions(fine * frame.width, fine * frame.height, 1);
  vtkNew<vtkImageMapToWindowLevelColors> window;
  window->SetInputConnection(resize->GetOutputPort());
  window->SetOutputFormatToRGB();
  window->SetWindow(std::max(image.high - image.low, 1e-6F));
  window->SetLevel(0.5 * (image.low + image.high));
  window->Update();
  m_Pen->DrawImage(fine * frame.x, fine * (m_Height - frame.y - frame.height), window->GetOutput());
}

std::vector<uint8_t>
Canvas::Pixels() const
{
  vtkNew<vtkImageShrink3D> shrink;
  m_Pen->Update();
  shrink->SetInputConnection(m_Pen->GetOutputPort());
  shrink->SetShrinkFactors(fine, fine, 1);
  shrink->MeanOn();
  shrink->Update();
  const size_t         wide = 3 * static_cast<size_t>(m_Width);
  std::vector<uint8_t> pixels(wide * static_cast<size_t>(m_Height));
  for (int row = 0; row < m_Height; ++row)
  {
    const auto * const from =
      static_cast<unsigned char *>(shrink->GetOutput()->GetScalarPointer(0, m_Height - 1 - row, 0));
    std::copy_n(from, wide, pixels.begin() + static_cast<std::ptrdiff_t>(wide) * row);
  }
  return pixels;
}

} // namespace verdiff

// Pictures: pixels where they belong, PNG files that others read, charts, outlines.
#include "support.h"

#include "canvas.h"
#include "plot.h"
#include "png_file.h"
#include "preview.h"

#include <gtest/gtest.h>
#include <itkPNGImageIO.h>

#include <algorithm>
#include <cmath>

using namespace verdiff;
using namespace verdiff_test;

namespace
{

constexpr Color black{ 0, 0, 0 };
constexpr Color white{ 255, 255, 255 };
constexpr Color red{ 255, 0, 0 };

class Picture
{
public:
  explicit Picture(const Canvas & canvas)
    : m_Width(canvas.Width())
    , m_Height(canvas.Height())
    , m_Pixels(canvas.Pixels())
  {}

  Color
  At(int x, int y) const
  {
    const size_t k = 3 * (static_cast<size_t>(y) * static_cast<size_t>(m_Width) + static_cast<size_t>(x));
    return { m_Pixels.at(k), m_Pixels.at(k + 1), m_Pixels.at(k + 2) };
  }

  // Pixels in the columns x0 .. x1 - 1, rows y0 .. y1 - 1 that are @p wanted or nearly so.
  int
  Count(Color wanted, int x0, int y0, int x1, int y1) const
  {
    int count = 0;
    for (int y = y0; y < y1; ++y)
    {
      for (int x = x0; x < x1; ++x)
      {
        const Color c = this->At(x, y);
        count += std::abs(c.red - wanted.red) + std::abs(c.green - wanted.green) + std::abs(c.blue - wanted.blue) < 200;
      }
    }
    return count;
  }

private:
  int                  m_Width;
  int                  m_Height;
  std::vector<uint8_t> m_Pixels;
};

bool
Is(Color a, Color b)
{
  return a.red == b.red && a.green == b.green && a.blue == b.blue;
}

int
CountRed(const Canvas & canvas, int x0, int y0, int x1, int y1)
{
  return Picture(canvas).Count(red, x0, y0, x1, y1);
}

} // namespace

TEST(Canvas, FillsAndClips)
{
  Canvas canvas(6, 4, white);
  canvas.Fill({ -2, -2, 4, 4 }, red);
  canvas.Fill({ 5, 3, 100, 100 }, black);
  canvas.Fill({ 20, 20, 5, 5 }, black);
  const Picture picture(canvas);
  EXPECT_TRUE(Is(picture.At(0, 0), red) && Is(picture.At(1, 1), red));
  EXPECT_TRUE(Is(picture.At(2, 1), white) && Is(picture.At(1, 2), white));
  EXPECT_TRUE(Is(picture.At(5, 3), black) && Is(picture.At(4, 3), white) && Is(picture.At(5, 2), white));
  EXPECT_THROW(Canvas(0, 4, white), std::invalid_argument);
  EXPECT_THROW(Canvas(4, 40000, white), std::invalid_argument);
}

TEST(Canvas, LinesCoverTheirWidth)
{
  Canvas canvas(20, 20, black);
  canvas.Line(2.0, 10.0, 18.0, 10.0, white, 2.0); // rows 9 and 10
  canvas.Line(-1e9, 5.5, 1e9, 5.5, red, 1.0);     // far outside: clipped, and finished soon
  canvas.Line(NAN, 1.0, 5.0, 1.0, red, 1.0);
  canvas.Line(15.0, INFINITY, 5.0, 1.0, red, 1.0);
  const Picture picture(canvas);
  EXPECT_TRUE(Is(picture.At(10, 9), white) && Is(picture.At(10, 10), white));
  EXPECT_TRUE(Is(picture.At(10, 7), black) && Is(picture.At(10, 12), black));
  EXPECT_GT(picture.At(0, 5).red, 200);
  EXPECT_GT(picture.At(19, 5).red, 200);
  EXPECT_EQ(picture.Count(red, 0, 0, 20, 4), 0);
}

TEST(Canvas, SlantingLinesHaveSoftEdgesAndTheirWidth)
{
  Canvas canvas(80, 80, black);
  canvas.Line(0.0, 0.0, 80.0, 40.0, white, 4.0);
  const Picture picture(canvas);
  int           partial = 0;
  double        light = 0.0;
  for (int y = 0; y < 80; ++y)
  {
    const int level = picture.At(40, y).red;
    partial += level > 20 && level < 235;
    light += level / 255.0;
  }
  EXPECT_GE(partial, 1);
  EXPECT_NEAR(light, 4.0 / std::cos(std::atan(0.5)), 0.7); // height of the cut
}

TEST(Canvas, LinesOfEveryDirectionStayWithinTheirWidth)
{
  for (int k = 0; k < 72; ++k)
  {
    const double angle = k * 3.14159265358979 / 36;
    for (const double length : { 0.0, 0.7, 3.0, 20.0 })
    {
      Canvas       canvas(60, 60, black);
      const double x = 30 + length * std::cos(angle);
      const double y = 30 + length * std::sin(angle);
      canvas.Line(30, 30, x, y, white, 2.0);
      const Picture picture(canvas);
      double        light = 0.0;
      for (int row = 0; row < 60; ++row)
      {
        for (int column = 0; column < 60; ++column)
        {
          const int level = picture.At(column, row).red;
          light += level / 255.0;
          const double along =
            std::clamp((column + 0.5 - 30) * std::cos(angle) + (row + 0.5 - 30) * std::sin(angle), 0.0, length);
          const double away =
            std::hypot(column + 0.5 - 30 - along * std::cos(angle), row + 0.5 - 30 - along * std::sin(angle));
          ASSERT_TRUE(level == 0 || away < 3.0) << k << " " << length << " " << column << " " << row;
        }
      }
      ASSERT_NEAR(light, 2.0 * (length + 2.0), 1.5 + 0.6 * (length + 2.0)) << k << " " << length;
    }
  }
}

TEST(Canvas, TextIsInItsPlaceAndReadable)
{
  const int wide = Canvas::TextWidth("Dice 0.93", 16);
  EXPECT_GT(wide, 50);
  EXPECT_LT(wide, 90);
  EXPECT_EQ(Canvas::TextWidth("", 16), 0);
  EXPECT_LT(Canvas::TextWidth("\xC2\xB1", 16), Canvas::TextWidth("mm", 16)); // one character of two bytes
  Canvas canvas(200, 60, black);
  canvas.Text(20, 20, "Dice 0.93", white, 16);
  canvas.Text(20, 20, "", white, 16);
  const Picture picture(canvas);
  EXPECT_GT(picture.Count(white, 20, 20, 20 + wide, 42), 100);
  EXPECT_EQ(picture.Count(white, 0, 0, 200, 19), 0);
  EXPECT_EQ(picture.Count(white, 0, 44, 200, 60), 0);
  EXPECT_EQ(picture.Count(white, 22 + wide, 0, 200, 60), 0);
  EXPECT_EQ(picture.Count(white, 0, 0, 19, 60), 0);
}

TEST(Canvas, TextIsCutAtTheBorder)
{
  Canvas canvas(30, 10, black);
  canvas.Text(-10, -5, "WWWWWWWWWW", white, 16);
  canvas.Text(25, 5, "WWWWWWWWWW", white, 16);
  canvas.Text(100, 5, "W", white, 16);
  EXPECT_GT(Picture(canvas).Count(white, 0, 0, 30, 10), 20);
}

TEST(Canvas, EveryLetterHasItsOwnShape)
{
  std::vector<std::vector<uint8_t>> shapes;
  for (char letter = ' '; letter < 127; ++letter)
  {
    Canvas canvas(30, 30, black);
    canvas.Text(5, 5, std::string(1, letter), white, 16);
    shapes.push_back(canvas.Pixels());
  }
  std::sort(shapes.begin(), shapes.end());
  EXPECT_TRUE(std::adjacent_find(shapes.begin(), shapes.end()) == shapes.end());
}

TEST(Canvas, ImagesKeepTheirValuesAndPlaces)
{
  const std::vector<float> flat(12, 100.0F);
  for (const int side : { 2, 7, 40 })
  {
    Canvas canvas(side + 2, side + 2, red);
    canvas.Image({ 1, 1, side, side }, { flat.data(), 4, 3, 0.0F, 200.0F });
    const Picture picture(canvas);
    for (const int at : { 1, side / 2, side })
    {
      EXPECT_NEAR(picture.At(at, at).red, 127, 1);
      EXPECT_NEAR(picture.At(at, at).blue, 127, 1);
    }
    EXPECT_TRUE(Is(picture.At(0, 1), red) && Is(picture.At(1, 0), red) && Is(picture.At(side + 1, side), red));
  }
  std::vector<float> quarter(100, 0.0F); // bright where the top left quarter is
  for (size_t i = 0; i < 100; ++i)
  {
    quarter[i] = i == 22 ? NAN : (i / 10 < 5 && i % 10 < 5 ? 1.0F : 0.0F);
  }
  Canvas canvas(100, 100, red);
  canvas.Image({ 0, 0, 100, 100 }, { quarter.data(), 10, 10, 0.0F, 1.0F });
  const Picture picture(canvas);
  EXPECT_GT(picture.Count(white, 0, 0, 45, 45), 45 * 45 - 18 * 18); // one bad pixel is one bad spot
  EXPECT_LT(picture.At(25, 25).red, 40);
  EXPECT_EQ(picture.Count(white, 55, 0, 100, 100), 0);
  EXPECT_EQ(picture.Count(white, 0, 55, 100, 100), 0);
  EXPECT_EQ(picture.Count(black, 55, 55, 100, 100), 45 * 45);
}

TEST(Png, OthersReadIt)
{
  const TempFolder folder;
  Canvas           canvas(37, 23, { 1, 2, 3 });
  canvas.Line(0.0, 0.0, 37.0, 23.0, { 250, 100, 50 }, 3.0);
  OutputFile file(folder / "a.png");
  WritePng(file, 37, 23, 3, canvas.Pixels(), 0.5);
  EXPECT_EQ(folder.Entries(), std::vector<std::string>{ "a.png" });

  const auto io = itk::PNGImageIO::New();
  ASSERT_TRUE(io->CanReadFile((folder / "a.png").c_str()));
  io->SetFileName(folder / "a.png");
  io->ReadImageInformation();
  ASSERT_EQ(io->GetDimensions(0), 37u);
  ASSERT_EQ(io->GetDimensions(1), 23u);
  ASSERT_EQ(io->GetNumberOfComponents(), 3u);
  EXPECT_DOUBLE_EQ(io->GetSpacing(0), 0.5);
  std::vector<unsigned char> pixels(3 * 37 * 23);
  io->Read(pixels.data());
  EXPECT_EQ(pixels, canvas.Pixels());
  EXPECT_TRUE(std::any_of(pixels.begin(), pixels.end(), [](uint8_t v) { return v == 250; }));
}

TEST(Png, RefusesWhatIsNoPicture)
{
  const TempFolder folder;
  {
    OutputFile file(folder / "a.png");
    EXPECT_THROW(WritePng(file, 2, 2, 1, { 0, 255 }), std::invalid_argument);
    EXPECT_THROW(WritePng(file, 1, 1, 2, { 0, 255 }), std::invalid_argument);
    EXPECT_THROW(WritePng(file, 0, 1, 1, {}), std::invalid_argument);
  }
  EXPECT_TRUE(folder.Entries().empty());
}

TEST(Plot, TicksAreRound)
{
  EXPECT_EQ(RoundTicks(0.0, 1.0, 5), (std::vector<double>{ 0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0 }));
  EXPECT_EQ(RoundTicks(3.0, 41.0, 4), (std::vector<double>{ 10.0, 20.0, 30.0, 40.0 }));
  EXPECT_TRUE(RoundTicks(1.0, 1.0, 5).empty());
  EXPECT_TRUE(RoundTicks(0.0, NAN, 5).empty());
}

TEST(Plot, CurvesGoWhereTheirValuesAre)
{
  Canvas canvas(800, 500, white);
  Plot   plot;
  plot.title = "loss";
  plot.curves.push_back({ "rising", { 0, 100 }, { 0, 1 }, red });
  DrawPlot(canvas, { 0, 0, 800, 500 }, plot);
  EXPECT_GT(CountRed(canvas, 100, 250, 300, 350), 50); // low at the left
  EXPECT_GT(CountRed(canvas, 500, 70, 700, 170), 50);  // high at the right
  EXPECT_EQ(CountRed(canvas, 100, 70, 300, 150), 0);
}

TEST(Plot, GapsAndEmptyCurvesAreNoTrouble)
{
  Canvas canvas(600, 400, white);
  Plot   plot;
  plot.logarithmicLeft = true;
  DrawPlot(canvas, { 0, 0, 600, 400 }, plot);
  plot.curves.push_back({ "gap", { 0, 1, 2, 3 }, { 1, NAN, -1, 10 }, red });
  plot.curves.push_back({ "none", {}, {}, black, true });
  plot.curves.push_back({ "one", { 2 }, { 0.5 }, red, true });
  plot.curves.push_back({ "flat", { 0, 3 }, { 0.5, 0.5 }, red, true });
  DrawPlot(canvas, { 0, 0, 600, 400 }, plot);
  EXPECT_GT(CountRed(canvas, 100, 70, 500, 250), 100);
}

TEST(Outline, RunsAlongTheEdgeOfTheMask)
{
  std::vector<uint8_t> mask(100, 0);
  for (int row = 2; row < 5; ++row)
  {
    for (int column = 2; column < 8; ++column)
    {
      mask[static_cast<size_t>(10 * row + column)] = 1;
    }
  }
  Canvas canvas(200, 200, black); // 20 pixels each: the mask covers x 40..160, y 40..100
  DrawOutline(canvas, { mask.data(), 10, 10 }, { 0, 0, 200, 200 }, red, 2.0);
  EXPECT_GT(CountRed(canvas, 95, 36, 105, 44), 10);
  EXPECT_GT(CountRed(canvas, 95, 96, 105, 104), 10);
  EXPECT_GT(CountRed(canvas, 36, 65, 44, 75), 10);
  EXPECT_EQ(CountRed(canvas, 60, 60, 140, 80), 0);
  EXPECT_EQ(CountRed(canvas, 0, 0, 200, 30), 0);
  EXPECT_EQ(CountRed(canvas, 0, 110, 200, 200), 0);
}

TEST(Outline, ClosesAtTheBorderAndShowsSinglePixels)
{
  const std::vector<uint8_t> whole(4, 1);
  Canvas                     canvas(100, 100, black);
  DrawOutline(canvas, { whole.data(), 2, 2 }, { 20, 20, 60, 60 }, red, 2.0);
  EXPECT_GT(CountRed(canvas, 45, 10, 55, 30), 5);
  EXPECT_GT(CountRed(canvas, 45, 70, 55, 90), 5);
  std::vector<uint8_t> dot(25, 0);
  dot[12] = 1;
  Canvas other(100, 100, black);
  DrawOutline(other, { dot.data(), 5, 5 }, { 0, 0, 100, 100 }, red, 2.0);
  EXPECT_GT(CountRed(other, 35, 35, 65, 65), 10);
}

TEST(Preview, DrawsThreePlanesOfAVolume)
{
  PreviewInput input;
  input.scan.image = MakeImage(
    { 30, 40, 9 }, { 1, 1, 4 }, { 0, 0, 0 }, { { { 0, 0, 1 }, { 1, 0, 0 }, { 0, -1, 0 } } }, [](const auto & p) {
      return static_cast<float>(p[1]);
    });
  input.reference = LabelImage::New();
  input.reference->CopyInformation(input.scan.image);
  input.reference->SetRegions(input.scan.image->GetLargestPossibleRegion());
  input.reference->Allocate(true);
  for (int z = 1; z < 8; ++z)
  {
    for (int y = 15; y < 25; ++y)
    {
      for (int x = 10; x < 20; ++x)
      {
        input.reference->SetPixel({ { x, y, z } }, 3);
      }
    }
  }
  input.segmentation = input.reference;
  const Canvas canvas = DrawPreview(input, 900);
  EXPECT_EQ(canvas.Width(), 900);
  for (int panel = 0; panel < 3; ++panel)
  {
    EXPECT_GT(CountRed(canvas, 300 * panel, 0, 300 * panel + 300, canvas.Height()), 100) << panel;
  }
  input.reference = LabelImage::New();
  LabelImage::SizeType size = { { 3, 3, 3 } };
  input.reference->SetRegions(size);
  input.reference->Allocate(true);
  const Thrown thrown = FailureOf([&] { DrawPreview(input, 900); });
  EXPECT_NE(thrown.message.find("30 x 40 x 9"), std::string::npos);
}

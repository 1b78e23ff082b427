// Pictures: pixels where they belong, PNG files that others read, charts, outlines.
#include "support.h"

#include "canvas.h"
#include "plot.h"
#include "png_encoder.h"
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

bool
Is(Color a, Color b)
{
  return a.red == b.red && a.green == b.green && a.blue == b.blue;
}

int
CountRed(const Canvas & canvas, int x0, int y0, int x1, int y1)
{
  int count = 0;
  for (int y = y0; y < y1; ++y)
  {
    for (int x = x0; x < x1; ++x)
    {
      const Color c = canvas.At(x, y);
      count += c.red > 150 && c.green < 120 && c.blue < 120;
    }
  }
  return count;
}

} // namespace

TEST(Canvas, FillsAndClips)
{
  Canvas canvas(6, 4, white);
  canvas.Fill(-2, -2, 4, 4, red);
  canvas.Fill(5, 3, 100, 100, black);
  EXPECT_TRUE(Is(canvas.At(0, 0), red) && Is(canvas.At(1, 1), red));
  EXPECT_TRUE(Is(canvas.At(2, 1), white) && Is(canvas.At(1, 2), white));
  EXPECT_TRUE(Is(canvas.At(5, 3), black));
  EXPECT_THROW(canvas.At(6, 0), std::out_of_range);
  EXPECT_THROW(Canvas(0, 4, white), std::invalid_argument);
  EXPECT_THROW(Canvas(4, 40000, white), std::invalid_argument);
}

TEST(Canvas, LinesCoverTheirWidth)
{
  Canvas canvas(20, 20, black);
  canvas.Line(2.0, 10.0, 18.0, 10.0, white, 2.0); // rows 9 and 10
  EXPECT_TRUE(Is(canvas.At(10, 9), white) && Is(canvas.At(10, 10), white));
  EXPECT_TRUE(Is(canvas.At(10, 7), black) && Is(canvas.At(10, 12), black));
  canvas.Line(-1e9, 5.5, 1e9, 5.5, red, 1.0); // far outside: clipped, and finished soon
  EXPECT_TRUE(Is(canvas.At(0, 5), red) && Is(canvas.At(19, 5), red));
  canvas.Line(NAN, 1.0, 5.0, 1.0, red, 1.0);
  EXPECT_TRUE(Is(canvas.At(3, 1), black));
}

TEST(Canvas, SlantingLinesHaveSoftEdges)
{
  Canvas canvas(40, 40, black);
  canvas.Line(0.0, 0.0, 40.0, 20.0, white, 3.0);
  int partial = 0;
  for (int y = 0; y < 40; ++y)
  {
    partial += canvas.At(20, y).red > 20 && canvas.At(20, y).red < 235;
  }
  EXPECT_GE(partial, 2);
}

TEST(Canvas, LettersAreWhereTheyShouldBe)
{
  Canvas canvas(40, 20, black);
  canvas.Text(1, 1, "L-", white, 2); // L: left column and bottom row
  for (int row = 1; row < 15; ++row)
  {
    EXPECT_TRUE(Is(canvas.At(1, row), white) && Is(canvas.At(2, row), white));
  }
  EXPECT_TRUE(Is(canvas.At(10, 14), white)); // end of L's foot
  EXPECT_TRUE(Is(canvas.At(10, 1), black));
  EXPECT_TRUE(Is(canvas.At(15, 7), white)); // the dash, in the row of the middle
  EXPECT_EQ(Canvas::TextWidth("L-", 2), 22);
  EXPECT_EQ(Canvas::TextWidth("", 2), 0);
  EXPECT_EQ(Canvas::TextWidth("\xC2\xB1", 1), 5); // one character of two bytes
  EXPECT_EQ(Canvas::TextHeight(3), 21);
}

TEST(Canvas, EveryLetterHasItsOwnShape)
{
  std::vector<std::string> shapes;
  for (char letter = ' '; letter < 127; ++letter)
  {
    Canvas canvas(5, 7, black);
    canvas.Text(0, 0, std::string(1, letter), white, 1);
    shapes.push_back(canvas.Png());
  }
  std::sort(shapes.begin(), shapes.end());
  EXPECT_TRUE(std::adjacent_find(shapes.begin(), shapes.end()) == shapes.end());
}

TEST(Canvas, ImagesKeepTheirValues)
{
  std::vector<float> grey(12);
  for (size_t i = 0; i < grey.size(); ++i)
  {
    grey[i] = 10.0F * static_cast<float>(i);
  }
  Canvas same(4, 3, red);
  same.Image(0, 0, 4, 3, grey.data(), 4, 3, 0.0F, 255.0F);
  for (int i = 0; i < 12; ++i)
  {
    EXPECT_EQ(same.At(i % 4, i / 4).red, 10 * i);
  }
  const std::vector<float> flat(12, 100.0F);
  for (const int side : { 2, 7, 40 })
  {
    Canvas canvas(side, side, red);
    canvas.Image(0, 0, side, side, flat.data(), 4, 3, 0.0F, 200.0F);
    EXPECT_TRUE(Is(canvas.At(0, 0), { 128, 128, 128 }) && Is(canvas.At(side - 1, side - 1), { 128, 128, 128 }));
  }
  const float bad[1] = { NAN };
  Canvas      one(2, 2, red);
  one.Image(0, 0, 2, 2, bad, 1, 1, 0.0F, 1.0F);
  EXPECT_TRUE(Is(one.At(0, 0), black));
}

TEST(Png, OthersReadIt)
{
  const TempFolder folder;
  Canvas           canvas(37, 23, { 1, 2, 3 });
  canvas.Line(0.0, 0.0, 37.0, 23.0, { 250, 100, 50 }, 3.0);
  canvas.WritePng(folder / "a.png");
  EXPECT_EQ(folder.Entries(), std::vector<std::string>{ "a.png" });

  const auto io = itk::PNGImageIO::New();
  ASSERT_TRUE(io->CanReadFile((folder / "a.png").c_str()));
  io->SetFileName(folder / "a.png");
  io->ReadImageInformation();
  ASSERT_EQ(io->GetDimensions(0), 37u);
  ASSERT_EQ(io->GetDimensions(1), 23u);
  ASSERT_EQ(io->GetNumberOfComponents(), 3u);
  std::vector<unsigned char> pixels(3 * 37 * 23);
  io->Read(pixels.data());
  for (int y = 0; y < 23; ++y)
  {
    for (int x = 0; x < 37; ++x)
    {
      const unsigned char * const p = &pixels[static_cast<size_t>(3 * (37 * y + x))];
      ASSERT_TRUE(Is(canvas.At(x, y), { p[0], p[1], p[2] })) << x << " " << y;
    }
  }
}

TEST(Png, RecordsThePixelSize)
{
  const std::string bytes = EncodePng(2, 1, 1, { 0, 255 }, 0.5);
  const size_t      at = bytes.find("pHYs");
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(bytes.substr(at + 4, 9), std::string("\0\0\x07\xD0\0\0\x07\xD0\x01", 9)); // 2000 per metre, twice
  EXPECT_EQ(EncodePng(2, 1, 1, { 0, 255 }).find("pHYs"), std::string::npos);
  EXPECT_THROW(EncodePng(2, 2, 1, { 0, 255 }), std::invalid_argument);
  EXPECT_THROW(EncodePng(1, 1, 2, { 0, 255 }), std::invalid_argument);
  EXPECT_THROW(EncodePng(0, 1, 1, {}), std::invalid_argument);
}

TEST(Png, UnwritablePlaceLeavesNothing)
{
  const TempFolder folder;
  const Canvas     canvas(4, 4, white);
  const Thrown     thrown = FailureOf([&] { canvas.WritePng(folder / "no/a.png"); });
  EXPECT_EQ(thrown.code, 6);
  EXPECT_NE(thrown.message.find("no"), std::string::npos);
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
  DrawPlot(canvas, 0, 0, 800, 500, plot);
  EXPECT_GT(CountRed(canvas, 100, 250, 300, 350), 50); // low at the left
  EXPECT_GT(CountRed(canvas, 500, 70, 700, 170), 50);  // high at the right
  EXPECT_EQ(CountRed(canvas, 100, 70, 300, 150), 0);
}

TEST(Plot, GapsAndEmptyCurvesAreNoTrouble)
{
  Canvas canvas(600, 400, white);
  Plot   plot;
  plot.logarithmicLeft = true;
  DrawPlot(canvas, 0, 0, 600, 400, plot);
  plot.curves.push_back({ "gap", { 0, 1, 2, 3 }, { 1, NAN, -1, 10 }, red });
  plot.curves.push_back({ "none", {}, {}, black, true });
  plot.curves.push_back({ "one", { 2 }, { 0.5 }, red, true });
  plot.curves.push_back({ "flat", { 0, 3 }, { 0.5, 0.5 }, red, true });
  DrawPlot(canvas, 0, 0, 600, 400, plot);
  EXPECT_GT(CountRed(canvas, 100, 70, 500, 250), 100);
}

TEST(Outline, RunsAlongTheEdgeOfTheMask)
{
  std::vector<uint8_t> mask(100, 0);
  for (int row = 3; row < 7; ++row)
  {
    for (int column = 2; column < 8; ++column)
    {
      mask[static_cast<size_t>(10 * row + column)] = 1;
    }
  }
  Canvas canvas(200, 200, black); // 20 pixels each: the mask covers x 40..160, y 60..140
  DrawOutline(canvas, mask.data(), 10, 10, 0, 0, 200, 200, red, 2.0);
  EXPECT_GT(CountRed(canvas, 95, 56, 105, 64), 10);
  EXPECT_GT(CountRed(canvas, 36, 95, 44, 105), 10);
  EXPECT_EQ(CountRed(canvas, 60, 80, 140, 120), 0);
  EXPECT_EQ(CountRed(canvas, 0, 0, 200, 40), 0);
}

TEST(Outline, ClosesAtTheBorderAndShowsSinglePixels)
{
  const std::vector<uint8_t> whole(4, 1);
  Canvas                     canvas(100, 100, black);
  DrawOutline(canvas, whole.data(), 2, 2, 20, 20, 60, 60, red, 2.0);
  EXPECT_GT(CountRed(canvas, 45, 10, 55, 30), 5);
  std::vector<uint8_t> dot(25, 0);
  dot[12] = 1;
  Canvas other(100, 100, black);
  DrawOutline(other, dot.data(), 5, 5, 0, 0, 100, 100, red, 2.0);
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

#include "preview.h"

#include "failure.h"
#include "sagittal.h"
#include "text.h"

#include <vtkCellArray.h>
#include <vtkDataArray.h>
#include <vtkFlyingEdges2D.h>
#include <vtkImageConvolve.h>
#include <vtkImageData.h>
#include <vtkNew.h>
#include <vtkPointData.h>
#include <vtkPolyData.h>
#include <vtkSmartPointer.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace verdiff
{
namespace
{

constexpr Color  background{ 18, 18, 20 };
constexpr Color  ink{ 230, 230, 230 };
constexpr Color  referenceColor{ 70, 230, 90 };
constexpr Color  segmentationColor{ 255, 70, 50 };
constexpr int    letters = 16; // pixels
constexpr int    gap = 12;
constexpr int    headHeight = 40;
constexpr int    footHeight = 66;
constexpr double sideStep = 10.0;   // mm from the middle plane to its neighbours
constexpr double cropMargin = 30.0; // mm left round what is labelled
constexpr int    tallest = 1600;    // pixels of a panel

struct Scores
{
  long both = 0;
  long sum = 0;

  std::string
  Text() const
  {
    return sum > 0 ? Format("%.3f", 2.0 * static_cast<double>(both) / static_cast<double>(sum)) : std::string("-");
  }
};

void
CheckGrid(const VolumeImage & scan, const LabelImage * labels, const char * name)
{
  if (labels && labels->GetLargestPossibleRegion().GetSize() != scan.GetLargestPossibleRegion().GetSize())
  {
    throw Failure(
      ExitCode::Input,
      Format("the %s has %s voxels, the image %s", name, SizeText(*labels).c_str(), SizeText(scan).c_str()));
  }
}

// The slice through the middle of what is labelled; without labels the middle one.
std::int64_t
MiddleSlice(const SagittalFrame & frame, const LabelImage * labels)
{
  double weighted = 0.0;
  double sum = 0.0;
  if (labels)
  {
    std::vector<std::uint16_t> plane(static_cast<size_t>(frame.Height() * frame.Width()));
    for (std::int64_t slice = 0; slice < frame.Count(); ++slice)
    {
      frame.Cut(plane.data(), labels->GetBufferPointer(), slice);
      const auto inside = std::count_if(plane.begin(), plane.end(), [](std::uint16_t v) { return v != 0; });
      weighted += static_cast<double>(slice) * static_cast<double>(inside);
      sum += static_cast<double>(inside);
    }
  }
  return sum > 0.0 ? std::llround(weighted / sum) : frame.Count() / 2;
}

std::vector<std::int64_t>
ChooseSlices(const SagittalFrame & frame, const VolumeImage & scan, const LabelImage * labels)
{
  const double       spacing = scan.GetSpacing()[static_cast<unsigned int>(frame.Axes()[0])];
  const std::int64_t middle = MiddleSlice(frame, labels);
  const std::int64_t step = std::max<std::int64_t>(1, std::llround(sideStep / spacing));
  if (frame.Count() < 3)
  {
    return { middle };
  }
  std::vector<std::int64_t> slices;
  for (const std::int64_t offset : { -step, std::int64_t{ 0 }, step })
  {
    slices.push_back(std::clamp<std::int64_t>(middle + offset, 0, frame.Count() - 1));
  }
  return slices;
}

// Grey window: bone and soft tissue for CT, otherwise what all but few pixels have.
std::array<float, 2>
ChooseWindow(std::vector<float> values)
{
  values.erase(std::remove_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); }), values.end());
  if (values.empty())
  {
    return { 0.0F, 1.0F };
  }
  const auto share = [&](double part) {
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(part * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), at, values.end());
    return *at;
  };
  const float low = share(0.005);
  const float high = share(0.995);
  return low < -500.0F ? std::array<float, 2>{ -200.0F, 700.0F } : std::array<float, 2>{ low, high };
}

// Part of a plane that is shown; ends excluded.
struct Crop
{
  int top = 0;
  int bottom = 0;
  int left = 0;
  int right = 0;

  int
  Width() const
  {
    return right - left;
  }
  int
  Height() const
  {
    return bottom - top;
  }

  template <typename T>
  std::vector<T>
  Of(const std::vector<T> & plane, int width) const
  {
    std::vector<T> part;
    for (int row = top; !plane.empty() && row < bottom; ++row)
    {
      const auto begin = plane.begin() + static_cast<std::ptrdiff_t>(row) * width;
      part.insert(part.end(), begin + left, begin + right);
    }
    return part;
  }
};

// What the masks cover, with a margin; everything when they are empty.
Crop
ChooseCrop(const SagittalFrame & frame, const std::vector<std::vector<uint8_t>> & masks)
{
  const auto w = static_cast<int>(frame.Width());
  const auto h = static_cast<int>(frame.Height());
  Crop       crop{ h, 0, w, 0 };
  for (const auto & mask : masks)
  {
    for (size_t i = 0; i < mask.size(); ++i)
    {
      const int row = static_cast<int>(i) / w;
      const int column = static_cast<int>(i) % w;
      if (mask[i] != 0)
      {
        crop = { std::min(crop.top, row),
                 std::max(crop.bottom, row + 1),
                 std::min(crop.left, column),
                 std::max(crop.right, column + 1) };
      }
    }
  }
  if (crop.bottom == 0)
  {
    return { 0, h, 0, w };
  }
  const int rows = static_cast<int>(cropMargin / frame.RowSpacing());
  const int columns = static_cast<int>(cropMargin / frame.ColumnSpacing());
  return { std::max(0, crop.top - rows),
           std::min(h, crop.bottom + rows),
           std::max(0, crop.left - columns),
           std::min(w, crop.right + columns) };
}

std::vector<uint8_t>
CutMask(const SagittalFrame & frame, const LabelImage * labels, std::int64_t slice)
{
  std::vector<uint8_t> mask;
  if (labels)
  {
    std::vector<std::uint16_t> plane(static_cast<size_t>(frame.Height() * frame.Width()));
    frame.Cut(plane.data(), labels->GetBufferPointer(), slice);
    mask.resize(plane.size());
    std::transform(plane.begin(), plane.end(), mask.begin(), [](std::uint16_t v) { return v != 0 ? 1 : 0; });
  }
  return mask;
}

void
Count(Scores & scores, const std::vector<uint8_t> & a, const std::vector<uint8_t> & b)
{
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
  {
    scores.both += a[i] & b[i];
    scores.sum += a[i] + b[i];
  }
}

Scores
WholeScores(const PreviewInput & input)
{
  Scores scores;
  if (input.reference && input.segmentation)
  {
    const std::uint16_t * const a = input.reference->GetBufferPointer();
    const std::uint16_t * const b = input.segmentation->GetBufferPointer();
    const auto                  count = input.scan.image->GetLargestPossibleRegion().GetNumberOfPixels();
    for (size_t i = 0; i < count; ++i)
    {
      scores.both += a[i] != 0 && b[i] != 0;
      scores.sum += (a[i] != 0) + (b[i] != 0);
    }
  }
  return scores;
}

// Number of the slice, and its Dice when there are two masks.
std::string
Caption(const SagittalFrame &        frame,
        std::int64_t                 slice,
        const std::vector<uint8_t> & truth,
        const std::vector<uint8_t> & result)
{
  const auto  number = static_cast<long long>(slice + 1);
  std::string text =
    frame.Count() > 1 ? Format("slice %lld of %lld", number, static_cast<long long>(frame.Count())) : "";
  if (!truth.empty() && !result.empty())
  {
    Scores scores;
    Count(scores, truth, result);
    text += "  Dice " + scores.Text();
  }
  return text;
}

void
DrawLegend(Canvas & canvas, const PreviewInput & input)
{
  const int  y = canvas.Height() - footHeight + 38;
  int        x = gap;
  const auto entry = [&](const std::string & name, Color color) {
    canvas.Fill({ x, y + 8, 34, 4 }, color);
    canvas.Text(x + 44, y, name, ink, letters);
    x += 44 + Canvas::TextWidth(name, letters) + 40;
  };
  if (input.reference)
  {
    entry("truth", referenceColor);
  }
  if (input.segmentation)
  {
    entry("result", segmentationColor);
  }
  if (input.reference && input.segmentation)
  {
    canvas.Text(x, y, "Dice of the whole volume " + WholeScores(input).Text(), ink, letters);
  }
}

// Rows and columns of outside all round, which close every outline; two, because vtkImageConvolve shifts its
// kernel at the border.
constexpr int outside = 2;

// Rows from the bottom, as VTK counts.
vtkSmartPointer<vtkImageData>
Padded(const Mask & mask)
{
  const auto image = vtkSmartPointer<vtkImageData>::New();
  image->SetDimensions(mask.width + 2 * outside, mask.height + 2 * outside, 1);
  image->AllocateScalars(VTK_FLOAT, 1);
  image->GetPointData()->GetScalars()->Fill(0.0);
  for (int row = 0; row < mask.height; ++row)
  {
    const uint8_t * const from = mask.values + static_cast<size_t>(row) * static_cast<size_t>(mask.width);
    std::transform(from,
                   from + mask.width,
                   static_cast<float *>(image->GetScalarPointer(outside, mask.height - 1 - row + outside, 0)),
                   [](uint8_t v) { return v != 0 ? 1.0F : 0.0F; });
  }
  return image;
}

// Its neighbours weigh in a little, so that steps of one pixel become slopes while a single pixel stays
// above one half.
vtkSmartPointer<vtkPolyData>
OutlineOf(const Mask & mask)
{
  constexpr double         weights[9] = { 1, 6, 1, 6, 36, 6, 1, 6, 1 };
  double                   kernel[9];
  vtkNew<vtkImageConvolve> soften;
  vtkNew<vtkFlyingEdges2D> outline;
  std::transform(weights, weights + 9, kernel, [](double w) { return w / 64.0; });
  soften->SetKernel3x3(kernel);
  soften->SetInputData(Padded(mask));
  outline->SetInputConnection(soften->GetOutputPort());
  outline->SetValue(0, 0.5);
  outline->Update();
  return outline->GetOutput();
}

} // namespace

void
DrawOutline(Canvas & canvas, const Mask & mask, const Frame & frame, Color color, double lineWidth)
{
  const auto   outline = OutlineOf(mask);
  const double scaleX = static_cast<double>(frame.width) / mask.width;
  const double scaleY = static_cast<double>(frame.height) / mask.height;
  const auto   place = [&](vtkIdType id) {
    double point[3];
    outline->GetPoint(id, point);
    return std::array<double, 2>{ frame.x + scaleX * (point[0] - outside + 0.5),
                                  frame.y + scaleY * (mask.height - 0.5 + outside - point[1]) };
  };
  vtkIdType         count = 0;
  const vtkIdType * ids = nullptr;
  auto * const      lines = outline->GetLines();
  for (lines->InitTraversal(); lines->GetNextCell(count, ids);)
  {
    for (vtkIdType k = 0; k + 1 < count; ++k)
    {
      const auto from = place(ids[k]);
      const auto to = place(ids[k + 1]);
      canvas.Line(from[0], from[1], to[0], to[1], color, lineWidth);
    }
  }
}

Canvas
DrawPreview(const PreviewInput & input, int width)
{
  const VolumeImage & scan = *input.scan.image;
  CheckGrid(scan, input.reference, "reference");
  CheckGrid(scan, input.segmentation, "segmentation");
  const SagittalFrame frame(scan, IsPlanar(input.scan));
  const LabelImage *  first = input.reference ? input.reference.GetPointer() : input.segmentation.GetPointer();
  const auto          slices = ChooseSlices(frame, scan, first);
  const size_t        shown = slices.size();
  std::vector<std::vector<float>>   planes(shown);
  std::vector<std::vector<uint8_t>> masks(2 * shown); // truth and result of each plane
  std::vector<float>                all;
  for (size_t k = 0; k < shown; ++k)
  {
    planes[k].resize(static_cast<size_t>(frame.Width() * frame.Height()));
    frame.Cut(planes[k].data(), scan.GetBufferPointer(), slices[k]);
    all.insert(all.end(), planes[k].begin(), planes[k].end());
    masks[2 * k] = CutMask(frame, input.reference, slices[k]);
    masks[2 * k + 1] = CutMask(frame, input.segmentation, slices[k]);
  }
  const Crop                 crop = ChooseCrop(frame, masks);
  const std::array<float, 2> window = ChooseWindow(std::move(all));
  const double               ratio = crop.Height() * frame.RowSpacing() / (crop.Width() * frame.ColumnSpacing());
  const int                  across = static_cast<int>(shown);
  const int                  widest = static_cast<int>(tallest / ratio);
  const int                  panelWidth = std::max(1, std::min(widest, (width - gap * (across + 1)) / across));
  const int                  panelHeight = std::max(1, static_cast<int>(std::lround(panelWidth * ratio)));

  Canvas canvas(std::max(width, 300), headHeight + panelHeight + footHeight, background);
  canvas.Text(gap, 13, input.title, ink, letters);
  for (size_t k = 0; k < shown; ++k)
  {
    const Frame panel{ gap + static_cast<int>(k) * (panelWidth + gap), headHeight, panelWidth, panelHeight };
    const int   w = static_cast<int>(frame.Width());
    const auto  part = crop.Of(planes[k], w);
    const auto  outline = [&](const std::vector<uint8_t> & mask, Color color, double lineWidth) {
      const auto cut = crop.Of(mask, w);
      if (!cut.empty())
      {
        DrawOutline(canvas, { cut.data(), crop.Width(), crop.Height() }, panel, color, lineWidth);
      }
    };
    canvas.Image(panel, { part.data(), crop.Width(), crop.Height(), window[0], window[1] });
    outline(masks[2 * k], referenceColor, 2.0);
    outline(masks[2 * k + 1], segmentationColor, 1.4);
    const std::string caption = Caption(frame, slices[k], masks[2 * k], masks[2 * k + 1]);
    canvas.Text(panel.x, headHeight + panelHeight + 8, caption, ink, letters);
  }
  DrawLegend(canvas, input);
  return canvas;
}

} // namespace verdiff

#include "segment_volume.h"

#include "interrupt.h"
#include "text.h"

#include <algorithm>

namespace verdiff
{
namespace
{

constexpr std::int64_t batchSlices = 16;
constexpr std::int64_t batchFloats = 16 << 20; // 64 MiB of input and output of one call

template <typename TImage>
typename TImage::Pointer
MakeLike(const VolumeImage & reference)
{
  const auto image = TImage::New();
  image->CopyInformation(&reference);
  image->SetRegions(reference.GetLargestPossibleRegion());
  image->Allocate(true);
  return image;
}

// Sizes and buffers of one run, and the steps between the two grids.
class Run
{
public:
  Run(vdn_ctx * ctx, const vdn_model * model, const Volume & volume, const SegmentSettings & settings)
    : m_Ctx(ctx)
    , m_Model(model)
    , m_Info(ModelInfo(model))
    , m_Volume(volume)
    , m_Settings(settings)
    , m_Options(OptionsOf(settings, m_Info))
    , m_Neighbours(m_Info.neighbours)
    , m_Frame(*volume.image, IsPlanar(volume, m_Info.plane), m_Info.plane)
  {
    CheckChannels();
    CheckUncertainty();
    ChooseWorkingGrid();
    Allocate();
  }

  SegmentResult
  Work(const SegmentRange & range)
  {
    const std::int64_t slices = m_Result.slices;
    for (std::int64_t first = 0; first < slices; first += m_Batch)
    {
      const std::int64_t count = std::min(m_Batch, slices - first);
      range(double(first) / double(slices), double(first + count) / double(slices));
      ThrowIfInterrupted();
      SegmentBatch(m_Settings.contextBefore + first, count);
      for (std::int64_t i = 0; i < count; ++i)
      {
        PutBack(m_Settings.contextBefore + first + i, i);
      }
    }
    return std::move(m_Result);
  }

private:
  void
  CheckChannels() const
  {
    const int channels = m_Info.image_channels / m_Neighbours;
    if (channels != 1)
    {
      throw Failure(ExitCode::Model,
                    Format("the model needs %d image channels, %s has 1", channels, m_Volume.path.c_str()));
    }
  }

  void
  CheckUncertainty() const
  {
    if (m_Settings.uncertainty && m_Options.prior_only)
    {
      throw Failure(ExitCode::Usage, "quality fast draws no samples, so there is no uncertainty; take standard");
    }
  }

  // The spacing of an image that records none is what the user says, or what the model was trained on.
  double
  AssumedSpacing()
  {
    const double stated = m_Settings.pixelSpacing;
    const double assumed = stated > 0.0 ? stated : double(m_Info.assumed_spacing_mm);
    m_Result.notes.push_back(assumed > 0.0 ? m_Volume.path + ": no pixel size recorded, " + FormatNumber(assumed) +
                                               " mm is taken (" + (stated > 0.0 ? "--pixelSpacing)" : "the model's)")
                                           : m_Volume.path + ": no pixel size recorded, pixels are used as they are");
    return assumed;
  }

  void
  ChooseWorkingGrid()
  {
    for (const std::string & note : m_Frame.Notes())
    {
      m_Result.notes.push_back(m_Volume.path + ": " + note);
    }
    const double assumed = m_Volume.spacingKnown ? 0.0 : AssumedSpacing();
    m_Result.rowSpacing = m_Volume.spacingKnown ? m_Frame.RowSpacing() : assumed;
    m_Result.columnSpacing = m_Volume.spacingKnown ? m_Frame.ColumnSpacing() : assumed;
    const double target = double(m_Info.pixel_spacing_mm);
    const bool   resample = target > 0.0 && m_Result.rowSpacing > 0.0;
    m_Height = resample ? vdn_resampled_size(m_Frame.Height(), m_Result.rowSpacing, target) : m_Frame.Height();
    m_Width = resample ? vdn_resampled_size(m_Frame.Width(), m_Result.columnSpacing, target) : m_Frame.Width();
    m_Same = m_Height == m_Frame.Height() && m_Width == m_Frame.Width();
    if (m_Neighbours > 1 && m_Frame.Count() == 1)
    {
      m_Result.notes.push_back(m_Volume.path +
                               Format(": one slice for a model of %d neighbouring ones; it is repeated", m_Neighbours));
    }
    m_Result.slices = m_Frame.Count() - m_Settings.contextBefore - m_Settings.contextAfter;
    m_Result.height = m_Frame.Height();
    m_Result.width = m_Frame.Width();
    m_Result.workingHeight = m_Height;
    m_Result.workingWidth = m_Width;
  }

  void
  Allocate()
  {
    const std::int64_t plane = m_Height * m_Width;
    const std::int64_t native = m_Frame.Height() * m_Frame.Width();
    const std::int64_t fits = batchFloats / (plane * (m_Info.classes + 1 + m_Neighbours));
    m_Batch = std::clamp<std::int64_t>(fits, 1, std::clamp<std::int64_t>(m_Result.slices, 1, batchSlices));
    m_Pixels.resize(size_t(m_Batch * plane * m_Neighbours));
    m_Slice.resize(size_t(m_Neighbours > 1 ? plane : 0));
    m_Probability.resize(size_t(m_Batch * plane * m_Info.classes));
    m_NativePixels.resize(size_t(native));
    m_NativeProbability.resize(m_Same ? 0 : size_t(native * m_Info.classes));
    m_NativeLabels.resize(size_t(native));
    // One sample and a prior alone have no uncertainty.
    if (!m_Options.prior_only)
    {
      m_Uncertainty.resize(size_t(m_Batch * plane));
    }
    m_Result.labels = MakeLike<LabelImage>(*m_Volume.image);
    if (m_Settings.probability)
    {
      m_Result.probability = MakeLike<VolumeImage>(*m_Volume.image);
    }
    if (m_Settings.uncertainty)
    {
      m_Result.uncertainty = MakeLike<VolumeImage>(*m_Volume.image);
    }
  }

  // Slice @p slice on the working grid.
  void
  CutSlice(float * target, std::int64_t slice)
  {
    m_Frame.Cut(m_Same ? target : m_NativePixels.data(), m_Volume.image->GetBufferPointer(), slice);
    if (!m_Same)
    {
      Resample(target, m_Height, m_Width, m_NativePixels.data(), m_Frame.Height(), m_Frame.Width(), 1);
    }
  }

  // Channel n of slice s is slice s + n - (neighbours - 1) / 2; the first and the last slice are repeated.
  void
  CutBatch(std::int64_t first, std::int64_t count)
  {
    const std::int64_t plane = m_Height * m_Width;
    const std::int64_t reach = (m_Neighbours - 1) / 2;
    for (std::int64_t slice = first - reach; slice < first + count + reach; ++slice)
    {
      if (m_Neighbours == 1)
      {
        CutSlice(m_Pixels.data() + (slice - first) * plane, slice);
        continue;
      }
      CutSlice(m_Slice.data(), std::clamp<std::int64_t>(slice, 0, m_Frame.Count() - 1));
      for (std::int64_t channel = 0; channel < m_Neighbours; ++channel)
      {
        const std::int64_t i = slice - channel + reach - first;
        for (std::int64_t p = 0; i >= 0 && i < count && p < plane; ++p)
        {
          m_Pixels[size_t((i * plane + p) * m_Neighbours + channel)] = m_Slice[size_t(p)];
        }
      }
    }
  }

  void
  SegmentBatch(std::int64_t first, std::int64_t count)
  {
    CutBatch(first, count);
    vdn_slices slices{};
    slices.image_channels = m_Neighbours;
    slices.count = count;
    slices.height = m_Height;
    slices.width = m_Width;
    slices.pixels = m_Pixels.data();
    slices.modality = m_Settings.modality;
    slices.first_index = m_Settings.firstSlice - m_Settings.contextBefore + first;
    Check(m_Ctx,
          vdn_segment(m_Ctx,
                      m_Probability.data(),
                      m_Uncertainty.empty() ? nullptr : m_Uncertainty.data(),
                      &slices,
                      m_Model,
                      &m_Options),
          ExitCode::Processing,
          "segmentation");
  }

  void
  Resample(float *       out,
           std::int64_t  outHeight,
           std::int64_t  outWidth,
           const float * in,
           std::int64_t  height,
           std::int64_t  width,
           std::int64_t  channels)
  {
    Check(m_Ctx,
          vdn_resample(m_Ctx, out, outHeight, outWidth, in, height, width, channels),
          ExitCode::Processing,
          "resampling");
  }

  // Slice @p i of the batch to slice @p slice of the results.
  void
  PutBack(std::int64_t slice, std::int64_t i)
  {
    const std::int64_t plane = m_Height * m_Width;
    const std::int64_t native = m_Frame.Height() * m_Frame.Width();
    const int          classes = m_Info.classes;
    const float *      probability = m_Probability.data() + i * plane * classes;
    if (!m_Same)
    {
      Resample(m_NativeProbability.data(), m_Frame.Height(), m_Frame.Width(), probability, m_Height, m_Width, classes);
      probability = m_NativeProbability.data();
    }
    for (std::int64_t p = 0; p < native; ++p)
    {
      m_NativeLabels[size_t(p)] =
        static_cast<std::uint16_t>(m_Info.class_label[LargestClass(probability + p * classes, classes)]);
    }
    m_Frame.Put(m_Result.labels->GetBufferPointer(), m_NativeLabels.data(), slice);
    if (m_Settings.probability)
    {
      for (std::int64_t p = 0; p < native; ++p)
      {
        m_NativePixels[size_t(p)] = std::clamp(1.0f - probability[p * classes], 0.0f, 1.0f);
      }
      m_Frame.Put(m_Result.probability->GetBufferPointer(), m_NativePixels.data(), slice);
    }
    PutUncertainty(slice, i);
  }

  void
  PutUncertainty(std::int64_t slice, std::int64_t i)
  {
    if (m_Uncertainty.empty())
    {
      return;
    }
    const std::int64_t plane = m_Height * m_Width;
    const float *      values = m_Uncertainty.data() + i * plane;
    double             sum = 0.0;
    for (std::int64_t p = 0; p < plane; ++p)
    {
      sum += double(values[p]);
    }
    m_Result.sliceUncertainty.push_back(sum / double(plane));
    if (!m_Settings.uncertainty)
    {
      return;
    }
    if (!m_Same)
    {
      Resample(m_NativePixels.data(), m_Frame.Height(), m_Frame.Width(), values, m_Height, m_Width, 1);
      values = m_NativePixels.data();
    }
    m_Frame.Put(m_Result.uncertainty->GetBufferPointer(), values, slice);
  }

  vdn_ctx *                  m_Ctx;
  const vdn_model *          m_Model;
  const vdn_model_info       m_Info;
  const Volume &             m_Volume;
  const SegmentSettings &    m_Settings;
  const vdn_segment_options  m_Options;
  const int                  m_Neighbours;
  const SagittalFrame        m_Frame;
  SegmentResult              m_Result;
  std::int64_t               m_Height = 0;
  std::int64_t               m_Width = 0;
  std::int64_t               m_Batch = 1;
  bool                       m_Same = true;
  std::vector<float>         m_Pixels;
  std::vector<float>         m_Slice; // one working slice that goes to several channels
  std::vector<float>         m_Probability;
  std::vector<float>         m_Uncertainty;
  std::vector<float>         m_NativePixels;
  std::vector<float>         m_NativeProbability;
  std::vector<std::uint16_t> m_NativeLabels;
};

} // namespace

vdn_segment_options
OptionsOf(const SegmentSettings & settings, const vdn_model_info & info)
{
  constexpr std::int32_t mostSteps = 1000;
  constexpr std::int32_t mostSamples = 256;
  vdn_segment_options    options = settings.options;
  if (settings.quality == Quality::Fast && options.steps == 0 && options.samples == 0)
  {
    options.prior_only = 1;
  }
  if (settings.quality == Quality::Best)
  {
    options.steps = options.steps > 0 ? options.steps : std::min(2 * info.steps, mostSteps);
    options.samples = options.samples > 0 ? options.samples : std::min(2 * info.samples, mostSamples);
  }
  return options;
}

int
LargestClass(const float * values, int count)
{
  return static_cast<int>(std::max_element(values, values + count) - values);
}

SegmentResult
SegmentVolume(vdn_ctx *               ctx,
              const vdn_model *       model,
              const Volume &          volume,
              const SegmentSettings & settings,
              const SegmentRange &    range)
{
  return Run(ctx, model, volume, settings).Work(range);
}

} // namespace verdiff

#include "store_builder.h"

#include "dataset_load.h"

#include "interrupt.h"
#include "sagittal.h"
#include "text.h"

#include <algorithm>
#include <cstring>

namespace verdiff
{
namespace
{

// The doctor has seen every case; what is wrong now has changed since.
LoadedCase
Load(const Dataset & dataset, const DatasetCase & one)
{
  Findings findings;
  auto     loaded = LoadCase(dataset, one, findings);
  if (!loaded)
  {
    throw Failure(ExitCode::Input, findings.back().file + ": " + findings.back().text);
  }
  return std::move(*loaded);
}

struct DiscardStore
{
  vdn_ctx * ctx;
  void
  operator()(vdn_store_writer * writer) const
  {
    vdn_store_discard(ctx, writer);
  }
};

class Builder
{
public:
  Builder(vdn_ctx * ctx, const std::string & path, const ClassMap & classes, const StoreSettings & settings)
    : m_Ctx(ctx)
    , m_Path(path)
    , m_Classes(classes)
    , m_Settings(settings)
    , m_Writer(nullptr, DiscardStore{ ctx })
  {}

  void
  Open(const Dataset & first)
  {
    auto header = std::make_unique<vdn_store_header>();
    std::memset(header.get(), 0, sizeof(*header));
    header->image_channels = static_cast<int32_t>(first.channels.size()) * m_Settings.neighbours;
    header->classes = static_cast<int32_t>(m_Classes.names.size());
    for (size_t k = 0; k < m_Classes.names.size(); ++k)
    {
      m_Classes.names[k].copy(header->class_name[k], VDN_NAME_BYTES - 1);
      header->class_label[k] = m_Classes.values[k];
    }
    header->pixel_spacing_mm = static_cast<float>(m_Settings.spacing);
    header->assumed_spacing_mm = static_cast<float>(m_Settings.pixelSpacing);
    header->modality = DatasetModality(first, m_Settings.modality);
    header->plane = m_Settings.plane;
    header->neighbours = m_Settings.neighbours;
    vdn_store_writer * writer = nullptr;
    Check(m_Ctx, vdn_store_create(m_Ctx, &writer, m_Path.c_str(), header.get()), ExitCode::Output);
    m_Writer.reset(writer);
  }

  /// @p prefix tells equal subjects of different data sets apart.
  void
  Add(const Dataset & dataset, size_t datasetIndex, const DatasetCase & one, const std::string & prefix)
  {
    const LoadedCase    loaded = Load(dataset, one);
    const auto &        classes = m_Classes.ofDataset[datasetIndex];
    const Volume &      first = loaded.channels[0];
    const SagittalFrame frame(*first.image, IsPlanar(first, m_Settings.plane), m_Settings.plane);
    if (m_Settings.neighbours > 1 && frame.Count() == 1)
    {
      throw Failure(ExitCode::Usage,
                    one.images[0] + Format(": one slice, --neighbours %d needs volumes; slices in files of their own "
                                           "are not put together",
                                           m_Settings.neighbours));
    }
    m_CaseId = prefix + one.id;
    m_Subject = prefix + one.subject;
    m_Slice.modality = DatasetModality(dataset, m_Settings.modality);
    SetGrid(first, frame);
    ++m_Summary.cases;
    int                empty = 0;
    const std::int64_t most = m_Settings.slicesPerCase > 0 ? m_Settings.slicesPerCase : frame.Count();
    const std::int64_t step = (frame.Count() + most - 1) / most;
    for (std::int64_t s = 0; s < frame.Count(); ++s)
    {
      if (s % step != step / 2)
      {
        ++m_Summary.leftOut;
        continue;
      }
      CutLabels(loaded.labels, frame, s, classes);
      const bool foreground = std::any_of(
        m_NativeLabels.begin(), m_NativeLabels.end(), [](std::uint8_t k) { return k != 0 && k != ClassMap::ignored; });
      if (!foreground && frame.Count() > 1 && empty++ % m_Settings.emptySlices != 0)
      {
        ++m_Summary.leftOut;
        continue;
      }
      ResampleLabels();
      CutPixels(loaded, frame, s);
      m_Slice.index = frame.Count() == 1 ? one.slice.value_or(0) : s;
      Write();
    }
  }

  StoreSummary
  Finish()
  {
    Check(m_Ctx, vdn_store_finish(m_Ctx, m_Writer.release()), ExitCode::Output);
    return m_Summary;
  }

private:
  void
  SetGrid(const Volume & volume, const SagittalFrame & frame)
  {
    const double assumed = m_Settings.pixelSpacing;
    const double row = volume.spacingKnown ? frame.RowSpacing() : assumed;
    const double column = volume.spacingKnown ? frame.ColumnSpacing() : assumed;
    const bool   resample = m_Settings.spacing > 0.0 && row > 0.0;
    m_Slice.native_height = frame.Height();
    m_Slice.native_width = frame.Width();
    m_Slice.height = resample ? vdn_resampled_size(frame.Height(), row, m_Settings.spacing) : frame.Height();
    m_Slice.width = resample ? vdn_resampled_size(frame.Width(), column, m_Settings.spacing) : frame.Width();
    m_Slice.native_spacing_mm[0] = static_cast<float>(row);
    m_Slice.native_spacing_mm[1] = static_cast<float>(column);
    m_NativeLabels.resize(size_t(frame.Height() * frame.Width()));
    m_NativeValues.resize(m_NativeLabels.size());
    m_NativePixels.resize(m_NativeLabels.size());
    m_Labels.resize(size_t(m_Slice.height * m_Slice.width));
  }

  bool
  Same() const
  {
    return m_Slice.height == m_Slice.native_height && m_Slice.width == m_Slice.native_width;
  }

  void
  Resample(float * out, const float * in, std::int64_t channels)
  {
    Check(m_Ctx,
          vdn_resample(
            m_Ctx, out, m_Slice.height, m_Slice.width, in, m_Slice.native_height, m_Slice.native_width, channels),
          ExitCode::Processing);
  }

  void
  CutLabels(const LabelVolume &                     labels,
            const SagittalFrame &                   frame,
            std::int64_t                            s,
            const std::array<std::uint8_t, 65536> & classes)
  {
    frame.Cut(m_NativeValues.data(), labels.image->GetBufferPointer(), s);
    std::transform(m_NativeValues.begin(), m_NativeValues.end(), m_NativeLabels.begin(), [&](std::uint16_t v) {
      return classes[v];
    });
  }

  // One plane per class, resampled, then the largest; ties to the lower class as everywhere.
  void
  ResampleLabels()
  {
    if (Same())
    {
      m_Labels = m_NativeLabels;
      return;
    }
    const size_t classes = m_Classes.names.size() + 1; // the last one is "ignore"
    m_OneHot.assign(m_NativeLabels.size() * classes, 0.0f);
    m_Resampled.resize(m_Labels.size() * classes);
    for (size_t p = 0; p < m_NativeLabels.size(); ++p)
    {
      const size_t k = m_NativeLabels[p] == ClassMap::ignored ? classes - 1 : m_NativeLabels[p];
      m_OneHot[p * classes + k] = 1.0f;
    }
    Resample(m_Resampled.data(), m_OneHot.data(), static_cast<std::int64_t>(classes));
    for (size_t p = 0; p < m_Labels.size(); ++p)
    {
      const float * values = m_Resampled.data() + p * classes;
      const size_t  k = static_cast<size_t>(std::max_element(values, values + classes) - values);
      m_Labels[p] = k + 1 == classes ? ClassMap::ignored : static_cast<std::uint8_t>(k);
    }
  }

  // (h, w, channels) as the store wants it: the channels of the first neighbour, then those of the next.
  void
  CutPixels(const LoadedCase & loaded, const SagittalFrame & frame, std::int64_t s)
  {
    const size_t count = loaded.channels.size();
    const size_t all = count * size_t(m_Settings.neighbours);
    m_Pixels.resize(m_Labels.size() * all);
    m_Channel.resize(m_Labels.size());
    for (size_t c = 0; c < all; ++c)
    {
      const std::int64_t offset = std::int64_t(c / count) - (m_Settings.neighbours - 1) / 2;
      const std::int64_t slice = std::clamp<std::int64_t>(s + offset, 0, frame.Count() - 1);
      frame.Cut(m_NativePixels.data(), loaded.channels[c % count].image->GetBufferPointer(), slice);
      if (Same())
      {
        m_Channel = m_NativePixels;
      }
      else
      {
        Resample(m_Channel.data(), m_NativePixels.data(), 1);
      }
      for (size_t p = 0; p < m_Labels.size(); ++p)
      {
        m_Pixels[p * all + c] = m_Channel[p];
      }
    }
  }

  void
  Write()
  {
    m_Slice.case_id = m_CaseId.c_str();
    m_Slice.subject = m_Subject.c_str();
    m_Slice.pixels = m_Pixels.data();
    m_Slice.labels = m_Labels.data();
    m_Slice.native_labels = m_NativeLabels.data();
    Check(m_Ctx, vdn_store_add(m_Ctx, m_Writer.get(), &m_Slice), ExitCode::Output, m_CaseId);
    ++m_Summary.slices;
  }

  vdn_ctx *                                       m_Ctx;
  const std::string                               m_Path;
  const ClassMap &                                m_Classes;
  const StoreSettings &                           m_Settings;
  std::unique_ptr<vdn_store_writer, DiscardStore> m_Writer;
  StoreSummary                                    m_Summary;
  std::string                                     m_CaseId;
  std::string                                     m_Subject;
  vdn_store_slice                                 m_Slice{};
  std::vector<std::uint16_t>                      m_NativeValues;
  std::vector<std::uint8_t>                       m_NativeLabels;
  std::vector<std::uint8_t>                       m_Labels;
  std::vector<float>                              m_NativePixels;
  std::vector<float>                              m_Channel;
  std::vector<float>                              m_Pixels;
  std::vector<float>                              m_OneHot;
  std::vector<float>                              m_Resampled;
};

} // namespace

StoreSummary
BuildStore(vdn_ctx *                    ctx,
           const std::string &          path,
           const std::vector<Dataset> & datasets,
           const ClassMap &             classes,
           const StoreSettings &        settings,
           Progress &                   progress)
{
  Builder builder(ctx, path, classes, settings);
  builder.Open(datasets[0]);
  struct Job
  {
    size_t              dataset;
    const DatasetCase * one;
  };
  std::vector<Job> jobs;
  for (size_t d = 0; d < datasets.size(); ++d)
  {
    for (const DatasetCase & one : datasets[d].cases)
    {
      if (!one.test && (settings.without.empty() || settings.without[d].count(one.id) == 0))
      {
        jobs.push_back({ d, &one });
      }
    }
  }
  for (size_t i = 0; i < jobs.size(); ++i)
  {
    ThrowIfInterrupted();
    const Dataset & dataset = datasets[jobs[i].dataset];
    progress.Report(double(i) / double(jobs.size()), Format("Reading case %zu of %zu", i + 1, jobs.size()));
    builder.Add(dataset, jobs[i].dataset, *jobs[i].one, datasets.size() > 1 ? dataset.name + "/" : "");
  }
  if (jobs.empty())
  {
    throw Failure(ExitCode::Input, datasets[0].folder + ": no case is left to train on");
  }
  return builder.Finish();
}

} // namespace verdiff

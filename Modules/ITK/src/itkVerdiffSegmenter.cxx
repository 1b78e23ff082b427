#include "itkVerdiffSegmenter.h"

#include "core.h"
#include "segment_volume.h"
#include "text.h"

#include <algorithm>
#include <exception>
#include <filesystem>

namespace itk
{
namespace
{

using Enums = VerdiffSegmentationImageFilterEnums;

verdiff::Volume
VolumeOf(const VerdiffSegmenter::Slab & slab)
{
  verdiff::Volume volume;
  volume.image = slab.image;
  volume.path = slab.name;
  volume.orientationKnown = slab.oriented;
  volume.spacingKnown = slab.spacingKnown;
  return volume;
}

vdn_modality
ModalityOf(Enums::Modality modality)
{
  switch (modality)
  {
    case Enums::Modality::CT:
      return VDN_MODALITY_CT;
    case Enums::Modality::XRay:
      return VDN_MODALITY_XRAY;
    default:
      return VDN_MODALITY_MR;
  }
}

verdiff::Quality
QualityOf(Enums::Quality quality)
{
  switch (quality)
  {
    case Enums::Quality::Fast:
      return verdiff::Quality::Fast;
    case Enums::Quality::Best:
      return verdiff::Quality::Best;
    default:
      return verdiff::Quality::Standard;
  }
}

verdiff::SegmentSettings
SettingsOf(const VerdiffSegmenter::Settings & wanted, const VerdiffSegmenter::Slab & slab)
{
  verdiff::SegmentSettings settings;
  vdn_segment_options_init(&settings.options);
  settings.options.steps = static_cast<int32_t>(wanted.steps);
  settings.options.samples = static_cast<int32_t>(wanted.samples);
  settings.options.start = static_cast<int32_t>(wanted.start);
  settings.options.seed = wanted.seed;
  settings.options.precision = static_cast<int32_t>(wanted.precision); // in the order of vdn.h
  settings.quality = QualityOf(wanted.quality);
  settings.modality = ModalityOf(wanted.modality);
  settings.pixelSpacing = wanted.assumedPixelSpacing;
  settings.probability = wanted.probability;
  settings.uncertainty = wanted.uncertainty;
  settings.firstSlice = slab.firstSlice;
  settings.contextBefore = slab.contextBefore;
  settings.contextAfter = slab.contextAfter;
  return settings;
}

Enums::Reason
ReasonOf(verdiff::ExitCode code)
{
  switch (code)
  {
    case verdiff::ExitCode::Usage:
      return Enums::Reason::Parameter;
    case verdiff::ExitCode::Model:
      return Enums::Reason::Model;
    case verdiff::ExitCode::Device:
      return Enums::Reason::Device;
    case verdiff::ExitCode::Memory:
      return Enums::Reason::Memory;
    default:
      return Enums::Reason::Processing;
  }
}

void
MoveSummary(VerdiffSegmenter::Summary & summary, verdiff::SegmentResult & found)
{
  summary.slices = found.slices;
  summary.height = found.height;
  summary.width = found.width;
  summary.workingHeight = found.workingHeight;
  summary.workingWidth = found.workingWidth;
  summary.rowSpacing = found.rowSpacing;
  summary.columnSpacing = found.columnSpacing;
  summary.sliceUncertainty = std::move(found.sliceUncertainty);
  summary.notes = std::move(found.notes);
}

// Equal for two calls when neither the file nor the device has changed in between.
std::string
FileKeyOf(const std::string & path)
{
  namespace fs = std::filesystem;
  std::error_code error;
  const auto      size = fs::file_size(path, error);
  const auto      time = fs::last_write_time(path, error).time_since_epoch().count();
  return path + "\n" + std::to_string(size) + " " + std::to_string(time);
}

std::string
KeyOf(const VerdiffSegmenter::Settings & settings)
{
  return FileKeyOf(settings.modelFileName) + "\n" + settings.device + "\n" + std::to_string(settings.threads) + " " +
         std::to_string(settings.maximumMemory);
}

} // namespace

std::ostream &
operator<<(std::ostream & out, Enums::Modality value)
{
  constexpr const char * names[] = { "MR", "CT", "XRay" };
  return out << "itk::VerdiffSegmentationImageFilterEnums::Modality::" << names[static_cast<size_t>(value)];
}

std::ostream &
operator<<(std::ostream & out, Enums::Quality value)
{
  constexpr const char * names[] = { "Fast", "Standard", "Best" };
  return out << "itk::VerdiffSegmentationImageFilterEnums::Quality::" << names[static_cast<size_t>(value)];
}

std::ostream &
operator<<(std::ostream & out, Enums::Precision value)
{
  constexpr const char * names[] = { "Automatic", "Float32", "BFloat16" };
  return out << "itk::VerdiffSegmentationImageFilterEnums::Precision::" << names[static_cast<size_t>(value)];
}

VerdiffSegmentationError::VerdiffSegmentationError(const char *        file,
                                                   unsigned int        line,
                                                   const std::string & text,
                                                   ReasonEnum          reason)
  : ExceptionObject(file, line, text.c_str(), "VerdiffSegmentationImageFilter")
  , m_Reason(reason)
{}

VerdiffSegmentationError::~VerdiffSegmentationError() = default;

const char *
VerdiffSegmentationError::GetNameOfClass() const
{
  return "VerdiffSegmentationError";
}

class VerdiffSegmenter::Implementation
{
public:
  Result
  Segment(const Settings & settings, const Slab & slab, const ProgressFunction & progress)
  {
    Begin(progress);
    Result result;
    try
    {
      Open(settings);
      CheckLabels(settings);
      verdiff::SegmentResult found = verdiff::SegmentVolume(
        m_Context.get(), m_Model.get(), VolumeOf(slab), SettingsOf(settings, slab), [this](double from, double to) {
          this->SetRange(from, to);
        });
      result.labels = found.labels;
      result.probability = found.probability;
      result.uncertainty = found.uncertainty;
      MoveSummary(result.summary, found);
    }
    catch (const verdiff::Failure & failure)
    {
      result.error = failure.what();
      result.reason = ReasonOf(failure.Code());
      result.stopped = m_Stopped || failure.Code() == verdiff::ExitCode::Interrupted;
    }
    m_Progress = nullptr;
    if (m_Thrown)
    {
      std::rethrow_exception(std::exchange(m_Thrown, nullptr));
    }
    return result;
  }

  // How the model cuts; read on the processor, whatever device computes later.
  vdn_model_info
  CutOf(const std::string & modelFileName)
  {
    const std::string key = FileKeyOf(modelFileName);
    if (key != m_CutKey)
    {
      m_Cut = vdn_model_info{};
      m_Cut.neighbours = 1;
      try
      {
        vdn_ctx_options options;
        vdn_ctx_options_init(&options);
        const verdiff::Context context = verdiff::MakeContext(options, verdiff::Computing());
        const verdiff::Model   model = verdiff::LoadModel(context.get(), modelFileName);
        m_Cut = verdiff::ModelInfo(model.get());
      }
      catch (const verdiff::Failure &)
      {
        // Said by the next call of Segment(), which opens the model to use it.
      }
      m_Cut.metadata_json = nullptr; // belonged to the model
      m_CutKey = key;
    }
    return m_Cut;
  }

  const vdn_ctx *
  GetContext() const
  {
    return m_Context.get();
  }
  const vdn_model *
  GetModel() const
  {
    return m_Model.get();
  }
  const std::vector<std::string> &
  GetLog() const
  {
    return m_Lines;
  }

private:
  void
  Begin(const ProgressFunction & progress)
  {
    m_Progress = &progress;
    m_Thrown = nullptr;
    m_Stopped = false;
    m_From = 0.0;
    m_To = 0.0;
  }

  void
  SetRange(double from, double to)
  {
    m_From = from;
    m_To = to;
    // The library speaks ten times a second at most, which may be never in a quick batch.
    if (Callback(this, 0.0, nullptr) != 0)
    {
      throw verdiff::Failure(verdiff::ExitCode::Interrupted, "stopped");
    }
  }

  // An exception must not travel through the frames of the C library: it waits here.
  static int
  Callback(void * user, double fraction, const char *)
  {
    auto * self = static_cast<Implementation *>(user);
    try
    {
      const double share = self->m_From + (self->m_To - self->m_From) * std::clamp(fraction, 0.0, 1.0);
      if (!self->m_Stopped && self->m_Progress && (*self->m_Progress)(share))
      {
        self->m_Stopped = true;
      }
    }
    catch (...)
    {
      self->m_Thrown = std::current_exception();
      self->m_Stopped = true;
    }
    return self->m_Stopped ? 1 : 0;
  }

  void
  Open(const Settings & settings)
  {
    const std::string key = KeyOf(settings);
    if (m_Model && key == m_Key)
    {
      return;
    }
    m_Model.reset();
    m_Context.reset();
    m_Lines.clear();
    OpenContext(settings);
    m_Model = verdiff::LoadModel(m_Context.get(), settings.modelFileName);
    m_Key = key;
  }

  void
  OpenContext(const Settings & settings)
  {
    verdiff::Computing computing;
    vdn_ctx_options    options;
    vdn_ctx_options_init(&options);
    options.progress = Callback;
    options.log = KeepLine;
    options.user = this;
    computing.device = settings.device;
    computing.threads = static_cast<int>(settings.threads);
    computing.maxMemory = static_cast<long long>(settings.maximumMemory);
    m_Context = verdiff::MakeContext(options, computing);
  }

  static void
  KeepLine(void * user, const char * line)
  {
    static_cast<Implementation *>(user)->m_Lines.emplace_back(line);
  }

  void
  CheckLabels(const Settings & settings) const
  {
    const vdn_model_info info = verdiff::ModelInfo(m_Model.get());
    for (int k = 1; k < info.classes; ++k)
    {
      if (info.class_label[k] > settings.largestLabel)
      {
        throw verdiff::Failure(verdiff::ExitCode::Model,
                               verdiff::Format("the model's label %d (%s) does not fit the output's pixel type, whose "
                                               "largest value is %.0f",
                                               info.class_label[k],
                                               info.class_name[k],
                                               settings.largestLabel));
      }
    }
  }

  verdiff::Context         m_Context;
  verdiff::Model           m_Model; // after the context: freed before it
  std::string              m_Key;
  std::string              m_CutKey;
  vdn_model_info           m_Cut{};
  const ProgressFunction * m_Progress = nullptr;
  std::exception_ptr       m_Thrown;
  std::vector<std::string> m_Lines; // what the library said when it was opened
  bool                     m_Stopped = false;
  double                   m_From = 0.0;
  double                   m_To = 0.0;
};

VerdiffSegmenter::VerdiffSegmenter()
  : m_Implementation(std::make_unique<Implementation>())
{}

VerdiffSegmenter::~VerdiffSegmenter() = default;

VerdiffSegmenter::Slicing
VerdiffSegmenter::SlicingOf(const std::string & modelFileName, ImageType * image, bool oriented) const
{
  Slab slab;
  slab.image = image;
  slab.oriented = oriented;
  const vdn_model_info         cut = m_Implementation->CutOf(modelFileName);
  const bool                   planar = verdiff::IsPlanar(VolumeOf(slab), cut.plane);
  const verdiff::SagittalFrame frame(*image, planar, cut.plane);
  return { static_cast<unsigned int>(frame.SliceAxis()),
           frame.SlicesReversed(),
           static_cast<unsigned int>((cut.neighbours - 1) / 2) };
}

VerdiffSegmenter::Result
VerdiffSegmenter::Segment(const Settings & settings, const Slab & slab, const ProgressFunction & progress)
{
  return m_Implementation->Segment(settings, slab, progress);
}

const vdn_ctx *
VerdiffSegmenter::GetContext() const
{
  return m_Implementation->GetContext();
}

const vdn_model *
VerdiffSegmenter::GetModel() const
{
  return m_Implementation->GetModel();
}

const std::vector<std::string> &
VerdiffSegmenter::GetLog() const
{
  return m_Implementation->GetLog();
}

} // namespace itk

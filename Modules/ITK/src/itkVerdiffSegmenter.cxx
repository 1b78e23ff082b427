#include "itkVerdiffSegmenter.h"

#include "core.h"
#include "segment_volume.h"
#include "text.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <filesystem>

namespace itk
{
namespace
{

using Modality = VerdiffSegmentationImageFilterEnums::Modality;

verdiff::Volume
VolumeOf(VerdiffSegmenter::ImageType * image, bool oriented)
{
  verdiff::Volume volume;
  volume.image = image;
  volume.path = "the input";
  volume.orientationKnown = oriented;
  return volume;
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
  settings.modality = wanted.modality == Modality::CT
                        ? VDN_MODALITY_CT
                        : (wanted.modality == Modality::XRay ? VDN_MODALITY_XRAY : VDN_MODALITY_MR);
  settings.probability = wanted.probability;
  settings.uncertainty = wanted.uncertainty;
  settings.firstSlice = slab.firstSlice;
  return settings;
}

// Equal for two calls when neither the file nor the device has changed in between.
std::string
KeyOf(const VerdiffSegmenter::Settings & settings)
{
  namespace fs = std::filesystem;
  std::error_code error;
  const auto      size = fs::file_size(settings.modelFileName, error);
  const auto      time = fs::last_write_time(settings.modelFileName, error).time_since_epoch().count();
  return settings.modelFileName + "\n" + std::to_string(size) + " " + std::to_string(time) + "\n" + settings.device +
         "\n" + std::to_string(settings.threads) + " " + std::to_string(settings.maximumMemory);
}

} // namespace

std::ostream &
operator<<(std::ostream & out, Modality value)
{
  const char * prefix = "itk::VerdiffSegmentationImageFilterEnums::Modality::";
  return out << prefix << (value == Modality::MR ? "MR" : (value == Modality::CT ? "CT" : "XRay"));
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
      verdiff::SegmentResult found =
        verdiff::SegmentVolume(m_Context.get(),
                               m_Model.get(),
                               VolumeOf(slab.image, slab.oriented),
                               SettingsOf(settings, slab),
                               [this](double from, double to) { this->SetRange(from, to); });
      result.labels = found.labels;
      result.probability = found.probability;
      result.uncertainty = found.uncertainty;
      result.notes = std::move(found.notes);
    }
    catch (const verdiff::Failure & failure)
    {
      result.error = failure.what();
      result.stopped = m_Stopped || failure.Code() == verdiff::ExitCode::Interrupted;
    }
    m_Progress = nullptr;
    if (m_Thrown)
    {
      std::rethrow_exception(std::exchange(m_Thrown, nullptr));
    }
    return result;
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
    OpenContext(settings);
    m_Model = verdiff::LoadModel(m_Context.get(), settings.modelFileName);
    m_Key = key;
  }

  void
  OpenContext(const Settings & settings)
  {
    std::array<char, 1024> why{};
    const char *           library = std::getenv("VERDIFF_CUDA_LIBRARY");
    vdn_ctx_options        options;
    vdn_ctx_options_init(&options);
    options.threads = static_cast<int32_t>(settings.threads);
    options.max_memory_bytes = static_cast<int64_t>(settings.maximumMemory) * 1024 * 1024;
    options.device = settings.device.c_str();
    options.progress = Callback;
    options.user = this;
    options.cuda_library = library && library[0] ? library : nullptr;
    options.why = why.data();
    options.why_bytes = why.size();
    vdn_ctx *        context = nullptr;
    const vdn_status status = vdn_ctx_create(&context, &options);
    m_Context.reset(context);
    if (status != VDN_OK)
    {
      throw verdiff::Failure(verdiff::ExitCode::Device, "device " + settings.device + ": " + why.data());
    }
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
  const ProgressFunction * m_Progress = nullptr;
  std::exception_ptr       m_Thrown;
  bool                     m_Stopped = false;
  double                   m_From = 0.0;
  double                   m_To = 0.0;
};

VerdiffSegmenter::VerdiffSegmenter()
  : m_Implementation(std::make_unique<Implementation>())
{}

VerdiffSegmenter::~VerdiffSegmenter() = default;

VerdiffSegmenter::Slicing
VerdiffSegmenter::SlicingOf(ImageType * image, bool oriented)
{
  const bool planar = verdiff::IsPlanar(VolumeOf(image, oriented));
  const auto axis = static_cast<unsigned int>(verdiff::SagittalFrame(*image, planar).Axes()[0]);
  // Slices are numbered from right to left, and x grows to the left.
  return { axis, !planar && image->GetDirection()[0][axis] < 0.0 };
}

VerdiffSegmenter::Result
VerdiffSegmenter::Segment(const Settings & settings, const Slab & slab, const ProgressFunction & progress)
{
  return m_Implementation->Segment(settings, slab, progress);
}

} // namespace itk

// VerdiffSegment INPUT OUTPUT: read, segment, write.
#include "VerdiffSegmentCLP.h"
#include "report.h"

#include "core.h"
#include "interrupt.h"
#include "modality.h"
#include "output_file.h"
#include "program.h"
#include "sagittal.h"
#include "surface.h"
#include "text.h"
#include "volume_reader.h"
#include "volume_writer.h"

#include <itkCommand.h>
#include <itkVerdiffSegmentationImageFilter.h>

#include <algorithm>
#include <filesystem>
#include <memory>

namespace
{

using namespace verdiff;
using FilterType = itk::VerdiffSegmentationImageFilter<VolumeImage, LabelImage>;

// Parts of the whole run, for the progress bar.
constexpr double readDone = 0.05;
constexpr double segmentDone = 0.95;

std::unique_ptr<OutputFile>
MaybeOutput(const Parameters & parameters, const std::string & name)
{
  const std::string path = parameters.String(name);
  return path.empty() ? nullptr : std::make_unique<OutputFile>(path);
}

// Writing over the scan, or two results into one file, would lose data.
void
CheckPathsDiffer(const Parameters & parameters)
{
  namespace fs = std::filesystem;
  std::vector<std::string> seen;
  for (const char * name :
       { "inputVolume", "model", "outputSegmentation", "probabilityVolume", "uncertaintyVolume", "report" })
  {
    const std::string path = parameters.String(name);
    for (const std::string & other : seen)
    {
      std::error_code error;
      if (!path.empty() &&
          (fs::absolute(path, error).lexically_normal() == fs::absolute(other, error).lexically_normal() ||
           fs::equivalent(path, other, error)))
      {
        throw Failure(ExitCode::Usage, path + " is given twice; inputs and outputs must be different files");
      }
    }
    seen.push_back(path);
  }
}

FilterType::QualityEnum
QualityFrom(const std::string & name)
{
  using Quality = FilterType::QualityEnum;
  return name == "fast" ? Quality::Fast : (name == "best" ? Quality::Best : Quality::Standard);
}

FilterType::PrecisionEnum
PrecisionFrom(const std::string & name)
{
  using Precision = FilterType::PrecisionEnum;
  return name == "f32" ? Precision::Float32 : (name == "bf16" ? Precision::BFloat16 : Precision::Automatic);
}

FilterType::ModalityEnum
ModalityFrom(vdn_modality modality)
{
  using Modality = FilterType::ModalityEnum;
  return modality == VDN_MODALITY_CT ? Modality::CT : (modality == VDN_MODALITY_XRAY ? Modality::XRay : Modality::MR);
}

// Known before anything is read, so that it costs no time.
void
CheckUncertainty(const Parameters & parameters)
{
  if (!parameters.String("uncertaintyVolume").empty() && parameters.String("quality") == "fast" &&
      parameters.Integer("steps") == 0 && parameters.Integer("samples") == 0)
  {
    throw Failure(ExitCode::Usage, "--quality fast draws no samples, so there is no --uncertaintyVolume");
  }
}

FilterType::Pointer
MakeFilter(const Parameters & parameters)
{
  const std::string model = parameters.String("model");
  const auto        filter = FilterType::New();
  filter->SetModelFileName(model.empty() ? BundledModelPath() : model);
  filter->SetQuality(QualityFrom(parameters.String("quality")));
  filter->SetPrecision(PrecisionFrom(parameters.String("precision")));
  filter->SetSteps(static_cast<unsigned int>(parameters.Integer("steps")));
  filter->SetSamples(static_cast<unsigned int>(parameters.Integer("samples")));
  filter->SetStart(static_cast<unsigned int>(parameters.Integer("start")));
  filter->SetSeed(static_cast<uint64_t>(parameters.Integer("seed")));
  filter->SetDevice(parameters.String("device"));
  filter->SetNumberOfThreads(static_cast<unsigned int>(parameters.Integer("threads")));
  filter->SetMaximumMemory(static_cast<unsigned int>(parameters.Integer("maxMemory")));
  filter->SetAssumedPixelSpacing(parameters.Double("pixelSpacing"));
  filter->SetProbabilityOutput(!parameters.String("probabilityVolume").empty());
  filter->SetUncertaintyOutput(!parameters.String("uncertaintyVolume").empty());
  filter->SetNotesAsWarnings(false); // they are printed here
  return filter;
}

void
SetVolume(FilterType & filter, const Volume & volume, vdn_modality modality)
{
  volume.image->SetObjectName(volume.path);
  filter.SetInput(volume.image);
  filter.SetModality(ModalityFrom(modality));
  filter.SetOrientationKnown(volume.orientationKnown);
  filter.SetSpacingKnown(volume.spacingKnown);
}

ExitCode
CodeOf(itk::VerdiffSegmentationError::ReasonEnum reason)
{
  using Reason = itk::VerdiffSegmentationError::ReasonEnum;
  switch (reason)
  {
    case Reason::Parameter:
      return ExitCode::Usage;
    case Reason::Model:
      return ExitCode::Model;
    case Reason::Device:
      return ExitCode::Device;
    case Reason::Memory:
      return ExitCode::Memory;
    default:
      return ExitCode::Processing;
  }
}

// The filter's progress as "Slice 12 of 48"; a signal or the host's wish to stop goes the other way.
class ProgressCommand : public itk::Command
{
public:
  ITK_DISALLOW_COPY_AND_MOVE(ProgressCommand);
  using Self = ProgressCommand;
  using Superclass = itk::Command;
  using Pointer = itk::SmartPointer<Self>;
  itkFactorylessNewMacro(Self);
  itkTypeMacro(ProgressCommand, Command);

  void
  Watch(Progress & progress, const Volume & volume)
  {
    m_Progress = &progress;
    m_Volume = &volume;
    m_Opening = true;
    m_Slices = 1;
  }

  /// Seconds from Watch() to the first slice: the model and the device were opened.
  double
  OpeningSeconds() const
  {
    return m_OpeningSeconds;
  }

  void
  Execute(itk::Object * caller, const itk::EventObject &) override
  {
    auto *       filter = static_cast<FilterType *>(caller);
    const double done = double(filter->GetProgress());
    if (m_Opening)
    {
      Open(*filter);
    }
    const auto slice = std::min(static_cast<std::int64_t>(done * double(m_Slices) + 1e-4) + 1, m_Slices);
    if (Progress::Callback(
          m_Progress, done, Format("Slice %lld of %lld", (long long)slice, (long long)m_Slices).c_str()) != 0)
    {
      filter->AbortGenerateDataOn();
    }
  }

  void
  Execute(const itk::Object *, const itk::EventObject &) override
  {}

protected:
  ProgressCommand() = default;

private:
  // What is known once the device and the model are open: the model's plane decides how many slices there are.
  void
  Open(const FilterType & filter)
  {
    m_Opening = false;
    m_OpeningSeconds = m_Clock.Lap();
    for (const std::string & line : filter.GetLog())
    {
      m_Progress->Print(line);
    }
    const vdn_plane plane = ModelInfo(filter.GetModel()).plane;
    m_Slices = SagittalFrame(*m_Volume->image, IsPlanar(*m_Volume), plane).Count();
  }

  Progress *     m_Progress = nullptr;
  const Volume * m_Volume = nullptr;
  std::int64_t   m_Slices = 1;
  bool           m_Opening = true;
  double         m_OpeningSeconds = 0.0;
  Stopwatch      m_Clock;
};

void
Update(FilterType & filter)
{
  try
  {
    filter.Update();
  }
  catch (const itk::ProcessAborted &)
  {
    ThrowIfInterrupted();
    throw Failure(ExitCode::Interrupted, "stopped");
  }
  catch (const itk::VerdiffSegmentationError & error)
  {
    throw Failure(CodeOf(error.GetReason()), error.GetDescription());
  }
}

std::vector<Segment>
SegmentsOf(const vdn_model_info & info)
{
  std::vector<Segment> segments;
  for (int k = 1; k < info.classes; ++k)
  {
    segments.push_back({ info.class_label[k], info.class_name[k] });
  }
  return segments;
}

struct Outputs
{
  std::unique_ptr<OutputFile> segmentation, probability, uncertainty, report;
};

// Made before the work, so that an unwritable place costs no time.
Outputs
OpenOutputs(const Parameters & parameters)
{
  return { MaybeOutput(parameters, "outputSegmentation"),
           MaybeOutput(parameters, "probabilityVolume"),
           MaybeOutput(parameters, "uncertaintyVolume"),
           MaybeOutput(parameters, "report") };
}

Volume
ReadInput(const Parameters & parameters, Progress & progress)
{
  Volume volume = ReadVolume(parameters.String("inputVolume"), parameters.String("series"));
  for (const char * name : { "outputSegmentation", "probabilityVolume", "uncertaintyVolume" })
  {
    if (!parameters.String(name).empty())
    {
      CheckOutputName(parameters.String(name), volume, std::string(name) == "outputSegmentation");
    }
  }
  const std::string surfaces = parameters.String("surfaceDirectory");
  if (!surfaces.empty())
  {
    PrepareSurfaceFolder(surfaces, volume);
  }
  for (const std::string & warning : volume.warnings)
  {
    progress.Print("Warning: " + warning);
  }
  return volume;
}

// Before the label file, which is the sign that all is there.
void
MakeSurfaces(const Parameters & parameters, const LabelImage & labels, const vdn_model_info & info, Progress & progress)
{
  const std::string folder = parameters.String("surfaceDirectory");
  if (folder.empty())
  {
    return;
  }
  for (const std::string & note : WriteSurfaces(folder, labels, SegmentsOf(info)).notes)
  {
    progress.Print("Note: " + note);
  }
}

void
PrintNotes(const itk::VerdiffSegmenter::Summary & summary, Progress & progress)
{
  for (const std::string & note : summary.notes)
  {
    progress.Print("Note: " + note);
  }
}

void
WriteImages(const Outputs & outputs, FilterType & filter, const Volume & volume, const vdn_model_info & info)
{
  if (outputs.probability)
  {
    WriteScalars(*outputs.probability, *filter.GetProbabilityImage(), volume);
  }
  if (outputs.uncertainty)
  {
    WriteScalars(*outputs.uncertainty, *filter.GetUncertaintyImage(), volume);
  }
  WriteLabels(*outputs.segmentation, *filter.GetOutput(), volume, SegmentsOf(info));
}

void
Segmentation(Program & program)
{
  const Parameters & parameters = program.parameters;
  Progress &         progress = program.progress;
  Stopwatch          clock;
  SegmentReport      report;

  CheckPathsDiffer(parameters);
  CheckUncertainty(parameters);
  CheckModelExists(parameters.String("model"));
  const Outputs outputs = OpenOutputs(parameters);
  const auto    filter = MakeFilter(parameters);

  progress.Start();
  progress.Stage(0.0, readDone, "Reading volume");
  const Volume         volume = ReadInput(parameters, progress);
  const ModalityChoice modality = ChooseModality(volume, parameters.String("modality"));
  SetVolume(*filter, volume, modality.modality);
  report.readSeconds = clock.Lap();

  progress.Stage(readDone, segmentDone, "Reading model");
  const auto command = ProgressCommand::New();
  command->Watch(progress, volume);
  filter->AddObserver(itk::ProgressEvent(), command);
  Update(*filter);
  const vdn_model_info info = ModelInfo(filter->GetModel());
  PrintNotes(filter->GetSummary(), progress);
  report.modelSeconds = command->OpeningSeconds();
  report.segmentSeconds = clock.Lap() - report.modelSeconds;

  progress.Stage(segmentDone, 1.0, "Writing");
  MakeSurfaces(parameters, *filter->GetOutput(), info, progress);
  WriteImages(outputs, *filter, volume, info);
  report.writeSeconds = clock.Lap();
  if (outputs.report)
  {
    report.parameters = &parameters;
    report.ctx = filter->GetContext();
    report.info = &info;
    report.volume = &volume;
    report.modality = &modality;
    report.summary = &filter->GetSummary();
    report.log = &filter->GetLog();
    report.labels = filter->GetOutput();
    outputs.report->Write(MakeReport(report));
    outputs.report->Commit();
  }
}

} // namespace

int
main(int argc, char * argv[])
{
  return verdiff::RunProgram(argc, argv, XMLModuleDescription, Segmentation);
}

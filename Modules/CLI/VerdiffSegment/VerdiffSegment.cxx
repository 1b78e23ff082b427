// VerdiffSegment INPUT OUTPUT: read, segment, write.
#include "description.h"
#include "report.h"

#include "core.h"
#include "modality.h"
#include "output_file.h"
#include "program.h"
#include "segment_volume.h"
#include "text.h"
#include "volume_reader.h"
#include "volume_writer.h"

#include <filesystem>
#include <memory>

namespace
{

using namespace verdiff;

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

SegmentSettings
SettingsFrom(const Parameters & parameters, vdn_modality modality)
{
  SegmentSettings settings;
  vdn_segment_options_init(&settings.options);
  settings.options.steps = static_cast<int32_t>(parameters.Integer("steps"));
  settings.options.samples = static_cast<int32_t>(parameters.Integer("samples"));
  settings.options.start = static_cast<int32_t>(parameters.Integer("start"));
  settings.options.seed = static_cast<uint64_t>(parameters.Integer("seed"));
  settings.options.prior_only = parameters.Boolean("prior") ? 1 : 0;
  const std::string precision = parameters.String("precision");
  settings.options.precision = precision == "f32" ? 1 : (precision == "bf16" ? 2 : 0);
  settings.modality = modality;
  settings.pixelSpacing = parameters.Double("pixelSpacing");
  settings.probability = !parameters.String("probabilityVolume").empty();
  settings.uncertainty = !parameters.String("uncertaintyVolume").empty();
  if (settings.uncertainty && settings.options.prior_only)
  {
    throw Failure(ExitCode::Usage, "--prior draws no samples, so there is no --uncertaintyVolume");
  }
  return settings;
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

void
Segmentation(Program & program)
{
  const Parameters & parameters = program.parameters;
  Progress &         progress = program.progress;
  Stopwatch          clock;
  SegmentReport      report;

  CheckPathsDiffer(parameters);
  CheckModelExists(parameters.String("model"));
  // Made before the work, so that an unwritable place costs no time.
  const auto output = MaybeOutput(parameters, "outputSegmentation");
  const auto probability = MaybeOutput(parameters, "probabilityVolume");
  const auto uncertainty = MaybeOutput(parameters, "uncertaintyVolume");
  const auto reportFile = MaybeOutput(parameters, "report");

  progress.Start();
  const Context ctx = MakeContext(progress, ComputingFrom(parameters));
  progress.Stage(0.0, readDone, "Reading volume");
  const Volume volume = ReadVolume(parameters.String("inputVolume"), parameters.String("series"));
  for (const char * name : { "outputSegmentation", "probabilityVolume", "uncertaintyVolume" })
  {
    if (!parameters.String(name).empty())
    {
      CheckOutputName(parameters.String(name), volume, std::string(name) == "outputSegmentation");
    }
  }
  const ModalityChoice  modality = ChooseModality(volume, parameters.String("modality"));
  const SegmentSettings settings = SettingsFrom(parameters, modality.modality);
  for (const std::string & warning : volume.warnings)
  {
    progress.Print("Warning: " + warning);
  }
  report.readSeconds = clock.Lap();

  progress.Stage(0.8 * readDone, readDone, "Reading model");
  const Model          model = LoadModel(ctx.get(), parameters.String("model"));
  const vdn_model_info info = ModelInfo(model.get());
  report.modelSeconds = clock.Lap();

  const SegmentResult result = SegmentVolume(ctx.get(), model.get(), volume, settings, progress, readDone, segmentDone);
  for (const std::string & note : result.notes)
  {
    progress.Print("Note: " + note);
  }
  report.segmentSeconds = clock.Lap();

  progress.Stage(segmentDone, 1.0, "Writing");
  if (probability)
  {
    WriteScalars(*probability, *result.probability, volume);
  }
  if (uncertainty)
  {
    WriteScalars(*uncertainty, *result.uncertainty, volume);
  }
  WriteLabels(*output, *result.labels, volume, SegmentsOf(info));
  report.writeSeconds = clock.Lap();
  if (reportFile)
  {
    report.parameters = &parameters;
    report.ctx = ctx.get();
    report.info = &info;
    report.volume = &volume;
    report.modality = &modality;
    report.settings = &settings;
    report.result = &result;
    reportFile->Write(MakeReport(report));
    reportFile->Commit();
  }
}

} // namespace

int
main(int argc, char * argv[])
{
  return verdiff::RunProgram(argc, argv, kDescription, Segmentation);
}

// VerdiffTrain DATASET OUTPUT_FOLDER: files to a slice store, training, curves, test table.
#include "VerdiffTrainCLP.h"
#include "curves.h"
#include "dataset_prepare.h"
#include "examples.h"
#include "presets.h"
#include "test_table.h"

#include "output_file.h"
#include "program.h"

#include <filesystem>

namespace
{

using namespace verdiff;
namespace fs = std::filesystem;

constexpr double storeDone = 0.1; // part of the whole run

void
MakeFolder(const std::string & folder)
{
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || !fs::is_directory(folder))
  {
    throw Failure(ExitCode::Output, folder + ": the folder cannot be made" + (error ? ": " + error.message() : ""));
  }
  OutputFile probe((fs::path(folder) / "slices.store").string()); // Removed again; proves that we may write.
}

// Before the data are read, which may take long: what the training begins with or goes on from.
void
CheckBeginning(vdn_ctx * ctx, const std::string & folder, const Parameters & parameters)
{
  const std::string initial = parameters.String("initialModel");
  const std::string checkpoint = (fs::path(folder) / "checkpoint.safetensors").string();
  std::error_code   error;
  if (!parameters.Boolean("resume"))
  {
    if (!initial.empty())
    {
      LoadModel(ctx, initial);
    }
  }
  else if (!fs::is_regular_file(checkpoint, error))
  {
    throw Failure(ExitCode::Input,
                  checkpoint +
                    ": no such file; no training in this folder came to a checkpoint: begin without --resume");
  }
}

// Hosts pass every choice whether it was touched or not: what stands at its default is not insisted on, so that a
// preset decides.
std::string
SettingsOf(const Parameters & parameters)
{
  const std::string network = parameters.String("network");
  return network == "verdiff" ? std::string() : "{\"network\": \"" + network + "\"}";
}

void
Train(Progress &          progress,
      vdn_ctx *           ctx,
      const std::string & folder,
      const Parameters &  parameters,
      const std::string & dataName)
{
  const std::string config = parameters.String("config");
  const std::string recipe = parameters.String("recipe");
  const std::string param = parameters.String("param");
  const std::string licence = parameters.String("licence");
  const std::string stated = parameters.String("dataName");
  const std::string name = stated.empty() ? dataName : stated;
  const std::string precision = parameters.String("precision");
  vdn_train_options options;
  vdn_train_options_init(&options);
  options.config = config.c_str();
  options.recipe = recipe.c_str();
  options.param = param == "x0" ? nullptr : param.c_str();
  options.licence = licence.empty() ? nullptr : licence.c_str();
  options.data_name = name.c_str();
  options.steps = parameters.Integer("steps");
  options.minutes = parameters.Double("minutes");
  options.seed = static_cast<uint64_t>(parameters.Integer("seed"));
  options.resume = parameters.Boolean("resume") ? 1 : 0;
  options.precision = precision == "f32" ? 1 : (precision == "bf16" ? 2 : 0);
  options.crop = static_cast<int32_t>(parameters.Integer("crop"));
  options.checkpoint_steps = parameters.Integer("checkpointSteps");
  options.validate_steps = parameters.Integer("validateSteps");
  options.msfm = parameters.String("msfm") == "on" ? 1 : 0;
  options.nsa = parameters.String("nsa") == "on" ? 1 : 0;
  const std::string initial = parameters.String("initialModel");
  const std::string settings = SettingsOf(parameters);
  const std::string presetName = parameters.String("preset");
  const Preset      preset = presetName.empty() ? Preset{} : FindPreset(presetName);
  Examples          examples(folder);
  options.initial_model = initial.empty() ? nullptr : initial.c_str();
  options.preset = presetName.empty() ? nullptr : preset.text.c_str();
  options.preset_name = preset.title.c_str();
  options.settings = settings.empty() ? nullptr : settings.c_str();
  examples.Attach(options);
  const std::string store = (fs::path(folder) / "slices.store").string();
  const vdn_status  status = vdn_train(ctx, folder.c_str(), store.c_str(), &options);
  if (!examples.Problem().empty())
  {
    progress.Print("Warning: no pictures of validation slices: " + examples.Problem());
  }
  if (status == VDN_ERR_ABORTED)
  {
    throw Failure(ExitCode::Interrupted, "stopped; --resume continues the checkpoint in " + folder);
  }
  if (status == VDN_ERR_ARGUMENT || status == VDN_ERR_FORMAT) // what is damaged is a checkpoint or the slices
  {
    throw Failure(status == VDN_ERR_ARGUMENT ? ExitCode::Usage : ExitCode::Input, vdn_ctx_error(ctx));
  }
  Check(ctx, status, ExitCode::Output);
}

void
Training(Program & program)
{
  const Parameters & parameters = program.parameters;
  Progress &         progress = program.progress;
  const std::string  folder = parameters.String("outputFolder");
  if (parameters.Boolean("check"))
  {
    progress.Start();
    progress.Stage(0.0, 1.0, "Checking data set");
    CheckDatasets(parameters, progress);
    return;
  }
  if (folder.empty())
  {
    throw Failure(ExitCode::Usage, "missing argument outputFolder; only --check goes without");
  }
  MakeFolder(folder);
  progress.Start();
  const Context  ctx = MakeContext(progress, ComputingFrom(parameters));
  const fs::path root(folder);
  CheckBeginning(ctx.get(), folder, parameters);
  const std::string dataName = PrepareStore(
    ctx.get(), (root / "slices.store").string(), (root / "slices.json").string(), parameters, progress, storeDone);
  progress.SetRange(storeDone, 1.0, "");
  Train(progress, ctx.get(), folder, parameters, dataName);

  const std::string problem =
    DrawCurves((root / "curves.png").string(), (root / "log.csv").string(), (root / "validation.csv").string());
  if (!problem.empty())
  {
    progress.Print("Warning: no curves: " + problem);
  }
  PrintTestTable(progress, (root / "test.json").string());
}

} // namespace

int
main(int argc, char * argv[])
{
  return verdiff::RunProgram(argc, argv, XMLModuleDescription, Training);
}

// VerdiffTrain DATASET OUTPUT_FOLDER: files to a slice store, training, curves, test table.
#include "description.h"
#include "curves.h"
#include "dataset.h"
#include "store_builder.h"
#include "test_table.h"

#include "interrupt.h"
#include "output_file.h"
#include "program.h"
#include "text.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

namespace
{

using namespace verdiff;
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

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

std::vector<Dataset>
ReadDatasets(const Parameters & parameters)
{
  std::vector<Dataset> datasets = { ReadDataset(parameters.String("dataset")) };
  for (const std::string & folder : parameters.Strings("moreData"))
  {
    datasets.push_back(ReadDataset(folder));
  }
  return datasets;
}

StoreSettings
SettingsFrom(const Parameters & parameters)
{
  StoreSettings settings;
  settings.spacing = parameters.Double("spacing");
  settings.pixelSpacing = parameters.Double("pixelSpacing");
  settings.modality = parameters.String("modality");
  settings.emptySlices = static_cast<int>(parameters.Integer("emptySlices"));
  settings.slicesPerCase = static_cast<int>(parameters.Integer("slicesPerCase"));
  return settings;
}

// What the slices were made from: a resumed training must read the same ones.
Json
StoreRecipe(const std::vector<Dataset> & datasets, const ClassMap & classes, const Parameters & parameters)
{
  Json recipe;
  for (const Dataset & dataset : datasets)
  {
    recipe["data"].push_back({ { "name", dataset.name }, { "cases", dataset.cases.size() } });
  }
  recipe["classes"] = classes.names;
  for (const char * name : { "foreground", "spacing", "pixelSpacing", "modality", "emptySlices", "slicesPerCase" })
  {
    recipe[name] = parameters.String(name);
  }
  return recipe;
}

// On resume the store that is there, if it was made the same way; otherwise a new one.
void
PrepareStore(vdn_ctx *           ctx,
             const std::string & folder,
             const Parameters &  parameters,
             Progress &          progress,
             std::string &       dataName)
{
  const std::vector<Dataset> datasets = ReadDatasets(parameters);
  const ClassMap             classes = MakeClassMap(datasets, parameters.String("foreground"));
  const std::string          store = (fs::path(folder) / "slices.store").string();
  const std::string          recipePath = (fs::path(folder) / "slices.json").string();
  const Json                 recipe = StoreRecipe(datasets, classes, parameters);
  for (const Dataset & dataset : datasets)
  {
    dataName += (dataName.empty() ? "" : ", ") + dataset.name;
  }
  if (parameters.Boolean("resume") && fs::exists(store) && fs::exists(recipePath))
  {
    std::ifstream file(recipePath);
    if (Json::parse(file, nullptr, false) != recipe)
    {
      throw Failure(ExitCode::Usage,
                    recipePath +
                      ": the slices there were made from other data or options; give the same ones to resume");
    }
    progress.Print("Using the slices of " + store);
    return;
  }
  const StoreSummary summary = BuildStore(ctx, store, datasets, classes, SettingsFrom(parameters), progress);
  OutputFile         file(recipePath);
  file.Write(recipe.dump(2) + "\n");
  file.Commit();
  progress.Print(Format("%lld slices of %lld cases in %s; %lld slices without foreground left out",
                        (long long)summary.slices,
                        (long long)summary.cases,
                        store.c_str(),
                        (long long)summary.leftOut));
}

void
Train(vdn_ctx * ctx, const std::string & folder, const Parameters & parameters, const std::string & dataName)
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
  options.param = param.c_str();
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
  const std::string store = (fs::path(folder) / "slices.store").string();
  const vdn_status  status = vdn_train(ctx, folder.c_str(), store.c_str(), &options);
  if (status == VDN_ERR_ABORTED)
  {
    throw Failure(ExitCode::Interrupted, "stopped; --resume continues the checkpoint in " + folder);
  }
  if (status == VDN_ERR_ARGUMENT)
  {
    throw Failure(ExitCode::Usage, vdn_ctx_error(ctx));
  }
  Check(ctx, status, ExitCode::Output);
}

void
Training(Program & program)
{
  const Parameters & parameters = program.parameters;
  Progress &         progress = program.progress;
  const std::string  folder = parameters.String("outputFolder");
  std::string        dataName;
  MakeFolder(folder);
  progress.Start();
  const Context ctx = MakeContext(progress, ComputingFrom(parameters));
  progress.Stage(0.0, storeDone, "Reading data set");
  PrepareStore(ctx.get(), folder, parameters, progress, dataName);
  progress.SetRange(storeDone, 1.0, "");
  Train(ctx.get(), folder, parameters, dataName);

  const fs::path    root(folder);
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
  return verdiff::RunProgram(argc, argv, kDescription, Training);
}

#include "dataset_prepare.h"

#include "dataset.h"
#include "dataset_classes.h"
#include "doctor.h"
#include "slices_recipe.h"
#include "store_builder.h"

#include "output_file.h"
#include "sagittal.h"
#include "text.h"

#include <filesystem>

namespace verdiff
{
namespace
{

namespace fs = std::filesystem;

constexpr double medianSpacing = -1.0; // of --spacing

std::vector<Dataset>
ReadDatasets(const Parameters & parameters)
{
  const std::string    layout = parameters.String("layout");
  std::vector<Dataset> datasets = { ReadDataset(parameters.String("dataset"), layout) };
  for (const std::string & folder : parameters.Strings("moreData"))
  {
    datasets.push_back(ReadDataset(folder));
  }
  return datasets;
}

vdn_plane
PlaneFrom(const Parameters & parameters)
{
  const std::string name = parameters.String("plane");
  for (const vdn_plane plane : { VDN_PLANE_AXIAL, VDN_PLANE_CORONAL })
  {
    if (name == PlaneName(plane))
    {
      return plane;
    }
  }
  return VDN_PLANE_SAGITTAL;
}

ClassChoice
ChoiceFrom(const Parameters & parameters)
{
  return { parameters.String("task"), parameters.String("foreground"), parameters.String("classes") };
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
  settings.plane = PlaneFrom(parameters);
  settings.neighbours = static_cast<int>(ParseInteger(parameters.String("neighbours")).value_or(1));
  if (settings.spacing < 0.0 && settings.spacing != medianSpacing)
  {
    throw Failure(ExitCode::Usage,
                  "spacing is " + FormatNumber(settings.spacing) +
                    " mm, must be -1 (the middle of the data), 0 (as they are) or above 0");
  }
  return settings;
}

std::vector<Checkup>
LookAtAll(const std::vector<Dataset> & datasets, const StoreSettings & settings, Progress & progress)
{
  std::vector<Checkup> checkups;
  const double         share = 1.0 / double(datasets.size());
  for (size_t d = 0; d < datasets.size(); ++d)
  {
    checkups.push_back(CheckDataset(
      datasets[d], { settings.plane, settings.pixelSpacing }, progress, share * double(d), share * double(d + 1)));
  }
  return checkups;
}

void
PrintAll(const std::vector<Dataset> & datasets, const std::vector<Checkup> & checkups, Progress & progress)
{
  for (size_t d = 0; d < datasets.size(); ++d)
  {
    for (const std::string & line : CheckupText(datasets[d], checkups[d]))
    {
      progress.Print(line);
    }
  }
}

// The first fault as an error, with the number of the others.
void
RefuseFaults(const std::vector<Checkup> & checkups, const std::string & advice)
{
  const Finding * first = nullptr;
  std::int64_t    count = 0;
  for (const Checkup & checkup : checkups)
  {
    for (const Finding & finding : checkup.findings)
    {
      if (finding.severity == Severity::Fault)
      {
        first = first ? first : &finding;
        ++count;
      }
    }
  }
  if (first)
  {
    const std::string others = count > 1 ? Format("; %lld more faults are listed above", (long long)(count - 1)) : "";
    throw Failure(ExitCode::Input, first->file + ": " + first->text + others + advice);
  }
}

// As --faults says: an error, or the cases to leave out, each of them named.
std::vector<std::set<std::string>>
CasesWithout(const std::vector<Checkup> & checkups, const std::string & policy, Progress & progress)
{
  if (policy != "skip")
  {
    RefuseFaults(checkups, "; mend them, or give --faults skip");
  }
  std::vector<std::set<std::string>> without;
  for (const Checkup & checkup : checkups)
  {
    without.push_back(FaultyCases(checkup.findings));
    for (const std::string & id : without.back())
    {
      progress.Print("Left out because of its faults: " + (id.empty() ? "a file of no case" : id));
    }
  }
  return without;
}

std::vector<std::set<int>>
ValuesPresent(const std::vector<Checkup> & checkups)
{
  std::vector<std::set<int>> present(checkups.size());
  for (size_t d = 0; d < checkups.size(); ++d)
  {
    for (const CaseFacts & facts : checkups[d].cases)
    {
      for (const auto & entry : facts.voxels)
      {
        present[d].insert(entry.first);
      }
    }
  }
  return present;
}

void
ChooseSpacing(StoreSettings & settings, const std::vector<Checkup> & checkups, Progress & progress)
{
  std::array<double, 2> range{};
  const double          median = MedianSpacing(checkups, range);
  if (settings.spacing != medianSpacing)
  {
    return;
  }
  settings.spacing = median;
  progress.Print(median > 0.0 ? "Working pixel size " + FormatNumber(median, 4) + " mm, the middle of the data (" +
                                  FormatNumber(range[0], 4) + " to " + FormatNumber(range[1], 4) + " mm)"
                              : "Working pixel size: pixels as they are, no image records a size");
}

} // namespace

void
CheckDatasets(const Parameters & parameters, Progress & progress)
{
  const std::vector<Dataset> datasets = ReadDatasets(parameters);
  const std::string          report = parameters.String("checkReport");
  const auto                 checkups = LookAtAll(datasets, SettingsFrom(parameters), progress);
  PrintAll(datasets, checkups, progress);
  if (!report.empty())
  {
    OutputFile file(report);
    file.Write(CheckupJson(datasets, checkups));
    file.Commit();
  }
  RefuseFaults(checkups, "");
}

std::string
PrepareStore(vdn_ctx *           ctx,
             const std::string & store,
             const std::string & recipePath,
             const Parameters &  parameters,
             Progress &          progress,
             double              done)
{
  progress.Stage(0.0, 0.5 * done, "Checking data set");
  const std::vector<Dataset> datasets = ReadDatasets(parameters);
  const ClassChoice          choice = ChoiceFrom(parameters);
  const auto                 recipe = SlicesRecipe(datasets, MakeClassMap(datasets, choice), parameters);
  StoreSettings              settings = SettingsFrom(parameters);
  std::string                dataName;
  for (const Dataset & dataset : datasets)
  {
    (void)DatasetModality(dataset, settings.modality);
    dataName += (dataName.empty() ? "" : ", ") + dataset.name;
  }
  if (SlicesAreThere(store, recipePath, recipe, parameters.Boolean("resume")))
  {
    progress.Print("Using the slices of " + store);
    return dataName;
  }
  const auto checkups = LookAtAll(datasets, settings, progress);
  PrintAll(datasets, checkups, progress);
  settings.without = CasesWithout(checkups, parameters.String("faults"), progress);
  ChooseSpacing(settings, checkups, progress);
  const ClassMap classes = MakeClassMap(datasets, choice, ValuesPresent(checkups));
  progress.Stage(0.5 * done, done, "Reading data set");
  fs::remove(recipePath); // it must never stand beside other slices
  const StoreSummary summary = BuildStore(ctx, store, datasets, classes, settings, progress);
  OutputFile         file(recipePath);
  file.Write(recipe.dump(2) + "\n");
  file.Commit();
  progress.Print(Format("%lld slices of %lld cases in %s; %lld left out (without foreground, or thinned out)",
                        (long long)summary.slices,
                        (long long)summary.cases,
                        store.c_str(),
                        (long long)summary.leftOut));
  return dataName;
}

} // namespace verdiff

// VerdiffSimulate OUTPUT_FOLDER: analytic spine phantoms as an nnU-Net raw data set.
#include "VerdiffSimulateCLP.h"

#include "layout_writer.h"
#include "phantom_files.h"

#include "interrupt.h"
#include "output_file.h"
#include "phantom.h"
#include "phantom_subject.h"
#include "program.h"
#include "text.h"

#include <nlohmann/json.hpp>

#include <filesystem>

namespace
{

using namespace verdiff;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

struct Settings
{
  std::string     folder;
  std::string     modalityName;
  PhantomModality modality = PhantomModality::Mr;
  bool            vertebraOnly = false;
  int             cases = 0;
  uint64_t        seed = 0;
  float           coarse = 1.0F;
  std::string     layout;
};

constexpr const char * imageFolder = "imagesTr";
constexpr const char * labelFolder = "labelsTr";
constexpr const char * vertebraFolder = "labelsVertebraeTr";

Settings
ReadSettings(const Parameters & parameters)
{
  Settings settings;
  settings.folder = parameters.String("outputFolder");
  settings.modalityName = parameters.String("modality");
  settings.modality = settings.modalityName == "mr"
                        ? PhantomModality::Mr
                        : (settings.modalityName == "ct" ? PhantomModality::Ct : PhantomModality::Xray);
  settings.vertebraOnly = parameters.String("labels") == "vertebra" || settings.modality == PhantomModality::Xray;
  settings.cases = static_cast<int>(parameters.Integer("cases"));
  settings.seed = static_cast<uint64_t>(parameters.Integer("seed"));
  settings.coarse = static_cast<float>(parameters.Double("coarse"));
  settings.layout = parameters.String("layout");
  return settings;
}

void
MakeFolders(const std::string & folder)
{
  if (fs::exists(fs::path(folder) / "dataset.json"))
  {
    throw Failure(ExitCode::Output, folder + ": holds a data set already; remove it or name another folder");
  }
  for (const char * part : { imageFolder, labelFolder, vertebraFolder })
  {
    std::error_code error;
    fs::create_directories(fs::path(folder) / part, error);
    if (error)
    {
      throw Failure(ExitCode::Output, folder + ": cannot be made: " + error.message());
    }
  }
}

std::vector<uint8_t>
LabelsToWrite(const Settings & settings, const Phantom & phantom)
{
  std::vector<uint8_t> labels = phantom.labels;
  for (uint8_t & label : labels)
  {
    label = settings.vertebraOnly && label != PhantomVertebra ? uint8_t{ PhantomBackground } : label;
  }
  return labels;
}

void
WriteCase(const Settings & settings, const std::string & name, const Phantom & phantom)
{
  const fs::path folder = settings.folder;
  const bool     plane = phantom.dimension == 2;
  const char *   ending = plane ? ".png" : ".nii.gz";
  const auto     image = (folder / imageFolder / (name + "_0000" + ending)).string();
  const auto     labels = (folder / labelFolder / (name + ending)).string();
  const auto     values = LabelsToWrite(settings, phantom);
  const auto     numbers = (folder / vertebraFolder / (name + ending)).string();
  if (plane)
  {
    const auto write = [&](const std::string & path, const std::vector<uint8_t> & pixels) {
      WritePicture(path, int(phantom.size[0]), int(phantom.size[1]), pixels, phantom.spacing[0]);
    };
    write(image, { phantom.pixels.begin(), phantom.pixels.end() });
    write(labels, values);
    write(numbers, phantom.numbers);
    return;
  }
  WriteScan(image, phantom);
  WriteLabelVolume(labels, phantom, values);
  WriteLabelVolume(numbers, phantom, phantom.numbers);
}

void
WriteDescription(const Settings & settings, int images, const Json & contents)
{
  const bool plane = settings.modality == PhantomModality::Xray;
  Json       json;
  json["name"] = "Verdiff phantoms, " + settings.modalityName +
                 Format(", seed %llu", static_cast<unsigned long long>(settings.seed));
  json["channel_names"] = { { "0", settings.modality == PhantomModality::Mr ? "MR" : (plane ? "X-ray" : "CT") } };
  json["labels"] = { { "background", 0 }, { "vertebra", 1 } };
  if (!settings.vertebraOnly)
  {
    json["labels"]["disc"] = 2;
    json["labels"]["canal"] = 3;
    json["labels"]["sacrum"] = 4;
  }
  json["numTraining"] = images;
  json["file_ending"] = plane ? ".png" : ".nii.gz";
  json["licence"] = "CC0-1.0";
  json["reference"] = std::string("VerdiffSimulate ") + VDN_VERSION;
  json["vertebrae"] = std::string(vertebraFolder) + ": VerSe numbers; 8-19 T1-T12, 20-25 L1-L6, 26 sacrum, 27 coccyx";
  json["contents"] = contents;
  OutputFile file((fs::path(settings.folder) / "dataset.json").string());
  file.Write(json.dump(2) + "\n");
  file.Commit();
}

// The phantoms of subject @p number: one volume, or two radiographs whose names end in _s1 and _s2, so
// that a split by subject keeps them together.
std::vector<std::pair<std::string, Phantom>>
MakeSubjectImages(const Settings & settings, int number, const PhantomProgress & progress)
{
  const std::string    name = settings.modalityName + Format("%04d", number);
  const PhantomRequest request{ settings.modality, settings.seed, static_cast<uint32_t>(number), settings.coarse };
  std::vector<std::pair<std::string, Phantom>> images;
  if (settings.modality == PhantomModality::Xray)
  {
    std::array<Phantom, 2> films = MakePhantomRadiographs(request, progress);
    images.emplace_back(name + "_s1", std::move(films[0]));
    images.emplace_back(name + "_s2", std::move(films[1]));
    return images;
  }
  images.emplace_back(name, MakePhantomVolume(request, progress));
  return images;
}

void
CheckEmpty(const std::string & folder)
{
  std::error_code error;
  if (fs::exists(folder, error) && !fs::is_empty(folder, error))
  {
    throw Failure(ExitCode::Output, folder + ": is not empty; remove it or name another folder");
  }
}

// Another layout than nnU-Net's: its own modality and label values, and cases that fit it.
void
SimulateLayout(const Settings & settings, Progress & progress)
{
  constexpr int tries = 40; // for each case
  CheckEmpty(settings.folder);
  LayoutWriter writer(settings.layout, settings.folder);
  int          written = 0;
  for (uint32_t number = 1; written < settings.cases && int(number) <= tries * settings.cases; ++number)
  {
    const PhantomRequest  request{ writer.Modality(), settings.seed, number, settings.coarse };
    const PhantomProgress report = [&](double) {
      progress.Report(double(written) / settings.cases, Format("Case %d of %d", written + 1, settings.cases));
      return !Interrupted();
    };
    const Phantom phantom = writer.Modality() == PhantomModality::Xray ? MakePhantomRadiographs(request, report)[0]
                                                                       : MakePhantomVolume(request, report);
    if (Interrupted())
    {
      throw Failure(ExitCode::Interrupted, Format("stopped by a signal after %d cases", written));
    }
    written += writer.Add(phantom, written + 1) ? 1 : 0;
  }
  if (written < settings.cases)
  {
    throw Failure(
      ExitCode::Processing,
      Format(
        "only %d of %d phantoms fit layout %s; try another seed", written, settings.cases, settings.layout.c_str()));
  }
  writer.Finish();
  progress.Print(Format("%d cases in %s, layout %s", written, settings.folder.c_str(), settings.layout.c_str()));
}

void
Simulate(Program & program)
{
  const Settings settings = ReadSettings(program.parameters);
  SetPhantomThreads(static_cast<int>(program.parameters.Integer("threads")));
  if (settings.layout != "nnunet")
  {
    program.progress.Start();
    SimulateLayout(settings, program.progress);
    return;
  }
  MakeFolders(settings.folder);
  program.progress.Start();
  Json contents = Json::object();
  int  written = 0;
  for (int i = 0; i < settings.cases; ++i)
  {
    const std::string comment = Format("Case %d of %d", i + 1, settings.cases);
    program.progress.SetRange(static_cast<double>(i) / settings.cases, static_cast<double>(i + 1) / settings.cases, "");
    const PhantomProgress progress = [&](double share) {
      program.progress.Report(0.8 * share, comment);
      return !Interrupted();
    };
    const auto images = MakeSubjectImages(settings, i + 1, progress);
    if (Interrupted())
    {
      throw Failure(
        ExitCode::Interrupted,
        Format("stopped by a signal; %d of %d cases are complete, dataset.json is not written", i, settings.cases));
    }
    for (const auto & [name, phantom] : images)
    {
      WriteCase(settings, name, phantom);
      contents[name] = phantom.description;
      ++written;
    }
  }
  WriteDescription(settings, written, contents);
  program.progress.Print(Format("%d images in %s", written, settings.folder.c_str()));
}

} // namespace

int
main(int argc, char * argv[])
{
  return verdiff::RunProgram(argc, argv, XMLModuleDescription, Simulate);
}

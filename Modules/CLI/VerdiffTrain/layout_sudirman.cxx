// Axial lumbar MR of Sudirman et al.: Label_Images/L1_<patient>_D<3|4|5>.png with the slices T2_<patient>_D<...>.png in
// T2_Output. Values 50 disc, 100 posterior element, 150 thecal sac, 200 the area between, 250 everything else.
#include "layout.h"
#include "text.h"

#include <set>

namespace verdiff
{
namespace
{

constexpr const char * labelFolders[] = { "/05_Final_Ground_Truth_Data/Label_Images", "/Label_Images" };
constexpr const char * imageFolders[] = { "/04_Intermediary_Ground_Truth_Data/T2_Output", "/T2_Output" };

template <size_t VCount>
std::string
FirstFolder(const std::string & folder, const char * const (&names)[VCount])
{
  for (const char * name : names)
  {
    if (IsFolder(folder + name))
    {
      return folder + name + "/";
    }
  }
  return "";
}

// "0012_D4" of "L1_0012_D4.png".
std::optional<std::string>
IdIn(const std::string & name, const std::string & begin)
{
  const auto stem = Without(name, ".png");
  const bool fits = stem && stem->rfind(begin, 0) == 0 && stem->find("_D") != std::string::npos;
  return fits ? std::optional<std::string>(stem->substr(begin.size())) : std::nullopt;
}

std::optional<std::string>
Recognise(const std::string & folder)
{
  const std::string labels = FirstFolder(folder, labelFolders);
  for (const std::string & name : labels.empty() ? std::vector<std::string>() : NamesIn(labels))
  {
    if (IdIn(name, "L1_"))
    {
      return "Label_Images with L1_*_D*.png";
    }
  }
  return std::nullopt;
}

void
Read(Dataset & dataset)
{
  const std::string labels = FirstFolder(dataset.folder, labelFolders);
  std::string       images = FirstFolder(dataset.folder, imageFolders);
  dataset.channels = { "MR T2" };
  dataset.modality = VDN_MODALITY_MR;
  UseSource(dataset, "sudirman");
  if (images.empty())
  {
    images = dataset.folder + imageFolders[0] + std::string("/");
  }
  for (const std::string & name : NamesIn(labels))
  {
    const auto id = IdIn(name, "L1_");
    if (!id)
    {
      continue;
    }
    const std::string image = images + "T2_" + *id + ".png";
    if (!IsFile(image))
    {
      AddMissing(dataset, *id, image, labels + name);
      continue;
    }
    DatasetCase one;
    one.id = *id;
    one.subject = id->substr(0, id->find('_'));
    one.slice = ParseInteger(id->substr(id->find("_D") + 2));
    one.images = { image };
    one.labels = labels + name;
    dataset.cases.push_back(std::move(one));
  }
  for (const std::string & name : NamesIn(images))
  {
    const auto id = IdIn(name, "T2_");
    if (id && !IsFile(labels + "L1_" + *id + ".png"))
    {
      AddMissing(dataset, *id, labels + "L1_" + *id + ".png", images + name);
    }
  }
  dataset.notes.push_back(dataset.folder + ": pixels are 0.6875 mm where the authors state it; the files do not say so "
                                           "(--pixelSpacing 0.6875). Vertebrae are not labelled");
}

} // namespace

const Layout layoutSudirman = { "sudirman",
                                "05_Final_Ground_Truth_Data/Label_Images/L1_*_D*.png and "
                                "04_Intermediary_Ground_Truth_Data/T2_Output/T2_*_D*.png",
                                Recognise,
                                Read };

} // namespace verdiff

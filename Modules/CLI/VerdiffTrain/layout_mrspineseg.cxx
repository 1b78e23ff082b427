// MRSpineSeg: MR/Case<N>.nii.gz with Mask/mask_case<N>.nii.gz, here or in train.
#include "layout.h"
#include "text.h"

#include <set>

namespace verdiff
{
namespace
{

std::string
Root(const std::string & folder)
{
  for (const char * below : { "", "/train" })
  {
    if (IsFolder(folder + below + "/MR") && IsFolder(folder + below + "/Mask"))
    {
      return folder + below;
    }
  }
  return "";
}

// The number in "Case12.nii.gz" or "mask_case12.nii.gz".
std::optional<std::string>
NumberIn(const std::string & name, const std::string & begin)
{
  const auto stem = Without(LowerCase(name), ".nii.gz");
  if (!stem || stem->rfind(begin, 0) != 0 || !ParseInteger(stem->substr(begin.size())))
  {
    return std::nullopt;
  }
  return stem->substr(begin.size());
}

std::optional<std::string>
Recognise(const std::string & folder)
{
  const std::string root = Root(folder);
  for (const std::string & name : NamesIn(root + "/Mask"))
  {
    if (!root.empty() && NumberIn(name, "mask_case"))
    {
      return "MR with Case*.nii.gz and Mask with mask_case*.nii.gz";
    }
  }
  return std::nullopt;
}

void
Read(Dataset & dataset)
{
  const std::string root = Root(dataset.folder);
  dataset.channels = { "MR T2" };
  dataset.modality = VDN_MODALITY_MR;
  UseSource(dataset, "mrspineseg");
  std::map<std::string, std::string> images;
  for (const std::string & name : NamesIn(root + "/MR"))
  {
    if (const auto number = NumberIn(name, "case"))
    {
      images[*number] = root + "/MR/" + name;
    }
  }
  for (const std::string & name : NamesIn(root + "/Mask"))
  {
    const auto number = NumberIn(name, "mask_case");
    if (!number)
    {
      continue;
    }
    const auto image = images.find(*number);
    if (image == images.end())
    {
      AddMissing(dataset, "Case" + *number, root + "/MR/Case" + *number + ".nii.gz", root + "/Mask/" + name);
      continue;
    }
    DatasetCase one;
    one.id = "Case" + *number;
    one.images = { image->second };
    one.labels = root + "/Mask/" + name;
    dataset.cases.push_back(std::move(one));
    images.erase(image);
  }
  for (const auto & [number, path] : images)
  {
    AddMissing(dataset, "Case" + number, root + "/Mask/mask_case" + number + ".nii.gz", path);
  }
}

} // namespace

const Layout layoutMrspineseg = { "mrspineseg",
                                  "MR/CaseN.nii.gz and Mask/mask_caseN.nii.gz, here or in train",
                                  Recognise,
                                  Read };

} // namespace verdiff

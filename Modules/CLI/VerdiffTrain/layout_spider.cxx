// SPIDER: images/<id>_<sequence>.mha with masks of the same names. Vertebrae 1-25 and discs 201-225 are counted from
// the bottom, 100 is the canal, 101-125 are vertebrae that are partly visible; the sacrum is not labelled.
#include "layout.h"
#include "text.h"

namespace verdiff
{
namespace
{

constexpr const char * ending = ".mha";

bool
HoldsMha(const std::string & folder)
{
  for (const std::string & name : NamesIn(folder))
  {
    if (Without(name, ending))
    {
      return true;
    }
  }
  return false;
}

std::optional<std::string>
Recognise(const std::string & folder)
{
  if (!HoldsMha(folder + "/images") || !HoldsMha(folder + "/masks"))
  {
    return std::nullopt;
  }
  return "images and masks with *.mha";
}

void
Read(Dataset & dataset)
{
  const std::string images = dataset.folder + "/images/";
  const std::string masks = dataset.folder + "/masks/";
  dataset.channels = { "MR" };
  dataset.modality = VDN_MODALITY_MR;
  UseSource(dataset, "spider");
  for (const std::string & name : NamesIn(masks))
  {
    const auto id = Without(name, ending);
    if (!id)
    {
      continue;
    }
    if (!IsFile(images + name))
    {
      AddMissing(dataset, *id, images + name, masks + name);
      continue;
    }
    DatasetCase one;
    one.id = *id;
    one.subject = id->substr(0, id->find('_')); // 12_t1, 12_t2 and 12_t2_SPACE are one patient
    one.images = { images + name };
    one.labels = masks + name;
    dataset.cases.push_back(std::move(one));
  }
  for (const std::string & name : NamesIn(images))
  {
    if (Without(name, ending) && !IsFile(masks + name))
    {
      AddMissing(dataset, *Without(name, ending), masks + name, images + name);
    }
  }
  dataset.notes.push_back(dataset.folder +
                          ": SPIDER counts from the bottom; its lowest vertebra is taken for L5, which "
                          "is wrong for spines with four or six lumbar vertebrae");
}

} // namespace

const Layout layoutSpider = { "spider", "images/ID.mha and masks/ID.mha", Recognise, Read };

} // namespace verdiff

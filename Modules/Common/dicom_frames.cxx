#include "dicom_frames.h"

#include "dicom_elements.h"
#include "text.h"

#include <cstdint>

namespace verdiff
{

using namespace dicom;

namespace
{

// The data set inside functional group @p group of frame @p number, from the per-frame groups first
// and the shared ones otherwise.
std::optional<gdcm::DataSet>
FunctionalGroup(const gdcm::DataSet & data, int number, const Tag & group)
{
  const auto inItem = [&](const Tag & sequenceTag, int item) -> std::optional<gdcm::DataSet> {
    const auto groups = SequenceOf(data, sequenceTag);
    if (!groups || static_cast<int>(groups->GetNumberOfItems()) < item)
    {
      return std::nullopt;
    }
    const auto macro = SequenceOf(groups->GetItem(static_cast<size_t>(item)).GetNestedDataSet(), group);
    if (!macro || macro->GetNumberOfItems() < 1)
    {
      return std::nullopt;
    }
    return macro->GetItem(1).GetNestedDataSet();
  };
  const auto own = inItem(Tag(0x5200, 0x9230), number + 1);
  return own ? own : inItem(Tag(0x5200, 0x9229), 1);
}

void
SetPosition(DicomFrame & frame, const gdcm::DataSet & data)
{
  const auto numbers = NumbersOf(data, Tag(0x0020, 0x0032));
  if (numbers.size() == 3)
  {
    frame.position = Vector3{ numbers[0], numbers[1], numbers[2] };
  }
}

void
SetOrientation(DicomFrame & frame, const gdcm::DataSet & data)
{
  const auto numbers = NumbersOf(data, Tag(0x0020, 0x0037));
  if (numbers.size() == 6)
  {
    frame.rowAxis = Vector3{ numbers[0], numbers[1], numbers[2] };
    frame.columnAxis = Vector3{ numbers[3], numbers[4], numbers[5] };
  }
}

void
SetRescale(DicomFrame & frame, const gdcm::DataSet & data)
{
  const auto slope = NumbersOf(data, Tag(0x0028, 0x1053));
  const auto intercept = NumbersOf(data, Tag(0x0028, 0x1052));
  if (slope.size() == 1 && slope[0] != 0.0)
  {
    frame.slope = slope[0];
  }
  if (intercept.size() == 1)
  {
    frame.intercept = intercept[0];
  }
}

void
SetSpacing(DicomFrame & frame, const gdcm::DataSet & data)
{
  const auto spacing = NumbersOf(data, Tag(0x0028, 0x0030));
  const auto thickness = NumbersOf(data, Tag(0x0018, 0x0050));
  if (spacing.size() == 2)
  {
    frame.rowSpacing = spacing[0];
    frame.columnSpacing = spacing[1];
  }
  if (thickness.size() == 1)
  {
    frame.thickness = thickness[0];
  }
}

std::string
NumberText(const std::optional<double> & value)
{
  return value ? FormatNumber(*value) : std::string();
}

template <typename T>
std::string
IntegerText(const std::optional<T> & value)
{
  return value ? std::to_string(*value) : std::string();
}

std::string
FirstOf(const std::string & a, const std::string & b)
{
  return a.empty() ? b : a;
}

void
SetKeys(DicomFrame & frame, const gdcm::DataSet & data)
{
  frame.kind = TextOf(data, Tag(0x0008, 0x0008));
  frame.acquisition = TextOf(data, Tag(0x0020, 0x0012));
  frame.time = FirstOf(TextOf(data, Tag(0x0020, 0x0100)), TextOf(data, Tag(0x0018, 0x1060)));
  frame.echo = FirstOf(TextOf(data, Tag(0x0018, 0x0081)), TextOf(data, Tag(0x0018, 0x0086)));
  frame.weight = NumberText(BinaryOf<double>(data, Tag(0x0018, 0x9087)));
}

void
SetGroupKeys(DicomFrame & frame, const gdcm::DataSet & data)
{
  const auto group = [&](int a, int b) {
    return FunctionalGroup(data, frame.number, Tag(std::uint16_t(a), std::uint16_t(b)));
  };
  if (const auto content = group(0x0020, 0x9111))
  {
    frame.stack = TextOf(*content, Tag(0x0020, 0x9056));
    frame.time = FirstOf(IntegerText(BinaryOf<std::uint32_t>(*content, Tag(0x0020, 0x9128))), frame.time);
    frame.acquisition = FirstOf(IntegerText(BinaryOf<std::uint16_t>(*content, Tag(0x0020, 0x9156))), frame.acquisition);
  }
  if (const auto echo = group(0x0018, 0x9114))
  {
    frame.echo = FirstOf(NumberText(BinaryOf<double>(*echo, Tag(0x0018, 0x9082))), frame.echo);
  }
  if (const auto diffusion = group(0x0018, 0x9117))
  {
    frame.weight = FirstOf(NumberText(BinaryOf<double>(*diffusion, Tag(0x0018, 0x9087))), frame.weight);
  }
  for (const auto & type : { group(0x0018, 0x9226), group(0x0018, 0x9329) }) // MR, CT
  {
    frame.kind = type ? FirstOf(TextOf(*type, Tag(0x0008, 0x9007)), frame.kind) : frame.kind;
  }
}

void
SetGroups(DicomFrame & frame, const gdcm::DataSet & data)
{
  if (const auto group = FunctionalGroup(data, frame.number, Tag(0x0020, 0x9113)))
  {
    SetPosition(frame, *group);
  }
  if (const auto group = FunctionalGroup(data, frame.number, Tag(0x0020, 0x9116)))
  {
    SetOrientation(frame, *group);
  }
  if (const auto group = FunctionalGroup(data, frame.number, Tag(0x0028, 0x9145)))
  {
    SetRescale(frame, *group);
  }
  if (const auto group = FunctionalGroup(data, frame.number, Tag(0x0028, 0x9110)))
  {
    SetSpacing(frame, *group);
  }
  SetGroupKeys(frame, data);
}

} // namespace

void
AddFrames(DicomFile & file, const gdcm::DataSet & data, int count)
{
  DicomFrame plain;
  plain.path = file.path;
  SetPosition(plain, data);
  SetOrientation(plain, data);
  SetRescale(plain, data);
  SetSpacing(plain, data);
  SetKeys(plain, data);
  const auto detector = NumbersOf(data, Tag(0x0018, 0x1164));
  const bool grouped = data.FindDataElement(Tag(0x5200, 0x9229)) || data.FindDataElement(Tag(0x5200, 0x9230));
  for (int number = 0; number < count; ++number)
  {
    DicomFrame frame = plain;
    frame.number = number;
    if (count > 1)
    {
      frame.position.reset(); // One position for many frames places none of them.
    }
    if (grouped)
    {
      SetGroups(frame, data);
    }
    if (!frame.rowSpacing && detector.size() == 2)
    {
      frame.rowSpacing = detector[0];
      frame.columnSpacing = detector[1];
      file.spacingAtDetector = true;
    }
    file.frames.push_back(frame);
  }
}

} // namespace verdiff

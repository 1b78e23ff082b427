#include "dicom_elements.h"

#include "text.h"

#include <algorithm>

namespace verdiff
{
namespace dicom
{

std::string
TextOf(const gdcm::DataSet & data, const Tag & tag)
{
  if (!data.FindDataElement(tag))
  {
    return {};
  }
  const gdcm::ByteValue * bytes = data.GetDataElement(tag).GetByteValue();
  if (!bytes)
  {
    return {};
  }
  std::string text(bytes->GetPointer(), bytes->GetLength());
  text.erase(std::remove(text.begin(), text.end(), '\0'), text.end());
  return Trim(text);
}

std::vector<double>
NumbersOf(const gdcm::DataSet & data, const Tag & tag)
{
  std::vector<double> numbers;
  for (const std::string & part : Split(TextOf(data, tag), '\\'))
  {
    const auto value = ParseDouble(Trim(part));
    if (!value)
    {
      return {};
    }
    numbers.push_back(*value);
  }
  return numbers;
}

gdcm::SmartPointer<gdcm::SequenceOfItems>
SequenceOf(const gdcm::DataSet & data, const Tag & tag)
{
  if (!data.FindDataElement(tag))
  {
    return nullptr;
  }
  return data.GetDataElement(tag).GetValueAsSQ();
}

} // namespace dicom
} // namespace verdiff

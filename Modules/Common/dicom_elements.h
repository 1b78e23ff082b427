// Single elements of a GDCM data set as texts and numbers.
#pragma once

#include <gdcmDataSet.h>
#include <gdcmSequenceOfItems.h>

#include <cstring>
#include <optional>
#include <string>
#include <vector>

namespace verdiff
{
namespace dicom
{

using gdcm::Tag;

/// An element of a string type without padding; "" when it is not there.
std::string
TextOf(const gdcm::DataSet & data, const Tag & tag);

/// The numbers of a string type (DS, IS); none when one of them is no number.
std::vector<double>
NumbersOf(const gdcm::DataSet & data, const Tag & tag);

gdcm::SmartPointer<gdcm::SequenceOfItems>
SequenceOf(const gdcm::DataSet & data, const Tag & tag);

/// The first value of a binary type whose width is that of @p T (US, SS, UL, FD).
template <typename T>
std::optional<T>
BinaryOf(const gdcm::DataSet & data, const Tag & tag)
{
  const gdcm::ByteValue * bytes = data.FindDataElement(tag) ? data.GetDataElement(tag).GetByteValue() : nullptr;
  if (!bytes || bytes->GetLength() < sizeof(T))
  {
    return std::nullopt;
  }
  T value;
  std::memcpy(&value, bytes->GetPointer(), sizeof(T));
  return value;
}

} // namespace dicom
} // namespace verdiff

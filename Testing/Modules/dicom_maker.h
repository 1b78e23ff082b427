// DICOM files for tests, written by GDCM: classic slices and enhanced multi-frame images.
#pragma once

#include <gdcmDataSet.h>
#include <gdcmImageChangeTransferSyntax.h>
#include <gdcmImageReader.h>
#include <gdcmSequenceOfItems.h>
#include <gdcmWriter.h>

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace verdiff_test
{
namespace made
{

using gdcm::DataSet;
using gdcm::Tag;
using gdcm::VR;

inline void
PutBytes(DataSet & data, Tag tag, VR::VRType type, const void * bytes, size_t count)
{
  gdcm::DataElement element(tag);
  element.SetVR(type);
  element.SetByteValue(static_cast<const char *>(bytes), gdcm::VL(static_cast<std::uint32_t>(count)));
  data.Replace(element);
}

inline void
PutText(DataSet & data, Tag tag, VR::VRType type, std::string text)
{
  text += text.size() % 2 == 0 ? "" : (type == VR::UI ? std::string(1, '\0') : " ");
  PutBytes(data, tag, type, text.data(), text.size());
}

template <typename T>
void
PutNumber(DataSet & data, Tag tag, VR::VRType type, T value)
{
  PutBytes(data, tag, type, &value, sizeof(value));
}

inline void
PutShort(DataSet & data, Tag tag, int value)
{
  PutNumber(data, tag, VR::US, static_cast<std::uint16_t>(value));
}

inline void
PutSequence(DataSet & data, Tag tag, const std::vector<DataSet> & items)
{
  gdcm::SmartPointer<gdcm::SequenceOfItems> sequence = new gdcm::SequenceOfItems;
  sequence->SetLengthToUndefined();
  for (const DataSet & nested : items)
  {
    gdcm::Item item;
    item.SetVLToUndefined();
    item.SetNestedDataSet(nested);
    sequence->AddItem(item);
  }
  gdcm::DataElement element(tag);
  element.SetVR(VR::SQ);
  element.SetValue(*sequence);
  element.SetVLToUndefined();
  data.Replace(element);
}

inline DataSet
Nested(const std::function<void(DataSet &)> & fill)
{
  DataSet data;
  fill(data);
  return data;
}

inline std::string
Place(double x, double y, double z)
{
  return std::to_string(x) + "\\" + std::to_string(y) + "\\" + std::to_string(z);
}

/// An MR image of @p columns x @p rows with 16-bit @p pixels (all frames one after the other); no position.
inline DataSet
Picture(int columns, int rows, const std::vector<std::uint16_t> & pixels, const std::string & instance)
{
  DataSet data;
  PutText(data, Tag(0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY");
  PutText(data, Tag(0x0008, 0x0016), VR::UI, "1.2.840.10008.5.1.4.1.1.4");
  PutText(data, Tag(0x0008, 0x0018), VR::UI, "1.2.3.4." + instance);
  PutText(data, Tag(0x0008, 0x0060), VR::CS, "MR");
  PutText(data, Tag(0x0020, 0x000d), VR::UI, "1.2.3");
  PutText(data, Tag(0x0020, 0x000e), VR::UI, "1.2.3.4");
  PutShort(data, Tag(0x0028, 0x0002), 1);
  PutText(data, Tag(0x0028, 0x0004), VR::CS, "MONOCHROME2");
  const int frames = static_cast<int>(pixels.size()) / (columns * rows);
  if (frames > 1)
  {
    PutText(data, Tag(0x0028, 0x0008), VR::IS, std::to_string(frames));
  }
  PutShort(data, Tag(0x0028, 0x0010), rows);
  PutShort(data, Tag(0x0028, 0x0011), columns);
  PutShort(data, Tag(0x0028, 0x0100), 16);
  PutShort(data, Tag(0x0028, 0x0101), 16);
  PutShort(data, Tag(0x0028, 0x0102), 15);
  PutShort(data, Tag(0x0028, 0x0103), 0);
  PutBytes(data, Tag(0x7fe0, 0x0010), VR::OW, pixels.data(), pixels.size() * 2);
  return data;
}

/// The same as an axial slice at (0, 0, @p z) with pixels of 0.5 mm.
inline DataSet
Slice(int columns, int rows, const std::vector<std::uint16_t> & pixels, const std::string & instance, double z)
{
  DataSet data = Picture(columns, rows, pixels, instance);
  PutText(data, Tag(0x0020, 0x0032), VR::DS, Place(0, 0, z));
  PutText(data, Tag(0x0020, 0x0037), VR::DS, "1\\0\\0\\0\\1\\0");
  PutText(data, Tag(0x0028, 0x0030), VR::DS, "0.5\\0.5");
  return data;
}

inline void
Save(const std::string &  path,
     const DataSet &      data,
     gdcm::TransferSyntax syntax = gdcm::TransferSyntax::ExplicitVRLittleEndian)
{
  gdcm::Writer writer;
  writer.SetFileName(path.c_str());
  writer.GetFile().SetDataSet(data);
  writer.GetFile().GetHeader().SetDataSetTransferSyntax(syntax);
  if (!writer.Write())
  {
    throw std::runtime_error("GDCM does not write " + path);
  }
}

/// Pack the pixels of a file that Save() wrote.
inline void
Compress(const std::string & path, gdcm::TransferSyntax syntax)
{
  gdcm::ImageReader reader;
  reader.SetFileName(path.c_str());
  if (!reader.Read())
  {
    throw std::runtime_error("GDCM does not read " + path);
  }
  gdcm::ImageChangeTransferSyntax change;
  change.SetTransferSyntax(syntax);
  change.SetInput(reader.GetImage());
  if (!change.Change())
  {
    throw std::runtime_error("GDCM does not compress");
  }
  // GDCM's image writer would put geometry of its own into functional groups.
  DataSet data = reader.GetFile().GetDataSet();
  data.Replace(change.GetOutput().GetDataElement());
  Save(path, data, syntax);
}

/// What differs from frame to frame of an enhanced image; empty means that the frame does not say.
struct EnhancedFrame
{
  std::string position;
  std::string orientation = "0\\1\\0\\0\\0\\-1"; // sagittal
  double      slope = 1.0;
  double      intercept = 0.0;
  double      echo = 0.0;
  int         time = 0;
  std::string stack = "1";
  std::string spacing; // "row\\column"; empty: the shared one
};

inline DataSet
FrameGroups(const EnhancedFrame & frame)
{
  return Nested([&](DataSet & item) {
    const auto group = [&](Tag tag, const std::function<void(DataSet &)> & fill) {
      PutSequence(item, tag, { Nested(fill) });
    };
    group(Tag(0x0020, 0x9111), [&](DataSet & d) {
      PutText(d, Tag(0x0020, 0x9056), VR::SH, frame.stack);
      if (frame.time > 0)
      {
        PutNumber(d, Tag(0x0020, 0x9128), VR::UL, static_cast<std::uint32_t>(frame.time));
      }
    });
    if (!frame.position.empty())
    {
      group(Tag(0x0020, 0x9113), [&](DataSet & d) { PutText(d, Tag(0x0020, 0x0032), VR::DS, frame.position); });
    }
    group(Tag(0x0020, 0x9116), [&](DataSet & d) { PutText(d, Tag(0x0020, 0x0037), VR::DS, frame.orientation); });
    group(Tag(0x0028, 0x9145), [&](DataSet & d) {
      PutText(d, Tag(0x0028, 0x1052), VR::DS, std::to_string(frame.intercept));
      PutText(d, Tag(0x0028, 0x1053), VR::DS, std::to_string(frame.slope));
      PutText(d, Tag(0x0028, 0x1054), VR::LO, "US");
    });
    if (frame.echo > 0.0)
    {
      group(Tag(0x0018, 0x9114), [&](DataSet & d) { PutNumber(d, Tag(0x0018, 0x9082), VR::FD, frame.echo); });
    }
    if (!frame.spacing.empty())
    {
      group(Tag(0x0028, 0x9110), [&](DataSet & d) { PutText(d, Tag(0x0028, 0x0030), VR::DS, frame.spacing); });
    }
  });
}

/// An enhanced image; pixel measures are shared unless a frame has its own.
inline DataSet
Enhanced(int                                columns,
         int                                rows,
         const std::vector<std::uint16_t> & pixels,
         const std::string &                modality,
         const std::vector<EnhancedFrame> & frames)
{
  DataSet data = Picture(columns, rows, pixels, "1");
  PutText(data,
          Tag(0x0008, 0x0016),
          VR::UI,
          modality == "CT" ? "1.2.840.10008.5.1.4.1.1.2.1" : "1.2.840.10008.5.1.4.1.1.4.1");
  PutText(data, Tag(0x0008, 0x0060), VR::CS, modality);
  PutSequence(data, Tag(0x5200, 0x9229), { Nested([](DataSet & item) {
                PutSequence(item, Tag(0x0028, 0x9110), { Nested([](DataSet & d) {
                              PutText(d, Tag(0x0018, 0x0050), VR::DS, "4.0");
                              PutText(d, Tag(0x0028, 0x0030), VR::DS, "0.5\\0.75");
                            }) });
              }) });
  std::vector<DataSet> items;
  for (const EnhancedFrame & frame : frames)
  {
    items.push_back(FrameGroups(frame));
  }
  PutSequence(data, Tag(0x5200, 0x9230), items);
  return data;
}

} // namespace made
} // namespace verdiff_test

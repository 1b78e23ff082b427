#include "layout_writer.h"

#include "phantom_files.h"
#include "sagittal.h"
#include "text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

namespace verdiff
{
namespace
{

using Json = nlohmann::ordered_json;

constexpr int firstLumbar = 20;
constexpr int lastLumbar = 24; // L5; L6 is 25

std::vector<uint8_t>
VertebraeOnly(const Phantom & phantom)
{
  std::vector<uint8_t> labels = phantom.numbers;
  for (uint8_t & label : labels)
  {
    label = label >= PhantomSacrumNumber ? uint8_t{ 0 } : label;
  }
  return labels;
}

std::string
LevelName(int number)
{
  return number < PhantomFirstThoracic
           ? Format("C%d", number)
           : (number < firstLumbar ? Format("T%d", number - 7) : Format("L%d", number - 19));
}

std::set<int>
LevelsOf(const Phantom & phantom)
{
  std::set<int> levels(phantom.numbers.begin(), phantom.numbers.end());
  levels.erase(0);
  return levels;
}

// Centroids as VerSe has them: voxels of the file, its axes named.
std::string
CentroidJson(const Phantom & phantom)
{
  struct Sum
  {
    double x = 0.0, y = 0.0, z = 0.0, count = 0.0;
  };
  std::map<int, Sum> sums;
  const auto         width = static_cast<size_t>(phantom.size[0]);
  const auto         height = static_cast<size_t>(phantom.size[1]);
  for (size_t i = 0; i < phantom.numbers.size(); ++i)
  {
    if (phantom.numbers[i] != 0 && phantom.numbers[i] < PhantomSacrumNumber)
    {
      Sum & sum = sums[phantom.numbers[i]];
      sum.x += double(i % width);
      sum.y += double(i / width % height);
      sum.z += double(i / width / height);
      sum.count += 1.0;
    }
  }
  Json axes = Json::array();
  for (size_t a = 0; a < 3; ++a)
  {
    const char * const names[3][2] = { { "L", "R" }, { "P", "A" }, { "S", "I" } };
    size_t             largest = 0;
    for (size_t row = 1; row < 3; ++row)
    {
      largest = std::abs(phantom.direction[3 * row + a]) > std::abs(phantom.direction[3 * largest + a]) ? row : largest;
    }
    axes.push_back(names[largest][phantom.direction[3 * largest + a] < 0.0 ? 1 : 0]);
  }
  Json json = Json::array({ Json{ { "direction", axes } } });
  for (const auto & [number, sum] : sums)
  {
    json.push_back(
      { { "label", number }, { "X", sum.x / sum.count }, { "Y", sum.y / sum.count }, { "Z", sum.z / sum.count } });
  }
  return json.dump();
}

// Slice @p s of @p frame as 8 bits, the brightest pixel white.
std::vector<uint8_t>
GreySlice(const Phantom & phantom, const SagittalFrame & frame, std::int64_t s)
{
  std::vector<float> plane(size_t(frame.Height() * frame.Width()));
  frame.Cut(plane.data(), phantom.pixels.data(), s);
  const float          largest = std::max(1.0F, *std::max_element(plane.begin(), plane.end()));
  std::vector<uint8_t> grey;
  for (const float value : plane)
  {
    grey.push_back(static_cast<uint8_t>(255.0F * std::clamp(value / largest, 0.0F, 1.0F)));
  }
  return grey;
}

// x, y of the corners top left, top right, bottom left, bottom right of a mask, in parts of the size.
std::array<double, 8>
CornersOf(const Phantom & film, int number)
{
  const auto                           width = static_cast<size_t>(film.size[0]);
  std::array<double, 4>                best{ 1e9, 1e9, 1e9, 1e9 };
  std::array<std::array<double, 2>, 4> corner{};
  constexpr double                     toX[4] = { 1, -1, 1, -1 };
  constexpr double                     toY[4] = { 1, 1, -1, -1 };
  for (size_t i = 0; i < film.numbers.size(); ++i)
  {
    if (film.numbers[i] != number)
    {
      continue;
    }
    const double x = double(i % width) + 0.5;
    const double y = double(i / width) + 0.5;
    for (size_t c = 0; c < 4; ++c)
    {
      if (toX[c] * x + toY[c] * y < best[c])
      {
        best[c] = toX[c] * x + toY[c] * y;
        corner[c] = { x, y };
      }
    }
  }
  std::array<double, 8> corners{};
  for (size_t c = 0; c < 4; ++c)
  {
    corners[2 * c] = corner[c][0] / double(film.size[0]);
    corners[2 * c + 1] = corner[c][1] / double(film.size[1]);
  }
  return corners;
}

std::string
Joined(const std::vector<std::string> & lines)
{
  std::string text;
  for (const std::string & line : lines)
  {
    text += line + "\n";
  }
  return text;
}

} // namespace

LayoutWriter::LayoutWriter(const std::string & layout, const std::string & folder)
  : m_Layout(layout)
  , m_Folder(folder + "/")
{}

PhantomModality
LayoutWriter::Modality() const
{
  if (m_Layout == "aasce")
  {
    return PhantomModality::Xray;
  }
  return m_Layout == "totalsegmentator-mr" || m_Layout == "spider" || m_Layout == "mrspineseg" ||
             m_Layout == "sudirman" || m_Layout == "nnunet1"
           ? PhantomModality::Mr
           : PhantomModality::Ct;
}

bool
LayoutWriter::Add(const Phantom & phantom, int number)
{
  bool taken = true;
  if (m_Layout == "verse")
  {
    AddVerse(phantom, number);
  }
  else if (m_Layout == "verse-challenge")
  {
    AddVerseChallenge(phantom, number);
  }
  else if (m_Layout == "ctspine1k")
  {
    AddCtspine(phantom, number);
  }
  else if (m_Layout == "spider")
  {
    AddSpider(phantom, number);
  }
  else if (m_Layout == "mrspineseg")
  {
    AddMrspineseg(phantom, number);
  }
  else if (m_Layout == "totalsegmentator" || m_Layout == "totalsegmentator-mr")
  {
    AddTotalsegmentator(phantom, number);
  }
  else if (m_Layout == "nnunet1")
  {
    AddNnunet1(phantom, number);
  }
  else
  {
    taken = m_Layout == "aasce" ? AddAasce(phantom, number) : AddSudirman(phantom, number);
  }
  m_Cases += taken ? 1 : 0;
  return taken;
}

void
LayoutWriter::AddNnunet1(const Phantom & phantom, int number)
{
  const std::string name = Format("spine_%03d.nii.gz", number);
  WriteScan(m_Folder + "imagesTr/" + Format("spine_%03d_0000.nii.gz", number), phantom);
  WriteLabelVolume(m_Folder + "labelsTr/" + name, phantom, phantom.labels);
  m_Lines.push_back(name);
}

// The last case goes to the test part; the second subject has two scans, told apart by an entity.
void
LayoutWriter::AddVerse(const Phantom & phantom, int number) const
{
  const std::string part = number == 3 ? "dataset-verse19test/" : "dataset-verse19training/";
  const std::string subject = Format("sub-verse%03d", number == 5 ? 2 : number);
  const std::string id = subject + (number == 5 ? "_dir-sag" : (number == 2 ? "_dir-ax" : ""));
  const std::string rawdata = m_Folder + part + "rawdata/" + subject + "/" + id;
  const std::string derivatives = m_Folder + part + "derivatives/" + subject + "/" + id;
  WriteScan(rawdata + "_ct.nii.gz", phantom);
  WriteVerseMask(derivatives + "_seg-vert_msk.nii.gz", phantom, VertebraeOnly(phantom));
  WriteText(derivatives + "_seg-subreg_ctd.json", CentroidJson(phantom));
}

void
LayoutWriter::AddVerseChallenge(const Phantom & phantom, int number) const
{
  const std::string id = number % 2 == 0 ? Format("GL%03d", number) : Format("verse%03d_CT-sag", number);
  WriteScan(m_Folder + id + ".nii.gz", phantom);
  WriteVerseMask(m_Folder + id + "_seg.nii.gz", phantom, VertebraeOnly(phantom));
  WriteText(m_Folder + id + "_iso-ctd.json", CentroidJson(phantom));
}

void
LayoutWriter::AddCtspine(const Phantom & phantom, int number)
{
  const bool        colon = number % 2 == 1;
  const std::string source = colon ? "COLONOG/" : "MSD-T10/";
  const std::string stem = colon ? Format("1.3.6.1.4.1.9328.50.4.%04d", number) : Format("liver_%d", number);
  WriteScan(m_Folder + "raw_data/volumes/" + source + stem + ".nii.gz", phantom);
  WriteLabelVolume(m_Folder + "raw_data/labels/" + source + stem + "_seg.nii.gz", phantom, VertebraeOnly(phantom));
  m_Lines.push_back(stem + ".nii.gz");
}

void
LayoutWriter::AddSpider(const Phantom & phantom, int number)
{
  const std::set<int>        levels = LevelsOf(phantom);
  const int                  lowest = levels.count(25) > 0 ? 25 : lastLumbar;
  const std::vector<uint8_t> discs = DiscLevels(phantom);
  std::vector<float>         mask(phantom.labels.size(), 0.0F);
  for (size_t i = 0; i < mask.size(); ++i)
  {
    const int vertebra = phantom.numbers[i];
    if (vertebra > 0 && vertebra < PhantomSacrumNumber)
    {
      // The topmost one is cut by the edge of the field of view.
      mask[i] = float(lowest + 1 - vertebra + (vertebra == *levels.begin() ? 100 : 0));
    }
    else if (phantom.labels[i] == PhantomDisc)
    {
      mask[i] = float(200 + lowest + 1 - discs[i]);
    }
    else if (phantom.labels[i] == PhantomCanal)
    {
      mask[i] = 100.0F;
    }
  }
  // Two sequences of one patient.
  const std::string id = Format("%d_%s", (number + 1) / 2, number % 2 == 1 ? "t1" : "t2");
  WriteMha(m_Folder + "images/" + id + ".mha", phantom, phantom.pixels);
  WriteMha(m_Folder + "masks/" + id + ".mha", phantom, mask);
  m_Lines.push_back(id + "," + std::to_string(levels.size()) + ",0,F,1960,training");
}

bool
LayoutWriter::AddAasce(const Phantom & phantom, int number)
{
  const std::set<int> levels = LevelsOf(phantom);
  for (int level = PhantomFirstThoracic; level <= lastLumbar; ++level)
  {
    if (levels.count(level) == 0)
    {
      return false;
    }
  }
  const std::string name = Format("sunhl-1th-%02d-Jan-2017-%d A AP.jpg", number % 28 + 1, number);
  std::string       x, y;
  for (int level = PhantomFirstThoracic; level <= lastLumbar; ++level)
  {
    const auto corners = CornersOf(phantom, level);
    for (size_t c = 0; c < 4; ++c)
    {
      x += FormatNumber(corners[2 * c], 9) + ",";
      y += FormatNumber(corners[2 * c + 1], 9) + ",";
    }
  }
  y.pop_back();
  WriteJpeg(m_Folder + "boostnet_labeldata/data/training/" + name,
            int(phantom.size[0]),
            int(phantom.size[1]),
            { phantom.pixels.begin(), phantom.pixels.end() });
  m_Lines.push_back(name);
  m_MoreLines.push_back(x + y);
  return true;
}

void
LayoutWriter::AddMrspineseg(const Phantom & phantom, int number) const
{
  const std::vector<uint8_t> discs = DiscLevels(phantom);
  std::vector<uint8_t>       mask(phantom.labels.size(), 0);
  const auto                 fromBottom = [](int level) {
    return level >= 16 && level <= lastLumbar ? lastLumbar - level : -1; // T9 to L5
  };
  for (size_t i = 0; i < mask.size(); ++i)
  {
    const int vertebra = phantom.numbers[i];
    if (vertebra == PhantomSacrumNumber)
    {
      mask[i] = 1;
    }
    else if (fromBottom(vertebra) >= 0)
    {
      mask[i] = static_cast<uint8_t>(2 + fromBottom(vertebra));
    }
    else if (phantom.labels[i] == PhantomDisc && fromBottom(discs[i]) >= 0)
    {
      mask[i] = static_cast<uint8_t>(11 + fromBottom(discs[i]));
    }
  }
  WriteScan(m_Folder + Format("train/MR/Case%d.nii.gz", number), phantom);
  WriteLabelVolume(m_Folder + Format("train/Mask/mask_case%d.nii.gz", number), phantom, mask);
}

bool
LayoutWriter::AddSudirman(const Phantom & phantom, int number) const
{
  const SagittalFrame         frame(*GridOf(phantom), false, VDN_PLANE_AXIAL);
  const std::vector<uint8_t>  discs = DiscLevels(phantom);
  const size_t                count = size_t(frame.Height() * frame.Width());
  std::array<std::int64_t, 3> middle{ -1, -1, -1 }; // the slice with most of each disc
  std::array<std::int64_t, 3> most{ 0, 0, 0 };
  std::vector<uint8_t>        plane(count);
  for (std::int64_t s = 0; s < frame.Count(); ++s)
  {
    frame.Cut(plane.data(), discs.data(), s);
    for (size_t d = 0; d < 3; ++d)
    {
      const auto pixels = std::count(plane.begin(), plane.end(), static_cast<uint8_t>(22 + d)); // L3 to L5
      if (pixels > most[d])
      {
        most[d] = pixels;
        middle[d] = s;
      }
    }
  }
  if (std::find(middle.begin(), middle.end(), -1) != middle.end())
  {
    return false;
  }
  for (size_t d = 0; d < 3; ++d)
  {
    constexpr uint8_t    values[] = { 250, 100, 50, 150, 200 }; // background, vertebra, disc, canal, sacrum
    std::vector<uint8_t> mask(count);
    frame.Cut(mask.data(), phantom.labels.data(), middle[d]);
    std::transform(mask.begin(), mask.end(), mask.begin(), [&](uint8_t v) { return values[v]; });
    const std::string id = Format("%04d_D%zu.png", number, d + 3);
    WritePicture(m_Folder + "04_Intermediary_Ground_Truth_Data/T2_Output/T2_" + id,
                 int(frame.Width()),
                 int(frame.Height()),
                 GreySlice(phantom, frame, middle[d]));
    WritePicture(
      m_Folder + "05_Final_Ground_Truth_Data/Label_Images/L1_" + id, int(frame.Width()), int(frame.Height()), mask);
  }
  return true;
}

// The MR version does not tell vertebrae apart.
void
LayoutWriter::AddTotalsegmentator(const Phantom & phantom, int number)
{
  const bool        mr = Modality() == PhantomModality::Mr;
  const std::string subject = Format("s%04d", number);
  const std::string folder = m_Folder + subject + "/segmentations/";
  const auto        write = [&](const std::string & name, const std::vector<uint8_t> & values, int first, int last) {
    std::vector<uint8_t> mask(values.size());
    std::transform(values.begin(), values.end(), mask.begin(), [first, last](uint8_t v) {
      return static_cast<uint8_t>(v >= first && v <= last ? 1 : 0);
    });
    WriteLabelVolume(folder + name + ".nii.gz", phantom, mask);
  };
  WriteScan(m_Folder + subject + (mr ? "/mri.nii.gz" : "/ct.nii.gz"), phantom);
  for (int level = 1; !mr && level <= lastLumbar; ++level)
  {
    write("vertebrae_" + LevelName(level), phantom.numbers, level, level);
  }
  if (mr)
  {
    write("vertebrae", phantom.labels, PhantomVertebra, PhantomVertebra);
    write("intervertebral_discs", phantom.labels, PhantomDisc, PhantomDisc);
    write("spinal_cord", phantom.labels, PhantomCanal, PhantomCanal);
  }
  write("sacrum", phantom.numbers, PhantomSacrumNumber, PhantomSacrumNumber);
  write(mr ? "hip_left" : "rib_left_1", phantom.labels, 200, 200);
  m_Lines.push_back(subject + ";60;m;" + (mr ? "MR" : "CT") + ";" + (number == 3 ? "test" : "train"));
}

void
LayoutWriter::Finish()
{
  if (m_Layout == "nnunet1")
  {
    Json json = { { "name", "Verdiff phantoms" }, { "modality", { { "0", "MR" } } } };
    json["labels"] = {
      { "0", "background" }, { "1", "vertebra" }, { "2", "disc" }, { "3", "canal" }, { "4", "sacrum" }
    };
    json["numTraining"] = m_Cases;
    for (const std::string & name : m_Lines)
    {
      json["training"].push_back({ { "image", "./imagesTr/" + name }, { "label", "./labelsTr/" + name } });
    }
    WriteText(m_Folder + "dataset.json", json.dump(2) + "\n");
  }
  else if (m_Layout == "ctspine1k")
  {
    const std::string last = m_Lines.back();
    m_Lines.pop_back();
    WriteText(m_Folder + "metadata/data_split.txt", "trainset:\n" + Joined(m_Lines) + "\ntest_public:\n" + last + "\n");
  }
  else if (m_Layout == "spider")
  {
    WriteText(m_Folder + "overview.csv",
              "new_file_name,num_vertebrae,num_discs,sex,birth_date,subset\n" + Joined(m_Lines));
  }
  else if (m_Layout == "aasce")
  {
    WriteText(m_Folder + "boostnet_labeldata/labels/training/filenames.csv", Joined(m_Lines));
    WriteText(m_Folder + "boostnet_labeldata/labels/training/landmarks.csv", Joined(m_MoreLines));
  }
  else if (m_Layout == "totalsegmentator" || m_Layout == "totalsegmentator-mr")
  {
    WriteText(m_Folder + "meta.csv", "image_id;age;gender;study_type;split\n" + Joined(m_Lines));
  }
}

} // namespace verdiff

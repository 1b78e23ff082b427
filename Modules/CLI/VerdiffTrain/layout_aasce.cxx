// AASCE 2019 / BoostNet: data/{training,test}/*.jpg with labels/{training,test}/{filenames,landmarks}.csv, here or in
// boostnet_labeldata. A row of landmarks.csv is 68 x, then 68 y, in parts of the image's size.
#include "landmarks.h"
#include "layout.h"
#include "text.h"

#include <algorithm>
#include <set>

namespace verdiff
{
namespace
{

constexpr const char * partNames[] = { "training", "test" };

// Rows (from 0) that users of the data reported: levels shifted or missing, points swapped or misplaced. Vertebrae that
// are rolled to the other end are found by their place and are not listed.
constexpr int trainingRows[] = { 3,   10,  14,  28,  31,  33,  40,  72,  84,  91,  143, 193, 218,
                                 242, 261, 265, 268, 269, 313, 394, 439, 445, 471, 474, 476, 480 };
constexpr int testRows[] = { 3, 15, 45, 79, 85, 86, 88, 89, 92, 104 };

std::string
Root(const std::string & folder)
{
  for (const char * below : { "", "/boostnet_labeldata" })
  {
    if (IsFolder(folder + below + "/data") && IsFolder(folder + below + "/labels"))
    {
      return folder + below;
    }
  }
  return "";
}

bool
IsKnown(bool test, size_t row)
{
  const int  number = static_cast<int>(row);
  const auto in = [&](const auto & rows) {
    return std::find(std::begin(rows), std::end(rows), number) != std::end(rows);
  };
  return test ? in(testRows) : in(trainingRows);
}

std::vector<double>
NumbersIn(const std::string & line)
{
  std::vector<double> numbers;
  for (const std::string & cell : Split(line, ','))
  {
    if (const auto number = ParseDouble(Trim(cell)))
    {
      numbers.push_back(*number);
    }
  }
  return numbers;
}

// Findings of one row; its corners when there is no fault.
std::vector<double>
ReadRow(Dataset & dataset, const std::string & id, const std::string & file, const std::string & line, bool known)
{
  const Landmarks landmarks = CheckLandmarks(NumbersIn(line));
  for (const std::string & text : landmarks.repaired)
  {
    dataset.findings.push_back({ Severity::Repaired, "landmarks", id, file, text, "nothing to do: read in order" });
  }
  for (const std::string & text : landmarks.faults)
  {
    dataset.findings.push_back(
      { Severity::Fault, "landmarks", id, file, text, "correct the row, or take it and its image away" });
  }
  if (known && landmarks.faults.empty() && landmarks.repaired.empty())
  {
    dataset.findings.push_back({ Severity::Warning,
                                 "known",
                                 id,
                                 file,
                                 "users of the data reported misplaced points in this row",
                                 "compare points and image; correct the row or take it away" });
  }
  return landmarks.faults.empty() ? landmarks.corners : std::vector<double>();
}

void
AddPart(Dataset & dataset, const std::string & root, const std::string & part, bool test)
{
  const std::string     labels = root + "/labels/" + part + "/";
  const std::string     file = labels + "landmarks.csv";
  const auto            names = LinesOf(labels + "filenames.csv");
  const auto            rows = LinesOf(file);
  std::set<std::string> named;
  if (names.size() != rows.size())
  {
    RefuseDataset(file, Format("%zu rows, filenames.csv has %zu; the two must go together", rows.size(), names.size()));
  }
  for (size_t i = 0; i < names.size(); ++i)
  {
    const std::string name = Trim(names[i]);
    const std::string image = root + "/data/" + part + "/" + name;
    DatasetCase       one;
    one.id = ImageStem(name);
    one.test = test;
    one.labels = file + Format(" row %zu", i);
    one.images = { image };
    named.insert(name);
    one.corners = ReadRow(dataset, one.id, one.labels, rows[i], IsKnown(test, i));
    if (!IsFile(image))
    {
      AddMissing(dataset, one.id, image, one.labels);
    }
    else if (!one.corners.empty())
    {
      dataset.cases.push_back(std::move(one));
    }
  }
  for (const std::string & name : NamesIn(root + "/data/" + part))
  {
    if (EndsWith(LowerCase(name), ".jpg") && named.count(name) == 0)
    {
      AddMissing(
        dataset, ImageStem(name), labels + "filenames.csv (a line " + name + ")", root + "/data/" + part + "/" + name);
    }
  }
}

// The corners of a part are there only as <image>.jpg.mat.
bool
HoldsMat(const std::string & labels)
{
  const auto names = NamesIn(labels);
  return std::any_of(names.begin(), names.end(), [](const std::string & name) { return EndsWith(name, ".jpg.mat"); });
}

std::optional<std::string>
Recognise(const std::string & folder)
{
  const std::string root = Root(folder);
  for (const char * part : partNames)
  {
    if (!root.empty() && IsFile(root + "/labels/" + part + "/landmarks.csv") &&
        IsFile(root + "/labels/" + part + "/filenames.csv"))
    {
      return "data and labels with filenames.csv and landmarks.csv";
    }
  }
  for (const char * part : partNames)
  {
    if (!root.empty() && HoldsMat(root + "/labels/" + part))
    {
      return "data and labels with *.jpg.mat";
    }
  }
  return std::nullopt;
}

void
Read(Dataset & dataset)
{
  const std::string root = Root(dataset.folder);
  dataset.channels = { "X-ray" };
  dataset.modality = VDN_MODALITY_XRAY;
  UseSource(dataset, "aasce");
  for (const char * part : partNames)
  {
    const std::string labels = root + "/labels/" + part;
    if (IsFile(labels + "/landmarks.csv"))
    {
      AddPart(dataset, root, part, std::string(part) == "test");
    }
    else if (HoldsMat(labels))
    {
      RefuseDataset(labels,
                    "holds *.jpg.mat without landmarks.csv; .mat files are not read: put the landmarks.csv and "
                    "filenames.csv of the data set there, or take the folder away");
    }
    else if (!NamesIn(root + "/data/" + part).empty())
    {
      AddMissing(dataset, "", labels + "/landmarks.csv", root + "/data/" + part);
    }
  }
}

} // namespace

const Layout layoutAasce = { "aasce",
                             "data/{training,test}/*.jpg and labels/{training,test}/{filenames,landmarks}.csv, here or "
                             "in boostnet_labeldata",
                             Recognise,
                             Read };

} // namespace verdiff

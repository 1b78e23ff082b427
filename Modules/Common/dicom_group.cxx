#include "dicom_group.h"

#include "dicom_vectors.h"
#include "failure.h"
#include "text.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace verdiff
{

using namespace dicom;

namespace
{

constexpr double cosineTolerance = 1e-3; // between the orientations of two slices
constexpr double samePlace = 1e-3;       // mm

bool
SameAxes(const DicomFrame & a, const DicomFrame & b)
{
  if (!a.rowAxis || !b.rowAxis)
  {
    return true; // What is missing is refused later, by name.
  }
  for (size_t i = 0; i < 3; ++i)
  {
    if (!(std::abs((*a.rowAxis)[i] - (*b.rowAxis)[i]) <= cosineTolerance &&
          std::abs((*a.columnAxis)[i] - (*b.columnAxis)[i]) <= cosineTolerance))
    {
      return false;
    }
  }
  return true;
}

bool
SameSpacing(const DicomFrame & a, const DicomFrame & b)
{
  if (!a.rowSpacing || !b.rowSpacing)
  {
    return a.rowSpacing.has_value() == b.rowSpacing.has_value();
  }
  return std::abs(*a.rowSpacing - *b.rowSpacing) <= 1e-3 * std::abs(*b.rowSpacing) &&
         std::abs(*a.columnSpacing - *b.columnSpacing) <= 1e-3 * std::abs(*b.columnSpacing);
}

// A NaN or an axis without length matches nothing, not even itself: such a frame stands alone and is refused.
std::vector<DicomGroup>
ByGrid(const std::vector<const DicomFile *> & files)
{
  std::vector<DicomGroup> groups;
  for (const DicomFile * file : files)
  {
    for (const DicomFrame & frame : file->frames)
    {
      auto group = std::find_if(groups.begin(), groups.end(), [&](const DicomGroup & g) {
        return g.rows == file->rows && g.columns == file->columns && g.frames[0].stack == frame.stack &&
               SameAxes(g.frames[0], frame) && SameSpacing(g.frames[0], frame);
      });
      if (group == groups.end())
      {
        DicomGroup fresh;
        fresh.series = file->series;
        fresh.modality = file->modality;
        fresh.description = file->description;
        fresh.rows = file->rows;
        fresh.columns = file->columns;
        group = groups.insert(groups.end(), fresh);
      }
      group->frames.push_back(frame);
    }
  }
  return groups;
}

bool
HasTwoAtOnePlace(const std::vector<DicomFrame> & frames)
{
  std::vector<double> heights;
  for (const DicomFrame & frame : frames)
  {
    if (frame.position && frame.rowAxis)
    {
      heights.push_back(Dot(*frame.position, Cross(*frame.rowAxis, *frame.columnAxis)));
    }
  }
  std::sort(heights.begin(), heights.end());
  return std::adjacent_find(heights.begin(), heights.end(), [](double a, double b) { return b - a < samePlace; }) !=
         heights.end();
}

struct Key
{
  const char * name;
  std::string DicomFrame::*text;
};

constexpr std::array<Key, 5> keys = { { { "time", &DicomFrame::time },
                                        { "echo", &DicomFrame::echo },
                                        { "b-value", &DicomFrame::weight },
                                        { "kind", &DicomFrame::kind },
                                        { "acquisition", &DicomFrame::acquisition } } };

// Numbers in the order of their values: "90" before "120".
std::pair<double, std::string>
KeyOrder(const std::string & text)
{
  return { ParseDouble(text).value_or(0.0), text };
}

// Parts of @p group with nothing at the same place, by one key alone or by all; none when no key does it.
std::vector<DicomGroup>
SplitBy(const DicomGroup & group, const std::vector<Key> & by)
{
  std::map<std::vector<std::pair<double, std::string>>, DicomGroup> parts;
  for (const DicomFrame & frame : group.frames)
  {
    std::vector<std::pair<double, std::string>> order;
    std::string                                 difference;
    for (const Key & key : by)
    {
      const std::string & text = frame.*(key.text);
      order.push_back(KeyOrder(text));
      difference += (difference.empty() ? "" : ", ") + std::string(key.name) + " " + (text.empty() ? "none" : text);
    }
    DicomGroup & part = parts[order];
    if (part.frames.empty())
    {
      part = group;
      part.frames.clear();
      part.difference = difference;
    }
    part.frames.push_back(frame);
  }
  std::vector<DicomGroup> groups;
  for (auto & [order, part] : parts)
  {
    if (HasTwoAtOnePlace(part.frames))
    {
      return {};
    }
    groups.push_back(std::move(part));
  }
  return groups;
}

std::vector<DicomGroup>
SplitWhatCoincides(const DicomGroup & group)
{
  if (!HasTwoAtOnePlace(group.frames))
  {
    return { group };
  }
  for (const Key & key : keys)
  {
    auto parts = SplitBy(group, { key });
    if (!parts.empty())
    {
      return parts;
    }
  }
  auto parts = SplitBy(group, std::vector<Key>(keys.begin(), keys.end()));
  return parts.empty() ? std::vector<DicomGroup>{ group } : parts;
}

// One of each image: the same SOPInstanceUID in two files is a copy.
std::vector<const DicomFile *>
WithoutCopies(const std::vector<DicomFile> & files, const std::string & path, std::vector<std::string> & warnings)
{
  std::vector<const DicomFile *> kept;
  std::set<std::string>          seen;
  for (const DicomFile & file : files)
  {
    if (file.instance.empty() || seen.insert(file.instance).second)
    {
      kept.push_back(&file);
    }
  }
  if (kept.size() < files.size())
  {
    warnings.push_back(path + Format(": %zu files are copies of others (same SOPInstanceUID); each image is taken once",
                                     files.size() - kept.size()));
  }
  return kept;
}

bool
IsLocalizer(const DicomFile & file)
{
  const auto words = Split(file.imageType, '\\');
  return std::find(words.begin(), words.end(), "LOCALIZER") != words.end();
}

void
RemoveLocalizers(std::vector<const DicomFile *> & files, const std::string & path, std::vector<std::string> & warnings)
{
  const auto begin = std::stable_partition(files.begin(), files.end(), [](const auto * f) { return !IsLocalizer(*f); });
  const auto count = files.end() - begin;
  if (count > 0 && begin != files.begin())
  {
    files.erase(begin, files.end());
    warnings.push_back(path + Format(": %ld localizer images were left out", long(count)));
  }
}

std::string
Describe(const DicomGroup & group)
{
  const DicomFrame & first = group.frames[0];
  std::string        text = group.modality + ", \"" + group.description + "\", " +
                     Format("%zu %s of %d x %d",
                            group.frames.size(),
                            group.frames.size() == 1 ? "slice" : "slices",
                            group.columns,
                            group.rows);
  const std::string plane = PlaneName(first);
  text += plane.empty() ? "" : ", " + plane;
  text += first.columnSpacing ? ", " + FormatNumber(*first.columnSpacing, 4) + " mm" : std::string();
  text += first.stack.empty() ? "" : ", stack " + first.stack;
  return text + (group.difference.empty() ? "" : ", " + group.difference);
}

size_t
SeriesCount(const std::vector<DicomGroup> & groups)
{
  std::set<std::string> series;
  for (const DicomGroup & group : groups)
  {
    series.insert(group.series);
  }
  return series.size();
}

} // namespace

std::string
PlaneName(const DicomFrame & frame)
{
  if (!frame.rowAxis)
  {
    return {};
  }
  static const char * const names[3] = { "sagittal", "coronal", "axial" };
  const Vector3             normal = Cross(*frame.rowAxis, *frame.columnAxis);
  size_t                    best = 0;
  for (size_t i = 1; i < 3; ++i)
  {
    best = std::abs(normal[i]) > std::abs(normal[best]) ? i : best;
  }
  const double straight = std::cos(20.0 * M_PI / 180.0);
  return std::string(std::abs(normal[best]) < straight ? "oblique " : "") + names[best];
}

std::vector<DicomGroup>
GroupFrames(const std::vector<DicomFile> & files, const std::string & path, std::vector<std::string> & warnings)
{
  std::map<std::string, std::vector<const DicomFile *>> bySeries;
  for (const DicomFile * file : WithoutCopies(files, path, warnings))
  {
    bySeries[file->series].push_back(file);
  }
  std::vector<DicomGroup> groups;
  for (auto & [uid, members] : bySeries)
  {
    RemoveLocalizers(members, path, warnings);
    for (const DicomGroup & group : ByGrid(members))
    {
      const auto parts = SplitWhatCoincides(group);
      groups.insert(groups.end(), parts.begin(), parts.end());
    }
  }
  return groups;
}

DicomGroup
ChooseGroup(const std::vector<DicomGroup> & groups, const std::string & path, const std::string & wanted)
{
  std::vector<size_t> fitting;
  const auto          number = ParseInteger(wanted);
  for (size_t i = 0; i < groups.size(); ++i)
  {
    if (wanted.empty() || groups[i].series == wanted || (number && *number == static_cast<long long>(i) + 1))
    {
      fitting.push_back(i);
    }
  }
  if (fitting.size() == 1)
  {
    return groups[fitting[0]];
  }
  std::string list;
  for (size_t i = 0; i < groups.size(); ++i)
  {
    list += Format("%s%zu = ", i == 0 ? "" : "; ", i + 1) + groups[i].series + " (" + Describe(groups[i]) + ")";
  }
  const size_t      series = SeriesCount(groups);
  const std::string holds = series == groups.size()
                              ? Format("holds %zu series, needs one", series)
                              : Format("holds %zu volumes in %zu series, needs one", groups.size(), series);
  throw Failure(ExitCode::Input,
                path + ": " +
                  (fitting.empty() ? "has no series " + wanted + ", but "
                                   : holds + "; choose by its number with --series or move the others away: ") +
                  list);
}

} // namespace verdiff

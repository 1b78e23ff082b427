#include "centroids.h"

#include "label_source.h"
#include "text.h"

#include <nlohmann/json.hpp>

#include <array>
#include <cmath>
#include <fstream>
#include <map>

namespace verdiff
{
namespace
{

using Json = nlohmann::json;

constexpr double slack = 2.0; // voxels: centroids are rounded, and may count from 1

struct Centroids
{
  std::string                          axes; // "PIR": where each axis leads; "" when the file does not say
  std::map<int, std::array<double, 3>> points;
};

struct Box
{
  std::array<long, 3> low{}, high{};
};

// [{"direction": ["P", "I", "R"]}, {"label": 16, "X": 79.1, "Y": 40.9, "Z": 32.3}, ...]; nothing when it is not that.
std::optional<Centroids>
Read(const std::string & path)
{
  std::ifstream file(path, std::ios::binary);
  const Json    json = Json::parse(file, nullptr, false);
  Centroids     centroids;
  if (!json.is_array())
  {
    return std::nullopt;
  }
  for (const Json & entry : json)
  {
    if (entry.is_object() && entry.contains("direction") && entry["direction"].is_array())
    {
      for (const Json & axis : entry["direction"])
      {
        centroids.axes += axis.is_string() ? axis.get<std::string>() : "?";
      }
      continue;
    }
    const auto number = [&](const char * name) {
      return entry.is_object() && entry.contains(name) && entry[name].is_number() ? entry[name].get<double>() : NAN;
    };
    const std::array<double, 3> point = { number("X"), number("Y"), number("Z") };
    const double                label = number("label");
    if (!std::isfinite(label + point[0] + point[1] + point[2]))
    {
      return std::nullopt;
    }
    centroids.points[static_cast<int>(label)] = point;
  }
  return centroids;
}

// Levels of the mask with the box around each.
std::map<int, Box>
BoxesOf(const LabelImage & labels)
{
  std::map<int, Box>    boxes;
  const auto            size = labels.GetLargestPossibleRegion().GetSize();
  const std::uint16_t * values = labels.GetBufferPointer();
  for (size_t i = 0; i < size[0] * size[1] * size[2]; ++i)
  {
    if (!IsLevel(values[i]))
    {
      continue;
    }
    const std::array<long, 3> at = { long(i % size[0]), long(i / size[0] % size[1]), long(i / size[0] / size[1]) };
    auto [found, fresh] = boxes.emplace(values[i], Box{ at, at });
    for (size_t a = 0; a < 3; ++a)
    {
      found->second.low[a] = std::min(found->second.low[a], at[a]);
      found->second.high[a] = std::max(found->second.high[a], at[a]);
    }
  }
  return boxes;
}

// Where axis @p axis of the file leads: one of L R P A S I.
char
LetterOf(const LabelImage & labels, unsigned int axis)
{
  constexpr const char * letters[] = { "LR", "PA", "SI" };
  const auto &           direction = labels.GetDirection();
  unsigned int           largest = 0;
  for (unsigned int row = 1; row < 3; ++row)
  {
    largest = std::abs(direction[row][axis]) > std::abs(direction[largest][axis]) ? row : largest;
  }
  return letters[largest][direction[largest][axis] < 0.0 ? 1 : 0];
}

// @p point, counted along @p axes, as a voxel of the file; nothing when the axes are no such three.
std::optional<std::array<double, 3>>
VoxelOf(const std::array<double, 3> & point, const std::string & axes, const LabelImage & labels)
{
  static const std::map<char, char> opposite = { { 'L', 'R' }, { 'R', 'L' }, { 'P', 'A' },
                                                 { 'A', 'P' }, { 'S', 'I' }, { 'I', 'S' } };
  const auto                        size = labels.GetLargestPossibleRegion().GetSize();
  std::array<double, 3>             voxel{};
  for (unsigned int a = 0; a < 3; ++a)
  {
    const char   letter = LetterOf(labels, a);
    const size_t same = axes.find(letter), reversed = axes.find(opposite.at(letter));
    if (axes.size() != 3 || (same == std::string::npos) == (reversed == std::string::npos))
    {
      return std::nullopt;
    }
    voxel[a] = same != std::string::npos ? point[same] : double(size[a]) - 1.0 - point[reversed];
  }
  return voxel;
}

std::string
Difference(const Centroids & centroids, const std::map<int, Box> & boxes)
{
  std::string text;
  for (const auto & entry : centroids.points)
  {
    if (IsLevel(entry.first) && boxes.count(entry.first) == 0)
    {
      text += (text.empty() ? "" : ", ") + CanonicalName(entry.first) + " is not labelled in the mask";
    }
  }
  for (const auto & entry : boxes)
  {
    if (centroids.points.count(entry.first) == 0)
    {
      text += (text.empty() ? "" : ", ") + CanonicalName(entry.first) + " has no centroid";
    }
  }
  return text;
}

// The first centroid outside its level.
std::string
Misplaced(const Centroids & centroids, const std::map<int, Box> & boxes, const LabelImage & labels)
{
  for (const auto & [level, box] : boxes)
  {
    const auto found = centroids.points.find(level);
    const auto voxel = found == centroids.points.end() ? std::nullopt : VoxelOf(found->second, centroids.axes, labels);
    for (size_t a = 0; voxel && a < 3; ++a)
    {
      if ((*voxel)[a] < double(box.low[a]) - slack || (*voxel)[a] > double(box.high[a]) + slack)
      {
        return Format("the centroid of %s is at voxel %.1f of axis %zu, its mask from %ld to %ld",
                      CanonicalName(level).c_str(),
                      (*voxel)[a],
                      a,
                      box.low[a],
                      box.high[a]);
      }
    }
  }
  return "";
}

} // namespace

void
CheckCentroids(const DatasetCase & one, const LabelVolume & labels, Findings & findings)
{
  if (one.centroids.empty())
  {
    return;
  }
  const auto add = [&](const std::string & text) {
    findings.push_back({ Severity::Warning,
                         "centroids",
                         one.id,
                         one.centroids,
                         text,
                         "see whether mask and centroids are of one scan; the mask is what is trained on" });
  };
  const auto centroids = Read(one.centroids);
  if (!centroids)
  {
    add("no list of {\"label\", \"X\", \"Y\", \"Z\"}");
    return;
  }
  const auto        boxes = BoxesOf(*labels.image);
  const std::string difference = Difference(*centroids, boxes);
  // Those of the challenge are millimetres of a copy that is not there.
  const bool        voxels = !EndsWith(one.centroids, "_iso-ctd.json");
  const std::string misplaced = voxels ? Misplaced(*centroids, boxes, *labels.image) : std::string();
  if (!difference.empty() || !misplaced.empty())
  {
    add(difference.empty() ? misplaced : difference);
  }
}

} // namespace verdiff

#include "doctor.h"

#include "centroids.h"
#include "dataset_load.h"
#include "interrupt.h"
#include "label_source.h"
#include "sagittal.h"
#include "text.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <optional>

namespace verdiff
{
namespace
{

constexpr double       spacingRatio = 2.5;  // from the median: beyond, a header is likely wrong
constexpr double       wholePart = 0.7;     // of the neighbour's volume: a vertebra with less is cut
constexpr std::int64_t slicesOfAVolume = 4; // with fewer a structure may well lie outside

class Doctor
{
public:
  Doctor(const Dataset & dataset, const CheckSettings & settings)
    : m_Dataset(dataset)
    , m_Settings(settings)
  {
    m_Checkup.findings = dataset.findings;
  }

  void
  Look(const DatasetCase & one)
  {
    const auto loaded = LoadCase(m_Dataset, one, m_Checkup.findings);
    if (!loaded)
    {
      return;
    }
    m_Case = &one;
    const Volume &      first = loaded->channels[0];
    const SagittalFrame frame(*first.image, IsPlanar(first, m_Settings.plane), m_Settings.plane);
    m_Facts = CaseFacts();
    m_Facts.id = one.id;
    m_Facts.size = { frame.Count(), frame.Height(), frame.Width() };
    const double assumed = m_Settings.pixelSpacing;
    m_Facts.spacing = { first.spacingKnown ? frame.RowSpacing() : assumed,
                        first.spacingKnown ? frame.ColumnSpacing() : assumed };
    m_Facts.type = StoredType(first);
    for (const Volume & channel : loaded->channels)
    {
      CheckConstant(channel);
      CheckDuplicate(channel);
    }
    CountLabels(*loaded->labels.image);
    CheckEmpty();
    CheckCentroids(one, loaded->labels, m_Checkup.findings);
    CheckLevels(*loaded->labels.image, first.orientationKnown && m_Facts.size[0] >= slicesOfAVolume);
    m_Checkup.cases.push_back(m_Facts);
  }

  Checkup
  Finish()
  {
    CheckSpacings();
    CheckTypes();
    m_Checkup.findings.insert(m_Checkup.findings.end(), m_Duplicates.begin(), m_Duplicates.end());
    return std::move(m_Checkup);
  }

private:
  void
  Add(Severity            severity,
      const std::string & kind,
      const std::string & file,
      const std::string & text,
      const std::string & remedy)
  {
    m_Checkup.findings.push_back({ severity, kind, m_Case->id, file, text, remedy });
  }

  void
  CheckConstant(const Volume & volume)
  {
    const float * pixels = volume.image->GetBufferPointer();
    const size_t  count = volume.image->GetLargestPossibleRegion().GetNumberOfPixels();
    if (std::all_of(pixels, pixels + count, [&](float v) { return v == pixels[0]; }))
    {
      Add(Severity::Fault,
          "constant",
          volume.path,
          "all " + std::to_string(count) + " pixels are " + FormatNumber(double(pixels[0])),
          "export the image again, or take the case away");
    }
  }

  // Equal pixels under two ids: between subjects they would be learned from and tested on.
  void
  CheckDuplicate(const Volume & volume)
  {
    const float * pixels = volume.image->GetBufferPointer();
    const size_t  count = volume.image->GetLargestPossibleRegion().GetNumberOfPixels();
    std::uint64_t hash = 1469598103934665603ull ^ std::uint64_t(m_Facts.size[1]);
    for (size_t i = 0; i < count; ++i)
    {
      std::uint32_t bits = 0;
      std::memcpy(&bits, pixels + i, sizeof bits);
      hash = (hash ^ bits) * 1099511628211ull;
    }
    const auto [found, fresh] = m_Seen.emplace(hash, Seen{ m_Case, volume.path });
    if (fresh || found->second.one == m_Case)
    {
      return;
    }
    const DatasetCase & other = *found->second.one;
    const bool          same = other.subject == m_Case->subject;
    m_Duplicates.push_back({ same ? Severity::Warning : Severity::Fault,
                             "duplicate",
                             m_Case->id,
                             volume.path,
                             "the same pixels as " + found->second.path +
                               (same ? "" : " of another subject: it could be trained and tested on"),
                             "keep one of the two" });
  }

  void
  CountLabels(const LabelImage & labels)
  {
    std::vector<std::int64_t> counts(65536, 0);
    const std::uint16_t *     values = labels.GetBufferPointer();
    const size_t              count = labels.GetLargestPossibleRegion().GetNumberOfPixels();
    for (size_t i = 0; i < count; ++i)
    {
      ++counts[values[i]];
    }
    for (size_t v = 0; v < counts.size(); ++v)
    {
      if (counts[v] > 0)
      {
        m_Facts.voxels[int(v)] = counts[v];
      }
    }
  }

  void
  CheckEmpty()
  {
    const bool any = std::any_of(m_Facts.voxels.begin(), m_Facts.voxels.end(), [&](const auto & entry) {
      const auto found = m_Dataset.canonical.find(entry.first);
      // A source may have a value that means background.
      return entry.first != 0 && entry.first != m_Dataset.ignore.value_or(0) &&
             (found == m_Dataset.canonical.end() || found->second != 0);
    });
    if (any)
    {
      return;
    }
    const bool slice = m_Facts.size[0] < slicesOfAVolume;
    Add(slice ? Severity::Warning : Severity::Fault,
        "empty",
        m_Case->labels,
        slice ? "no labelled pixel in this slice" : "no labelled voxel in the whole volume",
        slice ? "fine when the slice shows no spine, otherwise label it" : "label the scan, or take the case away");
  }

  // Levels by canonical number that this case has, from the head down.
  std::vector<int>
  LevelsHere() const
  {
    std::set<int> levels;
    for (const auto & entry : m_Facts.voxels)
    {
      const auto found = m_Dataset.canonical.find(entry.first);
      if (found != m_Dataset.canonical.end() && IsLevel(found->second))
      {
        levels.insert(found->second);
      }
    }
    std::vector<int> order(levels.begin(), levels.end());
    std::sort(order.begin(), order.end(), [](int a, int b) { return LevelOrder(a) < LevelOrder(b); });
    return order;
  }

  // Vertebrae that must lie between the first and the last one. Six in a hundred people have 11 or 13 thoracic
  // vertebrae and as many four or six lumbar ones: T12, T13 and L6 may be absent.
  void
  CheckLevels(const LabelImage & labels, bool volume)
  {
    constexpr int          t12 = 19;
    constexpr int          t13 = 28;
    const std::vector<int> here = LevelsHere();
    std::string            absent;
    if (here.empty())
    {
      return;
    }
    const int first = here.front() == t13 ? t12 : here.front();
    const int last = here.back() == t13 ? t12 + 1 : here.back();
    for (int level = first + 1; level < last; ++level)
    {
      if (level != t12 && std::find(here.begin(), here.end(), level) == here.end())
      {
        absent += (absent.empty() ? "" : ", ") + CanonicalName(level);
      }
    }
    if (!absent.empty())
    {
      Add(volume ? Severity::Fault : Severity::Warning,
          "gap",
          m_Case->labels,
          absent + " is not labelled between " + CanonicalName(here.front()) + " and " + CanonicalName(here.back()),
          volume ? "label it, or correct the numbers of its neighbours"
                 : "fine when the slice misses it, otherwise label it");
    }
    if (volume)
    {
      CheckOrder(labels, here);
    }
  }

  // Centres must go down from level to level. Of a vertebra that the edge of the scan cuts the spinous process may be
  // all there is, below its neighbour's centre: the ends count only when most of them is there.
  void
  CheckOrder(const LabelImage & labels, const std::vector<int> & here)
  {
    std::map<int, std::pair<double, double>> sums; // canonical: sum of heights, voxels
    const std::uint16_t *                    values = labels.GetBufferPointer();
    const auto                               size = labels.GetLargestPossibleRegion().GetSize();
    const auto &                             direction = labels.GetDirection();
    const auto &                             spacing = labels.GetSpacing();
    for (size_t k = 0, at = 0; k < size[2]; ++k)
    {
      for (size_t j = 0; j < size[1]; ++j)
      {
        const double base = direction[2][2] * spacing[2] * double(k) + direction[2][1] * spacing[1] * double(j);
        for (size_t i = 0; i < size[0]; ++i, ++at)
        {
          if (values[at] == 0)
          {
            continue;
          }
          const auto found = m_Dataset.canonical.find(values[at]);
          if (found != m_Dataset.canonical.end() && IsLevel(found->second))
          {
            auto & sum = sums[found->second];
            sum.first += base + direction[2][0] * spacing[0] * double(i);
            sum.second += 1.0;
          }
        }
      }
    }
    for (size_t i = 1; i < here.size(); ++i)
    {
      const auto & upper = sums[here[i - 1]];
      const auto & lower = sums[here[i]];
      const bool   topCut = i == 1 && upper.second < wholePart * lower.second;
      const bool   bottomCut = i + 1 == here.size() && lower.second < wholePart * upper.second;
      if (!topCut && !bottomCut && lower.first / lower.second >= upper.first / upper.second)
      {
        Add(Severity::Fault,
            "order",
            m_Case->labels,
            CanonicalName(here[i]) + " lies above " + CanonicalName(here[i - 1]),
            "correct the numbers of the levels, or the orientation in the header");
        return;
      }
    }
  }

  void
  CheckSpacings()
  {
    std::vector<double> sizes;
    for (const CaseFacts & facts : m_Checkup.cases)
    {
      if (facts.spacing[0] > 0.0)
      {
        sizes.push_back(std::sqrt(facts.spacing[0] * facts.spacing[1]));
      }
    }
    if (sizes.empty())
    {
      return;
    }
    std::nth_element(sizes.begin(), sizes.begin() + long(sizes.size() / 2), sizes.end());
    const double median = sizes[sizes.size() / 2];
    for (const CaseFacts & facts : m_Checkup.cases)
    {
      const double size = std::sqrt(facts.spacing[0] * facts.spacing[1]);
      if (size > 0.0 && (size > spacingRatio * median || size < median / spacingRatio))
      {
        const DatasetCase & one = *std::find_if(
          m_Dataset.cases.begin(), m_Dataset.cases.end(), [&](const DatasetCase & c) { return c.id == facts.id; });
        m_Checkup.findings.push_back({ Severity::Warning,
                                       "outlier",
                                       one.id,
                                       one.images[0],
                                       "pixels of " + FormatNumber(facts.spacing[0], 4) + " x " +
                                         FormatNumber(facts.spacing[1], 4) + " mm, the middle of the data set is " +
                                         FormatNumber(median, 4) + " mm",
                                       "see whether the header is right" });
      }
    }
  }

  // One file stored otherwise than all others was likely exported otherwise too.
  void
  CheckTypes()
  {
    std::map<std::string, std::vector<std::string>> byType;
    for (const CaseFacts & facts : m_Checkup.cases)
    {
      byType[facts.type].push_back(facts.id);
    }
    for (const auto & [type, ids] : byType)
    {
      for (const std::string & id : 20 * ids.size() <= m_Checkup.cases.size() ? ids : std::vector<std::string>())
      {
        const DatasetCase & one =
          *std::find_if(m_Dataset.cases.begin(), m_Dataset.cases.end(), [&](const auto & c) { return c.id == id; });
        m_Checkup.findings.push_back({ Severity::Warning,
                                       "type",
                                       id,
                                       one.images[0],
                                       "voxels are stored as " + type + ", those of nearly all other cases are not",
                                       "see whether it was windowed or rescaled when it was exported" });
      }
    }
  }

  struct Seen
  {
    const DatasetCase * one;
    std::string         path;
  };

  const Dataset &               m_Dataset;
  const CheckSettings &         m_Settings;
  Checkup                       m_Checkup;
  const DatasetCase *           m_Case = nullptr;
  CaseFacts                     m_Facts;
  Findings                      m_Duplicates;
  std::map<std::uint64_t, Seen> m_Seen;
};

} // namespace

Checkup
CheckDataset(const Dataset & dataset, const CheckSettings & settings, Progress & progress, double from, double to)
{
  Doctor doctor(dataset, settings);
  for (size_t i = 0; i < dataset.cases.size(); ++i)
  {
    ThrowIfInterrupted();
    progress.Report(from + (to - from) * double(i) / double(dataset.cases.size()),
                    Format("Checking case %zu of %zu", i + 1, dataset.cases.size()));
    doctor.Look(dataset.cases[i]);
  }
  return doctor.Finish();
}

std::int64_t
CountOf(const Findings & findings, Severity severity)
{
  return std::count_if(
    findings.begin(), findings.end(), [severity](const Finding & f) { return f.severity == severity; });
}

std::set<std::string>
FaultyCases(const Findings & findings)
{
  std::set<std::string> cases;
  for (const Finding & finding : findings)
  {
    if (finding.severity == Severity::Fault)
    {
      cases.insert(finding.caseId);
    }
  }
  return cases;
}

const char *
SeverityName(Severity severity)
{
  return severity == Severity::Fault ? "fault" : (severity == Severity::Warning ? "warning" : "repaired");
}

double
MedianSpacing(const std::vector<Checkup> & checkups, std::array<double, 2> & range)
{
  std::vector<double> sizes;
  for (const Checkup & checkup : checkups)
  {
    for (const CaseFacts & facts : checkup.cases)
    {
      if (facts.spacing[0] > 0.0)
      {
        sizes.push_back(std::sqrt(facts.spacing[0] * facts.spacing[1]));
      }
    }
  }
  if (sizes.empty())
  {
    range = { 0.0, 0.0 };
    return 0.0;
  }
  std::sort(sizes.begin(), sizes.end());
  range = { sizes.front(), sizes.back() };
  return sizes[sizes.size() / 2];
}

} // namespace verdiff

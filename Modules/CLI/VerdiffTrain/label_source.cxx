#include "label_source.h"

#include "text.h"

#include "sources_table.h"

#include <algorithm>
#include <map>

namespace verdiff
{
namespace
{

constexpr int cervical = 7;
constexpr int lastThoracic = 19;
constexpr int lastLumbar = 25;
constexpr int sacrum = 26;
constexpr int coccyx = 27;
constexpr int thirteenthThoracic = 28;
constexpr int firstSacral = 29;
constexpr int anyVertebra = 30;
constexpr int anyBody = 31;
constexpr int cord = 60;
constexpr int canal = 61;
constexpr int anyDisc = 100;

std::map<std::string, std::vector<SourceLabel>>
ReadTable()
{
  std::map<std::string, std::vector<SourceLabel>> table;
  const auto                                      lines = Split(reinterpret_cast<const char *>(kSourcesTable), '\n');
  for (size_t i = 1; i < lines.size(); ++i)
  {
    const auto cells = Split(Trim(lines[i]), ',');
    if (cells.size() == 4)
    {
      table[cells[0]].push_back({ static_cast<int>(ParseInteger(cells[1]).value_or(0)),
                                  static_cast<int>(ParseInteger(cells[2]).value_or(0)),
                                  cells[3] });
    }
  }
  return table;
}

bool
IsLetter(char c)
{
  return (c >= 'a' && c <= 'z');
}

bool
IsDigit(char c)
{
  return c >= '0' && c <= '9';
}

// "l" and 4 give 23; 0 when there is no such vertebra.
int
LevelOf(char region, int number)
{
  switch (region)
  {
    case 'c':
      return number >= 1 && number <= cervical ? number : 0;
    case 't':
    case 'd': // dorsal
      return number == 13 ? thirteenthThoracic : (number >= 1 && number <= 12 ? cervical + number : 0);
    case 'l':
      return number >= 1 && number <= 6 ? lastThoracic + number : 0;
    default:
      return number == 1 ? firstSacral : 0;
  }
}

// Levels named in @p name, in order: "disc_L4-L5", "L4L5", "vertebrae_T12".
std::vector<int>
LevelsIn(const std::string & name)
{
  std::vector<int> levels;
  for (size_t i = 0; i + 1 < name.size(); ++i)
  {
    const bool begins = i == 0 || !IsLetter(name[i - 1]);
    const bool region = name[i] == 'c' || name[i] == 't' || name[i] == 'd' || name[i] == 'l' || name[i] == 's';
    if (!begins || !region || !IsDigit(name[i + 1]))
    {
      continue;
    }
    size_t end = i + 1;
    while (end < name.size() && IsDigit(name[end]))
    {
      ++end;
    }
    const auto number = ParseInteger(name.substr(i + 1, std::min<size_t>(end - i - 1, 4)));
    if (const int level = LevelOf(name[i], static_cast<int>(number.value_or(0))))
    {
      levels.push_back(level);
    }
  }
  return levels;
}

} // namespace

const std::vector<SourceLabel> &
SourceLabels(const std::string & source)
{
  static const auto                     table = ReadTable();
  static const std::vector<SourceLabel> none;
  const auto                            found = table.find(source);
  return found == table.end() ? none : found->second;
}

int
CanonicalOfName(const std::string & name)
{
  const std::string lower = LowerCase(name);
  const auto        has = [&](const char * word) {
    return lower.find(word) != std::string::npos;
  };
  const std::vector<int> levels = LevelsIn(lower);
  if (has("rib") || has("nerve") || has("artery") || has("muscle"))
  {
    return 0;
  }
  if (has("disc") || has("disk") || has("ivd") || levels.size() == 2)
  {
    return levels.empty() ? anyDisc : anyDisc + levels[0];
  }
  if (levels.size() == 1)
  {
    return levels[0];
  }
  if (has("cord"))
  {
    return cord;
  }
  if (has("canal") || has("thecal"))
  {
    return canal;
  }
  if (has("sacrum") || has("sacral"))
  {
    return sacrum;
  }
  if (has("coccyx"))
  {
    return coccyx;
  }
  return has("body") || has("bodies") || has("corpus") ? anyBody : (has("vertebra") ? anyVertebra : 0);
}

std::string
CanonicalName(int canonical)
{
  if (canonical > anyDisc)
  {
    const int upper = canonical - anyDisc;
    const int lower = upper == lastThoracic || upper == thirteenthThoracic ? lastThoracic + 1 : upper + 1;
    return CanonicalName(upper) + "-" + (upper >= lastLumbar - 1 && upper <= lastLumbar ? "S1" : CanonicalName(lower)) +
           " disc";
  }
  static const std::map<int, std::string> names = { { 0, "background" },           { sacrum, "sacrum" },
                                                    { coccyx, "coccyx" },          { thirteenthThoracic, "T13" },
                                                    { firstSacral, "S1" },         { anyVertebra, "vertebra" },
                                                    { anyBody, "vertebral body" }, { cord, "spinal cord" },
                                                    { canal, "spinal canal" },     { anyDisc, "disc" } };
  const auto                              found = names.find(canonical);
  if (found != names.end())
  {
    return found->second;
  }
  if (canonical >= 1 && canonical <= lastLumbar)
  {
    return canonical <= cervical ? Format("C%d", canonical)
                                 : (canonical <= lastThoracic ? Format("T%d", canonical - cervical)
                                                              : Format("L%d", canonical - lastThoracic));
  }
  return Format("structure %d", canonical);
}

Structure
StructureOf(int canonical)
{
  if (IsLevel(canonical) || canonical == anyVertebra || canonical == anyBody)
  {
    return Structure::Vertebra;
  }
  if (canonical >= anyDisc && canonical <= anyDisc + thirteenthThoracic)
  {
    return Structure::Disc;
  }
  return canonical == canal ? Structure::Canal
                            : (canonical == sacrum || canonical == firstSacral ? Structure::Sacrum : Structure::Other);
}

bool
IsLevel(int canonical)
{
  return (canonical >= 1 && canonical <= lastLumbar) || canonical == thirteenthThoracic;
}

int
LevelOrder(int canonical)
{
  if (canonical == thirteenthThoracic)
  {
    return lastThoracic;
  }
  return canonical <= lastThoracic ? canonical - 1 : canonical;
}

} // namespace verdiff

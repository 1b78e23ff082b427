// Phantoms as data sets in the layouts and with the label values of public ones, for trying programs that read those.
#pragma once

#include "phantom.h"

#include <string>
#include <vector>

namespace verdiff
{

/// Takes phantoms one by one and writes one of the layouts "nnunet1", "verse", "verse-challenge", "ctspine1k",
/// "spider", "aasce", "mrspineseg", "sudirman", "totalsegmentator",
/// "totalsegmentator-mr".
class LayoutWriter
{
public:
  LayoutWriter(const std::string & layout, const std::string & folder);

  PhantomModality
  Modality() const;

  /// @param number  of the case, 1, 2, ...; radiographs are the frontal one alone.
  /// @return false when the layout has no place for it (AASCE: not all of T1 to L5; Sudirman: not L3 to S1).
  bool
  Add(const Phantom & phantom, int number);

  /// What is written once, at the end.
  void
  Finish();

private:
  void
  AddVerse(const Phantom & phantom, int number) const;
  void
  AddVerseChallenge(const Phantom & phantom, int number) const;
  void
  AddCtspine(const Phantom & phantom, int number);
  void
  AddSpider(const Phantom & phantom, int number);
  bool
  AddAasce(const Phantom & phantom, int number);
  void
  AddMrspineseg(const Phantom & phantom, int number) const;
  bool
  AddSudirman(const Phantom & phantom, int number) const;
  void
  AddTotalsegmentator(const Phantom & phantom, int number);
  void
  AddNnunet1(const Phantom & phantom, int number);

  std::string              m_Layout;
  std::string              m_Folder; // ends with '/'
  std::vector<std::string> m_Lines;  // of the table that Finish() writes
  std::vector<std::string> m_MoreLines;
  int                      m_Cases = 0;
};

/// Discs of @p phantom by the VerSe number of the vertebra above; 0 elsewhere.
std::vector<uint8_t>
DiscLevels(const Phantom & phantom);

} // namespace verdiff

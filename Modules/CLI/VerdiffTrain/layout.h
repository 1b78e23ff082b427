// The layouts of data sets, one file each: layout_<family>.cxx. A layout is recognised by what is in the folder,
// never by the folder's name alone.
#pragma once

#include "dataset.h"

#include "failure.h"

#include <optional>
#include <string>
#include <vector>

namespace verdiff
{

struct Layout
{
  const char * name;
  const char * lookedFor; // for a folder that no layout fits
  /// Why @p folder is of this layout; nothing when it is not.
  std::optional<std::string> (*recognise)(const std::string & folder);
  /// Cases, labels, findings of dataset.folder, sorted by nothing yet.
  void (*read)(Dataset & dataset);
};

extern const Layout layoutNnunet, layoutVerse, layoutCtspine, layoutSpider, layoutAasce, layoutMrspineseg,
  layoutSudirman, layoutTotalsegmentator;

// ---- what they share ----

[[noreturn]] inline void
RefuseDataset(const std::string & path, const std::string & reason)
{
  throw Failure(ExitCode::Input, path + ": " + reason);
}

/// Names in a folder that are not hidden, sorted; empty when there is no such folder.
std::vector<std::string>
NamesIn(const std::string & folder);

bool
IsFolder(const std::string & path);
bool
IsFile(const std::string & path);

/// @p text without @p ending; nothing when it ends otherwise.
std::optional<std::string>
Without(const std::string & text, const std::string & ending);

/// Labels and their canonical numbers from sources.csv.
void
UseSource(Dataset & dataset, const std::string & source);

/// A mask or image without its partner.
void
AddMissing(Dataset & dataset, const std::string & caseId, const std::string & file, const std::string & neededFor);

/// The lines of a small text file without line ends; empty when there is none.
std::vector<std::string>
LinesOf(const std::string & path);

} // namespace verdiff

// What is wrong with a file of a data set, and how to mend it.
#pragma once

#include <string>
#include <vector>

namespace verdiff
{

enum class Severity
{
  Fault,   // training refuses it or leaves the case out, as --faults says
  Warning, // suspicious: used, but look at it
  Repaired // was wrong and is put right when it is read
};

struct Finding
{
  Severity    severity = Severity::Fault;
  std::string kind;   // "missing", "unreadable", "size", ...: the table of Resources/Docs/datasets.md
  std::string caseId; // empty for a file that belongs to no case
  std::string file;
  std::string text; // what is wrong, with numbers
  std::string remedy;
};

using Findings = std::vector<Finding>;

} // namespace verdiff

// A file that appears under its name only when it is complete.
#pragma once

#include <string>

namespace verdiff
{

class OutputFile
{
public:
  /// Create an empty temporary file in the folder of @p path, so that an unwritable place is found
  /// before the work and not after it.
  /// @throw Failure with ExitCode::Output.
  explicit OutputFile(const std::string & path);
  ~OutputFile();
  OutputFile(const OutputFile &) = delete;
  OutputFile &
  operator=(const OutputFile &) = delete;

  /// Where to write; it has the extension of the final name.
  const std::string &
  TemporaryPath() const
  {
    return m_Temporary;
  }
  const std::string &
  Path() const
  {
    return m_Path;
  }

  /// Write @p bytes to the temporary file.
  void
  Write(const std::string & bytes);

  /// Flush to disk and rename into place.
  void
  Commit();

private:
  std::string m_Path;
  std::string m_Temporary;
  int         m_Slot = -1;
  bool        m_Committed = false;
};

} // namespace verdiff

// Is a file whole? ITK's readers of several formats answer a truncated or damaged file with zeros and
// success, so every container is checked here before it is given to them: checksums where the format
// has them, otherwise the number of bytes.
#pragma once

#include <cstdint>
#include <string>

namespace verdiff
{

/// A file that may be gzip-compressed, read in order. A damaged stream throws Failure (Input).
class GzipFile
{
public:
  /// @param offset  where the compressed data begins in the file
  explicit GzipFile(const std::string & path, std::int64_t offset = 0);
  ~GzipFile();
  GzipFile(const GzipFile &) = delete;
  GzipFile &
  operator=(const GzipFile &) = delete;

  /// @return bytes read; fewer than @p count only at the end of the file.
  std::int64_t
  Read(void * out, std::int64_t count);

  /// Read to the end, so that the checksum is verified. @return bytes that were left.
  std::int64_t
  Drain();

private:
  std::string m_Path;
  void *      m_File;
};

/// Refuse a file that is too short for @p needed bytes, however well they are packed, before memory is taken for them.
void
CheckCanHold(const std::string & path, std::int64_t needed);

// Each throws Failure (Input) naming the field, the value found and the value needed.
void
CheckNrrd(const std::string & path);
void
CheckMetaImage(const std::string & path);
void
CheckPng(const std::string & path);
void
CheckJpeg(const std::string & path);

/// First bytes of a file, at most @p count. @throw Failure (Input) when it cannot be read.
std::string
ReadHead(const std::string & path, size_t count);

} // namespace verdiff

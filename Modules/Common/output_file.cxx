#include "output_file.h"

#include "failure.h"
#include "interrupt.h"
#include "text.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

namespace verdiff
{
namespace
{

std::string
FolderOf(const std::string & path)
{
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

[[noreturn]] void
FailWith(const std::string & path, const char * what, int error)
{
  throw Failure(ExitCode::Output, path + ": " + what + ": " + std::strerror(error));
}

// Flush a file or, so that its new entry survives too, a folder.
int
Flush(const std::string & path, int flags)
{
  const int file = open(path.c_str(), flags | O_CLOEXEC);
  if (file < 0)
  {
    return errno;
  }
  const int result = fsync(file) == 0 ? 0 : errno;
  close(file);
  return result;
}

} // namespace

OutputFile::OutputFile(const std::string & path)
  : m_Path(path)
{
  static std::atomic<int> count{ 0 };
  const std::string       folder = FolderOf(path);
  struct stat             info;
  if (path.empty())
  {
    throw Failure(ExitCode::Output, "the output name is empty");
  }
  if (stat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))
  {
    throw Failure(ExitCode::Output, path + ": cannot be written: " + folder + " is not an existing folder");
  }
  if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
  {
    throw Failure(ExitCode::Output, path + ": cannot be written: it exists and is not a file");
  }
  m_Temporary = folder + Format("/.verdiff-%ld-%d", static_cast<long>(getpid()), count++) + ImageExtension(path);
  m_Slot = RegisterTemporary(m_Temporary);
  const int file = open(m_Temporary.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0666);
  if (file < 0)
  {
    const int error = errno;
    ForgetTemporary(m_Slot);
    FailWith(path, "cannot be written", error);
  }
  close(file);
}

OutputFile::~OutputFile()
{
  if (!m_Committed)
  {
    unlink(m_Temporary.c_str());
  }
  ForgetTemporary(m_Slot);
}

void
OutputFile::Write(const std::string & bytes)
{
  const int file = open(m_Temporary.c_str(), O_TRUNC | O_WRONLY | O_CLOEXEC);
  if (file < 0)
  {
    FailWith(m_Path, "cannot be written", errno);
  }
  size_t done = 0;
  int    error = 0;
  while (done < bytes.size() && error == 0)
  {
    const ssize_t written = write(file, bytes.data() + done, bytes.size() - done);
    if (written > 0)
    {
      done += static_cast<size_t>(written);
    }
    else if (written == 0 || errno != EINTR)
    {
      error = written == 0 ? EIO : errno;
    }
  }
  close(file);
  if (error != 0)
  {
    FailWith(m_Path, "cannot be written", error);
  }
}

void
OutputFile::Commit()
{
  if (const int error = Flush(m_Temporary, O_WRONLY))
  {
    FailWith(m_Path, "cannot be flushed to disk", error);
  }
  if (rename(m_Temporary.c_str(), m_Path.c_str()) != 0)
  {
    FailWith(m_Path, "cannot be renamed into place", errno);
  }
  m_Committed = true;
  Flush(FolderOf(m_Path), O_RDONLY | O_DIRECTORY); // Some file systems refuse this; the file is there.
}

} // namespace verdiff

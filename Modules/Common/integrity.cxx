#include "integrity.h"

#include "failure.h"
#include "text.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <map>
#include <unistd.h>
#include <vector>

namespace verdiff
{
namespace
{

[[noreturn]] void
Refuse(const std::string & path, const std::string & reason)
{
  throw Failure(ExitCode::Input, path + ": " + reason);
}

long long
FileBytes(const std::string & path)
{
  std::error_code error;
  const auto      bytes = std::filesystem::file_size(path, error);
  if (error)
  {
    Refuse(path, "cannot be read: " + error.message());
  }
  return static_cast<long long>(bytes);
}

// Product of the sizes in a header; refuses what no memory holds.
long long
Product(const std::string & path, const std::string & field, const std::vector<std::string> & sizes)
{
  long long product = 1;
  for (const std::string & text : sizes)
  {
    const auto size = ParseInteger(text);
    if (!size || *size < 1)
    {
      Refuse(path, field + " has \"" + text + "\", must be at least 1");
    }
    if (product > (1LL << 40) / *size)
    {
      Refuse(path, field + " describes more than 2^40 voxels");
    }
    product *= *size;
  }
  return product;
}

std::vector<std::string>
Words(const std::string & text)
{
  std::vector<std::string> words;
  std::string              spaced = text;
  std::replace(spaced.begin(), spaced.end(), '\t', ' ');
  for (const std::string & word : Split(spaced, ' '))
  {
    if (!word.empty())
    {
      words.push_back(word);
    }
  }
  return words;
}

void
CheckBytes(const std::string & path, long long found, long long needed)
{
  if (found < needed)
  {
    Refuse(path, Format("truncated: %lld bytes of voxels, the header needs %lld", found, needed));
  }
}

struct TextHeader
{
  std::map<std::string, std::string> fields; // keys in lower case
  long long                          dataOffset = 0;
};

// Header lines "key<separator> value" until a blank line (NRRD) or the key @p last (MetaImage).
TextHeader
ReadTextHeader(const std::string & path, const std::string & separator, const std::string & last)
{
  std::ifstream file(path, std::ios::binary);
  TextHeader    header;
  std::string   line;
  for (int lines = 0; lines < 4096 && std::getline(file, line); ++lines)
  {
    header.dataOffset = file.eof() ? FileBytes(path) : static_cast<long long>(file.tellg());
    const std::string plain = Trim(line);
    if (plain.empty() && last.empty())
    {
      return header;
    }
    const size_t at = plain.find(separator);
    if (plain.empty() || plain[0] == '#' || at == std::string::npos)
    {
      continue;
    }
    const std::string key = LowerCase(Trim(plain.substr(0, at)));
    header.fields[key] = Trim(plain.substr(at + separator.size()));
    if (!last.empty() && key == last)
    {
      return header;
    }
  }
  if (!last.empty())
  {
    Refuse(path, "the header ends without " + last);
  }
  header.dataOffset = FileBytes(path);
  return header;
}

// Zero or non-finite numbers where millimetres are needed.
void
CheckSpacings(const std::string & path, const std::string & field, const std::vector<std::string> & values)
{
  for (const std::string & text : values)
  {
    const auto value = ParseDouble(text);
    if (!value || *value == 0.0)
    {
      Refuse(path, field + " has " + text + ", must be a number of mm above 0");
    }
  }
}

void
CheckNumbers(const std::string & path, const std::string & field, const std::vector<std::string> & values)
{
  for (const std::string & text : values)
  {
    if (!ParseDouble(text))
    {
      Refuse(path, field + " has \"" + text + "\", must be a number");
    }
  }
}

void
CheckSpaceDirections(const std::string & path, const std::string & text)
{
  size_t open = text.find('(');
  while (open != std::string::npos)
  {
    const size_t      close = std::min(text.find(')', open), text.size());
    const std::string vector = text.substr(open, close + 1 - open);
    double            sum = 0.0;
    for (const std::string & part : Split(text.substr(open + 1, close - open - 1), ','))
    {
      const auto value = ParseDouble(Trim(part));
      sum += value ? *value * *value : std::nan("");
    }
    if (!(sum > 0.0))
    {
      Refuse(path, "space directions has " + vector + ", must be a vector of mm longer than 0");
    }
    open = text.find('(', close);
  }
}

int
NrrdTypeBytes(const std::string & type)
{
  static const std::map<std::string, int> bytes = {
    { "signed char", 1 },   { "int8", 1 },           { "int8_t", 1 },   { "uchar", 1 },
    { "unsigned char", 1 }, { "uint8", 1 },          { "uint8_t", 1 },  { "short", 2 },
    { "short int", 2 },     { "signed short", 2 },   { "int16", 2 },    { "int16_t", 2 },
    { "ushort", 2 },        { "unsigned short", 2 }, { "uint16", 2 },   { "uint16_t", 2 },
    { "int", 4 },           { "signed int", 4 },     { "int32", 4 },    { "int32_t", 4 },
    { "uint", 4 },          { "unsigned int", 4 },   { "uint32", 4 },   { "uint32_t", 4 },
    { "longlong", 8 },      { "long long", 8 },      { "int64", 8 },    { "int64_t", 8 },
    { "ulonglong", 8 },     { "uint64", 8 },         { "uint64_t", 8 }, { "unsigned long long", 8 },
    { "float", 4 },         { "double", 8 },
  };
  const auto found = bytes.find(LowerCase(type));
  return found == bytes.end() ? 0 : found->second;
}

std::string
Field(const TextHeader & header, const std::string & key, const std::string & otherKey = "")
{
  const auto found = header.fields.find(key);
  if (found != header.fields.end())
  {
    return found->second;
  }
  return otherKey.empty() ? std::string() : Field(header, otherKey);
}

// Bytes after @p offset once a zlib or gzip stream is unpacked; its checksum is verified.
long long
InflatedBytes(const std::string & path, long long offset)
{
  std::ifstream file(path, std::ios::binary);
  file.seekg(offset);
  std::vector<unsigned char> in(1 << 16);
  std::vector<unsigned char> out(1 << 18);
  z_stream                   stream;
  std::memset(&stream, 0, sizeof(stream));
  if (inflateInit2(&stream, 15 + 32) != Z_OK)
  {
    throw Failure(ExitCode::Memory, path + ": no memory to unpack");
  }
  long long total = 0;
  int       result = Z_OK;
  while (result == Z_OK && file)
  {
    file.read(reinterpret_cast<char *>(in.data()), static_cast<std::streamsize>(in.size()));
    stream.next_in = in.data();
    stream.avail_in = static_cast<uInt>(file.gcount());
    while (result == Z_OK && stream.avail_in > 0)
    {
      stream.next_out = out.data();
      stream.avail_out = static_cast<uInt>(out.size());
      result = inflate(&stream, Z_NO_FLUSH);
      total += static_cast<long long>(out.size()) - stream.avail_out;
    }
  }
  const std::string message = stream.msg ? stream.msg : "";
  inflateEnd(&stream);
  if (result != Z_STREAM_END)
  {
    Refuse(path,
           result == Z_OK ? Format("truncated: the compressed voxels end after %lld bytes", total)
                          : "damaged: the compressed voxels cannot be unpacked (" + message + ")");
  }
  return total;
}

bool
StartsLikeGzip(const std::string & path, long long offset)
{
  std::ifstream file(path, std::ios::binary);
  char          head[2] = { 0, 0 };
  file.seekg(offset);
  file.read(head, 2);
  return file && head[0] == '\x1f' && head[1] == '\x8b';
}

void
CheckNrrdData(const std::string & path, const TextHeader & header, const std::string & dataPath, long long offset)
{
  const std::string encoding = LowerCase(Field(header, "encoding"));
  const long long needed = Product(path, "sizes", Words(Field(header, "sizes"))) * NrrdTypeBytes(Field(header, "type"));
  if (encoding == "raw")
  {
    CheckBytes(dataPath, FileBytes(dataPath) - offset, needed);
  }
  else if (encoding == "gzip" || encoding == "gz")
  {
    if (!StartsLikeGzip(dataPath, offset))
    {
      Refuse(dataPath, "damaged: encoding is gzip, but the voxels do not begin as gzip data");
    }
    GzipFile file(dataPath, offset);
    CheckBytes(dataPath, file.Drain(), needed);
  }
}

} // namespace

GzipFile::GzipFile(const std::string & path, std::int64_t offset)
  : m_Path(path)
  , m_File(nullptr)
{
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
  {
    Refuse(path, std::string("cannot be read: ") + std::strerror(errno));
  }
  if (lseek(descriptor, offset, SEEK_SET) >= 0)
  {
    m_File = gzdopen(descriptor, "rb");
  }
  if (!m_File)
  {
    close(descriptor);
    throw Failure(ExitCode::Memory, path + ": no memory to unpack");
  }
  gzbuffer(static_cast<gzFile>(m_File), 1 << 18);
}

GzipFile::~GzipFile()
{
  gzclose_r(static_cast<gzFile>(m_File));
}

std::int64_t
GzipFile::Read(void * out, std::int64_t count)
{
  const gzFile file = static_cast<gzFile>(m_File);
  std::int64_t done = 0;
  while (done < count)
  {
    const unsigned chunk = static_cast<unsigned>(std::min<std::int64_t>(count - done, 1 << 28));
    const int      result = gzread(file, static_cast<unsigned char *>(out) + done, chunk);
    int            error = Z_OK;
    const char *   message = gzerror(file, &error);
    if (result < 0 || error == Z_DATA_ERROR)
    {
      Refuse(m_Path, Format("damaged: gzip data error after %lld bytes (%s)", (long long)done, message));
    }
    if (error == Z_BUF_ERROR)
    {
      Refuse(m_Path, Format("truncated: the gzip data ends early, at byte %lld of the file", FileBytes(m_Path)));
    }
    if (result == 0)
    {
      break;
    }
    done += result;
  }
  return done;
}

std::int64_t
GzipFile::Drain()
{
  std::vector<unsigned char> buffer(1 << 20);
  std::int64_t               total = 0;
  for (;;)
  {
    const std::int64_t count = Read(buffer.data(), static_cast<std::int64_t>(buffer.size()));
    total += count;
    if (count < static_cast<std::int64_t>(buffer.size()))
    {
      return total;
    }
  }
}

void
CheckCanHold(const std::string & path, std::int64_t needed)
{
  constexpr std::int64_t mostPerByte = 1032; // Deflate packs no more into a byte (zlib's technical notes).
  const long long        bytes = FileBytes(path);
  const bool             packed = StartsLikeGzip(path, 0);
  if (packed ? bytes < needed / mostPerByte : bytes < needed)
  {
    Refuse(
      path,
      Format("truncated: %lld bytes, the header needs %lld%s", bytes, (long long)needed, packed ? " unpacked" : ""));
  }
}

std::string
ReadHead(const std::string & path, size_t count)
{
  std::ifstream file(path, std::ios::binary);
  std::string   head(count, '\0');
  file.read(head.data(), static_cast<std::streamsize>(count));
  if (!file && !file.eof())
  {
    Refuse(path, std::string("cannot be read: ") + std::strerror(errno));
  }
  head.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return head;
}

void
CheckNrrd(const std::string & path)
{
  const TextHeader header = ReadTextHeader(path, ":", "");
  for (const char * field : { "dimension", "sizes", "type", "encoding" })
  {
    if (Field(header, field).empty())
    {
      Refuse(path, std::string("the NRRD header has no \"") + field + "\"");
    }
  }
  if (NrrdTypeBytes(Field(header, "type")) == 0)
  {
    Refuse(path, "type is \"" + Field(header, "type") + "\", must be an integer or float type");
  }
  if (!Field(header, "spacings").empty())
  {
    CheckSpacings(path, "spacings", Words(Field(header, "spacings")));
  }
  CheckSpaceDirections(path, Field(header, "space directions"));
  const std::string dataFile = Field(header, "data file", "datafile");
  if (dataFile.empty())
  {
    CheckNrrdData(path, header, path, header.dataOffset);
    return;
  }
  // Lists and patterns of files, and data with a preamble, are left to ITK, whose reader throws.
  if (Words(dataFile).size() == 1 && dataFile.find('%') == std::string::npos &&
      Field(header, "byte skip", "byteskip").empty() && Field(header, "line skip", "lineskip").empty())
  {
    const std::string dataPath = (std::filesystem::path(path).parent_path() / dataFile).string();
    if (!std::filesystem::exists(dataPath))
    {
      Refuse(path, "data file " + dataFile + " does not exist");
    }
    CheckNrrdData(path, header, dataPath, 0);
  }
}

static int
MetaTypeBytes(const std::string & type)
{
  static const std::map<std::string, int> bytes = {
    { "MET_CHAR", 1 },  { "MET_UCHAR", 1 },     { "MET_SHORT", 2 },  { "MET_USHORT", 2 },
    { "MET_INT", 4 },   { "MET_UINT", 4 },      { "MET_LONG", 4 },   { "MET_ULONG", 4 },
    { "MET_FLOAT", 4 }, { "MET_LONG_LONG", 8 }, { "MET_DOUBLE", 8 }, { "MET_ULONG_LONG", 8 }
  };
  const auto found = bytes.find(type);
  return found == bytes.end() ? 0 : found->second;
}

void
CheckMetaImage(const std::string & path)
{
  const TextHeader  header = ReadTextHeader(path, "=", "elementdatafile");
  const std::string dataFile = Field(header, "elementdatafile");
  const int         bytes = MetaTypeBytes(Field(header, "elementtype"));
  if (bytes == 0)
  {
    Refuse(path, "ElementType is \"" + Field(header, "elementtype") + "\", must be a number type such as MET_SHORT");
  }
  for (const char * field : { "elementspacing", "elementsize" })
  {
    CheckSpacings(path, field, Words(Field(header, field)));
  }
  for (const char * field : { "transformmatrix", "rotation", "orientation", "offset", "position", "origin" })
  {
    CheckNumbers(path, field, Words(Field(header, field)));
  }
  const long long channels = ParseInteger(Field(header, "elementnumberofchannels")).value_or(1);
  const long long needed = Product(path, "DimSize", Words(Field(header, "dimsize"))) * bytes * channels;
  const bool      local = LowerCase(dataFile) == "local";
  if (!local &&
      (Words(dataFile).size() != 1 || LowerCase(dataFile) == "list" || dataFile.find('%') != std::string::npos))
  {
    return;
  }
  const std::string dataPath = local ? path : (std::filesystem::path(path).parent_path() / dataFile).string();
  if (!std::filesystem::exists(dataPath))
  {
    Refuse(path, "ElementDataFile " + dataFile + " does not exist");
  }
  const long long offset = local ? header.dataOffset : 0;
  const bool      compressed = LowerCase(Field(header, "compresseddata")) == "true";
  CheckBytes(dataPath, compressed ? InflatedBytes(dataPath, offset) : FileBytes(dataPath) - offset, needed);
}

void
CheckPng(const std::string & path)
{
  std::ifstream     file(path, std::ios::binary);
  const long long   bytes = FileBytes(path);
  long long         position = 8;
  std::vector<char> chunk;
  for (;;)
  {
    unsigned char head[8];
    file.seekg(position);
    if (!file.read(reinterpret_cast<char *>(head), 8))
    {
      Refuse(path, Format("truncated: the PNG ends after %lld bytes without its IEND chunk", bytes));
    }
    const long long length = (static_cast<long long>(head[0]) << 24) | (head[1] << 16) | (head[2] << 8) | head[3];
    if (position + 12 + length > bytes)
    {
      Refuse(path, Format("truncated: a PNG chunk needs %lld bytes, the file has %lld", position + 12 + length, bytes));
    }
    chunk.resize(static_cast<size_t>(length + 4));
    file.read(chunk.data(), length + 4);
    uLong crc = crc32(0, head + 4, 4);
    crc = crc32(crc, reinterpret_cast<const Bytef *>(chunk.data()), static_cast<uInt>(length));
    const unsigned char * stored = reinterpret_cast<const unsigned char *>(chunk.data()) + length;
    const uLong       wanted = (static_cast<uLong>(stored[0]) << 24) | (stored[1] << 16) | (stored[2] << 8) | stored[3];
    const std::string name(reinterpret_cast<const char *>(head) + 4, 4);
    if (crc != wanted)
    {
      Refuse(path, Format("damaged: checksum of PNG chunk %s is %08lx, must be %08lx", name.c_str(), crc, wanted));
    }
    if (name == "IEND")
    {
      return;
    }
    position += 12 + length;
  }
}

void
CheckJpeg(const std::string & path)
{
  // Some cameras append bytes after the end marker; without any marker the picture is cut.
  std::ifstream   file(path, std::ios::binary);
  const long long bytes = FileBytes(path);
  const long long tail = std::min<long long>(bytes, 4096);
  std::string     end(static_cast<size_t>(tail), '\0');
  file.seekg(bytes - tail);
  file.read(end.data(), tail);
  if (end.find("\xff\xd9") == std::string::npos)
  {
    Refuse(path, Format("truncated: the JPEG has no end marker in its last %lld bytes", tail));
  }
}

} // namespace verdiff

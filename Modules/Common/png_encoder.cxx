// ISO/IEC 15948 (PNG, second edition). Filter 2 (difference to the row above) suits smooth pictures and
// keeps the encoder short; a choice per row would save a few per cent more.
#include "png_encoder.h"

#include <zlib.h>

#include <cmath>
#include <stdexcept>

namespace verdiff
{
namespace
{

void
AppendNumber(std::string & bytes, uint32_t number)
{
  for (int shift = 24; shift >= 0; shift -= 8)
  {
    bytes.push_back(static_cast<char>((number >> shift) & 0xFF));
  }
}

void
AppendChunk(std::string & bytes, const char * type, const std::string & data)
{
  AppendNumber(bytes, static_cast<uint32_t>(data.size()));
  const std::string body = type + data;
  bytes += body;
  const uLong crc = crc32(0, reinterpret_cast<const Bytef *>(body.data()), static_cast<uInt>(body.size()));
  AppendNumber(bytes, static_cast<uint32_t>(crc));
}

std::string
Deflated(const std::string & raw)
{
  uLongf      size = compressBound(static_cast<uLong>(raw.size()));
  std::string out(size, '\0');
  const int   status = compress2(reinterpret_cast<Bytef *>(out.data()),
                               &size,
                               reinterpret_cast<const Bytef *>(raw.data()),
                               static_cast<uLong>(raw.size()),
                               6);
  if (status != Z_OK)
  {
    throw std::runtime_error("zlib refused to compress a picture");
  }
  out.resize(size);
  return out;
}

} // namespace

std::string
EncodePng(int width, int height, int channels, const std::vector<uint8_t> & pixels, double spacing_mm)
{
  const size_t row = static_cast<size_t>(width) * static_cast<size_t>(channels);
  if (width < 1 || height < 1 || (channels != 1 && channels != 3) || pixels.size() != row * static_cast<size_t>(height))
  {
    throw std::invalid_argument("EncodePng: the size does not fit the number of samples");
  }
  std::string header;
  AppendNumber(header, static_cast<uint32_t>(width));
  AppendNumber(header, static_cast<uint32_t>(height));
  header += '\x08';
  header += channels == 3 ? '\x02' : '\0';
  header.append(3, '\0'); // deflate, filters by row, not interlaced

  std::string raw;
  raw.reserve((row + 1) * static_cast<size_t>(height));
  for (size_t y = 0; y < static_cast<size_t>(height); ++y)
  {
    raw.push_back('\x02');
    for (size_t x = 0; x < row; ++x)
    {
      const int above = y > 0 ? pixels[(y - 1) * row + x] : 0;
      raw.push_back(static_cast<char>((pixels[y * row + x] - above) & 0xFF));
    }
  }

  std::string bytes("\x89PNG\r\n\x1a\n", 8);
  AppendChunk(bytes, "IHDR", header);
  if (spacing_mm > 0.0)
  {
    std::string physical;
    const auto  perMetre = static_cast<uint32_t>(std::lround(1000.0 / spacing_mm));
    AppendNumber(physical, perMetre);
    AppendNumber(physical, perMetre);
    physical.push_back('\x01'); // the unit is the metre
    AppendChunk(bytes, "pHYs", physical);
  }
  AppendChunk(bytes, "IDAT", Deflated(raw));
  AppendChunk(bytes, "IEND", "");
  return bytes;
}

} // namespace verdiff

#include "text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <filesystem>

namespace verdiff
{

std::optional<long long>
ParseInteger(std::string_view text)
{
  if (!text.empty() && text.front() == '+')
  {
    text.remove_prefix(1);
  }
  long long    value = 0;
  const char * end = text.data() + text.size();
  const auto   result = std::from_chars(text.data(), end, value);
  if (text.empty() || result.ec != std::errc() || result.ptr != end)
  {
    return std::nullopt;
  }
  return value;
}

std::optional<double>
ParseDouble(std::string_view text)
{
  if (!text.empty() && text.front() == '+')
  {
    text.remove_prefix(1);
  }
  double       value = 0.0;
  const char * end = text.data() + text.size();
  const auto   result = std::from_chars(text.data(), end, value);
  if (text.empty() || result.ec != std::errc() || result.ptr != end || !std::isfinite(value))
  {
    return std::nullopt;
  }
  return value;
}

std::string
FormatNumber(double value, int digits)
{
  if (!std::isfinite(value))
  {
    return std::isnan(value) ? "nan" : (value > 0 ? "inf" : "-inf");
  }
  char       buffer[64];
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::general, digits);
  return std::string(buffer, result.ptr);
}

std::string
Format(const char * format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  va_list again;
  va_copy(again, arguments);
  const int length = std::vsnprintf(nullptr, 0, format, arguments);
  va_end(arguments);
  std::string text(length > 0 ? static_cast<size_t>(length) : 0, '\0');
  std::vsnprintf(text.data(), text.size() + 1, format, again);
  va_end(again);
  return text;
}

std::vector<std::string>
Split(std::string_view text, char separator)
{
  std::vector<std::string> parts;
  size_t                   begin = 0;
  for (;;)
  {
    const size_t end = text.find(separator, begin);
    parts.emplace_back(text.substr(begin, end == std::string_view::npos ? end : end - begin));
    if (end == std::string_view::npos)
    {
      return parts;
    }
    begin = end + 1;
  }
}

std::string
Trim(std::string_view text)
{
  const char * blanks = " \t\r\n";
  const size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos)
  {
    return {};
  }
  return std::string(text.substr(first, text.find_last_not_of(blanks) - first + 1));
}

std::string
LowerCase(std::string_view text)
{
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  });
  return lower;
}

bool
EndsWith(std::string_view text, std::string_view ending)
{
  return text.size() >= ending.size() && text.substr(text.size() - ending.size()) == ending;
}

std::string
Pad(const std::string & text, size_t width)
{
  // Bytes 10xxxxxx continue a character of UTF-8.
  const auto characters = static_cast<size_t>(
    std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  return text + std::string(characters < width ? width - characters : 1, ' ');
}

std::string
EscapeXml(std::string_view text)
{
  std::string escaped;
  for (const char c : text)
  {
    switch (c)
    {
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '&':
        escaped += "&amp;";
        break;
      default:
        // Other control characters are not allowed in XML at all.
        escaped += (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') ? ' ' : c;
    }
  }
  return escaped;
}

static const std::array<const char *, 13> imageExtensions = { ".seg.nrrd", ".nii.gz", ".nrrd", ".nhdr", ".nii",
                                                              ".mha",      ".mhd",    ".png",  ".jpeg", ".jpg",
                                                              ".dcm",      ".hdr",    ".img" };

std::string
ImageExtension(const std::string & path)
{
  const std::string name = LowerCase(std::filesystem::path(path).filename().string());
  for (const char * extension : imageExtensions)
  {
    if (EndsWith(name, extension) && name.size() > std::string_view(extension).size())
    {
      return extension;
    }
  }
  return LowerCase(std::filesystem::path(path).extension().string());
}

std::string
ImageStem(const std::string & path)
{
  const std::string name = std::filesystem::path(path).filename().string();
  return name.substr(0, name.size() - ImageExtension(path).size());
}

} // namespace verdiff

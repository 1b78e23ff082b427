// Numbers and short texts, independent of the locale.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace verdiff
{

/// The whole of @p text as a number, or nothing: "5abc", "", " 5" and "3.5" (as integer) are refused.
std::optional<long long>
ParseInteger(std::string_view text);

/// As ParseInteger; infinities and NaN are refused too.
std::optional<double>
ParseDouble(std::string_view text);

/// Shortest text with at most @p digits significant digits: "0.976562", "-1024".
std::string
FormatNumber(double value, int digits = 6);

/// printf into a string.
std::string
Format(const char * format, ...) __attribute__((format(printf, 1, 2)));

std::vector<std::string>
Split(std::string_view text, char separator);

std::string
Trim(std::string_view text);

std::string
LowerCase(std::string_view text);

bool
EndsWith(std::string_view text, std::string_view ending);

/// @p text and blanks up to @p width characters (not bytes), at least one blank.
std::string
Pad(const std::string & text, size_t width);

/// @p text with < > & (and ") as entities, so that it may stand on a stdout that a host wraps in XML.
std::string
EscapeXml(std::string_view text);

/// Name of a file without folder and without image extension: "a/b.seg.nrrd" gives "b".
std::string
ImageStem(const std::string & path);

/// Image extension in lower case, compound ones whole: ".nii.gz", ".seg.nrrd", ".png"; "" if none.
std::string
ImageExtension(const std::string & path);

} // namespace verdiff

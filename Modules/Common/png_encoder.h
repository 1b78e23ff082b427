// PNG files from pixels in memory, through zlib alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace verdiff
{

/// The bytes of a PNG file with 8 bits a sample.
/// @param channels    1 grey, 3 RGB
/// @param pixels      height * width * channels samples, top row first
/// @param spacing_mm  size of a pixel, recorded to the nearest 1 / m; 0 records none
/// @throw std::invalid_argument for sizes below 1 or another number of samples.
std::string
EncodePng(int width, int height, int channels, const std::vector<uint8_t> & pixels, double spacing_mm = 0.0);

} // namespace verdiff

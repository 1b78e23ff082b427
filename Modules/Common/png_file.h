// PNG files, through ITK.
#pragma once

#include "output_file.h"

#include <cstdint>
#include <vector>

namespace verdiff
{

/// Write 8 bits a sample and commit the file.
/// @param channels    1 grey, 3 RGB
/// @param pixels      height * width * channels samples, top row first
/// @param spacing_mm  size of a pixel, recorded as ITK reads it; 0 when it is not known
/// @throw std::invalid_argument for sizes below 1 or another number of samples; Failure (Output).
void
WritePng(OutputFile &                 file,
         int                          width,
         int                          height,
         int                          channels,
         const std::vector<uint8_t> & pixels,
         double                       spacing_mm = 0.0);

} // namespace verdiff

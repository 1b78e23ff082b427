// Phantoms as files of the formats that data sets come in.
#pragma once

#include "phantom.h"
#include "volume.h"

#include <cstdint>
#include <string>
#include <vector>

namespace verdiff
{

/// The folder of @p path is made; the file appears whole.
/// @throw Failure (Output).
void
WriteText(const std::string & path, const std::string & text);

/// MR units or HU as 16-bit NIfTI.
void
WriteScan(const std::string & path, const Phantom & phantom);

/// 8-bit NIfTI.
void
WriteLabelVolume(const std::string & path, const Phantom & phantom, const std::vector<uint8_t> & labels);

/// NIfTI as VerSe's masks are: 64-bit floats, and only the second form set.
void
WriteVerseMask(const std::string & path, const Phantom & phantom, const std::vector<uint8_t> & labels);

/// MetaImage of 16 bits, as SPIDER has for images and masks.
void
WriteMha(const std::string & path, const Phantom & phantom, const std::vector<float> & values);

/// 8-bit grey PNG.
void
WritePicture(const std::string &          path,
             int                          width,
             int                          height,
             const std::vector<uint8_t> & pixels,
             double                       spacing = 0.0);

/// 8-bit grey JPEG.
void
WriteJpeg(const std::string & path, int width, int height, const std::vector<uint8_t> & pixels);

/// An image without pixels on the grid of @p phantom.
VolumeImage::Pointer
GridOf(const Phantom & phantom);

} // namespace verdiff

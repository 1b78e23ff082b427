// NIfTI-1, read and written here and not by ITK: ITK 5.2 takes damaged files for good, refuses affines
// that are a rounding away from a rotation, and writes another pair of forms than it read.
// Format: nifti1.h of the NIfTI-1 standard (nifti.nimh.nih.gov/nifti-1).
#pragma once

#include "volume.h"

#include <string>
#include <vector>

namespace verdiff
{

constexpr int niftiHeaderBytes = 348;

/// Whole file with checks of the gzip stream, the header and the number of voxels.
/// @throw Failure (Input).
Volume
ReadNifti(const std::string & path);

/// True when the first bytes look like NIfTI-1 in either byte order.
bool
LooksLikeNifti(const std::string & head);

/// Header for @p type voxels on the grid of a NIfTI file: size, spacing, both forms and their codes
/// stay verbatim and in the file's byte order; type, scaling, intent and texts are set.
std::vector<unsigned char>
NiftiHeaderLike(const std::vector<unsigned char> & original, bool labels, int bytesPerVoxel);

/// Header for the grid of @p image, both forms alike with code 1.
std::vector<unsigned char>
NiftiHeaderFor(const itk::ImageBase<3> & image, int dimension, bool labels, int bytesPerVoxel);

/// Write header and voxels (in this machine's order; swapped here when the header is).
/// @param compressed  as gzip
/// @throw Failure (Output).
void
WriteNifti(const std::string &                path,
           const std::vector<unsigned char> & header,
           std::vector<unsigned char> &&      voxels,
           int                                bytesPerVoxel,
           bool                               compressed);

} // namespace verdiff

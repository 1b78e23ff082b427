// Slices of a volume in any orientation, and back, without resampling: sagittal ones, or those of another plane.
//
// The index axis nearest to left-right is cut; in each plane row 0 is superior and column 0 anterior,
// reached by permuting and flipping index axes only, never mirrored. Slices are numbered from the patient's
// right to left, so that neither numbers nor slices depend on how the volume is stored.
// Axial slices have row 0 anterior and column 0 on the patient's right, numbered from inferior to superior; coronal
// ones row 0 superior and column 0 on the patient's right, numbered from anterior to posterior.
#pragma once

#include "volume.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace verdiff
{

class SagittalFrame
{
public:
  /// @p planar: a 2D image whose rows and columns are taken as stored.
  SagittalFrame(const itk::ImageBase<3> & image, bool planar, vdn_plane plane = VDN_PLANE_SAGITTAL);

  std::int64_t
  Count() const
  {
    return m_Size[0];
  }
  std::int64_t
  Height() const
  {
    return m_Size[1];
  }
  std::int64_t
  Width() const
  {
    return m_Size[2];
  }
  double
  RowSpacing() const
  {
    return m_Spacing[1];
  }
  double
  ColumnSpacing() const
  {
    return m_Spacing[2];
  }
  /// Index axis (0, 1, 2) that slices, rows and columns run along.
  const std::array<int, 3> &
  Axes() const
  {
    return m_Axes;
  }
  /// Index axis (0, 1, 2) that is cut.
  int
  SliceAxis() const
  {
    return m_Axes[0];
  }
  /// True when slices are numbered against the index: slice 0 has the highest index along SliceAxis().
  bool
  SlicesReversed() const
  {
    return m_Reversed;
  }
  /// Oblique or ambiguous orientation, one line each.
  const std::vector<std::string> &
  Notes() const
  {
    return m_Notes;
  }

  /// Copy slice @p slice of a buffer with this frame's image size to @p plane (height * width).
  template <typename TIn, typename TOut>
  void
  Cut(TOut * plane, const TIn * buffer, std::int64_t slice) const
  {
    const std::int64_t start = m_Start + slice * m_Stride[0];
    for (std::int64_t row = 0; row < m_Size[1]; ++row)
    {
      const std::int64_t from = start + row * m_Stride[1];
      for (std::int64_t column = 0; column < m_Size[2]; ++column)
      {
        plane[row * m_Size[2] + column] = static_cast<TOut>(buffer[from + column * m_Stride[2]]);
      }
    }
  }

  /// The way back.
  template <typename TIn, typename TOut>
  void
  Put(TOut * buffer, const TIn * plane, std::int64_t slice) const
  {
    const std::int64_t start = m_Start + slice * m_Stride[0];
    for (std::int64_t row = 0; row < m_Size[1]; ++row)
    {
      const std::int64_t to = start + row * m_Stride[1];
      for (std::int64_t column = 0; column < m_Size[2]; ++column)
      {
        buffer[to + column * m_Stride[2]] = static_cast<TOut>(plane[row * m_Size[2] + column]);
      }
    }
  }

private:
  void
  Choose(const itk::ImageBase<3> & image, vdn_plane plane, std::array<bool, 3> & flip);

  std::array<int, 3>          m_Axes{ 2, 1, 0 };
  std::array<std::int64_t, 3> m_Size{}; // slices, rows, columns
  std::array<double, 3>       m_Spacing{};
  std::array<std::int64_t, 3> m_Stride{}; // in voxels; negative where flipped
  std::int64_t                m_Start = 0;
  bool                        m_Reversed = false;
  std::vector<std::string>    m_Notes;
};

/// True for a picture or X-ray without axes, or a single slice that does not lie in @p plane.
bool
IsPlanar(const Volume & volume, vdn_plane plane = VDN_PLANE_SAGITTAL);

/// "sagittal", "axial" or "coronal".
const char *
PlaneName(vdn_plane plane);

} // namespace verdiff

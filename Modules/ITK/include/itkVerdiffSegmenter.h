// What VerdiffSegmentationImageFilter does that depends on no pixel type: one owner of the Verdiff library's
// context and model, and slabs of slices through them. Not meant to be used by itself.
#ifndef itkVerdiffSegmenter_h
#define itkVerdiffSegmenter_h

#include "VerdiffSegmentationExport.h"

#include "itkImage.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace itk
{

/** \class VerdiffSegmentationImageFilterEnums
 * \brief Enumerations of VerdiffSegmentationImageFilter.
 * \ingroup VerdiffSegmentation
 */
class VerdiffSegmentationImageFilterEnums
{
public:
  /** \class Modality
   * \ingroup VerdiffSegmentation
   * Which normalisation the intensities get; CT must be in Hounsfield units.
   */
  enum class Modality : uint8_t
  {
    MR,
    CT,
    XRay
  };
};

VerdiffSegmentation_EXPORT std::ostream &
                           operator<<(std::ostream & out, VerdiffSegmentationImageFilterEnums::Modality value);

/** \class VerdiffSegmenter
 * \brief Context and model of the Verdiff library; sagittal slabs in, labels out.
 *
 * Two objects share nothing: each may work in a thread of its own.
 * \ingroup VerdiffSegmentation
 */
class VerdiffSegmentation_EXPORT VerdiffSegmenter
{
public:
  using ImageType = Image<float, 3>;
  using LabelImageType = Image<uint16_t, 3>;

  struct Settings
  {
    std::string                                   modelFileName;
    std::string                                   device;
    unsigned int                                  threads = 0;
    uint64_t                                      maximumMemory = 0; // MiB
    unsigned int                                  steps = 0;
    unsigned int                                  samples = 0;
    unsigned int                                  start = 0;
    uint64_t                                      seed = 0;
    VerdiffSegmentationImageFilterEnums::Modality modality = VerdiffSegmentationImageFilterEnums::Modality::MR;
    bool                                          probability = false;
    bool                                          uncertainty = false;
    double                                        largestLabel = 65535.0; // that the caller can hold
  };

  /** A part of an image, from which \c image is copied; the slices of the part keep their numbers. */
  struct Slab
  {
    ImageType::Pointer image;
    bool               oriented = true; // false: a 2D image, its direction says nothing of the patient
    int64_t            firstSlice = 0;
  };

  struct Result
  {
    LabelImageType::Pointer  labels;
    ImageType::Pointer       probability; // null unless asked for
    ImageType::Pointer       uncertainty; // null unless asked for
    std::vector<std::string> notes;       // for a warning
    std::string              error;       // not empty: nothing was computed, and why
    bool                     stopped = false;
  };

  /** How an image is cut. */
  struct Slicing
  {
    unsigned int axis = 2;           // index axis across the slices
    bool         descending = false; // slice 0 has the largest index
  };

  /** Told the share done, 0..1; true stops the work. What it throws leaves Segment(). */
  using ProgressFunction = std::function<bool(double)>;

  VerdiffSegmenter();
  ~VerdiffSegmenter();
  VerdiffSegmenter(const VerdiffSegmenter &) = delete;
  VerdiffSegmenter &
  operator=(const VerdiffSegmenter &) = delete;

  /** Only the geometry of \a image is looked at. */
  static Slicing
  SlicingOf(ImageType * image, bool oriented);

  /** The model and the device are opened when they are not those of the last call. */
  Result
  Segment(const Settings & settings, const Slab & slab, const ProgressFunction & progress);

private:
  class Implementation;
  std::unique_ptr<Implementation> m_Implementation;
};

} // namespace itk

#endif

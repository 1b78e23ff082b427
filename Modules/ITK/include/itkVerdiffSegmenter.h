// What VerdiffSegmentationImageFilter does that depends on no pixel type: one owner of the Verdiff library's
// context and model, and slabs of slices through them. Not meant to be used by itself.
#ifndef itkVerdiffSegmenter_h
#define itkVerdiffSegmenter_h

#include "VerdiffSegmentationExport.h"

#include "itkImage.h"
#include "itkMacro.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

struct vdn_ctx; // handles of vdn.h
struct vdn_model;

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

  /** \class Quality
   * \ingroup VerdiffSegmentation
   * Time against quality where Steps and Samples are 0: Fast takes the first estimate and draws no samples, Standard
   * takes the model's own steps and samples, Best twice as many of both.
   */
  enum class Quality : uint8_t
  {
    Fast,
    Standard,
    Best
  };

  /** \class Precision
   * \ingroup VerdiffSegmentation
   * Arithmetic; Automatic takes the fastest that the device has.
   */
  enum class Precision : uint8_t
  {
    Automatic,
    Float32,
    BFloat16
  };

  /** \class Reason
   * \ingroup VerdiffSegmentation
   * What a VerdiffSegmentationError is about.
   */
  enum class Reason : uint8_t
  {
    Processing,
    Parameter,
    Model,
    Device,
    Memory
  };
};

VerdiffSegmentation_EXPORT std::ostream &
operator<<(std::ostream & out, VerdiffSegmentationImageFilterEnums::Modality value);
VerdiffSegmentation_EXPORT std::ostream &
operator<<(std::ostream & out, VerdiffSegmentationImageFilterEnums::Quality value);
VerdiffSegmentation_EXPORT std::ostream &
operator<<(std::ostream & out, VerdiffSegmentationImageFilterEnums::Precision value);

/** \class VerdiffSegmentationError
 * \brief Thrown when an image cannot be segmented; the description is one line for the user.
 * \ingroup VerdiffSegmentation
 */
class VerdiffSegmentation_EXPORT VerdiffSegmentationError : public ExceptionObject
{
public:
  using ReasonEnum = VerdiffSegmentationImageFilterEnums::Reason;

  VerdiffSegmentationError(const char * file, unsigned int line, const std::string & text, ReasonEnum reason);
  ~VerdiffSegmentationError() override;

  const char *
  GetNameOfClass() const override;

  ReasonEnum
  GetReason() const
  {
    return m_Reason;
  }

private:
  ReasonEnum m_Reason;
};

/** \class VerdiffSegmenter
 * \brief Context and model of the Verdiff library; slabs of slices in, labels out.
 *
 * Two objects share nothing: each may work in a thread of its own.
 * \ingroup VerdiffSegmentation
 */
class VerdiffSegmentation_EXPORT VerdiffSegmenter
{
public:
  using ImageType = Image<float, 3>;
  using LabelImageType = Image<uint16_t, 3>;

  using Enums = VerdiffSegmentationImageFilterEnums;

  struct Settings
  {
    std::string      modelFileName;
    std::string      device;
    unsigned int     threads = 0;
    uint64_t         maximumMemory = 0; // MiB
    Enums::Quality   quality = Enums::Quality::Standard;
    Enums::Precision precision = Enums::Precision::Automatic;
    unsigned int     steps = 0;
    unsigned int     samples = 0;
    unsigned int     start = 0;
    uint64_t         seed = 0;
    Enums::Modality  modality = Enums::Modality::MR;
    double           assumedPixelSpacing = 0.0; // mm, for an image without a true spacing; 0: as the model assumes
    bool             probability = false;
    bool             uncertainty = false;
    double           largestLabel = 65535.0; // that the caller can hold
  };

  /** A part of an image, from which \c image is copied; the slices of the part keep their numbers. */
  struct Slab
  {
    ImageType::Pointer image;
    std::string        name = "the input"; // for messages
    bool               oriented = true;    // false: its direction says nothing of the patient, as of a 2D image
    bool               spacingKnown = true;
    int64_t            firstSlice = 0;                      // number of the first slice that gets a result
    int64_t            contextBefore = 0, contextAfter = 0; // slices at the ends that are there for their neighbours
  };

  /** How the slices were worked on, for reports. */
  struct Summary
  {
    int64_t                  slices = 0, height = 0, width = 0; // of the image
    int64_t                  workingHeight = 0, workingWidth = 0;
    double                   rowSpacing = 0.0, columnSpacing = 0.0; // mm; 0 when unknown
    std::vector<double>      sliceUncertainty; // mean of each slice in nats, right to left; empty without samples
    std::vector<std::string> notes;            // what the user should know of the image, one line each
  };

  struct Result
  {
    LabelImageType::Pointer labels;
    ImageType::Pointer      probability; // null unless asked for
    ImageType::Pointer      uncertainty; // null unless asked for
    Summary                 summary;
    std::string             error; // not empty: nothing was computed, and why
    Enums::Reason           reason = Enums::Reason::Processing;
    bool                    stopped = false;
  };

  /** How an image is cut. */
  struct Slicing
  {
    unsigned int axis = 2;           // index axis across the slices
    bool         descending = false; // slice 0 has the largest index
    unsigned int reach = 0;          // slices on either side that the model looks at
  };

  /** Told the share done, 0..1; true stops the work. What it throws leaves Segment(). */
  using ProgressFunction = std::function<bool(double)>;

  VerdiffSegmenter();
  ~VerdiffSegmenter();
  VerdiffSegmenter(const VerdiffSegmenter &) = delete;
  VerdiffSegmenter &
  operator=(const VerdiffSegmenter &) = delete;

  /** Only the geometry of \a image is looked at, and of the model what it says of slices; a model that cannot be
   * read is taken for sagittal here, and Segment() tells why it cannot. */
  Slicing
  SlicingOf(const std::string & modelFileName, ImageType * image, bool oriented) const;

  /** The model and the device are opened when they are not those of the last call. */
  Result
  Segment(const Settings & settings, const Slab & slab, const ProgressFunction & progress);

  /** Of the last call; null before the first one that opened them. */
  const vdn_ctx *
  GetContext() const;
  const vdn_model *
  GetModel() const;

  /** What the library said when it was opened, one line each: the device and why. */
  const std::vector<std::string> &
  GetLog() const;

private:
  class Implementation;
  std::unique_ptr<Implementation> m_Implementation;
};

} // namespace itk

#endif

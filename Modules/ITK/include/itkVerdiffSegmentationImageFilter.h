#ifndef itkVerdiffSegmentationImageFilter_h
#define itkVerdiffSegmentationImageFilter_h

#include "itkVerdiffSegmenter.h"

#include "itkImage.h"
#include "itkImageToImageFilter.h"
#include "itkNumericTraits.h"

namespace itk
{

/** \class VerdiffSegmentationImageFilter
 * \brief Segments the spine in an MR, CT or X-ray image by conditional diffusion.
 *
 * The input is a scalar image of two or three dimensions. A 3D image is cut along the index axis nearest to
 * left-right, read from its direction, so that it may be stored in any orientation; a 2D image is taken as
 * stored, its first row superior. Each slice is resampled to the pixel size of the model (the spacing of the
 * image must be true), segmented, and resampled back. The output has the geometry of the input and the label
 * values of the model; VerdiffSegment gives the same labels for the same image and numbers.
 *
 * Results depend on the pixels and the parameters below (the seed among them), not on threads or on streaming.
 *
 * Two further images can be asked for: the probability of being any structure (ProbabilityOutput, then output 1,
 * GetProbabilityImage()) and the mutual information of the samples in nats (UncertaintyOutput, output 2,
 * GetUncertaintyImage()). They do not exist while switched off.
 *
 * \par Streaming
 * Slices do not depend on each other, so a requested region is enlarged to whole slices and no further: asking for
 * indices a to b of the axis across the slices computes those slices alone, equal to the same slices of a whole
 * update. StreamingImageFilter and streaming writers divide the last axis: with sagittal slices stored along
 * the last axis, each division is computed on its own. With slices along another axis, the first division makes the
 * whole image, from which the other divisions are served. StreamingImageFilter passes on the labels only.
 *
 * \par Progress and abort
 * ProgressEvent comes on the thread that called Update(). AbortGenerateDataOn() ends the work within one denoising
 * step with ProcessAborted; the outputs are then empty.
 *
 * \par Threads
 * The filter computes with NumberOfThreads threads of the library, not of ITK's MultiThreader: NumberOfWorkUnits has
 * no effect. Filters share nothing, so that each may be updated in a thread of its own. A filter keeps the model
 * and the device between updates and frees them with itself.
 *
 * Not for clinical use.
 *
 * \ingroup ImageSegmentation
 * \ingroup VerdiffSegmentation
 */
template <typename TInputImage, typename TOutputImage = Image<unsigned short, TInputImage::ImageDimension>>
class ITK_TEMPLATE_EXPORT VerdiffSegmentationImageFilter : public ImageToImageFilter<TInputImage, TOutputImage>
{
public:
  ITK_DISALLOW_COPY_AND_MOVE(VerdiffSegmentationImageFilter);

  using Self = VerdiffSegmentationImageFilter;
  using Superclass = ImageToImageFilter<TInputImage, TOutputImage>;
  using Pointer = SmartPointer<Self>;
  using ConstPointer = SmartPointer<const Self>;

  itkNewMacro(Self);
#ifdef itkOverrideGetNameOfClassMacro
  itkOverrideGetNameOfClassMacro(VerdiffSegmentationImageFilter);
#else
  itkTypeMacro(VerdiffSegmentationImageFilter, ImageToImageFilter);
#endif

  static constexpr unsigned int ImageDimension = TInputImage::ImageDimension;

  using InputImageType = TInputImage;
  using OutputImageType = TOutputImage;
  using InputPixelType = typename TInputImage::PixelType;
  using OutputPixelType = typename TOutputImage::PixelType;
  using RegionType = typename TOutputImage::RegionType;
  using RealImageType = Image<float, ImageDimension>;
  using ModalityEnum = VerdiffSegmentationImageFilterEnums::Modality;
  using QualityEnum = VerdiffSegmentationImageFilterEnums::Quality;
  using PrecisionEnum = VerdiffSegmentationImageFilterEnums::Precision;
  using typename Superclass::DataObjectPointerArraySizeType;

  /** Model file (.safetensors). Must be set. It is read again when it changes on disk. */
  itkSetStringMacro(ModelFileName);
  itkGetStringMacro(ModelFileName);

  /** Time against quality, where Steps and Samples are 0. Fast gives no UncertaintyOutput. Standard by default. */
  itkSetEnumMacro(Quality, QualityEnum);
  itkGetEnumMacro(Quality, QualityEnum);

  /** Arithmetic; Automatic by default. */
  itkSetEnumMacro(Precision, PrecisionEnum);
  itkGetEnumMacro(Precision, PrecisionEnum);

  /** Denoising steps, 0 to 1000; 0 leaves it to Quality. */
  itkSetMacro(Steps, unsigned int);
  itkGetConstMacro(Steps, unsigned int);

  /** Samples whose mean is the result, 0 to 256; 0 leaves it to Quality. */
  itkSetMacro(Samples, unsigned int);
  itkGetConstMacro(Samples, unsigned int);

  /** Number that the noise depends on. */
  itkSetMacro(Seed, uint64_t);
  itkGetConstMacro(Seed, uint64_t);

  /** Noise level at which refinement begins, 1 to 1000; 0 is the model's default. */
  itkSetMacro(Start, unsigned int);
  itkGetConstMacro(Start, unsigned int);

  /** "auto" (default), "cpu", "cuda" or "cuda:N". */
  itkSetStringMacro(Device);
  itkGetStringMacro(Device);

  /** Threads of one update, 0 to 1024; 0 is every processor. */
  virtual void
  SetNumberOfThreads(unsigned int threads);
  virtual unsigned int
  GetNumberOfThreads() const;

  /** What the intensities are. MR by default: an image in memory does not tell, and a guess from the intensities of
   * a streamed region would depend on the region. */
  itkSetEnumMacro(Modality, ModalityEnum);
  itkGetEnumMacro(Modality, ModalityEnum);

  /** Whether the direction of a 3D image says how the patient lies; on by default. Off: a picture of one plane, taken
   * as stored. A 2D image is always taken as stored. */
  itkSetMacro(OrientationKnown, bool);
  itkGetConstMacro(OrientationKnown, bool);
  itkBooleanMacro(OrientationKnown);

  /** Whether the spacing of the image is true; on by default. Off: AssumedPixelSpacing is taken. */
  itkSetMacro(SpacingKnown, bool);
  itkGetConstMacro(SpacingKnown, bool);
  itkBooleanMacro(SpacingKnown);

  /** Pixel size in mm of an image whose spacing is not known; 0 (default) takes the one the model was trained with. */
  itkSetMacro(AssumedPixelSpacing, double);
  itkGetConstMacro(AssumedPixelSpacing, double);

  /** Give what the user should know of the image (oblique slices, an assumed pixel size) as ITK warnings; on by
   * default. It is in GetSummary() as well. */
  itkSetMacro(NotesAsWarnings, bool);
  itkGetConstMacro(NotesAsWarnings, bool);
  itkBooleanMacro(NotesAsWarnings);

  /** Memory in MiB that the computation may take; 0 is no limit on the processor and nine tenths of what is free on
   * a graphics card. */
  itkSetMacro(MaximumMemory, unsigned int);
  itkGetConstMacro(MaximumMemory, unsigned int);

  /** Make output 1, the probability of being any structure; off by default. */
  virtual void
  SetProbabilityOutput(bool on);
  itkGetConstMacro(ProbabilityOutput, bool);
  itkBooleanMacro(ProbabilityOutput);

  /** Make output 2, the disagreement of the samples; off by default. */
  virtual void
  SetUncertaintyOutput(bool on);
  itkGetConstMacro(UncertaintyOutput, bool);
  itkBooleanMacro(UncertaintyOutput);

  /** Null while ProbabilityOutput is off. */
  RealImageType *
  GetProbabilityImage();
  const RealImageType *
  GetProbabilityImage() const;

  /** Null while UncertaintyOutput is off. */
  RealImageType *
  GetUncertaintyImage();
  const RealImageType *
  GetUncertaintyImage() const;

  /** How the slices of the last update were worked on: sizes, pixel sizes, mean uncertainty of each, notes. */
  const VerdiffSegmenter::Summary &
  GetSummary() const
  {
    return m_Summary;
  }

  /** Handles for the functions of vdn.h that ask: memory, device, labels and description of the model. Owned by the
   * filter, valid until its next update or its end; null before the first update. */
  const vdn_ctx *
  GetContext() const
  {
    return m_Segmenter.GetContext();
  }
  const vdn_model *
  GetModel() const
  {
    return m_Segmenter.GetModel();
  }

  /** What the library said when the device and the model were opened, one line each. */
  const std::vector<std::string> &
  GetLog() const
  {
    return m_Segmenter.GetLog();
  }

  using Superclass::MakeOutput;
  DataObject::Pointer
  MakeOutput(DataObjectPointerArraySizeType index) override;

  static_assert(ImageDimension == 2 || ImageDimension == 3, "images of two or three dimensions");
  static_assert(TOutputImage::ImageDimension == ImageDimension, "labels have the dimension of the image");

#ifdef ITK_USE_CONCEPT_CHECKING
  itkConceptMacro(InputConvertibleToFloatCheck, (Concept::Convertible<InputPixelType, float>));
  itkConceptMacro(LabelConvertibleToOutputCheck, (Concept::Convertible<uint16_t, OutputPixelType>));
#endif

protected:
  VerdiffSegmentationImageFilter();
  ~VerdiffSegmentationImageFilter() override = default;

  void
  PrintSelf(std::ostream & os, Indent indent) const override;

  /** The model is set and readable, the numbers are in range. */
  void
  VerifyPreconditions() const override;

  /** Whole slices. */
  void
  EnlargeOutputRequestedRegion(DataObject * output) override;

  /** As many slices more as the model looks at on either side. */
  void
  GenerateInputRequestedRegion() override;

  void
  GenerateData() override;

private:
  using VolumeType = VerdiffSegmenter::ImageType;

  /** An image of three axes with the geometry of \a region, without pixels. */
  typename VolumeType::Pointer
  MakeVolume(const ImageBase<ImageDimension> & image, const RegionType & region) const;

  VerdiffSegmenter::Slicing
  GetSlicing(const ImageBase<ImageDimension> & image) const;

  VerdiffSegmenter::Settings
  MakeSettings() const;

  void
  SegmentSlabs();

  /** Whether the input lies in the patient as its direction says. */
  bool
  IsOriented() const
  {
    return ImageDimension == 3 && m_OrientationKnown;
  }

  /** \a region with the slices beside it that the model looks at, within the image. */
  static RegionType
  WithNeighbours(const RegionType & region, const RegionType & whole, const VerdiffSegmenter::Slicing & slicing);

  VerdiffSegmenter::Slab
  MakeSlab(const RegionType & region, const VerdiffSegmenter::Slicing & slicing) const;

  void
  AddSummary(const VerdiffSegmenter::Summary & summary);

  void
  SegmentSlab(const RegionType & region, const VerdiffSegmenter::Slicing & slicing, double from, double to);

  void
  CheckAtMost(const char * name, unsigned int value, unsigned int most) const;

  template <typename TImage, typename TVolume>
  static void
  CopyToOutput(TImage * output, const RegionType & region, const TVolume * volume, const RegionType & volumeRegion);

  std::string   m_ModelFileName;
  std::string   m_Device{ "auto" };
  QualityEnum   m_Quality{ QualityEnum::Standard };
  PrecisionEnum m_Precision{ PrecisionEnum::Automatic };
  unsigned int  m_Steps{ 0 };
  unsigned int  m_Samples{ 0 };
  uint64_t      m_Seed{ 35 };
  unsigned int  m_Start{ 0 };
  unsigned int  m_NumberOfThreads{ 0 };
  ModalityEnum  m_Modality{ ModalityEnum::MR };
  bool          m_OrientationKnown{ true };
  bool          m_SpacingKnown{ true };
  double        m_AssumedPixelSpacing{ 0.0 };
  bool          m_NotesAsWarnings{ true };
  unsigned int  m_MaximumMemory{ 0 };
  bool          m_ProbabilityOutput{ false };
  bool          m_UncertaintyOutput{ false };

  VerdiffSegmenter          m_Segmenter;
  VerdiffSegmenter::Summary m_Summary;
};

} // namespace itk

#ifndef ITK_MANUAL_INSTANTIATION
#include "itkVerdiffSegmentationImageFilter.hxx"
#endif

#endif

#ifndef itkVerdiffSegmentationImageFilter_hxx
#define itkVerdiffSegmentationImageFilter_hxx

#include "itkVerdiffSegmentationImageFilter.h"

#include "itkImageRegionConstIterator.h"
#include "itkImageRegionIterator.h"

#include <algorithm>
#include <fstream>
#include <utility>

namespace itk
{

template <typename TInputImage, typename TOutputImage>
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::VerdiffSegmentationImageFilter()
{
  this->SetNumberOfRequiredInputs(1);
  this->SetNumberOfRequiredOutputs(1);
  this->SetNumberOfIndexedOutputs(3); // the last two are null until they are asked for
}

template <typename TInputImage, typename TOutputImage>
void
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::SetNumberOfThreads(unsigned int threads)
{
  if (m_NumberOfThreads != threads)
  {
    m_NumberOfThreads = threads;
    this->Modified();
  }
}

template <typename TInputImage, typename TOutputImage>
unsigned int
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::GetNumberOfThreads() const
{
  return m_NumberOfThreads;
}

template <typename TInputImage, typename TOutputImage>
DataObject::Pointer
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::MakeOutput(DataObjectPointerArraySizeType index)
{
  if (index == 0)
  {
    return Superclass::MakeOutput(index);
  }
  return RealImageType::New().GetPointer();
}

template <typename TInputImage, typename TOutputImage>
void
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::SetProbabilityOutput(bool on)
{
  if (m_ProbabilityOutput != on)
  {
    m_ProbabilityOutput = on;
    this->SetNthOutput(1, on ? this->MakeOutput(1).GetPointer() : nullptr);
    this->Modified();
  }
}

template <typename TInputImage, typename TOutputImage>
void
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::SetUncertaintyOutput(bool on)
{
  if (m_UncertaintyOutput != on)
  {
    m_UncertaintyOutput = on;
    this->SetNthOutput(2, on ? this->MakeOutput(2).GetPointer() : nullptr);
    this->Modified();
  }
}

template <typename TInputImage, typename TOutputImage>
auto
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::GetProbabilityImage() -> RealImageType *
{
  return dynamic_cast<RealImageType *>(this->ProcessObject::GetOutput(1));
}

template <typename TInputImage, typename TOutputImage>
auto
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::GetProbabilityImage() const -> const RealImageType *
{
  return dynamic_cast<const RealImageType *>(this->ProcessObject::GetOutput(1));
}

template <typename TInputImage, typename TOutputImage>
auto
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::GetUncertaintyImage() -> RealImageType *
{
  return dynamic_cast<RealImageType *>(this->ProcessObject::GetOutput(2));
}

template <typename TInputImage, typename TOutputImage>
auto
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::GetUncertaintyImage() const -> const RealImageType *
{
  return dynamic_cast<const RealImageType *>(this->ProcessObject::GetOutput(2));
}

template <typename TInputImage, typename TOutputImage>
void
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::CheckAtMost(const char * name,
                                                                       unsigned int value,
                                                                       unsigned int most) const
{
  if (value > most)
  {
    itkExceptionMacro(<< name << " is " << value << ", must be 0 to " << most);
  }
}

template <typename TInputImage, typename TOutputImage>
void
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::VerifyPreconditions() const
{
  Superclass::VerifyPreconditions();
  if (m_ModelFileName.empty())
  {
    itkExceptionMacro(<< "ModelFileName is not set");
  }
  // A folder opens but cannot be read.
  std::ifstream file(m_ModelFileName, std::ios::binary);
  if (!file.good() || file.peek() == std::ifstream::traits_type::eof())
  {
    itkExceptionMacro(<< "the model file cannot be read or is empty: " << m_ModelFileName);
  }
  if (m_Device.empty())
  {
    itkExceptionMacro(<< "Device is empty, must be auto, cpu, cuda or cuda:N");
  }
  this->CheckAtMost("Steps", m_Steps, 1000);
  this->CheckAtMost("Samples", m_Samples, 256);
  this->CheckAtMost("Start", m_Start, 1000);
  this->CheckAtMost("NumberOfThreads", m_NumberOfThreads, 1024);
  if (!(m_AssumedPixelSpacing >= 0.0 && m_AssumedPixelSpacing <= 100.0))
  {
    itkExceptionMacro(<< "AssumedPixelSpacing is " << m_AssumedPixelSpacing << " mm, must be 0 to 100");
  }
}

template <typename TInputImage, typename TOutputImage>
auto
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::MakeVolume(const ImageBase<ImageDimension> & image,
                                                                      const RegionType &                region) const ->
  typename VolumeType::Pointer
{
  typename VolumeType::SizeType      size = { { 1, 1, 1 } };
  typename VolumeType::SpacingType   spacing(1.0);
  typename VolumeType::DirectionType direction;
  direction.SetIdentity();
  for (unsigned int i = 0; i < ImageDimension; ++i)
  {
    size[i] = region.GetSize(i);
    spacing[i] = image.GetSpacing()[i];
    for (unsigned int j = 0; j < ImageDimension; ++j)
    {
      direction[i][j] = image.GetDirection()[i][j];
    }
  }
  const auto volume = VolumeType::New();
  volume->SetRegions(size);
  volume->SetSpacing(spacing);
  volume->SetDirection(direction);
  return volume;
}

template <typename TInputImage, typename TOutputImage>
VerdiffSegmenter::Slicing
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::GetSlicing(const ImageBase<ImageDimension> & image) const
{
  const auto whole = this->MakeVolume(image, image.GetLargestPossibleRegion());
  return m_Segmenter.SlicingOf(m_ModelFileName, whole, this->IsOriented());
}

template <typename TInputImage, typename TOutputImage>
void
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::EnlargeOutputRequestedRegion(DataObject * output)
{
  Superclass::EnlargeOutputRequestedRegion(output);
  auto * image = dynamic_cast<ImageBase<ImageDimension> *>(output);
  if (!image)
  {
    return;
  }
  const unsigned int axis = this->GetSlicing(*image).axis;
  const RegionType   largest = image->GetLargestPossibleRegion();
  RegionType         region = image->GetRequestedRegion();
  for (unsigned int i = 0; i < ImageDimension; ++i)
  {
    if (i != axis)
    {
      region.SetIndex(i, largest.GetIndex(i));
      region.SetSize(i, largest.GetSize(i));
    }
  }
  image->SetRequestedRegion(region);
}

template <typename TInputImage, typename TOutputImage>
auto
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::WithNeighbours(const RegionType &                region,
                                                                          const RegionType &                whole,
                                                                          const VerdiffSegmenter::Slicing & slicing)
  -> RegionType
{
  RegionType wide = region;
  if (slicing.axis < ImageDimension && slicing.reach > 0)
  {
    typename RegionType::SizeType radius;
    radius.Fill(0);
    radius[slicing.axis] = slicing.reach;
    wide.PadByRadius(radius);
    wide.Crop(whole);
  }
  return wide;
}

template <typename TInputImage, typename TOutputImage>
void
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::GenerateInputRequestedRegion()
{
  Superclass::GenerateInputRequestedRegion();
  auto * input = const_cast<InputImageType *>(this->GetInput());
  if (input)
  {
    input->SetRequestedRegion(WithNeighbours(this->GetOutput()->GetRequestedRegion(),
                                             input->GetLargestPossibleRegion(),
                                             this->GetSlicing(*this->GetOutput())));
  }
}

template <typename TInputImage, typename TOutputImage>
VerdiffSegmenter::Settings
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::MakeSettings() const
{
  VerdiffSegmenter::Settings settings;
  settings.modelFileName = m_ModelFileName;
  settings.device = m_Device;
  settings.threads = m_NumberOfThreads;
  settings.maximumMemory = m_MaximumMemory;
  settings.quality = m_Quality;
  settings.precision = m_Precision;
  settings.steps = m_Steps;
  settings.samples = m_Samples;
  settings.start = m_Start;
  settings.seed = m_Seed;
  settings.modality = m_Modality;
  settings.assumedPixelSpacing = m_AssumedPixelSpacing;
  settings.probability = m_ProbabilityOutput;
  settings.uncertainty = m_UncertaintyOutput;
  settings.largestLabel = static_cast<double>(NumericTraits<OutputPixelType>::max());
  return settings;
}

template <typename TInputImage, typename TOutputImage>
template <typename TImage, typename TVolume>
void
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::CopyToOutput(TImage *           output,
                                                                        const RegionType & region,
                                                                        const TVolume *    volume,
                                                                        const RegionType & volumeRegion)
{
  typename TVolume::RegionType part;
  for (unsigned int i = 0; i < 3; ++i)
  {
    part.SetIndex(i, i < ImageDimension ? region.GetIndex(i) - volumeRegion.GetIndex(i) : 0);
    part.SetSize(i, i < ImageDimension ? region.GetSize(i) : 1);
  }
  ImageRegionConstIterator<TVolume> from(volume, part);
  for (ImageRegionIterator<TImage> it(output, region); !it.IsAtEnd(); ++it, ++from)
  {
    it.Set(static_cast<typename TImage::PixelType>(from.Get()));
  }
}

template <typename TInputImage, typename TOutputImage>
VerdiffSegmenter::Slab
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::MakeSlab(const RegionType &                region,
                                                                    const VerdiffSegmenter::Slicing & slicing) const
{
  const InputImageType * input = this->GetInput();
  const RegionType       wide = WithNeighbours(region, input->GetLargestPossibleRegion(), slicing);
  VerdiffSegmenter::Slab slab;
  slab.image = this->MakeVolume(*input, wide);
  slab.image->Allocate();
  slab.name = input->GetObjectName().empty() ? slab.name : input->GetObjectName();
  slab.oriented = this->IsOriented();
  slab.spacingKnown = m_SpacingKnown;
  if (slicing.axis < ImageDimension)
  {
    const RegionType whole = this->GetOutput()->GetLargestPossibleRegion();
    const auto       before = static_cast<int64_t>(region.GetIndex(slicing.axis) - whole.GetIndex(slicing.axis));
    const auto       size = static_cast<int64_t>(region.GetSize(slicing.axis));
    slab.firstSlice = slicing.descending ? static_cast<int64_t>(whole.GetSize(slicing.axis)) - before - size : before;
    slab.contextBefore = static_cast<int64_t>(region.GetIndex(slicing.axis) - wide.GetIndex(slicing.axis));
    slab.contextAfter = static_cast<int64_t>(wide.GetSize(slicing.axis)) - size - slab.contextBefore;
    if (slicing.descending)
    {
      std::swap(slab.contextBefore, slab.contextAfter);
    }
  }
  float * pixel = slab.image->GetBufferPointer();
  for (ImageRegionConstIterator<InputImageType> it(input, wide); !it.IsAtEnd(); ++it, ++pixel)
  {
    *pixel = static_cast<float>(it.Get());
  }
  return slab;
}

template <typename TInputImage, typename TOutputImage>
void
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::AddSummary(const VerdiffSegmenter::Summary & summary)
{
  const bool first = m_Summary.slices == 0;
  const auto before = m_Summary.slices;
  auto       uncertainty = std::move(m_Summary.sliceUncertainty);
  auto       notes = std::move(m_Summary.notes);
  m_Summary = summary;
  m_Summary.slices += before;
  if (first)
  {
    return; // Every slab has the notes of the first.
  }
  m_Summary.notes = std::move(notes);
  uncertainty.insert(uncertainty.end(), summary.sliceUncertainty.begin(), summary.sliceUncertainty.end());
  m_Summary.sliceUncertainty = std::move(uncertainty);
}

template <typename TInputImage, typename TOutputImage>
void
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::SegmentSlab(const RegionType &                region,
                                                                       const VerdiffSegmenter::Slicing & slicing,
                                                                       double                            from,
                                                                       double                            to)
{
  const auto slab = this->MakeSlab(region, slicing);
  const auto result = m_Segmenter.Segment(this->MakeSettings(), slab, [this, from, to](double fraction) {
    this->UpdateProgress(static_cast<float>(from + (to - from) * fraction));
    return this->GetAbortGenerateData();
  });
  if (result.stopped)
  {
    ProcessAborted aborted(__FILE__, __LINE__);
    aborted.SetLocation(ITK_LOCATION);
    aborted.SetDescription("VerdiffSegmentationImageFilter was stopped by AbortGenerateData");
    throw aborted;
  }
  if (!result.error.empty())
  {
    throw VerdiffSegmentationError(__FILE__, __LINE__, result.error, result.reason);
  }
  this->AddSummary(result.summary);
  const RegionType wide = WithNeighbours(region, this->GetInput()->GetLargestPossibleRegion(), slicing);
  CopyToOutput(this->GetOutput(), region, result.labels.GetPointer(), wide);
  if (result.probability)
  {
    CopyToOutput(this->GetProbabilityImage(), region, result.probability.GetPointer(), wide);
  }
  if (result.uncertainty)
  {
    CopyToOutput(this->GetUncertaintyImage(), region, result.uncertainty.GetPointer(), wide);
  }
}

template <typename TInputImage, typename TOutputImage>
void
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::SegmentSlabs()
{
  // So many slices are held a second time, as floats.
  constexpr SizeValueType slabSlices = 32;
  const auto              slicing = this->GetSlicing(*this->GetOutput());
  const RegionType        region = this->GetOutput()->GetRequestedRegion();
  if (region.GetNumberOfPixels() == 0)
  {
    return;
  }
  if (slicing.axis >= ImageDimension)
  {
    this->SegmentSlab(region, slicing, 0.0, 1.0);
    return;
  }
  const SizeValueType count = region.GetSize(slicing.axis);
  for (SizeValueType first = 0; first < count; first += slabSlices)
  {
    // In the order of the slices' numbers.
    const SizeValueType slices = std::min(slabSlices, count - first);
    const SizeValueType before = slicing.descending ? count - first - slices : first;
    RegionType          slab = region;
    slab.SetIndex(slicing.axis, region.GetIndex(slicing.axis) + static_cast<IndexValueType>(before));
    slab.SetSize(slicing.axis, slices);
    this->SegmentSlab(slab,
                      slicing,
                      static_cast<double>(first) / static_cast<double>(count),
                      static_cast<double>(first + slices) / static_cast<double>(count));
  }
}

template <typename TInputImage, typename TOutputImage>
void
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::GenerateData()
{
  this->AllocateOutputs();
  m_Summary = VerdiffSegmenter::Summary();
  try
  {
    this->SegmentSlabs();
  }
  catch (...)
  {
    // Half a segmentation must not be taken for a whole one.
    for (const auto & name : this->GetOutputNames())
    {
      if (this->ProcessObject::GetOutput(name))
      {
        this->ProcessObject::GetOutput(name)->ReleaseData();
      }
    }
    throw;
  }
  for (const std::string & note : m_Summary.notes)
  {
    if (m_NotesAsWarnings)
    {
      itkWarningMacro(<< note);
    }
  }
}

template <typename TInputImage, typename TOutputImage>
void
VerdiffSegmentationImageFilter<TInputImage, TOutputImage>::PrintSelf(std::ostream & os, Indent indent) const
{
  Superclass::PrintSelf(os, indent);
  os << indent << "ModelFileName: " << m_ModelFileName << std::endl;
  os << indent << "Device: " << m_Device << std::endl;
  os << indent << "Quality: " << m_Quality << std::endl;
  os << indent << "Precision: " << m_Precision << std::endl;
  os << indent << "Steps: " << m_Steps << std::endl;
  os << indent << "Samples: " << m_Samples << std::endl;
  os << indent << "Seed: " << m_Seed << std::endl;
  os << indent << "Start: " << m_Start << std::endl;
  os << indent << "NumberOfThreads: " << m_NumberOfThreads << std::endl;
  os << indent << "Modality: " << m_Modality << std::endl;
  os << indent << "OrientationKnown: " << (m_OrientationKnown ? "On" : "Off") << std::endl;
  os << indent << "SpacingKnown: " << (m_SpacingKnown ? "On" : "Off") << std::endl;
  os << indent << "AssumedPixelSpacing: " << m_AssumedPixelSpacing << std::endl;
  os << indent << "NotesAsWarnings: " << (m_NotesAsWarnings ? "On" : "Off") << std::endl;
  os << indent << "MaximumMemory: " << m_MaximumMemory << std::endl;
  os << indent << "ProbabilityOutput: " << (m_ProbabilityOutput ? "On" : "Off") << std::endl;
  os << indent << "UncertaintyOutput: " << (m_UncertaintyOutput ? "On" : "Off") << std::endl;
}

} // namespace itk

#endif

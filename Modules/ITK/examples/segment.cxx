// segment MODEL IMAGE LABELS: segment the spine in a scan.
#include <itkImageFileReader.h>
#include <itkImageFileWriter.h>
#include <itkVerdiffSegmentationImageFilter.h>

#include <iostream>

int
main(int argc, char * argv[])
{
  if (argc != 4)
  {
    std::cerr << "segment MODEL IMAGE LABELS\n";
    return 2;
  }
  using ScanType = itk::Image<float, 3>;
  using FilterType = itk::VerdiffSegmentationImageFilter<ScanType>;
  try
  {
    const auto filter = FilterType::New();
    filter->SetInput(itk::ReadImage<ScanType>(argv[2]));
    filter->SetModelFileName(argv[1]);
    filter->SetModality(FilterType::ModalityEnum::MR);
    itk::WriteImage(filter->GetOutput(), argv[3], true); // compressed
  }
  catch (const std::exception & error)
  {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}

set(DOCUMENTATION "Segmentation of the spine in MR, CT and X-ray images by conditional diffusion: one filter,
VerdiffSegmentationImageFilter. Not for clinical use.")

itk_module(VerdiffSegmentation
  DEPENDS
    ITKCommon
  TEST_DEPENDS
    ITKTestKernel
    ITKGoogleTest
    ITKImageFilterBase
  DESCRIPTION
    "${DOCUMENTATION}"
  EXCLUDE_FROM_DEFAULT
  ENABLE_SHARED
)

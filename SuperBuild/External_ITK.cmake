find_package(ITK 5.2 QUIET COMPONENTS ITKCommon ITKIOImageBase ITKIONRRD ITKIOMeta ITKIOPNG ITKIOJPEG ITKGDCM)
superbuild_decide(ITK "${ITK_FOUND}")
if(build) # 5.4.7; the modules of Modules/CMakeLists.txt, of SlicerExecutionModel, and what the filter's users read
  set(modules "")
  foreach(module ITKCommon ITKIOImageBase ITKIONRRD ITKIOMeta ITKIOPNG ITKIOJPEG ITKIONIFTI ITKIOGDCM ITKGDCM
          ITKIOXML ITKIOTransformBase ITKIOTransformInsightLegacy ITKIOMeshBase ITKImageFilterBase ITKStreaming
          ITKImageGrid ITKTransform ITKExpat)
    list(APPEND modules -DModule_${module}=ON)
  endforeach()
  superbuild_add(ITK DEPENDS zlib
    REPOSITORY https://github.com/InsightSoftwareConsortium/ITK.git
    REVISION 4c49df934c316ff87dbbd971b89e63df6bbd1836
    ARGS -DITK_BUILD_DEFAULT_MODULES=OFF -DBUILD_EXAMPLES=OFF -DITK_USE_SYSTEM_ZLIB=ON ${modules})
endif()

# With -DSlicer_DIR=<Slicer-build> this tree is the extension "Verdiff" of 3D Slicer. ITK, VTK, DCMTK, zlib and
# SlicerExecutionModel come from Slicer's build.
set(EXTENSION_NAME Verdiff)
set(EXTENSION_HOMEPAGE ${VERDIFF_HOMEPAGE})
set(EXTENSION_CATEGORY "Segmentation")
set(EXTENSION_CONTRIBUTORS "The Verdiff authors")
set(EXTENSION_DESCRIPTION "Segments the spine on CT, MR and X-ray by a conditional diffusion network, with a map of \
where the answer is unsure. Not for clinical use.")
set(EXTENSION_ICONURL "${VERDIFF_HOMEPAGE}/raw/main/Resources/Extension/Verdiff.png")
set(EXTENSION_SCREENSHOTURLS "${VERDIFF_HOMEPAGE}/raw/main/Resources/Extension/screenshot.png")
set(EXTENSION_DEPENDS NA)
set(EXTENSION_STATUS "Experimental")
set(EXTENSION_TIER 1)
set(EXTENSION_KEYWORDS "spine vertebra segmentation diffusion MR CT X-ray")
set(EXTENSION_DICOM_SUPPORT_RULE "Modality == 'MR' or Modality == 'CT' or Modality == 'DX' or Modality == 'CR'")
set(EXTENSION_BUILD_SUBDIRECTORY .)
set(EXTENSION_LICENSE_FILE ${PROJECT_SOURCE_DIR}/LICENSE)
set(EXTENSION_README_FILE ${PROJECT_SOURCE_DIR}/README.md)

find_package(Slicer REQUIRED)
include(${Slicer_USE_FILE})

# The one thing that Slicer has not: a header.
find_package(nlohmann_json 3.9 QUIET)
if(NOT nlohmann_json_FOUND)
  message(FATAL_ERROR "nlohmann_json 3.9 or newer is not found: install its headers or set nlohmann_json_DIR")
endif()

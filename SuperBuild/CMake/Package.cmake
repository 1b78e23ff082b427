# Stand-alone packages: cpack -G TGZ (brings its libraries along) and cpack -G DEB (asks Debian for them).
if(Slicer_DIR)
  include(${Slicer_EXTENSION_GENERATE_CONFIG})
  include(${Slicer_EXTENSION_CPACK})
  return()
endif()
if(VERDIFF_CORE_ONLY OR NOT UNIX OR APPLE)
  return()
endif()

set(VERDIFF_MAINTAINER "The Verdiff authors <authors@verdiff.example>" CACHE STRING "Contact of packages")

# Not part of "all": installed for archives only, see CPackOptions.cmake.in.
configure_file(${CMAKE_CURRENT_LIST_DIR}/Bundle.cmake.in ${PROJECT_BINARY_DIR}/Bundle.cmake @ONLY)
install(SCRIPT ${PROJECT_BINARY_DIR}/Bundle.cmake COMPONENT bundle EXCLUDE_FROM_ALL)
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/LICENSE
        DESTINATION . COMPONENT bundle EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR TGZ DEB)
set(CPACK_PACKAGE_NAME Verdiff)
set(CPACK_PACKAGE_VENDOR "The Verdiff authors")
set(CPACK_PACKAGE_CONTACT ${VERDIFF_MAINTAINER})
set(CPACK_PACKAGE_HOMEPAGE_URL ${VERDIFF_HOMEPAGE})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "spine segmentation by conditional diffusion")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGE_FILE_NAME "Verdiff-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR}")
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_NAME verdiff)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Segments the spine on CT, MR and X-ray: a scan in, a label volume on the
scan's own grid out, and a map of where the answer is unsure. Programs for
segmenting, training, scoring and simulating, in the form of 3D Slicer's
command line modules, a C library and an ITK filter.
.
Not for clinical use.")
include(DebianFiles)

configure_file(${CMAKE_CURRENT_LIST_DIR}/CPackOptions.cmake.in ${PROJECT_BINARY_DIR}/CPackOptions.cmake @ONLY)
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_BINARY_DIR}/CPackOptions.cmake)
include(CPack)

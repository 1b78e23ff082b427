# What is installed beside the programs and the CUDA library, which their own folders install.
install(FILES ${PROJECT_SOURCE_DIR}/Resources/Models/README.md
              ${PROJECT_SOURCE_DIR}/Resources/Models/verdiff-tiny.safetensors
        DESTINATION ${VERDIFF_INSTALL_SHARE}/models)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/Resources/Labels/ DESTINATION ${VERDIFF_INSTALL_SHARE}/labels)
if(Slicer_DIR)
  return() # an extension carries no headers and no manual
endif()

if(EXISTS ${PROJECT_SOURCE_DIR}/Resources/Presets)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/Resources/Presets/ DESTINATION ${VERDIFF_INSTALL_SHARE}/presets)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/Resources/Docs/ DESTINATION ${VERDIFF_INSTALL_SHARE}/docs)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/Resources/Formats DESTINATION ${VERDIFF_INSTALL_SHARE}/docs)
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION share/doc/verdiff)
install(FILES ${PROJECT_SOURCE_DIR}/Core/include/vdn.h DESTINATION include)

# The package: find_package(Verdiff), see Resources/Docs/install.md.
set(VERDIFF_INSTALL_CMAKE lib/cmake/Verdiff)
include(CMakePackageConfigHelpers)
set(VERDIFF_HAVE_OPENMP FALSE)
set(VERDIFF_HAVE_DNNL FALSE)
get_target_property(libraries verdiff LINK_LIBRARIES)
if("OpenMP::OpenMP_C" IN_LIST libraries)
  set(VERDIFF_HAVE_OPENMP TRUE)
endif()
if("DNNL::dnnl" IN_LIST libraries)
  set(VERDIFF_HAVE_DNNL TRUE)
endif()
if(NOT VERDIFF_CORE_ONLY)
  foreach(part MAJOR MINOR)
    get_directory_property(ITK_VERSION_${part} DIRECTORY ${PROJECT_SOURCE_DIR}/Modules
                           DEFINITION ITK_VERSION_${part})
  endforeach()
endif()
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/VerdiffConfig.cmake.in
  ${PROJECT_BINARY_DIR}/VerdiffConfig.cmake INSTALL_DESTINATION ${VERDIFF_INSTALL_CMAKE})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/VerdiffConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/VerdiffConfig.cmake ${PROJECT_BINARY_DIR}/VerdiffConfigVersion.cmake
        DESTINATION ${VERDIFF_INSTALL_CMAKE})
# verdiff_install_target(<component> <target>): one file of targets for each component of the package.
function(verdiff_install_target component target)
  if(TARGET ${target})
    install(TARGETS ${target} EXPORT Verdiff${component}Targets LIBRARY DESTINATION lib ARCHIVE DESTINATION lib)
    install(EXPORT Verdiff${component}Targets NAMESPACE Verdiff:: DESTINATION ${VERDIFF_INSTALL_CMAKE})
  endif()
endfunction()
set_target_properties(verdiff PROPERTIES EXPORT_NAME static)
verdiff_install_target("" verdiff_shared)
verdiff_install_target(static verdiff)
verdiff_install_target(ITK verdiff_itk_shared)

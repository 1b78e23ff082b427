# An installed tree is complete and works after being moved.
include(${CMAKE_CURRENT_LIST_DIR}/support.cmake)

set(first "${WORK}/first")
set(tree "${WORK}/moved tree")
file(REMOVE_RECURSE "${first}" "${tree}")
run("cmake --install" ${CMAKE_COMMAND} --install ${BUILD} --prefix "${first}")
file(RENAME "${first}" "${tree}")

foreach(file include/vdn.h lib/libverdiff.so lib/libverdiff.a lib/cmake/Verdiff/VerdiffConfig.cmake
        lib/cmake/Verdiff/VerdiffConfigVersion.cmake lib/cmake/Verdiff/VerdiffTargets.cmake
        share/verdiff/models/verdiff-tiny.safetensors share/verdiff/labels/labels.csv
        share/verdiff/docs/install.md share/doc/verdiff/LICENSE)
  need_file("${tree}/${file}")
endforeach()
string(REGEX REPLACE "\\.[0-9]+$" "" soname "libverdiff.so.${VERSION}")
need_file("${tree}/lib/${soname}")
file(GLOB_RECURSE texts "${tree}/lib/cmake/*")
foreach(text IN LISTS texts) # nothing of this machine's folders
  file(READ "${text}" content)
  foreach(folder "${first}" "${SOURCE}" "${BUILD}")
    string(FIND "${content}" "${folder}" at)
    if(NOT at EQUAL -1)
      message(FATAL_ERROR "${text} names ${folder}")
    endif()
  endforeach()
endforeach()

if(CORE_ONLY)
  return()
endif()
need_file("${tree}/include/verdiff/itkVerdiffSegmentationImageFilter.hxx")
file(GLOB programs "${SOURCE}/Modules/CLI/Verdiff*/Verdiff*.xml")
foreach(xml IN LISTS programs)
  get_filename_component(name "${xml}" NAME_WE)
  if(NOT EXISTS "${BUILD}/bin/${name}") # left out of this build
    continue()
  endif()
  file(SHA256 "${xml}" source)
  file(SHA256 "${tree}/bin/${name}.xml" beside)
  if(NOT source STREQUAL beside)
    message(FATAL_ERROR "bin/${name}.xml differs from ${xml}")
  endif()
  run("${name} --xml" env -i "${tree}/bin/${name}" --xml)
endforeach()
check_segmentation("${tree}/bin" "${WORK}")

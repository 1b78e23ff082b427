# A project with its own CMakeLists.txt finds the moved tree of check_install.cmake, builds a C11, a C++17 and
# an ITK program against it and runs them.
include(${CMAKE_CURRENT_LIST_DIR}/support.cmake)

set(tree "${WORK}/moved tree")
set(build "${WORK}/consumer")
set(model "${tree}/share/verdiff/models/verdiff-tiny.safetensors")
set(programs use_c use_static)
set(with_cxx OFF)
if(NOT CORE_ONLY)
  list(APPEND programs use_cxx)
  set(with_cxx ON)
endif()
file(REMOVE_RECURSE "${build}")
run("configuring the consumer" ${CMAKE_COMMAND} -S "${CMAKE_CURRENT_LIST_DIR}/Project" -B "${build}" -G ${GENERATOR}
  -DCMAKE_C_COMPILER=${C_COMPILER} "-DVerdiff_ROOT=${tree}" -DCMAKE_BUILD_TYPE=Release
  -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF -DWITH_CXX=${with_cxx} -DITK_DIR=${ITK_DIR}
  -DITK_EXAMPLE=${SOURCE}/Modules/ITK/examples/segment.cxx)
run("building the consumer" ${CMAKE_COMMAND} --build "${build}")
foreach(program IN LISTS programs)
  run(${program} "${build}/${program}" "${model}")
  run_failing("${program} without a model" "${build}/${program}" "${build}/none.safetensors")
endforeach()

if(with_cxx)
  write_scan("${build}/scan.nrrd")
  run("use_itk" "${build}/use_itk" "${model}" "${build}/scan.nrrd" "${build}/labels.nrrd")
  file(STRINGS "${build}/labels.nrrd" sizes REGEX "^sizes: 2 48 48$")
  if(NOT sizes)
    message(FATAL_ERROR "use_itk: labels.nrrd has not the scan's size")
  endif()
  run_failing("use_itk without a model" "${build}/use_itk" "${build}/none" "${build}/scan.nrrd" "${build}/none.nrrd")
endif()

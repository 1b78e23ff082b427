# The stand-alone archive: unpacked elsewhere, with no environment, its programs run and load nothing of this
# machine but the C and C++ runtime.
include(${CMAKE_CURRENT_LIST_DIR}/support.cmake)

set(work "${WORK}/archive")
file(REMOVE_RECURSE "${work}")
run("cpack" ${CMAKE_COMMAND} -E chdir ${BUILD} cpack -G TGZ -B "${work}")
file(GLOB archive "${work}/Verdiff-${VERSION}-*.tar.gz")
need_file("${archive}")
file(ARCHIVE_EXTRACT INPUT "${archive}" DESTINATION "${work}/some where")
file(GLOB folder "${work}/some where/Verdiff-*")
foreach(file LICENSE README.md share/doc/verdiff/LICENSE include/vdn.h)
  need_file("${folder}/${file}")
endforeach()
check_segmentation("${folder}/bin" "${work}")

file(GLOB programs "${folder}/bin/*" "${folder}/lib/*.so" "${folder}/lib/verdiff/*Lib.so")
list(FILTER programs EXCLUDE REGEX "\\.xml$")
foreach(program IN LISTS programs)
  run("ldd ${program}" env -i /usr/bin/ldd "${program}")
  string(REGEX MATCHALL "[^\n]+" lines "${output}")
  foreach(line IN LISTS lines)
    string(FIND "${line}" "${folder}/" inside)
    if(inside EQUAL -1 AND NOT line MATCHES
       "^[ \t]*(linux-vdso|/lib[^ ]*/ld-linux|lib(c|m|dl|rt|pthread|gcc_s)\\.so|libstdc\\+\\+\\.so)")
      message(FATAL_ERROR "${program} loads from outside the archive: ${line}")
    endif()
  endforeach()
endforeach()

# Shared by the check_*.cmake scripts.
cmake_minimum_required(VERSION 3.20)

# run(<title> <command>...): fails with everything it printed unless it ends with 0; ${output} afterwards.
macro(run title)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${title}: ended with ${result}\n${output}")
  endif()
endmacro()

# run_failing(<title> <command>...): fails if it ends with 0.
macro(run_failing title)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(result EQUAL 0)
    message(FATAL_ERROR "${title}: ended well\n${output}")
  endif()
endmacro()

macro(need_file path)
  if(NOT EXISTS "${path}")
    message(FATAL_ERROR "${path} is missing")
  endif()
endmacro()

# write_scan(<file>): a NRRD of 2 sagittal slices of 48 x 48, bytes that differ from row to row.
function(write_scan file)
  set(row "")
  foreach(column RANGE 1 12)
    string(APPEND row "AaBb")
  endforeach()
  string(TOLOWER "${row}" lower)
  string(TOUPPER "${row}" upper)
  set(pixels "")
  foreach(line RANGE 1 24)
    string(APPEND pixels "${row}${upper}${lower}${row}")
  endforeach()
  file(WRITE "${file}" "NRRD0004
type: uchar
dimension: 3
space: left-posterior-superior
sizes: 2 48 48
space directions: (4,0,0) (0,1,0) (0,0,1)
kinds: domain domain domain
encoding: raw
space origin: (0,0,0)

${pixels}")
endfunction()

# check_segmentation(<programs' folder> <work folder>): the bundled model is found and used, with no environment
# and from another folder.
function(check_segmentation programs work)
  write_scan("${work}/scan.nrrd")
  run("--version" env -i "${programs}/VerdiffSegment" --version)
  if(NOT output MATCHES "${VERSION}")
    message(FATAL_ERROR "--version says ${output}, needed ${VERSION}")
  endif()
  run("segmentation" env -i -C / "${programs}/VerdiffSegment"
    "${work}/scan.nrrd" "${work}/labels.nrrd" --device cpu --quality fast)
  need_file("${work}/labels.nrrd")
  # It was the model of this tree: with that file spoilt the same command fails and names it.
  set(model "${programs}/../share/verdiff/models/verdiff-tiny.safetensors")
  file(RENAME "${model}" "${model}.kept")
  file(WRITE "${model}" "spoilt")
  execute_process(COMMAND env -i "${programs}/VerdiffSegment" "${work}/scan.nrrd" "${work}/none.nrrd" --device cpu
                  RESULT_VARIABLE result OUTPUT_QUIET ERROR_VARIABLE reason)
  file(RENAME "${model}.kept" "${model}")
  if(NOT result EQUAL 4 OR NOT reason MATCHES "share/verdiff/models/verdiff-tiny")
    message(FATAL_ERROR "with a spoilt bundled model: ended with ${result}, needed 4 and the file's name\n${reason}")
  endif()
endfunction()

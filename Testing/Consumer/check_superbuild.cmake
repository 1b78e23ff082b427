# The superbuild decides right, takes its sources from where it is told, builds a library from one and gives it
# to the inner project. Without network: the library is a small one made here, packed as an archive and, where
# there is git, as a repository.
include(${CMAKE_CURRENT_LIST_DIR}/support.cmake)

set(work "${WORK}/superbuild")
file(REMOVE_RECURSE "${work}")
set(source "${work}/source")
# As much of nlohmann_json as the inner project's configuration looks at.
file(WRITE "${source}/CMakeLists.txt" "cmake_minimum_required(VERSION 3.20)
project(nlohmann_json VERSION 3.11.3 LANGUAGES NONE)
add_library(nlohmann_json INTERFACE)
install(TARGETS nlohmann_json EXPORT targets)
install(EXPORT targets NAMESPACE nlohmann_json:: FILE nlohmann_jsonConfig.cmake DESTINATION lib/cmake/nlohmann_json)
include(CMakePackageConfigHelpers)
write_basic_package_version_file(nlohmann_jsonConfigVersion.cmake COMPATIBILITY SameMajorVersion ARCH_INDEPENDENT)
install(FILES \${CMAKE_CURRENT_BINARY_DIR}/nlohmann_jsonConfigVersion.cmake DESTINATION lib/cmake/nlohmann_json)
")
run("packing" ${CMAKE_COMMAND} -E chdir "${work}" ${CMAKE_COMMAND} -E tar czf source.tar.gz source)
file(SHA256 "${work}/source.tar.gz" checksum)

# configure(<name> <argument>...): the outer project, whose report is in ${output} afterwards.
macro(configure name)
  run("configuring ${name}" ${CMAKE_COMMAND} -S "${SOURCE}" -B "${work}/${name}" -G ${GENERATOR}
    -DCMAKE_C_COMPILER=${C_COMPILER} -DVerdiff_SUPERBUILD=ON -DVERDIFF_CUDA=OFF -DVERDIFF_CORE_ONLY=${CORE_ONLY}
    -DITK_DIR=${ITK_DIR} -DVerdiff_USE_SYSTEM_SlicerExecutionModel=NONE -DVerdiff_USE_SYSTEM_DCMTK=NONE
    -DVerdiff_USE_SYSTEM_VTK=NONE -DVerdiff_USE_SYSTEM_oneDNN=NONE ${ARGN})
endmacro()
macro(need_report pattern)
  if(NOT output MATCHES "${pattern}")
    message(FATAL_ERROR "the superbuild did not say \"${pattern}\":\n${output}")
  endif()
endmacro()

# Nothing is fetched when everything is there, and what is missing comes from a pinned full hash.
configure(found)
if(CORE_ONLY)
  return()
endif()
need_report("superbuild: ITK is there")
need_report("superbuild: nlohmann_json is there")
configure(pinned -DVerdiff_USE_SYSTEM_oneDNN=OFF)
need_report("superbuild: oneDNN from https://[^ \n]* [0-9a-f]+")
file(GLOB externals "${SOURCE}/SuperBuild/External_*.cmake")
foreach(external IN LISTS externals)
  file(READ "${external}" text)
  if(NOT text MATCHES "REPOSITORY")
    continue() # built from a source that is named only
  endif()
  string(REGEX MATCH "REVISION ([0-9a-f]*)\n" line "${text}")
  string(LENGTH "${CMAKE_MATCH_1}" length)
  if(NOT length EQUAL 40)
    message(FATAL_ERROR "${external}: REVISION has ${length} hexadecimal digits, needed 40")
  endif()
endforeach()
execute_process(COMMAND ${CMAKE_COMMAND} -S "${SOURCE}" -B "${work}/refused" -DVerdiff_SUPERBUILD=ON
  -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON -DVerdiff_USE_SYSTEM_nlohmann_json=ON
  RESULT_VARIABLE result OUTPUT_QUIET ERROR_VARIABLE reason)
if(result EQUAL 0 OR NOT reason MATCHES "nlohmann_json is not found")
  message(FATAL_ERROR "ON and not found: ended with ${result}\n${reason}")
endif()
execute_process(COMMAND ${CMAKE_COMMAND} -S "${SOURCE}" -B "${work}/sourceless" -DVerdiff_SUPERBUILD=ON
  -DVerdiff_USE_SYSTEM_nlohmann_json=OFF RESULT_VARIABLE result OUTPUT_QUIET ERROR_VARIABLE reason)
if(result EQUAL 0 OR NOT reason MATCHES "nlohmann_json is to be built and no source is known")
  message(FATAL_ERROR "OFF without a source: ended with ${result}\n${reason}")
endif()

# build_with(<name> <argument>...): build the library from what the arguments name, configure Verdiff with it.
macro(build_with name)
  configure(${name} -DVerdiff_USE_SYSTEM_nlohmann_json=OFF ${ARGN})
  run("building ${name}" ${CMAKE_COMMAND} --build "${work}/${name}" --target Verdiff-configure)
  file(STRINGS "${work}/${name}/Verdiff-build/CMakeCache.txt" line REGEX "^nlohmann_json_DIR:")
  if(NOT line MATCHES "=${work}/${name}/superbuild/install/")
    message(FATAL_ERROR "${name}: the inner project uses ${line}")
  endif()
endmacro()
build_with(archive "-DVerdiff_nlohmann_json_URL=${work}/source.tar.gz"
           -DVerdiff_nlohmann_json_URL_HASH=SHA256=${checksum})
configure(spoilt -DVerdiff_USE_SYSTEM_nlohmann_json=OFF "-DVerdiff_nlohmann_json_URL=${work}/source.tar.gz"
          -DVerdiff_nlohmann_json_URL_HASH=SHA256=0000000000000000000000000000000000000000000000000000000000000000)
run_failing("an archive with another checksum"
            ${CMAKE_COMMAND} --build "${work}/spoilt" --target nlohmann_json)
find_program(git git)
if(git)
  set(author -c user.name=test -c user.email=test@verdiff.example -c commit.gpgsign=false)
  run("git init" ${git} init -q "${source}")
  run("git add" ${git} -C "${source}" add .)
  run("git commit" ${git} -C "${source}" ${author} commit -q -m source)
  run("git rev-parse" ${git} -C "${source}" rev-parse HEAD)
  string(STRIP "${output}" revision)
  build_with(repository "-DVerdiff_nlohmann_json_GIT_REPOSITORY=file://${source}"
             -DVerdiff_nlohmann_json_GIT_TAG=${revision})
endif()

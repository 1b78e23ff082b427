# -DVerdiff_SUPERBUILD=ON: every library that find_package does not find is fetched at a pinned revision and
# built below superbuild/, then Verdiff itself as an inner project in Verdiff-build/. zlib and nlohmann_json, which
# every system has, are built from a source that is named only. For each <X>:
#
#   Verdiff_USE_SYSTEM_<X>    AUTO (default): built when not found; ON: must be found; OFF: built;
#                             NONE: done without (oneDNN, DCMTK, VTK, SlicerExecutionModel)
#   Verdiff_<X>_SOURCE_DIR    a source folder on this machine, taken as it is
#   Verdiff_<X>_URL           an archive (a file or an address) instead of a repository
#   Verdiff_<X>_GIT_REPOSITORY, Verdiff_<X>_GIT_TAG    another repository, another revision
#   Verdiff_<X>_CMAKE_ARGS    further arguments of its configuration
#
# An archive named by Verdiff_<X>_URL can be checked: Verdiff_<X>_URL_HASH, e.g. SHA256=...
include(ExternalProject)
enable_language(CXX) # ITK's and VTK's configurations ask for it

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(superbuild_prefix ${CMAKE_BINARY_DIR}/superbuild/install)
set(superbuild_built "") # what is built here, in the order of dependency
set(inner_args "")       # what the inner project is told beyond that

# What all configurations are told. Libraries are archives: programs then carry them and can be moved.
set(superbuild_args -DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE} -DCMAKE_POSITION_INDEPENDENT_CODE=ON
  -DCMAKE_INSTALL_PREFIX=${superbuild_prefix} -DCMAKE_INSTALL_LIBDIR=lib -DBUILD_SHARED_LIBS=OFF
  -DBUILD_TESTING=OFF -DCMAKE_POLICY_DEFAULT_CMP0074=NEW)
foreach(variable CMAKE_C_COMPILER CMAKE_CXX_COMPILER CMAKE_C_COMPILER_LAUNCHER CMAKE_CXX_COMPILER_LAUNCHER
        CMAKE_TOOLCHAIN_FILE CMAKE_OSX_DEPLOYMENT_TARGET CMAKE_OSX_ARCHITECTURES CMAKE_MAKE_PROGRAM)
  if(DEFINED ${variable})
    list(APPEND superbuild_args -D${variable}=${${variable}})
  endif()
endforeach()
list(JOIN CMAKE_PREFIX_PATH "|" prefixes)
list(APPEND superbuild_args "-DCMAKE_PREFIX_PATH=${superbuild_prefix}|${prefixes}")

# superbuild_decide(<X> <found>): sets ${build}, whether <X> is to be built here.
function(superbuild_decide name found)
  set(Verdiff_USE_SYSTEM_${name} AUTO CACHE STRING "AUTO, ON (must be found), OFF (is built), NONE (done without)")
  set_property(CACHE Verdiff_USE_SYSTEM_${name} PROPERTY STRINGS AUTO ON OFF NONE)
  set(use ${Verdiff_USE_SYSTEM_${name}})
  set(build FALSE)
  if(use STREQUAL "NONE")
    message(STATUS "superbuild: ${name} is left out")
  elseif(use STREQUAL "AUTO" AND found OR use AND found)
    message(STATUS "superbuild: ${name} is there")
  elseif(use STREQUAL "AUTO" OR NOT use)
    set(build TRUE)
    unset(${name}_DIR CACHE) # or the inner project would take the one that was found
  else()
    message(FATAL_ERROR "Verdiff_USE_SYSTEM_${name} is ${use} and ${name} is not found: set ${name}_DIR")
  endif()
  set(build ${build} PARENT_SCOPE)
endfunction()

# superbuild_add(<X> [REPOSITORY <address> REVISION <full hash>] [DEPENDS <X>...] [ARGS <-D...>...] [NO_INSTALL])
# NO_INSTALL: <X> is used from its build folder.
function(superbuild_add name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "NO_INSTALL" "REPOSITORY;REVISION" "DEPENDS;ARGS")
  set(Verdiff_${name}_SOURCE_DIR "" CACHE PATH "Folder with the source of ${name}; empty = fetched")
  set(Verdiff_${name}_URL "" CACHE STRING "Archive of ${name}; empty = the repository")
  set(Verdiff_${name}_URL_HASH "" CACHE STRING "Its checksum, e.g. SHA256=...; empty = not checked")
  set(Verdiff_${name}_GIT_REPOSITORY "${arg_REPOSITORY}" CACHE STRING "Repository of ${name}")
  set(Verdiff_${name}_GIT_TAG "${arg_REVISION}" CACHE STRING "Revision of ${name}")
  set(Verdiff_${name}_CMAKE_ARGS "" CACHE STRING "Further arguments of ${name}'s configuration")
  if(Verdiff_${name}_SOURCE_DIR)
    set(source SOURCE_DIR ${Verdiff_${name}_SOURCE_DIR})
    set(from ${Verdiff_${name}_SOURCE_DIR})
  elseif(Verdiff_${name}_URL)
    set(source URL ${Verdiff_${name}_URL})
    if(Verdiff_${name}_URL_HASH)
      list(APPEND source URL_HASH ${Verdiff_${name}_URL_HASH})
    endif()
    set(from ${Verdiff_${name}_URL})
  elseif(NOT Verdiff_${name}_GIT_REPOSITORY)
    message(FATAL_ERROR "${name} is to be built and no source is known: install it, or set Verdiff_${name}_SOURCE_DIR, "
            "Verdiff_${name}_URL or Verdiff_${name}_GIT_REPOSITORY with Verdiff_${name}_GIT_TAG")
  else()
    set(source GIT_REPOSITORY ${Verdiff_${name}_GIT_REPOSITORY} GIT_TAG ${Verdiff_${name}_GIT_TAG}
        GIT_SUBMODULES "")
    set(from "${Verdiff_${name}_GIT_REPOSITORY} ${Verdiff_${name}_GIT_TAG}")
  endif()
  set(depends "")
  foreach(other IN LISTS arg_DEPENDS) # what is found needs no target
    if(other IN_LIST superbuild_built)
      list(APPEND depends ${other})
    endif()
  endforeach()
  if(arg_NO_INSTALL)
    list(APPEND source INSTALL_COMMAND ${CMAKE_COMMAND} -E true BINARY_DIR superbuild/${name}-build)
    set(inner_args ${inner_args} -D${name}_DIR=${CMAKE_BINARY_DIR}/superbuild/${name}-build PARENT_SCOPE)
  endif()
  ExternalProject_Add(${name} PREFIX superbuild/${name} "${source}" DEPENDS ${depends} LIST_SEPARATOR |
    CMAKE_ARGS ${superbuild_args} ${arg_ARGS} ${Verdiff_${name}_CMAKE_ARGS})
  message(STATUS "superbuild: ${name} from ${from}")
  set(superbuild_built ${superbuild_built} ${name} PARENT_SCOPE)
endfunction()

set(superbuild_names zlib nlohmann_json oneDNN DCMTK VTK ITK SlicerExecutionModel)
if(VERDIFF_CORE_ONLY)
  set(superbuild_names oneDNN)
endif()
foreach(name IN LISTS superbuild_names)
  include(${CMAKE_CURRENT_LIST_DIR}/External_${name}.cmake)
endforeach()

# The inner project gets everything that this one was told.
get_cmake_property(cached CACHE_VARIABLES)
foreach(variable IN LISTS cached)
  if(variable MATCHES "^VERDIFF_|^BUILD_TESTING$|_(DIR|ROOT)$" AND NOT variable MATCHES "^Verdiff_")
    string(REPLACE ";" "|" value "${${variable}}")
    if(value AND NOT value MATCHES "NOTFOUND$" OR value STREQUAL "OFF")
      list(APPEND inner_args "-D${variable}=${value}")
    endif()
  endif()
endforeach()
ExternalProject_Add(Verdiff SOURCE_DIR ${PROJECT_SOURCE_DIR} BINARY_DIR ${CMAKE_BINARY_DIR}/Verdiff-build
  DEPENDS ${superbuild_built} LIST_SEPARATOR |
  CMAKE_ARGS ${superbuild_args} ${inner_args} -DCMAKE_INSTALL_PREFIX=${CMAKE_INSTALL_PREFIX}
             -DVerdiff_SUPERBUILD=OFF
  BUILD_ALWAYS ON INSTALL_COMMAND "")
ExternalProject_Add_StepTargets(Verdiff configure)
install(SCRIPT ${CMAKE_BINARY_DIR}/Verdiff-build/cmake_install.cmake)

# Where things lie, in the build folder and below the install prefix. Programs find the model and the CUDA
# library from their own place, so that the whole tree can be moved:
#
#   <bin>/VerdiffSegment
#   <bin>/../lib/verdiff/libverdiff_cuda.so, libraries of a stand-alone package
#   <bin>/../share/verdiff/models/...
if(Slicer_DIR) # below lib/Slicer-5.N; Slicer takes every file in cli-modules for a module
  set(VERDIFF_INSTALL_BIN ${Slicer_INSTALL_CLIMODULES_BIN_DIR})
  get_filename_component(folder ${VERDIFF_INSTALL_BIN} DIRECTORY)
  string(APPEND folder /)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${Slicer_CLIMODULES_BIN_DIR})
else()
  set(VERDIFF_INSTALL_BIN bin)
  set(folder "")
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endif()
set(VERDIFF_INSTALL_PLUGIN ${folder}lib/verdiff)
set(VERDIFF_INSTALL_SHARE ${folder}share/verdiff)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

if(UNIX AND NOT APPLE)
  set(CMAKE_INSTALL_RPATH "$ORIGIN;$ORIGIN/../lib;$ORIGIN/../lib/verdiff")
  # RPATH and not RUNPATH: it holds for the libraries of libraries too, which have no path of their own.
  add_link_options(-Wl,--disable-new-dtags)
endif()

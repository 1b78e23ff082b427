find_package(SlicerExecutionModel QUIET)
superbuild_decide(SlicerExecutionModel "${SlicerExecutionModel_FOUND}")
if(build) # main of 2026-02; it has no releases, and what it installs is not what find_package wants
  superbuild_add(SlicerExecutionModel DEPENDS ITK NO_INSTALL
    REPOSITORY https://github.com/Slicer/SlicerExecutionModel.git
    REVISION 6e167626e4178128634002ec8baf0af76df4c9ce
    ARGS -DBUILD_SHARED_LIBS=ON)
endif()

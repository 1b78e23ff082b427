find_package(VTK 9.1 QUIET COMPONENTS CommonCore FiltersCore ImagingCore IOGeometry IOXML RenderingFreeType)
superbuild_decide(VTK "${VTK_FOUND}")
if(build) # 9.4.2; pictures are drawn without a display, so no OpenGL
  superbuild_add(VTK DEPENDS zlib
    REPOSITORY https://github.com/Kitware/VTK.git
    REVISION 13acb1a5dd0ad7f7635f2511f44e599733643d06
    ARGS -DVTK_BUILD_ALL_MODULES=OFF -DVTK_GROUP_ENABLE_StandAlone=DONT_WANT -DVTK_GROUP_ENABLE_Rendering=DONT_WANT
         -DVTK_ENABLE_WRAPPING=OFF -DVTK_BUILD_TESTING=OFF
         -DVTK_MODULE_ENABLE_VTK_FiltersCore=YES -DVTK_MODULE_ENABLE_VTK_FiltersGeneral=YES
         -DVTK_MODULE_ENABLE_VTK_ImagingColor=YES -DVTK_MODULE_ENABLE_VTK_ImagingGeneral=YES
         -DVTK_MODULE_ENABLE_VTK_ImagingSources=YES -DVTK_MODULE_ENABLE_VTK_IOGeometry=YES
         -DVTK_MODULE_ENABLE_VTK_IOXML=YES -DVTK_MODULE_ENABLE_VTK_IOImage=YES
         -DVTK_MODULE_ENABLE_VTK_RenderingCore=YES -DVTK_MODULE_ENABLE_VTK_RenderingFreeType=YES)
endif()

# Without it convolutions run in plain C.
find_path(VERDIFF_DNNL_INCLUDE oneapi/dnnl/dnnl.h)
find_library(VERDIFF_DNNL_LIBRARY dnnl)
set(found FALSE)
if(NOT VERDIFF_ONEDNN OR (VERDIFF_DNNL_INCLUDE AND VERDIFF_DNNL_LIBRARY))
  set(found TRUE)
endif()
superbuild_decide(oneDNN ${found})
if(build) # 3.13.1, of which only what Core/CPU/onednn calls
  unset(VERDIFF_DNNL_INCLUDE CACHE)
  unset(VERDIFF_DNNL_LIBRARY CACHE)
  superbuild_add(oneDNN
    REPOSITORY https://github.com/uxlfoundation/oneDNN.git
    REVISION 5f93c2194d41d36dc55eb736ce00899b8946e7a3
    ARGS -DONEDNN_LIBRARY_TYPE=STATIC -DONEDNN_CPU_RUNTIME=OMP -DONEDNN_ENABLE_PRIMITIVE=CONVOLUTION|REORDER
         -DONEDNN_BUILD_GRAPH=OFF -DONEDNN_BUILD_TESTS=OFF -DONEDNN_BUILD_EXAMPLES=OFF -DONEDNN_BUILD_DOC=OFF)
endif()

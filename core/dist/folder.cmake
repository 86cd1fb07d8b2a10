# The two backends need headers of their own, so they are left out of the glob.
target_sources(xp_dist PRIVATE ${CMAKE_SOURCE_DIR}/core/dist/backend_gloo.cpp)
set_source_files_properties(${CMAKE_SOURCE_DIR}/core/dist/backend_gloo.cpp PROPERTIES
  INCLUDE_DIRECTORIES ${CMAKE_SOURCE_DIR}/core/dist/gloo_shim)

# NCCL is compiled wherever its header and CUDA's are, and linked where all of LibTorch's CUDA is.
find_path(XP_NCCL_INCLUDE nccl.h HINTS ${_site}/nvidia/nccl/include ${_site}/nvidia/cu13/include)
if((XP_NVCC OR XP_WITH_CUDA) AND XP_NCCL_INCLUDE)
  set(nccl ${CMAKE_SOURCE_DIR}/core/dist/backend_nccl.cpp)
  add_library(xp_dist_nccl OBJECT ${nccl})
  target_include_directories(xp_dist_nccl PRIVATE ${CMAKE_SOURCE_DIR})
  target_include_directories(xp_dist_nccl SYSTEM PRIVATE ${XP_NCCL_INCLUDE}
    $<IF:$<BOOL:${XP_NVCC}>,${CUDAToolkit_INCLUDE_DIRS},${_cuda}/include>)
  target_compile_definitions(xp_dist_nccl PRIVATE USE_CUDA USE_C10D_NCCL)
  target_link_libraries(xp_dist_nccl PRIVATE xp::torch xp_base)
  if(XP_WITH_CUDA)
    target_link_libraries(xp_dist PRIVATE $<TARGET_OBJECTS:xp_dist_nccl>)
  endif()
elseif(XP_WITH_CUDA)
  message(FATAL_ERROR "nccl.h was not found beside LibTorch's CUDA libraries")
endif()

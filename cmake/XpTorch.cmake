# xp::torch: LibTorch from a Python wheel or an unpacked LibTorch. No Python at build or run time.
#
# XP_TORCH_ROOT  the folder that holds lib/libtorch_cpu.so (default: $EXP_TORCH_ROOT, else the one that scripts/setup.sh
#                installs)
# XP_CUDA        AUTO, ON or OFF
set(XP_TORCH_ROOT "" CACHE PATH "site-packages/torch of a torch wheel, or an unpacked LibTorch")
set(XP_CUDA "AUTO" CACHE STRING "AUTO, ON or OFF")
set(XP_TORCH_VERSION 2.11)
if(NOT XP_TORCH_ROOT AND DEFINED ENV{EXP_TORCH_ROOT})
  set(XP_TORCH_ROOT "$ENV{EXP_TORCH_ROOT}" CACHE PATH "" FORCE)
endif()
if(NOT XP_TORCH_ROOT)
  # Not kept in the cache: a folder that is set later has to count.
  set(XP_TORCH_ROOT "${CMAKE_SOURCE_DIR}/.deps/torch/torch")
endif()
if(NOT EXISTS "${XP_TORCH_ROOT}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "no LibTorch in ${XP_TORCH_ROOT}: run scripts/setup.sh, or set EXP_TORCH_ROOT to a "
    "folder that holds lib/libtorch_cpu.so (version ${XP_TORCH_VERSION}), or configure with -DXP_TORCH=OFF")
endif()
file(STRINGS "${XP_TORCH_ROOT}/include/torch/headeronly/version.h" _version REGEX "define TORCH_VERSION_M[AI]")
string(REGEX REPLACE "[^0-9]+([0-9]+)[^0-9]+([0-9]+).*" "\\1.\\2" _version "${_version}")
if(NOT _version STREQUAL XP_TORCH_VERSION)
  message(FATAL_ERROR "LibTorch in ${XP_TORCH_ROOT} is ${_version}; exp is built against ${XP_TORCH_VERSION}")
endif()
get_filename_component(_site "${XP_TORCH_ROOT}/.." ABSOLUTE)
file(GLOB _nvidia LIST_DIRECTORIES true "${_site}/nvidia/*/lib")

add_library(xp_c10 SHARED IMPORTED)
set_target_properties(xp_c10 PROPERTIES IMPORTED_LOCATION "${XP_TORCH_ROOT}/lib/libc10.so")
add_library(xp_torch_cpu SHARED IMPORTED)
set_target_properties(xp_torch_cpu PROPERTIES IMPORTED_LOCATION "${XP_TORCH_ROOT}/lib/libtorch_cpu.so"
  INTERFACE_LINK_LIBRARIES "xp_c10;Threads::Threads")
add_library(xp_torch INTERFACE)
add_library(xp::torch ALIAS xp_torch)
# LibTorch carries the headers of a newer fmt; Debian's, which we link, have to be found first.
find_path(XP_FMT_INCLUDE fmt/format.h PATHS /usr/include NO_DEFAULT_PATH REQUIRED)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/fmt_first)
file(CREATE_LINK ${XP_FMT_INCLUDE}/fmt ${CMAKE_BINARY_DIR}/fmt_first/fmt SYMBOLIC)
target_include_directories(xp_torch SYSTEM INTERFACE
  ${CMAKE_BINARY_DIR}/fmt_first
  "${XP_TORCH_ROOT}/include" "${XP_TORCH_ROOT}/include/torch/csrc/api/include")
target_compile_definitions(xp_torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1 USE_DISTRIBUTED USE_C10D_GLOO)
target_link_libraries(xp_torch INTERFACE xp_torch_cpu xp_c10)
# At run time libtorch_cpu.so finds libcudart and libcupti by its own RPATH; the link step has to be told.
foreach(dir IN LISTS _nvidia)
  target_link_options(xp_torch INTERFACE "LINKER:-rpath-link,${dir}")
endforeach()

# The CUDA parts need LibTorch's NVIDIA wheels (libraries, and headers for what calls CUDA or NCCL); nvcc is for .cu files.
set(XP_WITH_CUDA OFF)
set(XP_CUDA_MAJOR 13)
set(_cuda ${_site}/nvidia/cu${XP_CUDA_MAJOR})
set(_cuda_complete TRUE)
foreach(file ${_cuda}/lib/libcublas.so.${XP_CUDA_MAJOR} ${_cuda}/lib/libcudart.so.${XP_CUDA_MAJOR}
    ${_cuda}/lib/libcupti.so.${XP_CUDA_MAJOR} ${_cuda}/include/cuda_runtime_api.h ${_site}/nvidia/cudnn/lib
    ${_site}/nvidia/nccl/lib ${_site}/nvidia/cusparselt/lib ${_site}/nvidia/nvshmem/lib ${XP_TORCH_ROOT}/lib/libtorch_cuda.so)
  if(NOT EXISTS "${file}")
    set(_cuda_complete FALSE)
    list(APPEND _cuda_missing ${file})
  endif()
endforeach()
if(NOT XP_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80 90)
    endif()
    set(CMAKE_CUDA_STANDARD 17)
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    set(XP_NVCC ON)
  endif()
  if(_cuda_complete)
    set(XP_WITH_CUDA ON)
  elseif(XP_CUDA STREQUAL "ON")
    message(STATUS "exp: programs link for the CPU, not all of LibTorch's NVIDIA wheels are here; missing: ${_cuda_missing}")
  endif()
endif()
if(XP_WITH_CUDA)
  foreach(lib c10_cuda torch_cuda)
    add_library(xp_${lib} SHARED IMPORTED)
    set_target_properties(xp_${lib} PROPERTIES IMPORTED_LOCATION "${XP_TORCH_ROOT}/lib/lib${lib}.so")
  endforeach()
  set_target_properties(xp_torch_cuda PROPERTIES INTERFACE_LINK_LIBRARIES "xp_c10_cuda;xp_torch_cpu")
  # No symbol of libtorch_cuda is referred to from CPU code: it registers its kernels when it is loaded.
  target_link_libraries(xp_torch INTERFACE -Wl,--no-as-needed xp_torch_cuda xp_c10_cuda -Wl,--as-needed
    ${_cuda}/lib/libcudart.so.${XP_CUDA_MAJOR})
  target_include_directories(xp_torch SYSTEM INTERFACE ${_cuda}/include)
  target_compile_definitions(xp_torch INTERFACE USE_CUDA USE_C10D_NCCL XP_WITH_CUDA=${XP_CUDA_MAJOR})
endif()
message(STATUS "exp: LibTorch ${_version} in ${XP_TORCH_ROOT}, CUDA ${XP_WITH_CUDA}")

# ATen alone: what else is precompiled has its templates instantiated in every source again (autograd's
# custom_function.h, which two sources need, adds 1.5 s to each).
if(XP_PCH)
  xp_precompiled(xp_torch_pch LIBRARIES xp::torch
    HEADERS <ATen/ATen.h> <torch/csrc/autograd/grad_mode.h> <string> <vector> <memory> <map> <functional>)
endif()

# xp_use_torch(TARGET PUBLIC|PRIVATE): LibTorch's headers, libraries and the shared precompiled header.
function(xp_use_torch target scope)
  target_link_libraries(${target} ${scope} xp::torch)
  xp_reuse(${target} xp_torch_pch)
endfunction()

# xp_cuda_objects: every .cu file and the NCCL source, compiled but not linked, so that a machine without a
# GPU (and without NVIDIA's run-time libraries) can tell that they compile.
function(xp_cuda_objects)
  if(NOT XP_NVCC)
    return()
  endif()
  file(GLOB_RECURSE cuda CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/*.cu)
  file(GLOB_RECURSE nccl CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/*_nccl.cpp)
  find_path(XP_NCCL_INCLUDE nccl.h HINTS ${_site}/nvidia/nccl/include ${CUDAToolkit_INCLUDE_DIRS})
  if(NOT XP_NCCL_INCLUDE)
    message(STATUS "exp: no nccl.h: the NCCL source is left out")
    set(nccl "")
  endif()
  if(NOT cuda AND NOT nccl)
    add_custom_target(xp_cuda_objects)
    return()
  endif()
  add_library(xp_cuda_objects OBJECT ${cuda} ${nccl})
  target_include_directories(xp_cuda_objects PRIVATE ${CMAKE_SOURCE_DIR})
  target_include_directories(xp_cuda_objects SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS} $<$<BOOL:${XP_NCCL_INCLUDE}>:${XP_NCCL_INCLUDE}>)
  target_compile_definitions(xp_cuda_objects PRIVATE USE_CUDA USE_C10D_NCCL XP_WITH_CUDA=${XP_CUDA_MAJOR})
  target_link_libraries(xp_cuda_objects PRIVATE xp_base xp_warnings xp::torch)
endfunction()

# Precompiled headers, each made once and shared by targets with the same flags:
#   xp_plain_pch  torch-free libraries and programs
#   xp_test_pch   their tests
#   xp_torch_pch  whatever uses LibTorch (XpTorch.cmake)
# They only save time: clang-tidy reads every source without them, and finds the include that is missing.

# xp_precompiled(NAME LIBRARIES... HEADERS...): an object library that holds the precompiled HEADERS.
function(xp_precompiled name)
  cmake_parse_arguments(ARG "" "" "LIBRARIES;HEADERS" ${ARGN})
  file(WRITE ${CMAKE_BINARY_DIR}/pch/${name}.cpp "// Holds a precompiled header.\n")
  add_library(${name} OBJECT ${CMAKE_BINARY_DIR}/pch/${name}.cpp)
  # The warnings belong to it: -Wpedantic changes what GCC defines, and GCC then refuses the header.
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} xp_warnings)
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
  # For ccache, which cannot see into a precompiled header otherwise.
  target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
endfunction()

# xp_reuse(TARGET NAME): TARGET is compiled with the precompiled headers of NAME, where there are any.
function(xp_reuse target name)
  if(TARGET ${name})
    target_precompile_headers(${target} REUSE_FROM ${name})
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
  endif()
endfunction()

# Only for GCC: clang asks for the very same flags, and builds the fuzz targets alone.
if(XP_PCH AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  set(_plain <fmt/format.h> <algorithm> <array> <chrono> <cmath> <filesystem> <functional> <map> <memory> <mutex>
    <optional> <set> <span> <string> <vector>)
  xp_precompiled(xp_plain_pch LIBRARIES fmt::fmt Threads::Threads HEADERS ${_plain})
  xp_precompiled(xp_test_pch LIBRARIES fmt::fmt Threads::Threads GTest::gtest HEADERS ${_plain} <fstream> <gtest/gtest.h>)
endif()

# Warnings, compiler cache and default build type for our own code.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

add_library(xp_warnings INTERFACE)
target_compile_options(xp_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
    -Wno-missing-field-initializers>)
if(XP_WERROR)
  target_compile_options(xp_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()

find_program(XP_CCACHE ccache)
if(XP_CCACHE)
  # The sloppiness is what ccache documents for precompiled headers. Depending on the compiler's list of headers spares
  # it a run of the preprocessor for each source that it does not have yet: a tenth of a first build.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_DEPEND=1 CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${XP_CCACHE})
endif()

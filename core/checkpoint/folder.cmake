# Carry-less products of registers: always optimised, as reading a checkpoint looks at every byte.
set_source_files_properties(${CMAKE_SOURCE_DIR}/core/checkpoint/crc32.cpp PROPERTIES COMPILE_OPTIONS "-O2"
  SKIP_PRECOMPILE_HEADERS ON SKIP_UNITY_BUILD_INCLUSION ON)

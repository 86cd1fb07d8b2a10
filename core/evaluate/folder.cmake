# ATen's RecordFunction checks a field in debug builds that LibTorch itself, a release build, never sets.
set_source_files_properties(${CMAKE_SOURCE_DIR}/core/evaluate/flop.cpp PROPERTIES
  COMPILE_DEFINITIONS NDEBUG SKIP_PRECOMPILE_HEADERS ON)

# Fuzz target: libFuzzer with XP_FUZZ (preset fuzz), else a program that replays the committed corpus under ctest.
if(XP_FUZZ)
  add_executable(archive_fuzz ${CMAKE_SOURCE_DIR}/core/checkpoint/fuzz/archive_fuzz.cpp)
  target_link_options(archive_fuzz PRIVATE -fsanitize=fuzzer)
else()
  add_executable(archive_fuzz ${CMAKE_SOURCE_DIR}/core/checkpoint/fuzz/archive_fuzz.cpp
    ${CMAKE_SOURCE_DIR}/core/schema/fuzz/replay.cpp)
  add_test(NAME corpus.archive COMMAND archive_fuzz ${CMAKE_SOURCE_DIR}/tests/checkpoint/corpus)
  set_tests_properties(corpus.archive PROPERTIES LABELS unit TIMEOUT 300)
endif()
target_link_libraries(archive_fuzz PRIVATE exp::checkpoint xp_warnings)

# Carry-less products of registers: always optimised, as reading a checkpoint looks at every byte.
set_source_files_properties(${CMAKE_SOURCE_DIR}/core/checkpoint/crc32.cpp PROPERTIES COMPILE_OPTIONS "-O2"
  SKIP_PRECOMPILE_HEADERS ON SKIP_UNITY_BUILD_INCLUSION ON)

# Fuzz target: libFuzzer with XP_FUZZ (preset fuzz), else a program that replays the committed corpus under ctest.
if(XP_FUZZ)
  add_executable(filter_fuzz ${CMAKE_SOURCE_DIR}/tracker/fuzz/filter_fuzz.cpp)
  target_link_options(filter_fuzz PRIVATE -fsanitize=fuzzer)
else()
  add_executable(filter_fuzz ${CMAKE_SOURCE_DIR}/tracker/fuzz/filter_fuzz.cpp
    ${CMAKE_SOURCE_DIR}/core/schema/fuzz/replay.cpp)
  add_test(NAME corpus.filter COMMAND filter_fuzz ${CMAKE_SOURCE_DIR}/tests/tracker/corpus/filter)
  set_tests_properties(corpus.filter PROPERTIES LABELS unit TIMEOUT 300)
endif()
target_link_libraries(filter_fuzz PRIVATE xp_tracker SQLite::SQLite3 xp_warnings)

xp_bench(tracker_bench bench/tracker/tracker_bench.cpp xp_tracker)

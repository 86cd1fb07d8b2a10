# The loops over samples are worth optimising in every build: XXH3's streaming form does not even compile with -Og.
# decode.cpp, sound_reader.cpp: -O3, because GCC 12 makes vectors of loops of unknown length only there.
if(NOT CMAKE_BUILD_TYPE STREQUAL Release)  # which has -O2 anyway
  set_source_files_properties(${CMAKE_SOURCE_DIR}/data/shard_reader.cpp ${CMAKE_SOURCE_DIR}/data/synthesis.cpp
    ${CMAKE_SOURCE_DIR}/data/shard_tables.cpp PROPERTIES COMPILE_OPTIONS -O2 SKIP_PRECOMPILE_HEADERS ON)
endif()
set_source_files_properties(${CMAKE_SOURCE_DIR}/data/decode.cpp ${CMAKE_SOURCE_DIR}/data/sound_reader.cpp
  PROPERTIES COMPILE_OPTIONS -O3 SKIP_PRECOMPILE_HEADERS ON)
# Fuzz targets: libFuzzer with XP_FUZZ (preset fuzz), else programs that replay the committed corpus under ctest.
# Both run in the source folder, where the shard target finds its golden index.
foreach(target lists shard)
  if(XP_FUZZ)
    add_executable(${target}_fuzz ${CMAKE_SOURCE_DIR}/data/fuzz/${target}_fuzz.cpp)
    target_link_options(${target}_fuzz PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(${target}_fuzz ${CMAKE_SOURCE_DIR}/data/fuzz/${target}_fuzz.cpp
      ${CMAKE_SOURCE_DIR}/core/schema/fuzz/replay.cpp)
    add_test(NAME corpus.${target} COMMAND ${target}_fuzz ${CMAKE_SOURCE_DIR}/tests/fixtures/fuzz_${target}
      WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(corpus.${target} PROPERTIES LABELS unit TIMEOUT 300)
  endif()
  target_link_libraries(${target}_fuzz PRIVATE xp_data exp_hdf5 xp_warnings)
endforeach()
foreach(bench decode loader)
  xp_bench(${bench}_bench bench/data/${bench}_bench.cpp xp_data exp_hdf5)
endforeach()

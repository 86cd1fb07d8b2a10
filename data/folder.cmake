# The loops over samples are worth optimising in every build: XXH3's streaming form does not even compile with -Og.
# decode.cpp, sound_reader.cpp: -O3, because GCC 12 makes vectors of loops of unknown length only there.
if(NOT CMAKE_BUILD_TYPE STREQUAL Release)  # which has -O2 anyway
  set_source_files_properties(${CMAKE_SOURCE_DIR}/data/shard_reader.cpp ${CMAKE_SOURCE_DIR}/data/synthesis.cpp
    ${CMAKE_SOURCE_DIR}/data/shard_tables.cpp PROPERTIES COMPILE_OPTIONS -O2 SKIP_PRECOMPILE_HEADERS ON)
endif()
set_source_files_properties(${CMAKE_SOURCE_DIR}/data/decode.cpp ${CMAKE_SOURCE_DIR}/data/sound_reader.cpp
  PROPERTIES COMPILE_OPTIONS -O3 SKIP_PRECOMPILE_HEADERS ON)
foreach(bench decode loader)
  xp_bench(${bench}_bench bench/data/${bench}_bench.cpp xp_data xp_hdf5)
endforeach()

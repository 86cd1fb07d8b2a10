# The loops over samples are worth optimising in every build: XXH3's streaming form does not even compile with -Og.
set_source_files_properties(${CMAKE_SOURCE_DIR}/data/shard_reader.cpp ${CMAKE_SOURCE_DIR}/data/synthesis.cpp
  ${CMAKE_SOURCE_DIR}/data/decode.cpp ${CMAKE_SOURCE_DIR}/data/shard_tables.cpp PROPERTIES COMPILE_OPTIONS -O2)
if(XP_FUZZ)
  foreach(target lists shard)
    add_executable(${target}_fuzz ${CMAKE_SOURCE_DIR}/data/fuzz/${target}_fuzz.cpp)
    target_link_libraries(${target}_fuzz PRIVATE exp::data xp_warnings)
    target_link_options(${target}_fuzz PRIVATE -fsanitize=fuzzer)
  endforeach()
endif()
foreach(bench decode loader)
  add_executable(${bench}_bench EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/data/${bench}_bench.cpp)
  target_link_libraries(${bench}_bench PRIVATE xp_data exp_hdf5 xp_warnings)
endforeach()

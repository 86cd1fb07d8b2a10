# The loops over samples are worth optimising in every build: XXH3's streaming form does not even compile with -Og.
set_source_files_properties(${CMAKE_SOURCE_DIR}/data/shard_reader.cpp ${CMAKE_SOURCE_DIR}/data/synthesis.cpp
  ${CMAKE_SOURCE_DIR}/data/decode.cpp ${CMAKE_SOURCE_DIR}/data/shard_tables.cpp PROPERTIES COMPILE_OPTIONS -O2)

# xp_fuzz(NAME LIBRARY...): tests/fuzz/NAME_fuzz.cpp. With XP_FUZZ (preset fuzz) a libFuzzer program, else one that
# replays the committed corpus, tests/fuzz/corpus/NAME, under ctest. Both run in the source folder, where the targets
# find their golden files.
function(xp_fuzz name)
  set(target ${name}_fuzz)
  set(source ${CMAKE_SOURCE_DIR}/tests/fuzz/${name}_fuzz.cpp)
  if(XP_FUZZ)
    add_executable(${target} ${source})
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(${target} ${source} ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.cpp)
    add_test(NAME corpus.${name} COMMAND ${target} ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name}
      WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(corpus.${name} PROPERTIES LABELS unit TIMEOUT 300)
  endif()
  target_link_libraries(${target} PRIVATE ${ARGN} xp_warnings)
endfunction()

xp_fuzz(archive xp_checkpoint)
xp_fuzz(filter xp_tracker SQLite::SQLite3)
xp_fuzz(recipe xp_schema)
xp_fuzz(sweep_spec xp_schema)
xp_fuzz(lists xp_data xp_hdf5)
xp_fuzz(shard xp_data xp_hdf5)

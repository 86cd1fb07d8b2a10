# Fuzz targets: libFuzzer with XP_FUZZ (preset fuzz), else programs that replay the committed corpus under ctest.
foreach(target recipe sweep_spec)
  if(XP_FUZZ)
    add_executable(${target}_fuzz core/schema/fuzz/${target}_fuzz.cpp)
    target_link_options(${target}_fuzz PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(${target}_fuzz core/schema/fuzz/${target}_fuzz.cpp core/schema/fuzz/replay.cpp)
    add_test(NAME corpus.${target} COMMAND ${target}_fuzz ${CMAKE_SOURCE_DIR}/tests/schema/corpus/${target})
    set_tests_properties(corpus.${target} PROPERTIES LABELS unit TIMEOUT 300)
  endif()
  target_link_libraries(${target}_fuzz PRIVATE xp_schema xp_warnings)
endforeach()

xp_bench(recipe_load_bench bench/recipe/load_bench.cpp xp_schema)

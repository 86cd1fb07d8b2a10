# bench/model: built on demand, `cmake --build DIR --target model_bench`.
add_executable(model_bench EXCLUDE_FROM_ALL ${CMAKE_CURRENT_SOURCE_DIR}/bench/model/model_bench.cpp)
target_link_libraries(model_bench PRIVATE xp_model xp_ops xp_base xp_warnings)
xp_use_torch(model_bench PRIVATE)

set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/core/model/token_merge_loops.cpp PROPERTIES
  COMPILE_OPTIONS "-O3" SKIP_PRECOMPILE_HEADERS ON)

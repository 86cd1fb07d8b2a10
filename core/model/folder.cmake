xp_bench(model_bench bench/model/model_bench.cpp xp_model xp_ops xp_base)
xp_use_torch(model_bench PRIVATE)
xp_bench(lengths_bench bench/model/lengths_bench.cpp xp_model xp_base)
xp_use_torch(lengths_bench PRIVATE)

set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/core/model/reduce/token_merge_loops.cpp PROPERTIES
  COMPILE_OPTIONS "-O3" SKIP_PRECOMPILE_HEADERS ON)

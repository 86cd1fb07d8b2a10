# bench/graph: built on demand, `cmake --build DIR --target input_digests_bench`.
add_executable(input_digests_bench EXCLUDE_FROM_ALL ${CMAKE_CURRENT_SOURCE_DIR}/bench/graph/input_digests_bench.cpp)
target_link_libraries(input_digests_bench PRIVATE xp_graph xp_base xp_warnings)

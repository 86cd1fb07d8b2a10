# bench/report: built on demand, `cmake --build DIR --target report_bench`.
add_executable(report_bench EXCLUDE_FROM_ALL ${CMAKE_CURRENT_SOURCE_DIR}/bench/report/report_bench.cpp)
target_link_libraries(report_bench PRIVATE xp_report xp_warnings)

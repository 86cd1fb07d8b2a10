xp_bench(report_bench bench/report/report_bench.cpp xp_report)

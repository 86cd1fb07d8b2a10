xp_bench(tracker_bench bench/tracker/tracker_bench.cpp xp_tracker)

xp_bench(input_digests_bench bench/graph/input_digests_bench.cpp xp_graph xp_base)

xp_bench(recipe_load_bench bench/schema/load_bench.cpp xp_schema)

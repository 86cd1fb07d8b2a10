xp_bench(recipe_load_bench bench/recipe/load_bench.cpp xp_schema)

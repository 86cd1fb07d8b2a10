// How long a recipe takes to parse, resolve, check and hash, in this process.
//   recipe_load_bench recipes/audioset/passt.toml ...
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "core/schema/load.h"

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  constexpr int kRounds = 200;
  for (int i = 1; i < argc; ++i) {
    std::vector<double> ms;
    for (int round = 0; round < kRounds; ++round) {
      const auto begin = Clock::now();
      const auto recipe = xp::schema::load_recipe(argv[i]);
      static_cast<void>(recipe.hash());
      ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
    }
    const double first = ms.front();
    std::sort(ms.begin(), ms.end());
    std::printf("%-45s first %.3f ms, median %.3f ms, worst %.3f ms of %d\n", argv[i], first,
                ms[ms.size() / 2], ms.back(), kRounds);
  }
  return 0;
}

#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/graph/cache.h"
#include "core/graph/graph.h"

namespace xp::graph {

/// Writes which outputs a run uses to `run_folder`/stages.json, so that collect_garbage leaves
/// them. To be called before the run looks at the cache for the last time.
void record_uses(const Graph& graph, const std::filesystem::path& run_folder, const Cache& cache);

/// One thing in the cache that nobody refers to.
struct Garbage {
  std::filesystem::path path;
  std::string what;  ///< "train 1f3a9c2b, made for stage student"
  uint64_t bytes = 0;
};

/// Outputs that no run folder below `runs` refers to, unfinished work and damaged outputs that
/// nobody holds, and what killed processes left. With `remove` they are removed; what a process
/// holds is never touched. A run that begins meanwhile is safe: it waits, or its outputs are left.
std::vector<Garbage> collect_garbage(const Cache& cache, const std::filesystem::path& runs,
                                     bool remove);

}  // namespace xp::graph

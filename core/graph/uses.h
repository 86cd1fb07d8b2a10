#pragma once

#include <filesystem>

#include "core/graph/cache.h"
#include "core/graph/graph.h"

namespace xp::graph {

/// Writes down which outputs a run uses, in its folder (.exp/runs/ULID) and in the cache, so that
/// `exp gc` of any workspace leaves them. To be called before the run looks at the cache for the
/// last time. Throws Error.
void record_uses(const Graph& graph, const std::filesystem::path& run_folder, const Cache& cache);

}  // namespace xp::graph

#include "core/graph/uses.h"

#include "core/graph/cache_users.h"
#include "core/graph/run_uses.h"

namespace xp::graph {

void record_uses(const Graph& graph, const std::filesystem::path& run_folder, const Cache& cache) {
  const std::filesystem::path workspace = run_folder.parent_path().parent_path();
  const FileLock lock = lock_cache(cache);
  mark_cache(cache, workspace);
  Uses uses = read_run_uses(run_folder).value_or(Uses{});  // of an earlier attempt
  for (const Node& node : graph.nodes) uses.insert(node.kind + "/" + node.key);
  CacheUser user = cache_user(cache, workspace);
  user.uses.insert(uses.begin(), uses.end());
  write_user(user);
  write_run_uses(run_folder, uses);
}

}  // namespace xp::graph

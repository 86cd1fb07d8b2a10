#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/files.h"
#include "core/graph/cache.h"
#include "core/graph/run_uses.h"

/// What makes a folder a cache, and which workspaces use it. docs/formats/cache.md describes the
/// files. All functions but lock_cache want its lock held.
namespace xp::graph {

/// A workspace that uses a cache, as the cache remembers it.
struct CacheUser {
  std::filesystem::path file;       ///< where the cache keeps it
  std::filesystem::path workspace;  ///< its .exp folder, absolute; empty: unknown users, of before
                                    ///< the cache noted them
  std::string identity;             ///< of the workspace
  std::string host;
  Uses uses;  ///< all that its runs used at the last `exp gc` and since
};

/// Held while uses are written and while garbage is told from what is used: one or the other sees a
/// new run. Makes the cache's folder. Throws Error (kFailed), and Stopped.
FileLock lock_cache(const Cache& cache);

/// Whether the folder carries the mark of a cache.
bool is_marked(const Cache& cache);

/// Marks the folder as a cache where that is sure: it holds nothing yet, or it is the workspace's
/// own .exp/cache. What lies there and no run of the workspace uses is kept for unknown users.
/// Throws Error: (kFailed) when it cannot be written, (kData) when the runs cannot be read.
void mark_cache(const Cache& cache, const std::filesystem::path& workspace);

/// Marks the folder as a cache because its owner says so, and that there are no unknown users.
void adopt_cache(const Cache& cache);

/// Sorted by path. Throws Error (kData) when one cannot be read.
std::vector<CacheUser> cache_users(const Cache& cache);

/// What the cache remembers of a workspace; for a new one what its runs use. The workspace gets its
/// identity where it has none. Throws Error.
CacheUser cache_user(const Cache& cache, const std::filesystem::path& workspace);

void write_user(const CacheUser& user);

/// Whether this is the workspace that lies at its path now.
bool is_there(const CacheUser& user);

}  // namespace xp::graph

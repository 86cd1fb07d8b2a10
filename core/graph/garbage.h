#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/graph/cache.h"

namespace xp::graph {

/// One thing that nobody refers to.
struct Garbage {
  std::filesystem::path path;
  std::string what;  ///< "train 1f3a9c2b, made for stage student"
  uint64_t bytes = 0;
};

/// What collect_garbage shall do.
struct Collecting {
  bool move = true;    ///< false: only say what is garbage
  bool adopt = false;  ///< mark the folder as a cache, and forget that it may have unknown users
  std::vector<std::filesystem::path> forget;  ///< workspaces that are gone for good
};

struct Collected {
  std::vector<Garbage> items;      ///< with `move` they are in the trash now
  std::vector<std::string> notes;  ///< what was kept for whom, and what could not be moved
};

/// Finds outputs that no run of a workspace uses, unfinished work and damaged outputs that nobody
/// holds, and what killed processes left in a cache, and moves them to its trash. A workspace that
/// cannot be reached uses all it ever used. Only what has the name of a stage, and a manifest where
/// it is finished, is ever touched, and never what a process holds or uses at this moment. A run
/// that begins meanwhile is safe: it waits, or its outputs are left. `workspace` is the .exp folder
/// of who asks. Throws Error, having moved nothing: (kUsage) where the folder is not marked as a
/// cache, or a workspace to forget is there; (kData) naming what of the own runs or of the cache
/// cannot be read.
Collected collect_garbage(const Cache& cache, const std::filesystem::path& workspace,
                          const Collecting& how);

/// Files that a killed process was writing in a workspace's .exp folder, and runs that it had not
/// written down yet: older than a moment, and nobody holds their run.
std::vector<Garbage> left_by_kills(const std::filesystem::path& workspace);

}  // namespace xp::graph

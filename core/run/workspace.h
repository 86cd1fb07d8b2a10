#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/graph/stage.h"

namespace xp::run {

/// The folder that holds exp.toml and .exp/, and what exp.toml says. docs/workspace.md lists its
/// keys.
struct Workspace {
  std::filesystem::path root;
  std::filesystem::path default_recipe;  ///< absolute; empty = none
  std::filesystem::path cache;           ///< EXP_CACHE, else [runtime] cache, else .exp/cache
  graph::Resources resources;            ///< [runtime]: threads, workers, micro_batch, devices
  int stages_at_once = 1;                ///< [runtime] stages_at_once
  bool any_memory = false;               ///< [runtime] any_memory

  std::filesystem::path exp_folder() const { return root / ".exp"; }
};

/// The nearest folder upwards that has an exp.toml, else the working directory.
std::filesystem::path find_workspace();

/// The workspace in `root`. Throws Error with its place for a key of exp.toml that is unknown or of
/// the wrong type.
Workspace load_workspace(const std::filesystem::path& root);

/// "2", "gpu:0,2", "cpu", "cpu:4" to device names, one a rank; "" = empty list. A plain number
/// means GPUs where there are any, else CPU ranks. Throws Error for anything else, and for a GPU
/// that is not there.
std::vector<std::string> parse_devices(const std::string& text);

}  // namespace xp::run

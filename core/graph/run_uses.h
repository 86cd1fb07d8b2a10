#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>

/// Which outputs of the cache the runs of a workspace use: stages.json in each run's folder, a list
/// of "KIND/KEY".
namespace xp::graph {

using Uses = std::set<std::string>;

/// The list of a run; nullopt where there is none. Throws Error (kData) naming what cannot be read.
std::optional<Uses> read_run_uses(const std::filesystem::path& run_folder);

/// Replaces a run's list. Throws Error (kFailed).
void write_run_uses(const std::filesystem::path& run_folder, const Uses& uses);

/// What all runs of a workspace (its .exp folder) use together; empty where it never had runs.
/// Throws Error (kData) naming what cannot be read: a folder, a link without a target, a list, or
/// one that is not there although the run has stages.
Uses uses_of_runs(const std::filesystem::path& workspace);

}  // namespace xp::graph

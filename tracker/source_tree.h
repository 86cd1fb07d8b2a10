#pragma once

#include <filesystem>
#include <string>

namespace xp::tracker {

/// What `rebuild_source` found.
struct Rebuilt {
  std::filesystem::path
      folder;          ///< the tree: a git worktree at the commit, or a plain folder without git
  std::string commit;  ///< empty: the run's source was not under git
  bool diff_applied = false;
  bool matches = true;  ///< `git diff HEAD` of the tree equals the stored diff
  size_t untracked = 0;
  size_t left_out = 0;  ///< untracked files that were not kept, so are not here
};

/// Builds the source state that a run stored (`run_folder`/files/source) in the new folder
/// `target`: a detached git worktree of the repository `root` at the commit, the diff applied, the
/// untracked files copied. Throws Error when `target` exists, the commit is gone from the
/// repository, or the diff does not apply.
Rebuilt rebuild_source(const std::filesystem::path& run_folder, const std::filesystem::path& root,
                       const std::filesystem::path& target);

}  // namespace xp::tracker

#include "tracker/source_tree.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "tracker/git.h"
#include "tracker/provenance.h"

namespace xp::tracker {
namespace fs = std::filesystem;
namespace {

constexpr std::chrono::milliseconds kLimit{120000};

std::string first_line(const fs::path& file) {
  if (!fs::exists(file)) return "";
  const std::string text = read_file(file);
  return text.substr(0, text.find('\n'));
}

}  // namespace

Rebuilt rebuild_source(const fs::path& run_folder, const fs::path& root, const fs::path& target) {
  Rebuilt out;
  out.folder = fs::absolute(target);
  if (fs::exists(target))
    throw Error(fmt::format("{} exists already: give a new folder", target.string()));
  const fs::path stored = run_folder / "files/source";
  out.commit = first_line(stored / "commit");
  if (out.commit.empty()) {
    fs::create_directories(target);
    return out;
  }
  if (!Git(root).output({"worktree", "add", "--detach", out.folder.string(), out.commit}, kLimit,
                        1u << 24)) {
    throw Error(fmt::format("the repository {} cannot give commit {}: fetch it there first",
                            root.string(), out.commit),
                Exit::kFailed);
  }
  const fs::path diff = stored / "diff.patch";
  if (fs::exists(diff)) {
    const Git git(out.folder);
    if (!git.apply(diff, kLimit)) {
      throw Error(fmt::format("{} does not apply to commit {}", diff.string(), out.commit),
                  Exit::kFailed);
    }
    out.diff_applied = true;
    const auto now = git.diff(kLimit, kDiffBytes);
    out.matches = now && *now == read_file(diff);
  }
  if (fs::exists(stored / "untracked")) {
    for (const auto& entry : fs::recursive_directory_iterator(stored / "untracked")) {
      if (!entry.is_regular_file()) continue;
      const fs::path place = out.folder / entry.path().lexically_relative(stored / "untracked");
      fs::create_directories(place.parent_path());
      fs::copy_file(entry.path(), place, fs::copy_options::overwrite_existing);
      ++out.untracked;
    }
  }
  if (fs::exists(stored / "left_out.txt")) {
    const std::string names = read_file(stored / "left_out.txt");
    out.left_out = static_cast<size_t>(std::count(names.begin(), names.end(), '\n'));
  }
  return out;
}

}  // namespace xp::tracker

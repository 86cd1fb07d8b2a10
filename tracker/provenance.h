#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace xp::tracker {

/// The state of a source tree under git.
struct SourceState {
  std::filesystem::path root;  ///< empty: not under git, or no git here
  std::string commit, branch;
  std::string diff;                    ///< against the commit; what is staged and what is not
  bool applies = true;                 ///< the diff applies to a clean tree of the commit
  std::vector<std::string> untracked;  ///< files that are kept, relative to root
  std::vector<std::string>
      left_out;  ///< untracked files that are not: another kind, too large, too many
  bool dirty() const { return !diff.empty() || !untracked.empty() || !left_out.empty(); }
};

/// Where and from what a run comes.
struct Provenance {
  std::map<std::string, std::string> facts;  ///< docs/formats/tracker.md, table `fact`
  SourceState source;
};

/// Untracked files are kept up to this many bytes each and together.
inline constexpr uintmax_t kUntrackedFileBytes = 1u << 20;
inline constexpr uintmax_t kUntrackedBytes = 10u << 20;
inline constexpr size_t kDiffBytes = 32u << 20;

/// Asks the machine, the environment and git (a few tens of milliseconds). `source` is a folder of
/// the source tree.
Provenance collect_provenance(const std::filesystem::path& source);

/// Adds "libtorch=2.11.0" as version.libtorch.
void add_versions(Provenance& provenance, const std::vector<std::string>& versions);

/// Writes commit, diff.patch and untracked/ to `folder`. Throws Error (kFailed).
void save_source_state(const SourceState& source, const std::filesystem::path& folder);

/// Whether an environment variable is recorded: on the list, and nothing in its name smells of a
/// secret.
bool environment_is_recorded(std::string_view name);

/// The value without what stands between "://" and "@": a password in a URL is nobody's business.
std::string without_credentials(std::string_view value);

SourceState source_state(const std::filesystem::path& folder);

/// The build id that the linker gave to the running program, in hex; empty where there is none.
std::string build_id();

}  // namespace xp::tracker

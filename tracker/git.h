#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace xp::tracker {

/// git, called so that it does the same for everybody and starts no other program: without the
/// system's and the user's configuration, without hooks, file system monitor, filters, external or
/// text converting differences and network, whatever the configuration and the attributes of the
/// repository ask for. Of the user's settings two are kept, which start nothing: safe.directory and
/// core.excludesFile.
class Git {
 public:
  /// For the repository that `folder` lies in. Reads its configuration, once.
  explicit Git(std::filesystem::path folder);

  /// What `git WORDS` prints. nullopt when it fails, takes longer than `limit` or prints more than
  /// `max_bytes`.
  std::optional<std::string> output(const std::vector<std::string>& words,
                                    std::chrono::milliseconds limit, size_t max_bytes) const;

  /// What differs from the commit, staged or not, as a patch that `apply` takes; nullopt as above.
  std::optional<std::string> diff(std::chrono::milliseconds limit, size_t max_bytes) const;

  /// Applies a patch to index and working tree. False where it does not apply.
  bool apply(const std::filesystem::path& patch, std::chrono::milliseconds limit) const;
  /// Whether `apply` would, on a clean tree of `commit`; changes nothing.
  bool applies(const std::string& patch, const std::string& commit,
               std::chrono::milliseconds limit) const;

 private:
  std::filesystem::path folder_;
  std::vector<std::string> environment_;
};

}  // namespace xp::tracker

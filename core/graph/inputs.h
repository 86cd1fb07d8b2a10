#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace xp::graph {

/// What a file or folder of the user holds.
struct InputDigest {
  std::string digest;  ///< 64 hex digits over the sorted (path, content); not over where it lies
  uint64_t files = 0;
  uint64_t bytes = 0;
  uint64_t hashed = 0;  ///< files whose contents had to be read now
};

/// Content digests of the user's files, remembered: contents are read only where path, size, times
/// or inode are not those of the last time. A file whose times lie within two seconds of the moment
/// it was hashed (or after it, where the clock was set back) is read again the next time, since it
/// may change within one tick.
///
/// The memory is a folder of tables, one a root; losing it costs time only. Two processes may use
/// it at once: the last one wins.
class InputDigests {
 public:
  /// `progress(done, total)` in files, about five times a second while contents are read; may throw
  /// to stop.
  using Progress = std::function<void(uint64_t done, uint64_t total)>;

  explicit InputDigests(std::filesystem::path memory) : memory_(std::move(memory)) {}

  /// From now on each root is looked at once in the life of this object: for the plans of many
  /// recipes at one moment.
  void look_once() { once_ = true; }

  /// Every regular file below `root`, links followed; names that start with '.' are left out. One
  /// regular file is a tree of itself. Throws Error (kData) when something cannot be read, naming
  /// it.
  InputDigest tree(const std::filesystem::path& root, const Progress& progress = {});

  /// The files that a list names. `name` is the list ("train.json"), `source` what their paths
  /// follow from (a digest, at most 64 characters): `read` gives them and is asked only where the
  /// memory is of another source. Absent files are left out of the digest, and noticed when they
  /// come.
  InputDigest list(const std::filesystem::path& name, std::string_view source,
                   const std::function<std::vector<std::filesystem::path>()>& read,
                   const Progress& progress = {});

  /// The digest of `root` when `tree` last saw it, "" when it never did.
  std::string last_known(const std::filesystem::path& root) const;

  /// What happened between two digests that this memory saw one after the other, for people:
  /// "audio/1-17.wav changed, audio/2-9.wav added and 3 more"; "" when it does not know.
  std::string difference(const std::filesystem::path& root, std::string_view from,
                         std::string_view to) const;

 private:
  InputDigest look(const std::filesystem::path& root, const Progress& progress) const;

  std::filesystem::path memory_;
  bool once_ = false;
  std::map<std::string, InputDigest> seen_;  ///< by root, with `once_`
};

}  // namespace xp::graph

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace xp::graph {

class Scan;
class SeenFiles;
struct Counted;

/// What a file or folder of the user holds.
struct InputDigest {
  std::string digest;  ///< 64 hex digits over the sorted (path, content); not over where it lies
  uint64_t files = 0;
  uint64_t bytes = 0;
  uint64_t hashed = 0;  ///< files whose contents had to be read now
  /// Files that would have to be read, where that was put off: `digest` is then over paths, sizes,
  /// times and inodes, and says only whether a listing is the same one.
  uint64_t unread = 0;
  uint64_t unread_bytes = 0;
};

/// When contents need not be read for their digest now, because who decodes them will see them.
struct PutOff {
  uint64_t above_bytes = 0;  ///< so much is read at once all the same
  /// (path, digest) of folders and of what lists name that something was made of. What may be one
  /// of them is read: its digest finds what was made. That a folder which has changed is again what
  /// it once was is not thought of.
  std::vector<std::pair<std::string, std::string>> trees, lists;
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

  /// Every regular file below `root` that counts (null: all), links followed; names that start with
  /// '.' are left out. One regular file is a tree of itself. Throws Error (kData) when something
  /// cannot be read, naming it.
  InputDigest tree(const std::filesystem::path& root, const Progress& progress = {},
                   const PutOff* put_off = nullptr, const Counted* counted = nullptr);
  /// As `tree` of all files, where `counted` of them are known already.
  InputDigest tree_of_all(const std::filesystem::path& root, const Counted& counted);

  /// The files that a list names. `name` is the list ("train.json"), `source` what their paths
  /// follow from (a digest, at most 64 characters): `read` gives them and is asked only where the
  /// memory is of another source. Absent files are left out of the digest, and noticed when they
  /// come.
  InputDigest list(const std::filesystem::path& name, std::string_view source,
                   const std::function<std::vector<std::filesystem::path>()>& read,
                   const Progress& progress = {}, const PutOff* put_off = nullptr);

  /// Contents that somebody else has read: from now on they are not read for a digest.
  void take(std::shared_ptr<SeenFiles> seen);
  /// From now on `tree` and `list` of that name read what is unread.
  void never_put_off(const std::filesystem::path& root);
  /// From now on nothing is remembered on disk; `keep` does it.
  void hold();
  void keep();

  /// The digest of `root` when `tree` last saw it, "" when it never did.
  std::string last_known(const std::filesystem::path& root, const Counted* counted = nullptr) const;

  /// SHA-256 (64 hex digits) of a file below `root` ("" for a root that is a file) when `tree` last
  /// saw it; "" where it is not known.
  std::string content_of(const std::filesystem::path& root, std::string_view file) const;

  /// What happened between two digests that this memory saw one after the other, for people:
  /// "audio/1-17.wav changed, audio/2-9.wav added and 3 more"; "" when it does not know.
  std::string difference(const std::filesystem::path& root, std::string_view from,
                         std::string_view to) const;

 private:
  struct Look;
  InputDigest look(const std::filesystem::path& root, const Progress& progress,
                   const PutOff* put_off, const Counted* counted, const Counted* known);
  InputDigest finish(Scan& scan, const Look& look);
  bool was_made(const Scan& scan, const Look& look) const;
  const PutOff* unless_never(const std::filesystem::path& root, const PutOff* put_off) const;

  std::filesystem::path memory_;
  bool once_ = false;
  bool held_ = false;
  std::vector<std::shared_ptr<SeenFiles>> taken_;
  std::set<std::string> never_put_off_;
  std::vector<std::function<void()>> pending_;
  std::map<std::string, InputDigest> seen_;  ///< by root, with `once_`
};

}  // namespace xp::graph

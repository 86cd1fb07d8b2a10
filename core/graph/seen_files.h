#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/graph/inputs_table.h"

struct stat;

namespace xp::graph {

/// Contents of the user's files that were met on the way, while the files were decoded: what their
/// digests need no second reading for. Each is known by device and inode, and good for as long as
/// size and times are those of the moment when it was read.
class SeenFiles {
 public:
  /// Appends to `log` what it is told, before `add` returns, and begins with what stands there: a
  /// kill loses nothing, and a torn end is cut off. Throws Error (kFailed) where it cannot be
  /// written.
  explicit SeenFiles(const std::filesystem::path& log);
  ~SeenFiles();
  SeenFiles(const SeenFiles&) = delete;
  SeenFiles& operator=(const SeenFiles&) = delete;

  /// A file that was read through: what fstat said before the first byte and after the last, the
  /// moment when that began (wall clock), what it holds. Any thread. Throws Error (kFailed).
  void add(const std::string& file, const struct stat& before, const struct stat& after,
           int64_t began_ns, std::span<const std::byte> content);

  /// Fills in hash and state of a file whose `stat` is known. False where it was not read in this
  /// state.
  bool fill(TableRecord& record, uint64_t device);

  /// Files that hold something else by now than what was read of them, sorted: those that changed
  /// while they were read, and of those that no `fill` asked for since `look_again` the ones that
  /// stat says so of.
  std::vector<std::string> changed() const;
  void look_again();

  size_t size() const { return files_.size(); }
  uint64_t bytes() const;

 private:
  struct Id {
    uint64_t device = 0;
    uint64_t inode = 0;
    friend bool operator==(const Id&, const Id&) = default;
  };
  struct IdHash {
    size_t operator()(const Id& id) const { return id.inode * 0x9E3779B97F4A7C15U ^ id.device; }
  };
  struct Seen {
    FileStat stat;
    FileHash hash{};
    bool unsure = false;
    bool found = false;
    std::string path;
  };

  void recover(const std::filesystem::path& log);
  void keep(uint64_t device, Seen&& seen);
  void write(uint64_t device, const Seen& seen);

  int log_ = -1;
  std::filesystem::path log_path_;
  mutable std::mutex mutex_;
  std::unordered_map<Id, Seen, IdHash> files_;
  std::vector<std::string> changed_;
};

}  // namespace xp::graph

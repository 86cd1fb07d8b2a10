#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/graph/inputs_table.h"

struct stat;

namespace xp::graph {

/// Which files of a folder count; the path is relative to it.
struct Counted {
  std::string name;  ///< what the memory knows this choice by: "folder", "audioset"
  std::function<bool(std::string_view path)> file;
};

/// Files met by a walk, beside what the table remembers of each. While they are those of the table,
/// in its order, nothing is kept but their number.
class Scan {
 public:
  /// `remembered` outlives this.
  explicit Scan(const InputTable& remembered) : table_(remembered) {}

  /// A file that is there, on `device`.
  void meet(std::string_view path, const FileStat& stat, uint64_t device);
  /// One that a list names and that is not there.
  void meet_absent(std::string_view path);
  /// Every regular file below `root` that counts (null: all), links followed, without names that
  /// start with '.'. Throws Error (kData) naming what cannot be read.
  void walk(const std::filesystem::path& root, const Counted* counted);

  /// True when exactly what the table remembers was met.
  bool unchanged() const;
  /// To be called when all were met and something differs: `files` are all of them then.
  void keep_all();

  /// A file whose content the table does not know.
  struct Unread {
    size_t at;  ///< index into files
    uint64_t device;
  };

  const InputTable& table() const { return table_; }
  uint64_t count() const { return count_ - absent_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t unread_bytes() const;

  /// Parallel to each other. `unread` is taken from by who finds contents.
  std::vector<TableRecord> files;
  std::vector<std::string> paths;
  std::vector<Unread> unread;

 private:
  void add(std::string_view path, const FileStat* stat, uint64_t device);
  const TableRecord* look_up(std::string_view path);

  const InputTable& table_;
  size_t next_ = 0;
  uint64_t count_ = 0;  // with absent ones
  uint64_t absent_ = 0;
  uint64_t bytes_ = 0;
  bool in_order_ = true;
  size_t first_kept_ = SIZE_MAX;
  std::unordered_map<std::string_view, const TableRecord*> index_;
};

FileStat file_stat_of(const struct stat& info);

/// True when a file may have changed since without a trace: it was touched within two seconds
/// before the moment `began_ns` in which its reading began.
bool is_unsure(const FileStat& stat, int64_t began_ns);

/// Reads what is unread, on all cores: disks and SHA-256 are both faster so. Throws Error (kData).
void hash_unread(Scan& scan, const std::filesystem::path& root,
                 const std::function<void(uint64_t done, uint64_t total)>& progress);

/// Over the sorted (path, content) of the files that are there.
std::string content_digest(const Scan& scan);
/// The same of what a table remembers, without looking: of the files that count.
std::string content_digest(const InputTable& table, const Counted& counted);
/// Takes the contents that a table knows of files in the state that they are in: they are not
/// unread any more. For a table of another choice of the same folder's files.
void fill_from(Scan& scan, const InputTable& table);
/// Over what can be known without reading: sorted (path, size, times, inode).
std::string listing_digest(const Scan& scan);

}  // namespace xp::graph

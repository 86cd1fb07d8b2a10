#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace xp::graph {

/// What stat says of a file: equal = nobody touched it.
struct FileStat {
  uint64_t size = 0;
  int64_t mtime_ns = 0;
  int64_t ctime_ns = 0;
  uint64_t inode = 0;
  friend bool operator==(const FileStat&, const FileStat&) = default;
};

using FileHash = std::array<uint8_t, 32>;

/// From 64 hex digits.
FileHash to_hash(std::string_view hex);

/// One remembered file, as it lies in the table.
struct TableRecord {
  FileStat stat;
  FileHash hash{};
  uint64_t path_offset = 0;  ///< into the paths of the table
  uint32_t path_size = 0;
  uint32_t state = kKnown;

  static constexpr uint32_t kKnown = 0;
  /// Hashed within two seconds of its last change; read again next time.
  static constexpr uint32_t kUnsure = 1;
  /// A list names it and there was no such file; all else is zero.
  static constexpr uint32_t kAbsent = 2;
};

/// The remembered files of one root, in the order in which the walk met them: an unchanged folder
/// is met in the same order, so that looking a file up costs one comparison. Mapped, never parsed.
class InputTable {
 public:
  InputTable() = default;
  ~InputTable();
  InputTable(InputTable&& other) noexcept;
  InputTable& operator=(InputTable&& other) noexcept;

  /// An empty table when the file is absent or not of this format.
  static InputTable open(const std::filesystem::path& file);

  std::span<const TableRecord> records() const { return records_; }
  std::string_view path(const TableRecord& record) const {
    return paths_.substr(record.path_offset, record.path_size);
  }
  /// Digest of the whole tree at the time of writing, "" for an empty table.
  const std::string& digest() const { return digest_; }
  uint64_t bytes() const { return bytes_; }
  /// What the paths were taken from, see InputDigests::list; "" for a folder.
  const std::string& source() const { return source_; }

 private:
  void* map_ = nullptr;
  size_t map_size_ = 0;
  std::span<const TableRecord> records_;
  std::string_view paths_;
  std::string digest_, source_;
  uint64_t bytes_ = 0;
};

/// Replaces the table, atomically. `paths[i]` belongs to `records[i]`; the offsets are filled in.
/// `source`: at most 64 characters.
void write_table(const std::filesystem::path& file, std::vector<TableRecord>& records,
                 const std::vector<std::string>& paths, const std::string& digest, uint64_t bytes,
                 std::string_view source);

}  // namespace xp::graph

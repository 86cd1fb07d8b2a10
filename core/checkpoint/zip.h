#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/checkpoint/formats.h"

namespace xp::checkpoint {

/// The members of a mapped zip file, by name. Reads the central directory (also zip64) with every
/// offset checked; stored members are views, deflated ones are unpacked within a budget of bytes.
class ZipReader {
 public:
  /// Throws Error (kData) when the directory is missing, damaged, encrypted, or names a member
  /// twice.
  ZipReader(std::filesystem::path file, std::span<const std::byte> bytes, bool checksums = true);

  std::vector<std::string> names() const;
  bool has(const std::string& name) const { return members_.count(name) != 0; }

  struct Content {
    std::span<const std::byte> bytes;
    std::shared_ptr<const void> owner;  ///< null when the bytes are a view into the file
  };
  /// Throws Error (kData) when absent, damaged (with `checksums` its bytes are not those of its
  /// CRC-32), or when it would unpack to more than `budget` bytes; what is unpacked is taken off
  /// the budget.
  Content read(const std::string& name, int64_t& budget) const;

 private:
  struct Member {
    uint64_t header = 0;  ///< offset of the local header
    uint64_t stored = 0;  ///< bytes in the file
    uint64_t size = 0;    ///< bytes when unpacked
    uint32_t crc = 0;
    uint16_t method = 0;  ///< 0 stored, 8 deflated
  };
  Content unpack(const std::string& name, int64_t& budget) const;
  void read_directory(uint64_t offset, uint64_t size, uint64_t count);
  template <class T>
  T number(uint64_t offset) const;

  std::filesystem::path file_;
  std::span<const std::byte> bytes_;
  bool checksums_;
  std::unordered_map<std::string, Member> members_;
};

/// Writes stored members, each starting at a multiple of 64 bytes so that readers can map them
/// (torch does the same); zip64 records wherever a size or an offset needs them.
class ZipWriter {
 public:
  explicit ZipWriter(OutputFile& out) : out_(out) {}
  void add(const std::string& name, std::span<const std::byte> bytes);
  void add(const std::string& name, std::string_view text) {
    add(name, std::as_bytes(std::span(text.data(), text.size())));
  }
  void finish();

 private:
  struct Member {
    std::string name;
    uint32_t crc;
    uint64_t size;
    uint64_t header;
  };
  OutputFile& out_;
  std::vector<Member> members_;
};

}  // namespace xp::checkpoint

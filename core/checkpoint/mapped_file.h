#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace xp::checkpoint {

/// A whole file mapped read-only. The bytes live as long as the last copy of `owner`.
struct MappedFile {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;

  /// Throws Error (kData) naming the path and the reason. An empty file has empty bytes.
  static MappedFile open(const std::filesystem::path& file);
};

}  // namespace xp::checkpoint

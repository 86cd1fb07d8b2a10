#pragma once

#include <cstdint>
#include <filesystem>

namespace xp::graph {

/// Where `exp gc` puts what it takes away: FOLDER/trash/ULID/, a folder for each call of it, in
/// which everything keeps its path below FOLDER. To have something back, move it back.
class Trash {
 public:
  static constexpr int kDays = 7;  ///< so long it stays

  explicit Trash(std::filesystem::path folder);

  /// Moves what lies below the folder, by renaming. Throws Error (kFailed) when it cannot be moved.
  void take(const std::filesystem::path& path);
  /// Where this object puts things; it is there once `take` was called.
  const std::filesystem::path& place() const { return place_; }
  /// Removes what has lain here for kDays, or all of it. Returns the bytes of it. What cannot be
  /// removed stays for the next time.
  uint64_t empty(bool all) const;

 private:
  std::filesystem::path folder_, place_;
};

/// Bytes of a file, or of all files below a folder; what cannot be looked at counts as nothing.
uint64_t bytes_of(const std::filesystem::path& path);

}  // namespace xp::graph

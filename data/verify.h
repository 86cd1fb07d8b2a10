#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace xp::data {

struct Verified {
  int64_t clips = 0;  ///< that were read
  int64_t shards = 0;
  std::vector<std::string> faults;  ///< one a damaged clip, naming shard and clip; in row order
};

/// Opens a prepared folder and reads every clip against its checksum. Throws Error (kData) when a
/// shard cannot be opened at all. `read` is told the clips done and the total; it may throw to end
/// the work.
Verified verify(const std::filesystem::path& folder, int threads,
                const std::function<void(int64_t done, int64_t total)>& read);

}  // namespace xp::data

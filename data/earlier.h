#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "data/clip.h"
#include "data/dataset.h"
#include "data/pipeline.h"
#include "data/shard.h"

namespace xp::data {

/// A clip with the number of the joined set that it is from.
struct Listed {
  const Clip* clip;
  int32_t set;
};

/// Shards that `prepare` 4 made of the same options and files. It cut samples off at full scale
/// where 5 keeps a scale, and listed fewer formats: a clip with no sample at full scale, of a file
/// that it listed, is what 5 would make of it, bit for bit.
class EarlierShards {
 public:
  /// `clips`: of `sets`, in the order of the lists, which is that of the rows. Throws Error (kData)
  /// when the shards cannot be read.
  EarlierShards(const std::filesystem::path& folder, std::span<const Listed> clips,
                const std::vector<Listing>& sets);

  /// The clip of that number as `store` has it; none where it is not there, may be wrong or is
  /// damaged. Thread-safe.
  std::optional<StoredClip> take(size_t clip, ShardStore store) const;

 private:
  ShardReader shards_;
  std::vector<int64_t> row_;  ///< by clip, -1 = none
};

}  // namespace xp::data

#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.h"

namespace xp::schema {
struct DatasetOptions;
}

namespace xp::data {

/// Labels of many clips in compressed rows: clip i has indices [start[i], start[i + 1]) of `index`,
/// `value`.
struct LabelTable {
  std::span<const uint64_t> start;  ///< clips + 1
  std::span<const int32_t> index;
  std::span<const float> value;
  int64_t classes = 0;

  int64_t clips() const { return static_cast<int64_t>(start.size()) - 1; }
  std::span<const int32_t> of(int64_t clip) const {
    const auto i = static_cast<size_t>(clip);
    return index.subspan(start[i], start[i + 1] - start[i]);
  }
  std::span<const float> values_of(int64_t clip) const {
    const auto i = static_cast<size_t>(clip);
    return value.subspan(start[i], start[i + 1] - start[i]);
  }
};

/// A prepared folder (docs/formats/shard.md): `index.json` and shard-NNNNN.h5 files. Rows number
/// the clips of all shards in the order in which the data set listed them.
///
/// HDF5 is used in the constructor alone; after that a shard is a file descriptor and a table of
/// offsets, so that any number of threads may read at once. Because the descriptors stay open, a
/// shard that is renamed over or unlinked while a job runs is still read as it was; one that is
/// written over in place is found by its checksums.
class ShardReader {
 public:
  /// Throws Error (kData): no prepared folder, a newer format, a shard that is missing, short or
  /// damaged.
  explicit ShardReader(const std::filesystem::path& folder);
  ~ShardReader();
  ShardReader(const ShardReader&) = delete;
  ShardReader& operator=(const ShardReader&) = delete;

  const std::filesystem::path& folder() const;
  std::string_view dataset() const;  ///< name of the first set
  int64_t clips() const;
  int64_t rate_hz() const;
  const std::vector<ClassInfo>& classes() const;
  /// Parts of component `set` (0 = the data set itself, 1.. = those joined by `also`).
  int64_t sets() const;
  const std::vector<Split>& splits(int64_t set) const;
  bool has_folds(int64_t set) const;
  bool masked() const;  ///< some labels are unknown; see `known`

  std::string_view id(int64_t row) const;
  int64_t samples(int64_t row) const;        ///< length at rate_hz
  double source_seconds(int64_t row) const;  ///< duration of the file it came from
  /// 1, or more where samples of the clip lie above full scale.
  float scale(int64_t row) const;
  uint64_t checksum(int64_t row) const;  ///< XXH3-64 of the stored bytes
  int set(int64_t row) const;
  int split(int64_t row) const;  ///< index into splits(set(row)), -1 = none
  int fold(int64_t row) const;   ///< 1-based, 0 = none
  LabelTable labels() const;     ///< of all rows
  /// 1 where class k of the clip was judged, else 0; all 1 where the set is not masked. `out`:
  /// [classes()].
  void known(int64_t row, std::span<float> out) const;

  /// The whole clip; `out` has `samples(row)` elements. The stored bytes are checked against the
  /// clip's checksum. Throws Error (kData) naming shard and clip when they differ or cannot be
  /// read. Thread-safe.
  void read(int64_t row, std::span<float> out) const;
  /// The same as it is stored: x stands for x scale(row) / 32768.
  void read(int64_t row, std::span<int16_t> out) const;

  /// Shard files in order, and the shard that holds a row: for reports.
  const std::vector<std::filesystem::path>& files() const;
  int64_t shard_of(int64_t row) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The rows of one part, ascending. `role` is "train", "val" or "test"; the recipe's `train`,
/// `val`, `test` keys say which part of each joined set plays it, "none" = nothing. In a set with
/// folds test is `test_fold`, val is `val_fold` (0 = nothing) and train is the rest. Of each set's
/// training rows the share `train_p` is kept, by a hash of their ids: the same clips for every
/// seed. Throws Error (kUsage) for a part that the set does not have, naming those it has.
std::vector<uint32_t> rows_of_split(const ShardReader& shards,
                                    const schema::DatasetOptions& options, std::string_view role);

}  // namespace xp::data

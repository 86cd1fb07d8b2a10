#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/hdf5.h"

namespace xp::data {

/// The tables of a shard, column by column, as docs/formats/shard.md lists them.
struct ShardTables {
  std::vector<std::string> id;
  std::vector<uint64_t> samples;
  std::vector<uint64_t> checksum;
  std::vector<float> source_s;
  std::vector<int32_t> set;
  std::vector<int32_t> split;
  std::vector<int32_t> fold;
  std::vector<uint64_t> label_start;
  std::vector<int32_t> label_index;
  std::vector<float> label_value;
  std::vector<uint64_t> known_start;  ///< empty unless masked
  std::vector<int32_t> known_index;
  std::vector<uint64_t> sound_start;

  /// XXH3-64 over all columns in this order, ids each with a zero byte behind: the attribute
  /// `tables`.
  uint64_t sum() const;
};

void write_tables(h5::File& file, const ShardTables& tables, bool masked);
/// What is there; nothing is checked but that it can be read.
ShardTables read_tables(const h5::File& file, bool masked);

}  // namespace xp::data

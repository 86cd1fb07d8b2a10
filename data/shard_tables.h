#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/hdf5.h"
#include "data/shard_writer.h"

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
  std::vector<float> scale;  ///< empty where all are 1

  /// XXH3-64 over all columns in this order, ids each with a zero byte behind: the attribute
  /// `tables`.
  uint64_t sum() const;
};

/// Which columns a shard has besides those that all have.
struct ShardColumns {
  bool masked = false;
  bool scaled = false;
};

/// Calls `visit(name, column)` for every numeric column in the order of the format.
template <class Tables, class Visit>
void for_each_column(Tables& tables, const ShardColumns& columns, Visit visit) {
  visit("clip/samples", tables.samples);
  visit("clip/checksum", tables.checksum);
  visit("clip/source_s", tables.source_s);
  visit("clip/set", tables.set);
  visit("clip/split", tables.split);
  visit("clip/fold", tables.fold);
  visit("label/start", tables.label_start);
  visit("label/index", tables.label_index);
  visit("label/value", tables.label_value);
  if (columns.masked) {
    visit("known/start", tables.known_start);
    visit("known/index", tables.known_index);
  }
  visit("sound/start", tables.sound_start);
  if (columns.scaled) visit("clip/scale", tables.scale);
}

/// A whole shard file but for its sound, which `path` has room for. Returns where that goes.
uint64_t write_head(const std::filesystem::path& path, const ShardHeader& header,
                    const ShardTables& tables);
/// What is there; nothing is checked but that it can be read.
ShardTables read_tables(const h5::File& file, const ShardColumns& columns);

}  // namespace xp::data

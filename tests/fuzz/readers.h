#pragma once

// What the fuzz targets and the test that replays their corpus have in common: any bytes through a
// reader of lists or of shards. Nothing but xp::Error may come out.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "data/csv.h"
#include "data/npz.h"
#include "data/sets/ast_json.h"
#include "data/sets/segments.h"
#include "data/sets/sets.h"
#include "data/shard.h"
#include "data/shard_tables.h"
#include "data/shard_writer.h"

namespace xp::data::fuzz {

/// A table with a header as the sets have them: a key, a fold, a label.
inline void read_table(const std::string& text) {
  CsvReader csv("input", text);
  const auto columns = csv.header({"filename", "fold", "target"});
  CsvRow row;
  while (csv.next(row)) {
    csv.at(row, columns[0]);
    csv.integer(row, columns[1]);
    csv.number(row, columns[2]);
  }
}

/// The readers of text: `kind` chooses one.
inline void read_list(unsigned kind, const std::string& text) {
  try {
    if (kind == 'N') {
      parse_npy("input", std::as_bytes(std::span(text)));
      return;
    }
    switch (kind % 4) {
      case 0:
        parse_segments("input", text);
        break;
      case 1:
        parse_classes("input", text);
        break;
      case 2:
        parse_ast_json("input", text);
        break;
      default:
        read_table(text);
    }
  } catch (const Error&) {
  }
}

/// Everything that a reader says of a folder.
inline void read_folder(const std::filesystem::path& folder) {
  try {
    const ShardReader shards(folder);
    std::vector<float> wave;
    std::vector<float> known(shards.classes().size());
    for (int64_t row = 0; row < shards.clips(); ++row) {
      shards.known(row, known);
      for (const int32_t k : shards.labels().of(row)) known.at(static_cast<size_t>(k)) = 0;
      wave.resize(static_cast<size_t>(shards.samples(row)));
      shards.read(row, wave);
    }
  } catch (const Error&) {
  }
}

/// The bytes as the shard of a folder whose index fits the golden shard. `folder` is made and kept.
inline void read_shard(const std::filesystem::path& golden, const std::filesystem::path& folder,
                       const std::string& bytes) {
  std::filesystem::create_directories(folder);
  PreparedIndex index = read_index(golden);
  index.shards[0].bytes = static_cast<int64_t>(bytes.size());
  if (index.shards[0].seal.sound_offset + index.shards[0].seal.sound_bytes > index.shards[0].bytes)
    return;  // no index says so
  write_index(folder, index);
  std::ofstream(folder / index.shards[0].file, std::ios::binary) << bytes;
  read_folder(folder);
}

/// A whole HDF5 file, and an index that fits it, with other numbers in the tables of the golden
/// shard: what the sums cannot find, since they are right. Each 8 bytes of `script` change a
/// column: which one, where (255 = its size), and a value of six bytes.
inline void read_false_tables(const std::filesystem::path& golden,
                              const std::filesystem::path& folder, std::string_view script) {
  std::filesystem::create_directories(folder);
  PreparedIndex index = read_index(golden);
  const std::filesystem::path file = folder / index.shards[0].file;
  ShardTables tables = read_tables(h5::File::open(golden / index.shards[0].file), {true, false});
  for (; script.size() >= 8; script.remove_prefix(8)) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(script[i]); };
    uint64_t value = 0;
    for (size_t i = 2; i < 8; ++i) value = value << 8U | byte(i);
    if (byte(7) % 2 != 0) value = ~value;  // large and negative ones
    size_t column_number = 0;
    for_each_column(tables, {true, true}, [&](const char*, auto& column) {
      if (column_number++ != byte(0) % 13) return;
      using Value = typename std::decay_t<decltype(column)>::value_type;
      if (byte(1) == 255 || column.empty()) {
        column.resize(value % 16);
      } else {
        column[byte(1) % column.size()] = static_cast<Value>(value);
      }
    });
  }
  if (tables.sound_start.empty() || tables.sound_start.back() > 4096) return;
  const uint64_t offset =
      write_head(file, {0, index.rate_hz, index.store, 4, index.masked}, tables);
  std::filesystem::resize_file(file, std::max<uint64_t>(std::filesystem::file_size(file),
                                                        offset + 2 * tables.sound_start.back()));
  index.shards[0].bytes = static_cast<int64_t>(std::filesystem::file_size(file));
  index.shards[0].seal = seal_of(file);
  write_index(folder, index);
  read_folder(folder);
}

}  // namespace xp::data::fuzz

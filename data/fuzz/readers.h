#pragma once

// What the fuzz targets and the test that replays their corpus have in common: any bytes through a
// reader of lists or of shards. Nothing but xp::Error may come out.

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "data/csv.h"
#include "data/sets/ast_json.h"
#include "data/sets/segments.h"
#include "data/sets/sets.h"
#include "data/shard.h"
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

/// The bytes as the shard of a folder whose index fits the golden shard. `folder` is made and kept.
inline void read_shard(const std::filesystem::path& golden, const std::filesystem::path& folder,
                       const std::string& bytes) {
  std::filesystem::create_directories(folder);
  PreparedIndex index = read_index(golden);
  index.shards[0].bytes = static_cast<int64_t>(bytes.size());
  write_index(folder, index);
  std::ofstream(folder / index.shards[0].file, std::ios::binary) << bytes;
  try {
    const ShardReader shards(folder);
    std::vector<float> wave;
    for (int64_t row = 0; row < shards.clips(); ++row) {
      wave.resize(static_cast<size_t>(shards.samples(row)));
      shards.read(row, wave);
    }
  } catch (const Error&) {
  }
}

}  // namespace xp::data::fuzz

#include "data/shard_tables.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace xp::data {
uint64_t ShardTables::sum() const {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  for (const std::string& one : id) XXH3_64bits_update(&state, one.c_str(), one.size() + 1);
  for_each_column(*this, {true, true}, [&](const char*, const auto& column) {
    XXH3_64bits_update(&state, column.data(), column.size() * sizeof(column[0]));
  });
  return XXH3_64bits_digest(&state);
}

uint64_t write_head(const std::filesystem::path& path, const ShardHeader& header,
                    const ShardTables& tables) {
  const bool pcm = header.store == ShardStore::kPcm16;
  h5::File file = h5::File::create(path);
  file.write_attribute("format", "exp-shard");
  const bool scaled = !tables.scale.empty();
  file.write_attribute("version", shard_format_version(scaled));
  file.write_attribute("rate_hz", header.rate_hz);
  file.write_attribute("store", pcm ? "pcm16" : "flac");
  file.write_attribute("number", header.number);
  file.write_attribute("classes", header.classes);
  file.write_attribute("masked", int64_t{header.masked});
  file.write_strings("clip/id", tables.id);
  for_each_column(tables, {header.masked, scaled}, [&](const char* name, const auto& column) {
    using Value = typename std::decay_t<decltype(column)>::value_type;
    file.write<Value>(name, column);
  });
  file.write_attribute("tables", static_cast<int64_t>(tables.sum()));
  const uint64_t offset =
      file.reserve("sound/data", pcm ? H5T_STD_I16LE : H5T_STD_U8LE, tables.sound_start.back());
  file.flush_and_close();
  return offset;
}

ShardTables read_tables(const h5::File& file, const ShardColumns& columns) {
  ShardTables tables;
  tables.id = file.read_strings("clip/id");
  for_each_column(tables, columns, [&](const char* name, auto& column) {
    using Value = typename std::decay_t<decltype(column)>::value_type;
    column = file.read<Value>(name);
  });
  return tables;
}

}  // namespace xp::data

#include "data/shard_tables.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace xp::data {
namespace {

/// Calls `visit(name, column)` for every numeric column in the order of the format.
template <class Tables, class Visit>
void for_each_column(Tables& tables, bool masked, Visit visit) {
  visit("clip/samples", tables.samples);
  visit("clip/checksum", tables.checksum);
  visit("clip/source_s", tables.source_s);
  visit("clip/set", tables.set);
  visit("clip/split", tables.split);
  visit("clip/fold", tables.fold);
  visit("label/start", tables.label_start);
  visit("label/index", tables.label_index);
  visit("label/value", tables.label_value);
  if (masked) {
    visit("known/start", tables.known_start);
    visit("known/index", tables.known_index);
  }
  visit("sound/start", tables.sound_start);
}

}  // namespace

uint64_t ShardTables::sum() const {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  for (const std::string& one : id) XXH3_64bits_update(&state, one.c_str(), one.size() + 1);
  for_each_column(*this, true, [&](const char*, const auto& column) {
    XXH3_64bits_update(&state, column.data(), column.size() * sizeof(column[0]));
  });
  return XXH3_64bits_digest(&state);
}

void write_tables(h5::File& file, const ShardTables& tables, bool masked) {
  file.write_strings("clip/id", tables.id);
  for_each_column(tables, masked, [&](const char* name, const auto& column) {
    using Value = typename std::decay_t<decltype(column)>::value_type;
    file.write<Value>(name, column);
  });
  file.write_attribute("tables", static_cast<int64_t>(tables.sum()));
}

ShardTables read_tables(const h5::File& file, bool masked) {
  ShardTables tables;
  tables.id = file.read_strings("clip/id");
  for_each_column(tables, masked, [&](const char* name, auto& column) {
    using Value = typename std::decay_t<decltype(column)>::value_type;
    column = file.read<Value>(name);
  });
  return tables;
}

}  // namespace xp::data

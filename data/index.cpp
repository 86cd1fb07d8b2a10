#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "data/shard_writer.h"

namespace xp::data {
namespace fs = std::filesystem;
using nlohmann::json;
namespace {

Seal read_seal(const json& entry) {
  if (!entry.contains("sum")) return {};
  Seal seal;
  seal.sound_offset = entry.at("sound_offset").get<int64_t>();
  seal.sound_bytes = entry.at("sound_bytes").get<int64_t>();
  const auto text = entry.at("sum").get<std::string>();
  uint64_t sum = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), sum, 16);
  if (text.size() != 16 || fault != std::errc() || end != text.data() + text.size())
    throw Error(fmt::format("broken: implausible sum '{}'", text), Exit::kData);
  seal.sum = sum;
  return seal;
}

bool fits(const Seal& seal, int64_t bytes) {
  return seal.sound_offset >= 0 && seal.sound_bytes >= 0 && seal.sound_offset <= bytes &&
         seal.sound_bytes <= bytes - seal.sound_offset;
}

}  // namespace

void write_index(const fs::path& folder, const PreparedIndex& index) {
  json out = {{"format", "exp-prepared"},
              {"version", shard_format_version(index.scaled)},
              {"rate_hz", index.rate_hz},
              {"store", index.store == ShardStore::kPcm16 ? "pcm16" : "flac"},
              {"masked", index.masked}};
  for (const ClassInfo& one : index.classes)
    out["classes"].push_back({{"id", one.id}, {"name", one.name}});
  for (const auto& set : index.sets) {
    json splits = json::array();
    for (const Split& split : set.splits)
      splits.push_back({{"name", split.name}, {"group", split.group}});
    out["sets"].push_back({{"dataset", set.dataset}, {"folds", set.folds}, {"splits", splits}});
  }
  out["shards"] = json::array();
  for (const auto& shard : index.shards) {
    json entry = {{"file", shard.file}, {"clips", shard.clips}, {"bytes", shard.bytes}};
    if (shard.seal.sum) {
      entry["sound_offset"] = shard.seal.sound_offset;
      entry["sound_bytes"] = shard.seal.sound_bytes;
      entry["sum"] = fmt::format("{:016x}", *shard.seal.sum);
    }
    out["shards"].push_back(entry);
  }
  write_file_atomic(folder / kIndexFile,
                    out.dump(1, ' ', false, json::error_handler_t::replace) + "\n");
}

PreparedIndex read_index(const fs::path& folder) {
  const fs::path file = folder / kIndexFile;
  std::error_code ignored;
  if (!fs::exists(file, ignored)) {
    throw Error(
        fmt::format("{} is not a prepared data set: it has no {}", folder.string(), kIndexFile),
        Exit::kData);
  }
  const std::string text = read_file(file);
  PreparedIndex index;
  try {
    const json in = json::parse(text);
    if (in.at("format").get<std::string>() != "exp-prepared")
      throw Error("the format is not exp-prepared", Exit::kData);
    const auto version = in.at("version").get<int64_t>();
    if (version > kShardFormatVersion) {
      throw Error(fmt::format("format version {} is newer than this exp reads ({})", version,
                              kShardFormatVersion),
                  Exit::kData);
    }
    index.scaled = version >= shard_format_version(true);
    index.rate_hz = in.at("rate_hz").get<int64_t>();
    index.store =
        in.at("store").get<std::string>() == "flac" ? ShardStore::kFlac : ShardStore::kPcm16;
    index.masked = in.at("masked").get<bool>();
    for (const json& one : in.at("classes")) {
      index.classes.push_back({one.at("id").get<std::string>(), one.at("name").get<std::string>()});
    }
    for (const json& one : in.at("sets")) {
      PreparedIndex::Set& set = index.sets.emplace_back();
      set.dataset = one.at("dataset").get<std::string>();
      set.folds = one.at("folds").get<bool>();
      for (const json& split : one.at("splits")) {
        set.splits.push_back(
            {split.at("name").get<std::string>(), split.at("group").get<std::string>()});
      }
    }
    for (const json& one : in.at("shards")) {
      index.shards.push_back({one.at("file").get<std::string>(), one.at("clips").get<int64_t>(),
                              one.at("bytes").get<int64_t>(), read_seal(one)});
    }
  } catch (const json::exception& error) {
    throw Error(Place{file.string()}, fmt::format("broken: {}", error.what()), Exit::kData);
  } catch (const Error& error) {
    throw Error(Place{file.string()}, error.message(), Exit::kData);
  }
  for (const auto& shard : index.shards) {
    if (shard.file.find('/') != std::string::npos || shard.file.empty() || shard.clips < 0 ||
        !fits(shard.seal, shard.bytes)) {
      throw Error(Place{file.string()}, fmt::format("broken: implausible shard '{}'", shard.file),
                  Exit::kData);
    }
  }
  if (index.rate_hz < 1 || index.sets.empty())
    throw Error(Place{file.string()}, "broken: no rate or no set", Exit::kData);
  return index;
}

}  // namespace xp::data

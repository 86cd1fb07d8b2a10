#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/clip.h"
#include "data/dataset.h"

namespace xp::data {

enum class ShardStore { kPcm16, kFlac };

/// What a shard says about one of its clips, besides the sound.
struct ShardRow {
  std::string id;
  std::vector<Label> labels;
  std::vector<int32_t> known;  ///< read where `masked`
  int32_t set = 0;
  int32_t split = -1;
  int32_t fold = 0;
  double source_s = 0;
  float scale = 1;        ///< of the clip's samples, see pcm_scale
  uint64_t samples = 0;   ///< at the shard's rate
  uint64_t bytes = 0;     ///< as stored
  uint64_t checksum = 0;  ///< XXH3-64 of the stored bytes
};

struct ShardHeader {
  int64_t number = 0;  ///< of the shard, from 0
  int64_t rate_hz = 0;
  ShardStore store = ShardStore::kPcm16;
  int64_t classes = 0;
  bool masked = false;
};

/// One shard file from rows and the file that holds their stored bytes back to back (`sound`, in
/// row order). Written beside `path` and renamed, so that `path` is whole or absent. Throws Error
/// (kFailed): disk full, no permission.
void write_shard(const std::filesystem::path& path, const ShardHeader& header,
                 std::span<const ShardRow> rows, const std::filesystem::path& sound);

/// What is known of a shard file without opening it as HDF5. The library is not made for damaged
/// files (it reads beyond its buffers), so it is given none: `sum` is compared before.
struct Seal {
  int64_t sound_offset = 0;  ///< where the clips' stored bytes lie
  int64_t sound_bytes = 0;
  std::optional<uint64_t> sum;  ///< XXH3-64 of all other bytes; none in folders of an earlier exp
};
/// Of a whole shard file. Throws Error (kData) when it is not one.
Seal seal_of(const std::filesystem::path& shard);
/// `seal.sum` anew, of a file that is open for reading and `bytes` long. Throws Error (kData).
uint64_t sum_outside_of_sound(int fd, const std::filesystem::path& shard, int64_t bytes,
                              const Seal& seal);

/// The folder's table of contents, docs/formats/shard.md.
struct PreparedIndex {
  struct Set {
    std::string dataset;
    std::vector<Split> splits;
    bool folds = false;
  };
  struct Shard {
    std::string file;
    int64_t clips = 0;
    int64_t bytes = 0;  ///< size of the file
    Seal seal;
  };
  int64_t rate_hz = 0;
  ShardStore store = ShardStore::kPcm16;
  bool masked = false;
  bool scaled = false;  ///< a shard has clips above full scale
  std::vector<ClassInfo> classes;
  std::vector<Set> sets;
  std::vector<Shard> shards;
};
void write_index(const std::filesystem::path& folder, const PreparedIndex& index);
PreparedIndex read_index(const std::filesystem::path& folder);

/// int16 samples as a FLAC file in memory (16 bits, mono).
std::vector<std::byte> encode_flac(std::span<const int16_t> pcm, int64_t rate_hz);
/// Its inverse; false when the bytes are no FLAC of exactly `pcm.size()` samples.
bool decode_flac(std::span<const std::byte> bytes, std::span<int16_t> pcm);

/// Version 2 is 1 with a scale a clip. What needs none is written as version 1.
inline constexpr int64_t kShardFormatVersion = 2;
constexpr int64_t shard_format_version(bool scaled) { return scaled ? 2 : 1; }
inline constexpr const char* kIndexFile = "index.json";

}  // namespace xp::data

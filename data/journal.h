#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace xp::data {

/// What became of one clip.
struct ClipRecord {
  uint64_t samples = 0;   ///< at the shard's rate
  uint64_t bytes = 0;     ///< as stored
  uint64_t checksum = 0;  ///< XXH3-64 of the stored bytes
  double source_s = 0;
  std::string problem;  ///< not empty: the clip is bad and nothing is stored
  float scale = 1;      ///< see pcm_scale
};

/// The half-made shard of a preparation: stored bytes are appended to NAME.sound and then a line to
/// NAME.journal, one per clip, in order. Opening it after a kill keeps the longest prefix of clips
/// whose lines are whole and whose bytes match their checksums, and cuts off what comes after.
class ShardJournal {
 public:
  /// `base`: the path without extension. Throws Error (kFailed) when the files cannot be made.
  explicit ShardJournal(const std::filesystem::path& base);
  ~ShardJournal();
  ShardJournal(const ShardJournal&) = delete;
  ShardJournal& operator=(const ShardJournal&) = delete;

  const std::vector<ClipRecord>& records() const { return records_; }
  /// Appends a clip; `stored` is empty for a bad one. Throws Error (kFailed) when the disk is full:
  /// what was appended before stays usable.
  void append(ClipRecord record, std::span<const std::byte> stored);
  const std::filesystem::path& sound() const { return sound_path_; }
  /// Closes and removes the sound, which is in the shard now; the lines stay, they say what became
  /// of the clips.
  void drop_sound();

  /// The lines alone, for a shard whose sound was dropped.
  static std::vector<ClipRecord> read(const std::filesystem::path& base);

 private:
  void recover();

  std::filesystem::path sound_path_;
  std::filesystem::path lines_path_;
  int sound_ = -1;
  int lines_ = -1;
  uint64_t sound_size_ = 0;
  std::vector<ClipRecord> records_;
};

}  // namespace xp::data

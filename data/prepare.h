#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace xp::schema {
struct PrepareOptions;
}
namespace xp::graph {
struct StageContext;
}

namespace xp::data {

struct FileRead;

/// What `prepare` needs besides its options; results do not depend on any of it.
struct PrepareJob {
  std::filesystem::path output;  ///< exists; may hold what an earlier, killed attempt left
  int threads = 1;
  /// Shards that version 4 of the stage made of the same options and files; empty = none. What of
  /// them is right is taken over, see EarlierShards.
  std::filesystem::path earlier;
  int64_t clips_of_each = 0;  ///< of each split or fold at most so many, evenly spaced; 0 = all
  /// Told of each sound file that is read whole, from any thread; may be empty.
  std::function<void(const FileRead&)> file_was_read;
  /// Leaves the folder as one to go on from, also when all is done: the next call, without this,
  /// has only to write down what there is.
  bool leave_unfinished = false;
  std::function<bool()> stop_requested = [] { return false; };
  std::function<void(std::string_view what, double done, double total)> progress =
      [](std::string_view, double, double) {};
  std::function<void(std::string_view line)> say = [](std::string_view) {};
};

struct PrepareResult {
  int64_t clips = 0;       ///< in the shards
  int64_t bad = 0;         ///< could not be used; named in report.csv
  int64_t above = 0;       ///< of `clips`: have samples above full scale; named in report.csv
  double above_db = 0;     ///< by how much the loudest of them has
  int64_t absent = 0;      ///< listed, but there is no file; named in report.csv
  int64_t taken_over = 0;  ///< of `clips`: from earlier shards, not decoded
  int64_t reused = 0;      ///< of `clips` + `bad`: done by an earlier attempt
  bool stopped = false;    ///< on request; the same call goes on from here
};

/// Audio files to a folder of shards (docs/formats/shard.md): every clip of the set and of those
/// joined to it is decoded, resampled and stored in the order of the lists, by `threads` threads.
/// report.csv names each clip that is not in the shards, and why, and those above full scale.
///
/// May be killed at any moment: sound and a journal are appended clip by clip, shard files appear
/// whole, so the next call with the same options loses only the clips in flight. Bytes of the
/// result do not depend on threads or interruptions.
///
/// Throws Error: kData when the set cannot be listed, when a clip is bad and `on_bad_clip` is
/// "error", or, after all of them were tried and named in the report, when more than `max_bad_p` of
/// the listed clips are absent or bad (one is allowed of any number, unless it is 0); kFailed when
/// the disk is full.
PrepareResult prepare(const schema::PrepareOptions& options, const PrepareJob& job);

/// The run half of the stage `prepare`. For Depth::kCheck a few clips of each split.
void run_prepare(const schema::PrepareOptions& options, graph::StageContext& context);

inline constexpr const char* kReportFile = "report.csv";

}  // namespace xp::data

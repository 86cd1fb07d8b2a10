#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "core/ops/norm_stats.h"
#include "data/shard.h"

namespace xp::schema {
struct AugmentOptions;
struct FrontendOptions;
struct StatsOptions;
}  // namespace xp::schema
namespace xp::graph {
struct StageContext;
}

namespace xp::data {

struct StatsJob {
  int threads = 1;
  std::function<void()> check = [] {};  ///< called every few clips; may throw to end the work
  std::function<void(std::string_view what, double done, double total)> progress =
      [](std::string_view, double, double) {};
};

/// Mean and population deviation of every log-mel value of `rows`: frames that hold sound, at most
/// `frontend.frames` a clip, nothing padded. The same bits whatever the number of threads. Throws
/// Error (kData) when no clip is long enough for a frame.
ops::NormStats norm_stats(const ShardReader& shards, std::span<const uint32_t> rows,
                          const schema::FrontendOptions& frontend, const StatsJob& job);

/// What AST's src/get_norm_stats.py computes: spectrograms as training gets them before
/// normalisation (waveform mixing, padding to `frames`, both masks), mean and deviation of each
/// batch of 1,000, averaged over batches. It differs from `norm_stats` by what the masks and the
/// padding take away.
ops::NormStats ast_norm_stats(const std::shared_ptr<const ShardReader>& shards,
                              const std::vector<uint32_t>& rows,
                              const schema::FrontendOptions& frontend,
                              const schema::AugmentOptions& augment, uint64_t seed,
                              const StatsJob& job);

/// What `exp data stats` tells about one split.
struct SplitSummary {
  int64_t clips = 0;
  double seconds = 0;
  double shortest_s = 0;
  double longest_s = 0;
  double peak_db = 0;      ///< loudest sample, dB of full scale; positive above it
  double mean_rms_db = 0;  ///< mean over clips of the level in dB; silent clips are left out
  int64_t silent = 0;      ///< clips of zeros only
  int64_t clipped = 0;     ///< clips with three or more samples in a row at full scale
  int64_t above = 0;       ///< clips with samples above full scale, stored with a scale
  double above_db = 0;     ///< by how much the loudest of them is, 0 for none
  double labels_a_clip = 0;
  std::vector<int64_t> class_clips;  ///< [classes]
};
/// Reads every clip of `rows`, so it also verifies them.
SplitSummary summarise(const ShardReader& shards, std::span<const uint32_t> rows,
                       const StatsJob& job);

/// The run half of the stage `stats`: stats.json with norm_mean, norm_std, clips, values.
void run_stats(const schema::StatsOptions& options, graph::StageContext& context);

}  // namespace xp::data

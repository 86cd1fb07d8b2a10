#include "data/stats.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/rng.h"
#include "core/base/stop.h"
#include "core/graph/stage.h"
#include "core/ops/frontend_options.h"
#include "core/ops/log_mel.h"
#include "core/ops/spec_masks.h"
#include "core/schema/sampler.h"
#include "core/schema/stage_options.h"
#include "data/decode.h"
#include "data/loader.h"
#include "data/parallel.h"

namespace xp::data {
namespace {

constexpr int64_t kChunk = 64;       // clips whose spectrograms are in memory at once
constexpr int64_t kAstBatch = 1000;  // of AST's script

double decibel(double x) { return 20 * std::log10(x); }

}  // namespace

ops::NormStats norm_stats(const ShardReader& shards, std::span<const uint32_t> rows,
                          const schema::FrontendOptions& frontend, const StatsJob& job) {
  const ops::LogMel mel(ops::log_mel_options(frontend));
  const int64_t longest = ops::clip_samples(frontend);
  ops::NormStatsSum sum;
  std::vector<std::vector<float>> chunk(kChunk);
  const auto total = static_cast<int64_t>(rows.size());
  for (int64_t first = 0; first < total; first += kChunk) {
    job.check();
    const int64_t count = std::min(kChunk, total - first);
    parallel_for(count, job.threads, [&](int64_t i) {
      thread_local std::vector<float> wave;
      const int64_t row = rows[static_cast<size_t>(first + i)];
      wave.resize(static_cast<size_t>(shards.samples(row)));
      shards.read(row, wave);
      const auto own = static_cast<int64_t>(wave.size());
      const int64_t samples = longest > 0 ? std::min(own, longest) : own;
      int64_t frames = mel.frames(samples);
      if (frontend.frames > 0) frames = std::min(frames, frontend.frames);
      auto& out = chunk[static_cast<size_t>(i)];
      out.resize(static_cast<size_t>(frames * mel.bins()));
      if (frames > 0) mel.run(wave.data(), samples, out.data(), frames, frames);
    });
    for (int64_t i = 0; i < count; ++i) {
      if (!chunk[static_cast<size_t>(i)].empty()) sum.add(chunk[static_cast<size_t>(i)]);
    }
    job.progress("clips", static_cast<double>(first + count), static_cast<double>(total));
  }
  return sum.result();
}

ops::NormStats ast_norm_stats(const std::shared_ptr<const ShardReader>& shards,
                              const std::vector<uint32_t>& rows,
                              const schema::FrontendOptions& frontend,
                              const schema::AugmentOptions& augment, uint64_t seed,
                              const StatsJob& job) {
  const ops::LogMel mel(ops::log_mel_options(frontend));
  schema::SamplerOptions in_order;
  in_order.kind = schema::SamplerKind::kSequential;
  const Sampler sampler(in_order, shards->labels(), rows, seed);
  LoaderOptions load;
  load.shards = shards;
  load.rows = rows;
  load.batch_size = kChunk;
  load.samples = ops::clip_samples(frontend);
  load.augment = wave_augment(augment, shards->rate_hz());
  load.seed = seed;
  load.workers = job.threads;
  Loader loader(load, sampler);
  loader.start(0);
  ops::NormStatsSum sum(ops::NormStatsSum::Kind::kAstBatches, kAstBatch);
  std::vector<std::vector<float>> chunk(kChunk);
  const auto total = static_cast<double>(rows.size());
  while (auto batch = loader.next()) {
    job.check();
    parallel_for(batch->size, job.threads, [&](int64_t i) {
      const int64_t samples = batch->lengths[static_cast<size_t>(i)];
      const int64_t frames = frontend.frames > 0 ? frontend.frames : mel.frames(samples);
      auto& out = chunk[static_cast<size_t>(i)];
      out.resize(static_cast<size_t>(frames * mel.bins()));
      mel.run(batch->waves + i * batch->samples, samples, out.data(), frames, frames, {},
              ops::padding_value(frontend));
      Rng rng(seed, "stats_masks", 0, static_cast<uint64_t>(batch->position + i));
      const auto masks = ops::draw_masks(augment.freq_mask_bins, augment.time_mask_frames,
                                         mel.bins(), frames, rng);
      ops::fill_masks(out.data(), mel.bins(), frames, masks, 0);
    });
    for (int64_t i = 0; i < batch->size; ++i) sum.add(chunk[static_cast<size_t>(i)]);
    job.progress("clips", static_cast<double>(batch->position + batch->size), total);
  }
  return sum.result();
}

SplitSummary summarise(const ShardReader& shards, std::span<const uint32_t> rows,
                       const StatsJob& job) {
  struct Level {
    double rms = 0;   // of full scale
    double peak = 0;  // of full scale
    bool clipped = false;
  };
  std::vector<Level> levels(rows.size());
  std::atomic<int64_t> done = 0;
  parallel_for(static_cast<int64_t>(rows.size()), job.threads, [&](int64_t i) {
    thread_local std::vector<int16_t> pcm;
    const int64_t row = rows[static_cast<size_t>(i)];
    pcm.resize(static_cast<size_t>(shards.samples(row)));
    shards.read(row, pcm);
    Level& level = levels[static_cast<size_t>(i)];
    const double step = static_cast<double>(shards.scale(row)) / 32768;
    double squares = 0;
    int run = 0;
    int peak = 0;
    for (const int16_t x : pcm) {
      const int size = std::abs(static_cast<int>(x));
      peak = std::max(peak, size);
      squares += static_cast<double>(x) * x;
      run = size >= 32767 ? run + 1 : 0;
      level.clipped = level.clipped || run >= 3;
    }
    level.peak = peak * step;
    level.rms = std::sqrt(squares / static_cast<double>(pcm.size())) * step;
    if (++done % 256 == 0)
      job.progress("clips", static_cast<double>(done), static_cast<double>(rows.size()));
  });
  SplitSummary out;
  out.clips = static_cast<int64_t>(rows.size());
  out.class_clips = class_counts(shards.labels(), rows);
  double peak = 0;
  double level_sum = 0;
  int64_t labels = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const double seconds =
        static_cast<double>(shards.samples(rows[i])) / static_cast<double>(shards.rate_hz());
    out.seconds += seconds;
    out.shortest_s = i == 0 ? seconds : std::min(out.shortest_s, seconds);
    out.longest_s = std::max(out.longest_s, seconds);
    peak = std::max(peak, levels[i].peak);
    out.silent += levels[i].rms == 0;
    out.clipped += levels[i].clipped;
    const float scale = shards.scale(rows[i]);
    out.above += scale > 1;
    out.above_db = std::max(out.above_db, above_full_scale_db(scale));
    if (levels[i].rms > 0) level_sum += decibel(levels[i].rms);
    labels += static_cast<int64_t>(shards.labels().of(rows[i]).size());
  }
  const auto heard = static_cast<double>(out.clips - out.silent);
  out.peak_db = peak > 0 ? decibel(peak) : -INFINITY;
  out.mean_rms_db = heard > 0 ? level_sum / heard : -INFINITY;
  out.labels_a_clip =
      out.clips > 0 ? static_cast<double>(labels) / static_cast<double>(out.clips) : 0;
  return out;
}

void run_stats(const schema::StatsOptions& options, graph::StageContext& context) {
  const ShardReader shards(context.input("data").path);
  const auto rows = rows_of_split(shards, options.dataset, "train");
  if (rows.empty()) throw Error("stats: the training split is empty", Exit::kData);
  StatsJob job;
  job.threads = context.resources.threads;
  job.progress = context.progress;
  job.check = [&] {
    if (const StopReason reason = context.stop_requested(); reason != StopReason::kNone)
      throw Stopped(reason);
  };
  const ops::NormStats stats = norm_stats(shards, rows, options.frontend, job);
  const nlohmann::json out = {{"norm_mean", stats.mean},
                              {"norm_std", stats.std},
                              {"clips", stats.clips},
                              {"values", stats.values}};
  write_file_atomic(context.output / "stats.json", out.dump(1) + "\n");
  context.say(fmt::format("norm_mean = {:.6f}, norm_std = {:.6f} over {} clips", stats.mean,
                          stats.std, stats.clips));
}

}  // namespace xp::data

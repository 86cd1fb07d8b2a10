#include "core/batches/source.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/graph/stage.h"
#include "core/schema/geometry.h"

namespace xp::batches {
namespace {

class LoaderBatches final : public Batches {
 public:
  LoaderBatches(const Clips& clips, std::vector<uint32_t> rows, const TrainingInput& input)
      : clips_(clips),
        rows_(std::move(rows)),
        batch_size_(input.batch_size),
        sampler_(input.sampler, clips_.shards->labels(), rows_, input.seed) {
    data::LoaderOptions options;
    options.shards = clips_.shards;
    options.rows = rows_;
    options.batch_size = input.batch_size;
    options.rank = input.rank;
    options.world = input.world;
    options.samples = load_samples(input.frontend, clips_.dataset.crop);
    options.crop = options.samples > 0 ? clips_.dataset.crop : schema::Crop::kFull;
    options.augment = data::wave_augment(input.augment, input.frontend.rate_hz);
    options.seed = input.seed;
    options.workers = input.workers;
    loader_ = std::make_unique<DeviceBatches>(std::move(options), sampler_, input.device);
  }

  void start(int64_t epoch, int64_t first_step) override { loader_->start(epoch, first_step); }
  std::optional<data::Batch> next() override { return loader_->next(); }
  int64_t steps_per_epoch() const override { return loader_->loader().steps_per_epoch(); }
  int64_t clips(int64_t step) const override {
    return std::min(batch_size_, sampler_.draws() - step * batch_size_);
  }
  data::LoaderStats take_stats() override { return loader_->take_stats(); }

 private:
  Clips clips_;
  std::vector<uint32_t> rows_;
  int64_t batch_size_;
  data::Sampler sampler_;
  std::unique_ptr<DeviceBatches> loader_;
};

}  // namespace

std::vector<uint32_t> Clips::rows(std::string_view role) const {
  return data::rows_of_split(*shards, dataset, role);
}

std::vector<std::pair<std::string, std::string>> Clips::class_list() const {
  std::vector<std::pair<std::string, std::string>> list;
  for (const data::ClassInfo& info : shards->classes()) list.emplace_back(info.id, info.name);
  return list;
}

Clips open_clips(const graph::StageContext& context, const schema::DatasetOptions& dataset) {
  return {std::make_shared<const data::ShardReader>(context.input("data").path), dataset};
}

schema::FrontendOptions with_stats(const schema::FrontendOptions& frontend,
                                   const graph::StageContext& context) {
  schema::FrontendOptions result = frontend;
  const graph::StageInput* stats = context.find_input("stats");
  if (stats == nullptr) return result;
  const std::filesystem::path file =
      std::filesystem::is_directory(stats->path) ? stats->path / "stats.json" : stats->path;
  try {
    const auto values = nlohmann::json::parse(read_file(file));
    result.norm_mean = values.at("norm_mean").get<double>();
    result.norm_std = values.at("norm_std").get<double>();
  } catch (const nlohmann::json::exception& error) {
    throw Error(fmt::format("{}: no norm_mean and norm_std ({})", file.string(), error.what()),
                Exit::kData);
  }
  result.norm.clear();
  return result;
}

int64_t load_samples(const schema::FrontendOptions& frontend, schema::Crop crop) {
  if (frontend.clip_s > 0)
    return static_cast<int64_t>(frontend.clip_s * static_cast<double>(frontend.rate_hz));
  if (frontend.frames == 0 || crop == schema::Crop::kHead || crop == schema::Crop::kFull) return 0;
  return frontend.window_samples + (frontend.frames - 1) * frontend.hop_samples;
}

InputSize input_size(const schema::FrontendOptions& frontend, const Clips& clips,
                     const std::vector<uint32_t>& rows) {
  const schema::Geometry fixed = schema::input_geometry(frontend);
  if (fixed.T > 0) return {fixed.F, fixed.T};
  int64_t longest = 0;
  for (const uint32_t row : rows) longest = std::max(longest, clips.shards->samples(row));
  return {frontend.mel_bins, schema::frames_of(frontend, longest)};
}

void check_lengths(const Clips& clips, const std::vector<uint32_t>& rows,
                   const schema::FrontendOptions& frontend, int64_t least_frames) {
  const auto frames = [&](uint32_t row) {
    return schema::frames_of(frontend, clips.shards->samples(row));
  };
  const auto short_ones = std::count_if(rows.begin(), rows.end(),
                                        [&](uint32_t row) { return frames(row) < least_frames; });
  if (short_ones == 0) return;
  const uint32_t shortest = *std::min_element(
      rows.begin(), rows.end(), [&](uint32_t a, uint32_t b) { return frames(a) < frames(b); });
  throw Error(
      fmt::format("{} of {} clips are too short: '{}' has {:.3f} s, which are {} frames, and the "
                  "model needs {}; frontend.clip_s or frontend.frames pads them",
                  short_ones, rows.size(), clips.shards->id(shortest),
                  static_cast<double>(clips.shards->samples(shortest)) /
                      static_cast<double>(frontend.rate_hz),
                  frames(shortest), least_frames),
      Exit::kData);
}

std::unique_ptr<Batches> training_batches(const Clips& clips, std::vector<uint32_t> rows,
                                          const TrainingInput& input) {
  return std::make_unique<LoaderBatches>(clips, std::move(rows), input);
}

struct EvaluationBatches::Impl {
  Clips clips;
  std::vector<int64_t> order;  // place in the caller's rows of each of ours
  std::vector<uint32_t> rows;
  std::optional<data::Sampler> sampler;
  std::unique_ptr<DeviceBatches> loader;
};

EvaluationBatches::EvaluationBatches(const Clips& clips, const std::vector<uint32_t>& rows,
                                     const schema::FrontendOptions& frontend, const How& how)
    : impl_(std::make_unique<Impl>()) {
  if (rows.empty()) return;
  // A random crop is for training; what is scored does not depend on luck.
  const schema::Crop crop =
      clips.dataset.crop == schema::Crop::kRandom ? schema::Crop::kCenter : clips.dataset.crop;
  data::LoaderOptions options;
  options.samples = how.whole ? 0 : load_samples(frontend, crop);
  options.crop = options.samples > 0 ? crop : schema::Crop::kFull;
  impl_->clips = clips;
  impl_->order.resize(rows.size());
  std::iota(impl_->order.begin(), impl_->order.end(), int64_t{0});
  const auto length = [&](int64_t place) {
    const int64_t samples = clips.shards->samples(rows[static_cast<size_t>(place)]);
    return how.whole ? samples : schema::frames_of(frontend, samples);
  };
  std::stable_sort(impl_->order.begin(), impl_->order.end(),
                   [&](int64_t a, int64_t b) { return length(a) > length(b); });
  for (const int64_t place : impl_->order) impl_->rows.push_back(rows[static_cast<size_t>(place)]);
  impl_->sampler.emplace(schema::SamplerOptions::of_kind(schema::SamplerKind::kSequential),
                         impl_->clips.shards->labels(), impl_->rows, 0);
  options.shards = clips.shards;
  options.rows = impl_->rows;
  options.batch_size = how.batch_size;
  options.workers = how.workers;
  impl_->loader = std::make_unique<DeviceBatches>(std::move(options), *impl_->sampler, how.device);
  impl_->loader->start(0, 0);
}

EvaluationBatches::~EvaluationBatches() = default;

std::optional<data::Batch> EvaluationBatches::next() {
  if (!impl_->loader) return std::nullopt;
  std::optional<data::Batch> batch = impl_->loader->next();
  if (batch)
    for (int64_t& row : batch->rows) row = impl_->order[static_cast<size_t>(row)];
  return batch;
}

int64_t evaluation_batch(int64_t wanted, at::Device device) {
  if (wanted > 0) return wanted;
  return device.is_cpu() ? 16 : 64;
}

}  // namespace xp::batches

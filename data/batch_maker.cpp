#include "data/batch_maker.h"

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/rng.h"

namespace xp::data {
namespace {

/// Where a clip of `length` samples is cut to `wanted`.
int64_t crop_start(schema::Crop crop, int64_t length, int64_t wanted, uint64_t draw) {
  if (length <= wanted) return 0;
  switch (crop) {
    case schema::Crop::kHead:
    case schema::Crop::kFull:
      return 0;
    case schema::Crop::kCenter:
      return (length - wanted) / 2;
    case schema::Crop::kRandom:
      return static_cast<int64_t>(draw % static_cast<uint64_t>(length - wanted + 1));
  }
  return 0;
}

}  // namespace

BatchMaker::BatchMaker(const LoaderOptions& options)
    : options_(options), pool_(std::make_shared<BufferPool>(options.allocator)) {
  XP_CHECK(options.shards != nullptr, "a loader needs shards");
  XP_CHECK(options.batch_size > 0 && options.world > 0 && options.rank >= 0 &&
               options.rank < options.world,
           "batch size, rank and world");
  XP_CHECK(options.augment.ir_p <= 0 || options.augment.irs != nullptr,
           "impulse responses are wanted and not there");
}

int64_t BatchMaker::steps(int64_t draws) const {
  return options_.drop_last ? draws / options_.batch_size
                            : (draws + options_.batch_size - 1) / options_.batch_size;
}

int64_t BatchMaker::length_of(int64_t index) const {
  const bool fixed = options_.samples > 0 && options_.crop != schema::Crop::kFull;
  return fixed ? options_.samples
               : options_.shards->samples(options_.rows[static_cast<size_t>(index)]);
}

BatchMaker::Plan BatchMaker::plan(const EpochOrder& order, int64_t epoch, int64_t step) const {
  const int64_t begin = step * options_.batch_size;
  const int64_t count = std::min(options_.batch_size, order.size() - begin);
  const int64_t first = begin + count * options_.rank / options_.world;
  const int64_t last = begin + count * (options_.rank + 1) / options_.world;

  Plan plan;
  Batch& batch = plan.batch;
  batch.size = last - first;
  batch.classes = static_cast<int64_t>(options_.shards->classes().size());
  batch.epoch = epoch;
  batch.step = step;
  batch.position = first;
  batch.first = begin;
  batch.total = count;
  for (int64_t p = first; p < last; ++p) {
    const int64_t index = order.at(p);
    WaveDraw draw;
    if (options_.augment.any()) {
      Rng rng(options_.seed, "wave_augment", static_cast<uint64_t>(epoch),
              static_cast<uint64_t>(p));
      draw = draw_wave(options_.augment, static_cast<int64_t>(options_.rows.size()), rng);
    }
    batch.rows.push_back(index);
    batch.partner_rows.push_back(draw.partner);
    batch.mix.push_back(draw.mix);
    batch.lengths.push_back(length_of(index));
    batch.samples = std::max(batch.samples, batch.lengths.back());
    plan.draws.push_back(draw);
  }
  const auto waves = static_cast<size_t>(batch.size * batch.samples);
  const auto labels = static_cast<size_t>(batch.size * batch.classes);
  const bool masked = options_.shards->masked();
  // A batch with a clip above full scale is made of floats: the samples of 16 bits have no scale.
  const bool within = std::all_of(batch.rows.begin(), batch.rows.end(), [&](int64_t index) {
    return options_.shards->scale(options_.rows[static_cast<size_t>(index)]) == 1.0F;
  });
  const bool pcm = options_.pcm && within && !options_.augment.changes_values();
  // Labels first: they are floats, and samples of 16 bits may be odd in number.
  const size_t head = labels * (masked ? 2 : 1) * sizeof(float);
  batch.storage =
      pool_->get(std::max<size_t>(1, head + waves * (pcm ? sizeof(int16_t) : sizeof(float))));
  batch.labels = static_cast<float*>(batch.storage.get());
  batch.mask = masked ? batch.labels + labels : nullptr;
  std::byte* sound = static_cast<std::byte*>(batch.storage.get()) + head;
  if (pcm) {
    batch.pcm = reinterpret_cast<int16_t*>(sound);
  } else {
    batch.waves = reinterpret_cast<float*>(sound);
  }
  return plan;
}

template <class Sample>
void BatchMaker::clip_into(int64_t index, const ClipDraw& draw, uint64_t crop_draw,
                           std::span<Sample> out) const {
  const int64_t row = options_.rows[static_cast<size_t>(index)];
  const int64_t length = options_.shards->samples(row);
  const auto wanted = static_cast<int64_t>(out.size());
  const auto change = [&]([[maybe_unused]] std::span<Sample> wave) {
    if constexpr (std::is_same_v<Sample, float>) apply_clip(options_.augment, draw, wave);
  };
  if (length <= wanted) {
    options_.shards->read(row, out.first(static_cast<size_t>(length)));
    std::fill(out.begin() + length, out.end(), Sample{0});
    change(out);  // an impulse response sounds on into the padding
  } else {
    thread_local std::vector<Sample> whole;
    whole.resize(static_cast<size_t>(length));
    options_.shards->read(row, std::span(whole));
    change(whole);
    const int64_t start = crop_start(options_.crop, length, wanted, crop_draw);
    std::copy_n(whole.begin() + start, wanted, out.begin());
  }
  roll_wave(out, draw.roll);
}

template <class Sample>
std::span<Sample> BatchMaker::fill_row(const Plan& plan, int64_t i, uint64_t crop_draw,
                                       Sample* all) const {
  const Batch& batch = plan.batch;
  const auto at = static_cast<size_t>(i);
  const std::span<Sample> row(all + i * batch.samples, static_cast<size_t>(batch.samples));
  const auto wave = row.first(static_cast<size_t>(batch.lengths[at]));
  clip_into(batch.rows[at], plan.draws[at].clip, crop_draw, wave);
  std::fill(row.begin() + batch.lengths[at], row.end(), Sample{0});
  return wave;
}

void BatchMaker::add_labels(int64_t index, float weight, std::span<float> labels,
                            std::span<float> mask) const {
  const int64_t row = options_.rows[static_cast<size_t>(index)];
  const LabelTable table = options_.shards->labels();
  thread_local std::vector<float> known;
  if (!mask.empty()) {
    known.resize(mask.size());
    options_.shards->known(row, known);
    for (size_t k = 0; k < mask.size(); ++k) mask[k] = std::max(mask[k], known[k]);
  }
  const auto indices = table.of(row);
  const auto values = table.values_of(row);
  for (size_t i = 0; i < indices.size(); ++i) {
    const auto k = static_cast<size_t>(indices[i]);
    if (mask.empty() || known[k] > 0) labels[k] += weight * values[i];
  }
}

void BatchMaker::fill(Plan& plan, int64_t i) const {
  Batch& batch = plan.batch;
  const auto at = static_cast<size_t>(i);
  const WaveDraw& draw = plan.draws[at];
  const auto position = static_cast<uint64_t>(batch.position + i);
  uint64_t crops[2] = {0, 0};
  if (options_.crop == schema::Crop::kRandom) {
    Rng rng(options_.seed, "crop", static_cast<uint64_t>(batch.epoch), position);
    for (uint64_t& crop : crops) crop = rng.bits64();
  }
  std::span<float> wave;
  if (batch.pcm != nullptr) {
    fill_row(plan, i, crops[0], batch.pcm);
  } else {
    wave = fill_row(plan, i, crops[0], batch.waves);
  }

  const auto classes = static_cast<size_t>(batch.classes);
  const std::span<float> labels(batch.labels + i * batch.classes, classes);
  const std::span<float> mask(batch.mask == nullptr ? nullptr : batch.mask + i * batch.classes,
                              batch.mask == nullptr ? 0 : classes);
  std::fill(labels.begin(), labels.end(), 0.0F);
  std::fill(mask.begin(), mask.end(), 0.0F);
  add_labels(batch.rows[at], draw.mix, labels, mask);
  if (draw.partner < 0) return;
  thread_local std::vector<float> partner;
  partner.resize(static_cast<size_t>(length_of(draw.partner)));
  clip_into(draw.partner, draw.partner_clip, crops[1], std::span(partner));
  mix_waves(wave, partner, draw.mix);
  add_labels(draw.partner, 1 - draw.mix, labels, mask);
}

}  // namespace xp::data

#include "core/frontend/frontend.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/frontend/log_mel_device.h"
#include "core/frontend/to_device.h"
#include "core/ops/frontend_options.h"
#include "core/ops/uniform_noise.h"
#include "core/schema/augment.h"
#include "core/schema/frontend.h"
#include "core/schema/geometry.h"

namespace xp::frontend {
namespace {

/// row[t] becomes row[(t - shift) mod n], through `spare` of n floats.
void roll_row(float* row, int64_t n, int64_t shift, std::vector<float>& spare) {
  const int64_t s = ((shift % n) + n) % n;
  if (s == 0) return;
  spare.assign(row, row + n);
  std::memcpy(row + s, spare.data(), static_cast<size_t>(n - s) * sizeof(float));
  std::memcpy(row, spare.data() + (n - s), static_cast<size_t>(s) * sizeof(float));
}

/// Noise then roll of one clip [bins, frames] in ordinary memory, whose rows are `stride` apart.
void noise_roll_clip(float* mel, int64_t bins, int64_t frames, int64_t stride,
                     const NoiseRoll& draw) {
  std::vector<float> spare;
  if (draw.amplitude > 0) {
    spare.resize(static_cast<size_t>(bins * frames));
    ops::uniform_noise(draw.noise_key, spare.data(), bins * frames);
    for (int64_t f = 0; f < bins; ++f) {
      const float* const noise = spare.data() + f * frames;
      for (int64_t t = 0; t < frames; ++t) mel[f * stride + t] += draw.amplitude * noise[t];
    }
  }
  for (int64_t f = 0; f < bins; ++f) roll_row(mel + f * stride, frames, draw.shift, spare);
}

/// The same on any device: the noise is made on the CPU, so that it is the same everywhere.
at::Tensor noise_roll_device(const Spectrograms& clips, const std::vector<NoiseRoll>& draws) {
  const at::Tensor& mel = clips.mel;
  const int64_t batch = mel.size(0), bins = mel.size(1), frames = mel.size(2);
  at::Tensor noise = at::zeros({batch, bins, frames}, at::kFloat);
  at::Tensor source = at::empty({batch, 1, frames}, at::kLong);
  auto* values = noise.mutable_data_ptr<float>();
  auto* sources = source.mutable_data_ptr<int64_t>();
  at::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> uniform;
    for (int64_t b = begin; b < end; ++b) {
      const NoiseRoll& draw = draws[static_cast<size_t>(b)];
      const int64_t own = clips.frames[static_cast<size_t>(b)];
      if (draw.amplitude > 0) {
        uniform.resize(static_cast<size_t>(bins * own));
        ops::uniform_noise(draw.noise_key, uniform.data(), bins * own);
        for (int64_t f = 0; f < bins; ++f) {
          float* const row = values + (b * bins + f) * frames;
          for (int64_t t = 0; t < own; ++t)
            row[t] = draw.amplitude * uniform[static_cast<size_t>(f * own + t)];
        }
      }
      int64_t* const from = sources + b * frames;
      for (int64_t t = 0; t < own; ++t) from[t] = (((t - draw.shift) % own) + own) % own;
      std::iota(from + own, from + frames, own);
    }
  });
  const at::Tensor noisy = mel + to_device(noise, mel.device());
  return noisy.gather(2, to_device(source, mel.device()).expand({batch, bins, frames}));
}

/// Widths are drawn from [0, limit): a limit of 0 or 1 masks nothing.
bool masks_wanted(const schema::AugmentOptions& augment) {
  return augment.freq_mask_bins > 1 || augment.time_mask_frames > 1;
}

}  // namespace

struct Frontend::Impl {
  Impl(const schema::FrontendOptions& o, const schema::AugmentOptions& a)
      : options(o),
        augment(a),
        plan(ops::log_mel_options(o)),
        device(ops::log_mel_options(o)),
        affine(ops::normalisation(o)),
        pad(ops::padding_value(o)),
        clip(ops::clip_samples(o)) {}

  /// Samples of each row that are read, in rows of n.
  std::vector<int64_t> samples_of(const Waves& waves) const {
    const int64_t n = waves.samples.size(1);
    // Augmentation may have rolled sound into the padding, so a row that is padded to clip_s counts
    // whole.
    if (clip > 0) return std::vector<int64_t>(waves.lengths.size(), std::min(n, clip));
    return waves.lengths;
  }
  int64_t frames(int64_t n) const {
    return options.frames > 0 ? options.frames : plan.frames(clip > 0 ? clip : n);
  }
  std::vector<int64_t> frames_of(const Waves& waves) const;

  float fill() const { return (0 - affine.mean) * affine.scale; }
  Spectrograms forward(const Waves& waves, const Draws* draws, bool simd) const;
  void on_cpu(const Waves& waves, const Draws* draws, Spectrograms& out) const;
  void on_device(const Waves& waves, const Draws* draws, Spectrograms& out) const;

  schema::FrontendOptions options;
  schema::AugmentOptions augment;
  ops::LogMel plan;
  LogMelDevice device;
  ops::Affine affine;
  float pad;
  int64_t clip;
};

/// Frames of each clip's own: with what `frames` and `clip_s` pad or cut.
std::vector<int64_t> Frontend::Impl::frames_of(const Waves& waves) const {
  std::vector<int64_t> own;
  for (const int64_t n : waves.lengths) {
    own.push_back(frames(n));
    if (own.back() < 1) {
      throw Error("a clip of " + std::to_string(n) + " samples is too short for one frame of " +
                      std::to_string(options.window_samples) + " samples",
                  Exit::kData);
    }
  }
  return own;
}

void Frontend::Impl::on_cpu(const Waves& given, const Draws* draws, Spectrograms& out) const {
  const at::Tensor waves = given.samples.contiguous();
  const std::vector<int64_t> lengths = samples_of(given);
  const int64_t batch = waves.size(0), n = waves.size(1), bins = plan.bins();
  const int64_t frames = *std::max_element(out.frames.begin(), out.frames.end());
  const ops::LogMel mel_plan =
      draws && draws->band ? plan.with_band(draws->band->low_hz, draws->band->high_hz) : plan;
  out.mel = at::empty({batch, bins, frames}, waves.options());
  const auto* wave = waves.const_data_ptr<float>();
  auto* values = out.mel.mutable_data_ptr<float>();
  at::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> padded;
    for (int64_t b = begin; b < end; ++b) {
      const float* row = wave + b * n;
      int64_t samples = lengths[static_cast<size_t>(b)];
      if (clip > samples) {
        padded.assign(static_cast<size_t>(clip), 0.0F);
        std::copy_n(row, samples, padded.data());
        row = padded.data();
        samples = clip;
      }
      mel_plan.run(row, samples, values + b * bins * frames, frames, frames, affine, pad);
    }
  });
  if (!draws) return;
  apply_masks(out.mel, draws->masks, fill());
  if (draws->noise_roll.empty()) return;
  at::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const auto at = static_cast<size_t>(b);
      noise_roll_clip(values + b * bins * frames, bins, out.frames[at], frames,
                      draws->noise_roll[at]);
    }
  });
}

void Frontend::Impl::on_device(const Waves& given, const Draws* draws, Spectrograms& out) const {
  at::Tensor waves = given.samples;
  std::vector<int64_t> samples = samples_of(given);
  if (clip > waves.size(1)) {
    waves = at::constant_pad_nd(waves, {0, clip - waves.size(1)});
    std::fill(samples.begin(), samples.end(), clip);
  }
  const int64_t frames = *std::max_element(out.frames.begin(), out.frames.end());
  out.mel = draws && draws->band ? device.run_band(waves, samples, frames, affine, pad,
                                                   draws->band->low_hz, draws->band->high_hz)
                                 : device.run(waves, samples, frames, affine, pad);
  if (!draws) return;
  apply_masks(out.mel, draws->masks, fill());
  if (!draws->noise_roll.empty()) out.mel = noise_roll_device(out, draws->noise_roll);
}

Spectrograms Frontend::Impl::forward(const Waves& waves, const Draws* draws, bool simd) const {
  const c10::NoGradGuard no_grad;
  XP_CHECK(waves.samples.dim() == 2 && waves.samples.scalar_type() == at::kFloat,
           "waves are [B, N] float32");
  const size_t batch = waves.lengths.size();
  XP_CHECK(batch > 0 && batch == static_cast<size_t>(waves.samples.size(0)), "one length a clip");
  for (const int64_t n : waves.lengths)
    XP_CHECK(n >= 0 && n <= waves.samples.size(1), "a clip is longer than its row");
  if (draws) {
    const size_t masks = draws->masks.size(), rolls = draws->noise_roll.size();
    XP_CHECK((masks <= 1 || masks == batch) && (rolls == 0 || rolls == batch),
             "draws of another batch size");
  }
  Spectrograms out;
  out.frames = frames_of(waves);
  simd ? on_cpu(waves, draws, out) : on_device(waves, draws, out);
  if (!draws || !draws->mix) return out;
  out.mel = mix_rows(out.mel, *draws->mix);
  const std::vector<int64_t> own = out.frames;
  for (size_t i = 0; i < batch; ++i)
    out.frames[i] = std::max(own[i], own[static_cast<size_t>(draws->mix->partner[i])]);
  return out;
}

Frontend::Frontend(const schema::FrontendOptions& options, const schema::AugmentOptions& augment)
    : impl_(std::make_unique<Impl>(options, augment)) {}
Frontend::~Frontend() = default;
Frontend::Frontend(Frontend&&) noexcept = default;

int64_t Frontend::bins() const { return impl_->plan.bins(); }

float Frontend::padding() const { return impl_->pad; }

int64_t Frontend::frames(int64_t samples) const { return impl_->frames(samples); }

Spectrograms Frontend::forward(const Waves& waves, const Draws* draws) const {
  return impl_->forward(waves, draws, waves.samples.is_cpu());
}

Spectrograms Frontend::forward_with_aten(const Waves& waves, const Draws* draws) const {
  return impl_->forward(waves, draws, false);
}

Draws Frontend::draw(const DrawKey& key, const Waves& waves) const {
  const schema::FrontendOptions& o = impl_->options;
  const schema::AugmentOptions& a = impl_->augment;
  const std::vector<int64_t> frames = impl_->frames_of(waves);
  Draws draws;
  if (o.kind == schema::FrontendKind::kAugmentMel &&
      (o.low_jitter_hz >= 1 || o.high_jitter_hz >= 1)) {
    // In whole Hz (models/preprocess.py): fmin + randint(range), fmax + range // 2 -
    // randint(range).
    Rng rng(key.seed, "mel_band", key.epoch, key.step);
    const auto low = static_cast<uint64_t>(o.low_jitter_hz),
               high = static_cast<uint64_t>(o.high_jitter_hz);
    const ops::LogMelOptions& plan = impl_->plan.options();
    Band band;
    band.low_hz = plan.low_hz + (low ? static_cast<double>(rng.below(low)) : 0);
    band.high_hz = plan.high_hz;
    if (high)
      band.high_hz += std::floor(o.high_jitter_hz / 2) - static_cast<double>(rng.below(high));
    band.high_hz = std::min(band.high_hz, plan.rate_hz / 2);
    draws.band = band;
  }
  // One draw for the batch falls into each clip's own frames: one mask where all are as long.
  const bool per_clip = a.mask_per == schema::MaskPer::kClip;
  const bool even = std::equal(frames.begin() + 1, frames.end(), frames.begin());
  for (size_t i = 0; i < frames.size(); ++i) {
    const uint64_t index = key.position + i;
    if (masks_wanted(a) && (per_clip || !even || i == 0)) {
      Rng rng(key.seed, per_clip ? "spec_masks" : "spec_masks_batch", key.epoch,
              per_clip ? index : key.step);
      draws.masks.push_back(
          draw_masks(a.freq_mask_bins, a.time_mask_frames, bins(), frames[i], rng));
    }
    if (a.noise_max > 0 || a.frame_roll > 0) {
      Rng rng(key.seed, "noise_roll", key.epoch, index);
      NoiseRoll draw;
      draw.amplitude = static_cast<float>(rng.uniform(0, a.noise_max));
      draw.noise_key = rng.bits64();
      if (a.frame_roll > 0)
        draw.shift =
            static_cast<int64_t>(rng.below(2 * static_cast<uint64_t>(a.frame_roll))) - a.frame_roll;
      draws.noise_roll.push_back(draw);
    }
  }
  if (a.spec_mix_alpha > 0) {
    draws.mix = draw_spec_mix(static_cast<int64_t>(frames.size()), a.spec_mix_alpha, key.seed,
                              key.epoch, key.position);
  }
  return draws;
}

}  // namespace xp::frontend

#include "core/frontend/frontend.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/frontend/log_mel_device.h"
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

/// Noise then roll of one clip [bins, frames] in ordinary memory.
void noise_roll_clip(float* mel, int64_t bins, int64_t frames, const NoiseRoll& draw) {
  std::vector<float> spare;
  if (draw.amplitude > 0) {
    spare.resize(static_cast<size_t>(bins * frames));
    ops::uniform_noise(draw.noise_key, spare.data(), bins * frames);
    for (int64_t i = 0; i < bins * frames; ++i)
      mel[i] += draw.amplitude * spare[static_cast<size_t>(i)];
  }
  for (int64_t f = 0; f < bins; ++f) roll_row(mel + f * frames, frames, draw.shift, spare);
}

/// The same on any device: the noise is made on the CPU, so that it is the same everywhere.
at::Tensor noise_roll_device(const at::Tensor& mel, const std::vector<NoiseRoll>& draws) {
  const int64_t batch = mel.size(0), bins = mel.size(1), frames = mel.size(2);
  at::Tensor noise = at::zeros({batch, bins, frames}, at::kFloat);
  at::Tensor source = at::empty({batch, 1, frames}, at::kLong);
  auto* values = noise.mutable_data_ptr<float>();
  auto* sources = source.mutable_data_ptr<int64_t>();
  at::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const NoiseRoll& draw = draws[static_cast<size_t>(b)];
      float* value = values + b * bins * frames;
      if (draw.amplitude > 0) ops::uniform_noise(draw.noise_key, value, bins * frames);
      for (int64_t i = 0; i < bins * frames; ++i) value[i] *= draw.amplitude;
      for (int64_t t = 0; t < frames; ++t)
        sources[b * frames + t] = (((t - draw.shift) % frames) + frames) % frames;
    }
  });
  const at::Tensor noisy = mel + noise.to(mel.device(), /*non_blocking=*/true);
  return noisy.gather(2,
                      source.to(mel.device(), /*non_blocking=*/true).expand({batch, bins, frames}));
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

  /// Samples of row b that are read, in a row of n.
  int64_t samples_of(int64_t n, Lengths lengths, size_t b) const {
    // Augmentation may have rolled sound into the padding, so a row that is padded to clip_s counts
    // whole.
    if (clip > 0) return std::min(n, clip);
    return lengths.empty() ? n : std::min(lengths[b], n);
  }
  /// Frames of a clip of n samples after padding to clip_s.
  int64_t valid_frames(int64_t n) const { return plan.frames(clip > 0 ? clip : n); }

  int64_t frames(int64_t n) const { return options.frames > 0 ? options.frames : valid_frames(n); }

  float fill() const { return (0 - affine.mean) * affine.scale; }
  at::Tensor forward(const at::Tensor& waves, Lengths lengths, const Draws* draws, bool simd) const;
  at::Tensor on_cpu(const at::Tensor& waves, Lengths lengths, int64_t frames,
                    const Draws* draws) const;
  at::Tensor on_device(const at::Tensor& waves, Lengths lengths, int64_t frames,
                       const Draws* draws) const;

  schema::FrontendOptions options;
  schema::AugmentOptions augment;
  ops::LogMel plan;
  LogMelDevice device;
  ops::Affine affine;
  float pad;
  int64_t clip;
};

at::Tensor Frontend::Impl::on_cpu(const at::Tensor& given, Lengths lengths, int64_t frames,
                                  const Draws* draws) const {
  const at::Tensor waves = given.contiguous();
  const int64_t batch = waves.size(0), n = waves.size(1), bins = plan.bins();
  const ops::LogMel mel_plan =
      draws && draws->band ? plan.with_band(draws->band->low_hz, draws->band->high_hz) : plan;
  at::Tensor mel = at::empty({batch, bins, frames}, waves.options());
  const auto* wave = waves.const_data_ptr<float>();
  auto* out = mel.mutable_data_ptr<float>();
  at::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> padded;
    for (int64_t b = begin; b < end; ++b) {
      const float* row = wave + b * n;
      int64_t samples = samples_of(n, lengths, static_cast<size_t>(b));
      if (clip > samples) {
        padded.assign(static_cast<size_t>(clip), 0.0F);
        std::copy_n(row, samples, padded.data());
        row = padded.data();
        samples = clip;
      }
      mel_plan.run(row, samples, out + b * bins * frames, frames, frames, affine, pad);
    }
  });
  if (!draws) return mel;
  apply_masks(mel, draws->masks, fill());
  if (!draws->noise_roll.empty()) {
    at::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        noise_roll_clip(out + b * bins * frames, bins, frames,
                        draws->noise_roll[static_cast<size_t>(b)]);
      }
    });
  }
  return mel;
}

at::Tensor Frontend::Impl::on_device(const at::Tensor& given, Lengths lengths, int64_t frames,
                                     const Draws* draws) const {
  at::Tensor waves = given;
  if (clip > waves.size(1)) waves = at::constant_pad_nd(waves, {0, clip - waves.size(1)});
  std::vector<int64_t> samples;
  for (int64_t b = 0; b < waves.size(0); ++b) {
    samples.push_back(samples_of(waves.size(1), lengths, static_cast<size_t>(b)));
  }
  at::Tensor mel = draws && draws->band ? device.run_band(waves, samples, frames, affine, pad,
                                                          draws->band->low_hz, draws->band->high_hz)
                                        : device.run(waves, samples, frames, affine, pad);
  if (!draws) return mel;
  apply_masks(mel, draws->masks, fill());
  if (!draws->noise_roll.empty()) mel = noise_roll_device(mel, draws->noise_roll);
  return mel;
}

at::Tensor Frontend::Impl::forward(const at::Tensor& waves, Lengths lengths, const Draws* draws,
                                   bool simd) const {
  const c10::NoGradGuard no_grad;
  XP_CHECK(waves.dim() == 2 && waves.scalar_type() == at::kFloat, "waves are [B, N] float32");
  const auto batch = static_cast<size_t>(waves.size(0));
  XP_CHECK(lengths.empty() || lengths.size() == batch, "one length a clip");
  if (draws) {
    const size_t masks = draws->masks.size(), rolls = draws->noise_roll.size();
    XP_CHECK((masks <= 1 || masks == batch) && (rolls == 0 || rolls == batch),
             "draws of another batch size");
  }
  const int64_t frames_out = frames(waves.size(1));
  if (frames_out < 1) {
    throw Error("clips of " + std::to_string(waves.size(1)) +
                    " samples are too short for one frame of " +
                    std::to_string(options.window_samples) + " samples",
                Exit::kData);
  }
  at::Tensor mel = simd ? on_cpu(waves, lengths, frames_out, draws)
                        : on_device(waves, lengths, frames_out, draws);
  return draws && draws->mix ? mix_rows(mel, *draws->mix) : mel;
}

Frontend::Frontend(const schema::FrontendOptions& options, const schema::AugmentOptions& augment)
    : impl_(std::make_unique<Impl>(options, augment)) {}
Frontend::~Frontend() = default;
Frontend::Frontend(Frontend&&) noexcept = default;

int64_t Frontend::bins() const { return impl_->plan.bins(); }

int64_t Frontend::frames(int64_t samples) const { return impl_->frames(samples); }

at::Tensor Frontend::forward(const at::Tensor& waves, Lengths lengths, const Draws* draws) const {
  return impl_->forward(waves, lengths, draws, waves.is_cpu());
}

at::Tensor Frontend::forward_with_aten(const at::Tensor& waves, Lengths lengths,
                                       const Draws* draws) const {
  return impl_->forward(waves, lengths, draws, false);
}

std::vector<int64_t> Frontend::frame_lengths(int64_t batch, int64_t samples,
                                             Lengths lengths) const {
  std::vector<int64_t> out;
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t n = impl_->samples_of(samples, lengths, static_cast<size_t>(b));
    out.push_back(std::min(impl_->valid_frames(n), frames(samples)));
  }
  return out;
}

Draws Frontend::draw(const DrawKey& key, int64_t batch, int64_t samples) const {
  const schema::FrontendOptions& o = impl_->options;
  const schema::AugmentOptions& a = impl_->augment;
  const int64_t frames_out = frames(samples);
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
  const bool per_clip = a.mask_per == schema::MaskPer::kClip;
  for (int64_t i = 0; i < batch; ++i) {
    const uint64_t index = key.position + static_cast<uint64_t>(i);
    if (masks_wanted(a) && (per_clip || i == 0)) {
      Rng rng(key.seed, per_clip ? "spec_masks" : "spec_masks_batch", key.epoch,
              per_clip ? index : key.step);
      draws.masks.push_back(
          draw_masks(a.freq_mask_bins, a.time_mask_frames, bins(), frames_out, rng));
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
    draws.mix = draw_spec_mix(batch, a.spec_mix_alpha, key.seed, key.epoch, key.position);
  }
  return draws;
}

}  // namespace xp::frontend

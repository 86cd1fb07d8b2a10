#include "core/frontend/log_mel_device.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>

#include "core/base/error.h"
#include "core/frontend/to_device.h"

namespace xp::frontend {
namespace {

using ops::EnergyColumn;
using ops::Framing;
using ops::LogMelOptions;
using ops::Preemphasis;

/// Elements of the largest intermediate tensor: batches beyond it are done in parts.
constexpr int64_t kMostElements = int64_t{1} << 25;
constexpr double kEpsilon = 1.1920928955078125e-07;

at::Tensor table(const std::vector<float>& values, at::IntArrayRef shape, at::Device device) {
  return to_device(at::tensor(values, at::kFloat).view(shape), device);
}

/// The index that mirroring puts at `index`, for signals of `n` samples ([B, 1]): see ops::Framing.
at::Tensor mirrored(const at::Tensor& index, const at::Tensor& n, bool twice) {
  const at::Tensor period = (twice ? n * 2 : n * 2 - 2).clamp_min(1);
  const at::Tensor r = at::remainder(index.unsqueeze(0), period);
  return at::where(r < n, r, period - r - (twice ? 1 : 0));
}

}  // namespace

struct LogMelDevice::Impl {
  explicit Impl(const LogMelOptions& o) : options(o), plan(o) {}

  struct Tables {
    at::Tensor window;  // [W]
    at::Tensor banks;   // [F, fft / 2]
  };
  Tables tables(at::Device device) const;
  at::Tensor frames_of(at::Tensor x, at::Tensor n, bool even, int64_t frames) const;
  at::Tensor shaped(at::Tensor f, const at::Tensor& window, at::Tensor* energy) const;
  at::Tensor part(const at::Tensor& waves, std::span<const int64_t> samples, int64_t frames_out,
                  ops::Affine affine, float pad, const Tables& t) const;
  at::Tensor whole(const at::Tensor& waves, std::span<const int64_t> samples, int64_t frames_out,
                   ops::Affine affine, float pad, const Tables& t) const;

  LogMelOptions options;
  ops::LogMel plan;  // for its frame counts
  mutable std::mutex mutex;
  mutable Tables kept;
};

LogMelDevice::Impl::Tables LogMelDevice::Impl::tables(at::Device device) const {
  const std::lock_guard lock(mutex);
  if (!kept.window.defined() || kept.window.device() != device) {
    kept.window = table(ops::window_values(options), {options.window_samples}, device);
    kept.banks = table(ops::mel_banks(options), {options.mel_bins, options.fft_size / 2}, device);
  }
  return kept;
}

/// [B, frames, W] of the signal x [B, N] with n [B, 1] valid samples; `even`: all of them have N.
at::Tensor LogMelDevice::Impl::frames_of(at::Tensor x, at::Tensor n, bool even,
                                         int64_t frames) const {
  const LogMelOptions& o = options;
  if (o.remove_clip_mean) {
    if (even) {
      x = x - x.mean(1, /*keepdim=*/true);
    } else {
      const at::Tensor valid = at::arange(x.size(1), n.options()).unsqueeze(0) < n;
      x = x - at::where(valid, x, at::zeros({}, x.options())).sum(1, true) / n.clamp_min(1);
    }
  }
  if (o.preemphasis == Preemphasis::kClip) {
    x = x.narrow(1, 1, x.size(1) - 1) - o.preemphasis_factor * x.narrow(1, 0, x.size(1) - 1);
    n = n - 1;
  }
  if (o.framing != Framing::kComplete) {
    const bool twice = o.framing == Framing::kMirrored;
    const int64_t first = twice ? o.hop_samples / 2 - o.window_samples / 2
                                : (o.fft_size - o.window_samples) / 2 - o.fft_size / 2;
    const int64_t count = (frames - 1) * o.hop_samples + o.window_samples;
    const at::Tensor index = at::arange(first, first + count, n.options());
    if (even) {
      x = x.index_select(1, mirrored(index, n.narrow(0, 0, 1), twice)[0]);
    } else {
      x = x.gather(1, mirrored(index, n.clamp_min(1), twice));
    }
  }
  return x.unfold(1, o.window_samples, o.hop_samples).narrow(1, 0, frames);
}

/// Mean, pre-emphasis and window of frames [B, T, W]; the energy [B, 1, T] where it is asked for.
at::Tensor LogMelDevice::Impl::shaped(at::Tensor f, const at::Tensor& window,
                                      at::Tensor* energy) const {
  const auto log_energy = [this](const at::Tensor& x) {
    return x.square()
        .sum(-1)
        .clamp_min(std::max(kEpsilon, options.energy_floor))
        .log()
        .unsqueeze(1);
  };
  if (options.remove_frame_mean) f = f - f.mean(-1, true);
  if (options.energy != EnergyColumn::kNone && options.raw_energy) *energy = log_energy(f);
  if (options.preemphasis == Preemphasis::kFrame) {
    const at::Tensor before = at::cat({f.narrow(2, 0, 1), f.narrow(2, 0, f.size(2) - 1)}, 2);
    f = f - options.preemphasis_factor * before;
  }
  f = f * window;
  if (options.energy != EnergyColumn::kNone && !options.raw_energy) *energy = log_energy(f);
  return f;
}

at::Tensor LogMelDevice::Impl::part(const at::Tensor& waves, std::span<const int64_t> samples,
                                    int64_t frames_out, ops::Affine affine, float pad,
                                    const Tables& t) const {
  const auto batch = static_cast<int64_t>(samples.size());
  const int64_t longest = *std::max_element(samples.begin(), samples.end());
  const int64_t shortest = *std::min_element(samples.begin(), samples.end());
  const int64_t frames = std::min(plan.frames(longest), frames_out);
  const float padding = (pad - affine.mean) * affine.scale;
  if (frames <= 0) return at::full({batch, plan.bins(), frames_out}, padding, waves.options());

  const at::Tensor lengths =
      at::tensor(at::ArrayRef<int64_t>(samples.data(), samples.size()), at::kLong);
  const at::Tensor n = to_device(lengths, waves.device()).unsqueeze(1);
  const bool even = shortest == longest;
  at::Tensor energy;
  const at::Tensor f =
      shaped(frames_of(waves.narrow(1, 0, longest), n, even, frames), t.window, &energy);
  at::Tensor spectrum = at::view_as_real(at::fft_rfft(f, options.fft_size)).square().sum(-1);
  if (!options.power) spectrum = spectrum.sqrt();
  spectrum = spectrum.narrow(2, 0, options.fft_size / 2);
  at::Tensor mel = at::matmul(t.banks, spectrum.transpose(1, 2));
  if (options.log) {
    const double floor =
        std::max(options.log_floor, static_cast<double>(std::numeric_limits<float>::min()));
    mel = mel.clamp_min_(floor).add_(options.log_offset).log_();
  }
  if (options.energy == EnergyColumn::kFirst) mel = at::cat({energy, mel}, 1);
  if (options.energy == EnergyColumn::kLast) mel = at::cat({mel, energy}, 1);
  mel.sub_(affine.mean).mul_(affine.scale);
  if (!even) {
    at::Tensor counts = at::empty({batch, 1, 1}, at::kLong);
    for (int64_t b = 0; b < batch; ++b) {
      counts.mutable_data_ptr<int64_t>()[b] = plan.frames(samples[static_cast<size_t>(b)]);
    }
    counts = to_device(counts, waves.device());
    mel.masked_fill_(at::arange(frames, counts.options()) >= counts, padding);
  }
  return frames == frames_out ? mel : at::constant_pad_nd(mel, {0, frames_out - frames}, padding);
}

at::Tensor LogMelDevice::Impl::whole(const at::Tensor& waves, std::span<const int64_t> samples,
                                     int64_t frames_out, ops::Affine affine, float pad,
                                     const Tables& t) const {
  const c10::NoGradGuard no_grad;
  const at::NoTF32Guard no_tf32;
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const int64_t batch = waves.size(0);
  XP_CHECK(waves.dim() == 2 && waves.scalar_type() == at::kFloat &&
               static_cast<int64_t>(samples.size()) == batch,
           "waves are [B, N] float32 with one length a row");
  if (batch == 0) return at::empty({0, plan.bins(), frames_out}, waves.options());
  for (int64_t n : samples) XP_CHECK(n >= 0 && n <= waves.size(1), "a clip is longer than its row");
  const int64_t frames = std::max<int64_t>(1, std::min(plan.frames(waves.size(1)), frames_out));
  const int64_t per_clip = frames * (options.fft_size + 2);
  const int64_t rows = std::clamp<int64_t>(kMostElements / per_clip, 1, batch);
  std::vector<at::Tensor> parts;
  for (int64_t b = 0; b < batch; b += rows) {
    const int64_t count = std::min(rows, batch - b);
    parts.push_back(part(waves.narrow(0, b, count),
                         samples.subspan(static_cast<size_t>(b), static_cast<size_t>(count)),
                         frames_out, affine, pad, t));
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

LogMelDevice::LogMelDevice(const LogMelOptions& options) : impl_(std::make_unique<Impl>(options)) {}
LogMelDevice::~LogMelDevice() = default;

at::Tensor LogMelDevice::run(const at::Tensor& waves, std::span<const int64_t> samples,
                             int64_t frames_out, ops::Affine affine, float pad) const {
  return impl_->whole(waves, samples, frames_out, affine, pad, impl_->tables(waves.device()));
}

at::Tensor LogMelDevice::run_band(const at::Tensor& waves, std::span<const int64_t> samples,
                                  int64_t frames_out, ops::Affine affine, float pad, double low_hz,
                                  double high_hz) const {
  LogMelOptions options = impl_->options;
  options.low_hz = low_hz;
  options.high_hz = high_hz;
  Impl::Tables t = impl_->tables(waves.device());
  t.banks =
      table(ops::mel_banks(options), {options.mel_bins, options.fft_size / 2}, waves.device());
  return impl_->whole(waves, samples, frames_out, affine, pad, t);
}

}  // namespace xp::frontend

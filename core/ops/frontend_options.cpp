#include "core/ops/frontend_options.h"

#include <cmath>

#include "core/schema/frontend.h"

namespace xp::ops {

using schema::FrontendKind;

LogMelOptions log_mel_options(const schema::FrontendOptions& options) {
  const bool kaldi = options.kind == FrontendKind::kKaldi;
  LogMelOptions out = kaldi ? kaldi_options() : augment_mel_options();
  out.rate_hz = static_cast<double>(options.rate_hz);
  out.mel_bins = options.mel_bins;
  out.window_samples = options.window_samples;
  out.hop_samples = options.hop_samples;
  out.fft_size = options.fft_size;
  out.low_hz = options.low_hz;
  out.high_hz = options.high_hz;
  if (!kaldi && options.high_hz == 0) {
    // In whole Hz, as the originals have it: sr // 2 - fmax_aug_range // 2.
    out.high_hz = std::floor(static_cast<double>(options.rate_hz) / 2) -
                  std::floor(options.high_jitter_hz / 2);
  }
  return out;
}

Affine normalisation(const schema::FrontendOptions& options) {
  return {static_cast<float>(options.norm_mean), static_cast<float>(1 / (2 * options.norm_std))};
}

float padding_value(const schema::FrontendOptions& options) {
  return options.kind == FrontendKind::kKaldi ? 0.0F : std::log(1e-5F);
}

int64_t clip_samples(const schema::FrontendOptions& options) {
  return std::llround(options.clip_s * static_cast<double>(options.rate_hz));
}

}  // namespace xp::ops

#pragma once

#include "core/ops/log_mel.h"

namespace xp::schema {
struct FrontendOptions;
}

namespace xp::ops {

/// The log-mel plan of a recipe's [frontend]: the kind's fixed choices, with its own rule where
/// high_hz is 0 (kaldi: Nyquist; augment_mel: rate/2 - high_jitter_hz/2, also in evaluation). For
/// stages without LibTorch.
LogMelOptions log_mel_options(const schema::FrontendOptions& options);

/// (x - norm_mean) / (2 norm_std), as ops::LogMel applies it.
Affine normalisation(const schema::FrontendOptions& options);

/// What a frame beyond the clip's end holds before normalising: 0 (kaldi) or log 1e-5
/// (augment_mel).
float padding_value(const schema::FrontendOptions& options);

/// Samples of `clip_s` at rate_hz; 0 where it is off.
int64_t clip_samples(const schema::FrontendOptions& options);

}  // namespace xp::ops

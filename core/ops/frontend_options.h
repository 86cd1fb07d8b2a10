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

/// frames, or where that is 0 the frames of a waveform of `samples` samples (cut or padded to
/// clip_s first).
int64_t output_frames(const schema::FrontendOptions& options, int64_t samples);

}  // namespace xp::ops

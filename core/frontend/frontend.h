#pragma once

#include <cstdint>
#include <memory>

#include "core/frontend/draws.h"
#include "core/frontend/spectrograms.h"

namespace xp::schema {
struct FrontendOptions;
struct AugmentOptions;
}  // namespace xp::schema

namespace xp::frontend {

/// Waveforms to normalised log-mel spectrograms [B, F, T] with the length of each: F mel bins, T
/// frames, the one layout of the project.
///
/// kind kaldi (AST src/dataloader.py): mean of the clip removed; Kaldi fbank; zero columns at the
/// end or a cut at `frames`; SpecAugment writes 0; (x - mean) / (2 std); noise and roll over the
/// padded length. Padding and masks are therefore -mean / (2 std) in the result. kind augment_mel
/// (PaSST, EfficientAT models/preprocess.py): pre-emphasis over the clip; centred STFT; in training
/// the filter edges of the batch; log(x + 1e-5); SpecAugment writes 0; (x - mean) / (2 std) with
/// mean -4.5, std 2.5. Where `frames` asks for padding it is silence, log 1e-5.
/// `clip_s` > 0: waveforms are cut or zero-padded at the tail to it first. Then, last, mixing
/// within the batch.
///
/// On the CPU: the SIMD plan of core/ops, one clip a task of ATen's threads. On a GPU: the same
/// steps as ATen operations over the whole batch. No gradient flows through either.
class Frontend {
 public:
  /// Throws Error when the options contradict each other (band, FFT size).
  Frontend(const schema::FrontendOptions& options, const schema::AugmentOptions& augment);
  ~Frontend();
  Frontend(Frontend&&) noexcept;

  /// `draws`: null in evaluation. A clip's values (before mixing) depend on its own samples and
  /// draws alone; a mixed clip is as long as the longer of the two. Throws Error (kData) for a clip
  /// that is too short for one frame, where nothing pads it.
  Spectrograms forward(const Waves& waves, const Draws* draws = nullptr) const;

  /// `forward` by the operations that it uses on GPUs, on any device: tests compare the two.
  Spectrograms forward_with_aten(const Waves& waves, const Draws* draws = nullptr) const;

  int64_t bins() const;
  /// What stands behind a clip's end.
  float padding() const;
  /// Frames of a clip of `samples` samples, with what `frames` and `clip_s` pad or cut.
  int64_t frames(int64_t samples) const;

  /// Draws for a training batch: masks and rolls lie within each clip's own frames.
  Draws draw(const DrawKey& key, const Waves& waves) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace xp::frontend

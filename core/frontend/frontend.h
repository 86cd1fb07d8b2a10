#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/frontend/draws.h"

namespace at {
class Tensor;
}
namespace xp::schema {
struct FrontendOptions;
struct AugmentOptions;
}  // namespace xp::schema

namespace xp::frontend {

/// Valid samples of each clip, [B]; empty: every clip fills its row.
using Lengths = std::span<const int64_t>;

/// Waveforms to normalised log-mel spectrograms [B, F, T]: F mel bins, T frames, the one layout of
/// the project.
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

  /// `waves`: [B, N] float32 in [-1, 1] at rate_hz; samples beyond a clip's length are not read.
  /// `draws`: null in evaluation. A clip's values (before mixing) depend on its own samples and
  /// draws alone.
  at::Tensor forward(const at::Tensor& waves, Lengths lengths, const Draws* draws = nullptr) const;

  /// `forward` by the operations that it uses on GPUs, on any device: tests compare the two.
  at::Tensor forward_with_aten(const at::Tensor& waves, Lengths lengths,
                               const Draws* draws = nullptr) const;

  /// Valid frames of each of B clips in what `forward` returns, [B]: the rest is padding.
  std::vector<int64_t> frame_lengths(int64_t batch, int64_t samples, Lengths lengths) const;

  int64_t bins() const;
  /// T of a batch whose rows have `samples` samples.
  int64_t frames(int64_t samples) const;

  /// Draws for a training batch of B rows of `samples` samples.
  Draws draw(const DrawKey& key, int64_t batch, int64_t samples) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace xp::frontend

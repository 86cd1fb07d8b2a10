#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/model/module.h"
#include "core/model/patchout.h"
#include "core/model/tome.h"

namespace xp::model {

/// What goes in: log-mel spectrograms of F mel bins by T frames.
using schema::Geometry;

/// What a forward pass sees beside the spectrograms. Values that a family cannot use are ignored
/// (CNNs have no tokens), so that a caller need not know the family.
struct ForwardContext {
  bool training = false;  ///< patchout, dropout, drop path, batch statistics

  /// Randomness: see DrawKey. `positions` empty = 0 .. B-1.
  uint64_t seed = 0;
  uint64_t epoch = 0;
  uint64_t step = 0;
  std::span<const int64_t> positions;

  /// [B] frames of each clip that are sound and not padding, in [1, T]; empty = all. Transformers
  /// then ignore what lies behind: in attention, pooling and token merging.
  std::span<const int64_t> lengths;

  const TomeSettings* tome = nullptr;  ///< replaces the model's own; in evaluation and training
  const PatchoutDraws* patchout = nullptr;  ///< replaces drawing; training only
  bool want_tokens = false;                 ///< fills Output::tokens
  bool trace = false;                       ///< fills Output::places and Output::source
  bool activation_checkpointing = false;  ///< recomputes blocks in the backward pass to save memory
};

/// What comes out. Undefined where the model has no such thing or was not asked for it.
struct Output {
  at::Tensor logits;     ///< [B, K] before any sigmoid or softmax; undefined with head "none"
  at::Tensor embedding;  ///< [B, D] what the head reads; undefined with aggregator "none"
  at::Tensor tokens;     ///< [B, N', D] after the last norm, special tokens first
  at::Tensor size;       ///< [B, N'] float32 patches in each token; undefined = ones
  at::Tensor
      places;  ///< with trace: [1 or B, N0 - special] place f * T' + t of each patch that entered
  at::Tensor
      source;  ///< with trace: [B, N0] token of `tokens` in which each token that entered ended
  Grid grid;   ///< of the patches; 0 x 0 for CNNs
};

/// Where a parameter sits, for learning rates by layer: 0 the embedding, 1 .. depth the blocks,
/// depth + 1 the final norm and the head.
struct Placement {
  int64_t layer = 0;
  bool head = false;  ///< part of the classifier (`optimiser.head_lr_factor`)
};

/// A network from spectrograms to logits.
class Model : public Module {
 public:
  /// `mel`: [B, F, T], normalised, of the device and (unless under autocast) any float type;
  /// computation is in the type of the weights, the residual stream and norms stay in that of
  /// `mel`. Throws Error when the spectrogram is smaller than one patch. Const: two threads may run
  /// one model in evaluation.
  virtual Output forward(const at::Tensor& mel, const ForwardContext& context) const = 0;

  virtual int64_t embedding_size() const = 0;
  virtual int64_t classes() const = 0;
  virtual Placement placement(std::string_view parameter) const = 0;
  virtual int64_t layers() const = 0;  ///< placements are 0 .. layers() - 1

  /// Parameters that stay as loaded (`model.freeze_blocks`) get requires_grad off; all others on.
  virtual void apply_freezing() { require_grad(true); }
};

}  // namespace xp::model

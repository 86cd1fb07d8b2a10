#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/model/input.h"
#include "core/model/module.h"
#include "core/model/norm_groups.h"
#include "core/model/patchout.h"
#include "core/model/reduce/reducer.h"

namespace xp::model {

/// What goes in: log-mel spectrograms of F mel bins by T frames.
using schema::Geometry;

/// How a pass is made. Values that a family cannot use are ignored (CNNs have no tokens), so that a
/// caller need not know the family.
struct Pass {
  bool training = false;  ///< patchout, dropout, drop path, batch statistics

  /// Groups of batch norm in training; null = the clips of the pass are one.
  const NormGroups* norm_groups = nullptr;

  const Reducers* reducers = nullptr;       ///< replace the model's own
  const PatchoutDraws* patchout = nullptr;  ///< replaces drawing; training only
  bool want_tokens = false;                 ///< fills Output::tokens and Output::size
  bool trace = false;                       ///< fills Output::places and Output::source
  bool activation_checkpointing = false;    ///< recomputes blocks in the backward pass: less memory
  /// Position embeddings are fitted to the widest clip and each takes the first of its own
  /// (TorchOnlyAST, which is given padded spectrograms with lengths); else fitted to each clip, so
  /// that no clip depends on another.
  bool positions_of_widest = false;
};

/// What comes out. Undefined where the model has no such thing or was not asked for it.
struct Output {
  at::Tensor logits;     ///< [B, K] before any sigmoid or softmax; undefined with head "none"
  at::Tensor embedding;  ///< [B, D] what the head reads; undefined with aggregator "none"

  /// [B, N', D] after the last norm, special tokens first; a narrower clip's end with zeros.
  at::Tensor tokens;
  /// [B, N'] float32 patches in each token, 0 behind a clip's last; undefined = ones.
  at::Tensor size;
  /// [1 or B, N0 - special] place f * T' + t of each patch that entered, in the grid of its own
  /// clip; -1 behind its last.
  at::Tensor places;
  /// [B, N0] token of `tokens` in which each token that entered ended; -1 behind a clip's last.
  at::Tensor source;
  Grid grid;  ///< of the widest clip's patches; 0 x 0 for CNNs
};

/// Where a parameter sits, for learning rates by layer: 0 the embedding, 1 .. depth the blocks,
/// depth + 1 the final norm and the head.
struct Placement {
  int64_t layer = 0;
  bool head = false;  ///< part of the classifier (`optimiser.head_lr_factor`)
};

/// Where the patches lie on the spectrogram, in mel bins (f) and frames (t).
struct PatchLayout {
  int64_t patch_f = 16, patch_t = 16;
  int64_t stride_f = 10, stride_t = 10;
};

/// A network from spectrograms to logits.
class Model : public Module {
 public:
  /// Spectrograms of the device and (unless under autocast) any float type; computation is in the
  /// type of the weights, the residual stream and norms stay in that of the spectrograms. What a
  /// clip gives depends on nothing but its own frames and draws; in training on the batch's
  /// statistics, where there are some. Throws Error when a clip has less than `least_frames`.
  /// Const: two threads may run one model in evaluation.
  virtual Output forward(const Input& input, const Pass& pass) const = 0;

  /// Frames of the shortest clip that the model can hear.
  virtual int64_t least_frames() const { return 1; }

  virtual int64_t embedding_size() const = 0;
  virtual int64_t classes() const = 0;
  virtual Placement placement(std::string_view parameter) const = 0;
  virtual int64_t layers() const = 0;  ///< placements are 0 .. layers() - 1

  /// Blocks of tokens, in which reducers act; 0 for a model that has none.
  virtual int64_t depth() const { return 0; }
  /// Nullopt for a model that has no patches.
  virtual std::optional<PatchLayout> patch_layout() const { return std::nullopt; }
  /// Frames behind which it hears nothing of a longer clip; nullopt where it hears all.
  virtual std::optional<int64_t> most_frames() const { return std::nullopt; }

  /// Parameters that stay as loaded (`model.freeze_blocks`) get requires_grad off; all others on.
  virtual void apply_freezing() { require_grad(true); }
};

}  // namespace xp::model

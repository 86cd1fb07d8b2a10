#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/model/block.h"
#include "core/model/init.h"
#include "core/model/model.h"
#include "core/model/tokens.h"
#include "core/model/widths.h"
#include "core/schema/model.h"

namespace xp::model {

/// How positions are embedded, and how an embedding of another length is fitted to the input.
enum class PositionKind {
  kJoint,    ///< one vector per patch (AST); columns cut around the centre, or stretched bilinearly
  kSeparate  ///< one per row and one per column (PaSST); columns cut at the front (training:
             ///< anywhere); a longer input is cut instead
};

using schema::Aggregator;
using schema::Head;

/// One transformer over spectrogram patches; AST, PaSST, SSAST and TorchOnlyAST are values of this
/// struct.
struct TrunkOptions {
  int64_t dim = 768;
  int64_t depth = 12;
  int64_t heads = 12;
  int64_t hidden = 0;  ///< width of the MLP, 0 = 4 dim

  int64_t patch_f = 16;  ///< mel bins of a patch
  int64_t patch_t = 16;  ///< frames of a patch
  int64_t stride_f = 10;
  int64_t stride_t = 10;

  PositionKind position = PositionKind::kJoint;
  Grid grid;            ///< of the position embedding
  int64_t special = 2;  ///< tokens in front of the patches: cls and dist, cls alone (1), none
  bool special_position =
      true;  ///< cls and dist have position embeddings too (not in TorchOnlyAST)

  bool norm_first = true;  ///< of the blocks
  schema::MlpActivation activation = schema::MlpActivation::kGelu;
  bool final_norm = true;  ///< a layer normalisation after the last block

  Aggregator aggregator = Aggregator::kClsDist;
  int64_t mean_skips = -1;  ///< tokens at the front that the mean leaves out; -1 = the special ones
  Head head = Head::kNormLinear;
  int64_t classes = 527;

  double norm_eps = 1e-6;       ///< of the blocks
  double final_norm_eps = 0;    ///< 0 = norm_eps
  double head_norm_eps = 1e-5;  ///< as in all originals but transformers'
  double dropout = 0;           ///< after the position embedding, the attention and in the MLP
  double drop_path = 0;         ///< of the last block, rising linearly from 0
  int64_t freeze_blocks = 0;    ///< the embedding and this many blocks are not trained; 0 = all are
  std::vector<int64_t> source_blocks;  ///< block i of a full checkpoint that block i here is
                                       ///< (cut_depth); empty = same

  Reducers reducers;
  PatchoutSettings patchout;
};

/// Names of the tensors (D dim, I = i-th block, F' x T' grid):
///
///   cls_token, dist_token        [1, 1, D]   as far as `special` has them
///   pos.special                  [special, D] rows cls, dist; absent without special_position
///   pos.grid                     [F', T', D] joint; patches in frequency-major order
///   pos.freq, pos.time           [F', D], [T', D] separate
///   patch_embed.proj.weight      [D, 1, patch_f, patch_t]; .bias [D]
///   blocks.I.norm1.{weight,bias}, blocks.I.norm2.{weight,bias}            [D]
///   blocks.I.attn.qkv.weight     [3 D, D] rows q, k, v; .bias [3 D]
///   blocks.I.attn.proj.weight    [D, D]; .bias
///   blocks.I.mlp.fc1.weight      [4 D, D]; .bias;   blocks.I.mlp.fc2.weight [D, 4 D]; .bias
///   norm.{weight,bias}           [D]         absent without final_norm
///   head.norm.{weight,bias}      [D] norm_linear only
///   head.linear.weight           [K, D]; .bias
class Trunk : public Model {
 public:
  Trunk(const TrunkOptions& options, const Init& init);

  Output forward(const Input& input, const Pass& pass) const override;
  int64_t least_frames() const override { return options_.patch_t; }

  int64_t embedding_size() const override { return options_.dim; }
  int64_t classes() const override { return options_.head == Head::kNone ? 0 : options_.classes; }
  Placement placement(std::string_view parameter) const override;
  int64_t layers() const override { return options_.depth + 2; }
  int64_t depth() const override { return options_.depth; }
  std::optional<int64_t> most_frames() const override;
  std::optional<PatchLayout> patch_layout() const override {
    return PatchLayout{options_.patch_f, options_.patch_t, options_.stride_f, options_.stride_t};
  }
  void apply_freezing() override;

  const TrunkOptions& options() const { return options_; }

  /// The clips by the columns of their patches. Throws Error for one that holds no patch.
  Widths widths(const Input& input) const;
  /// A group's spectrograms, as far as its patches reach: [b, F, T].
  at::Tensor mel_of(const Input& input, const Widths& widths, const Widths::Group& group) const;
  /// mel [B, F, T] -> raw patches [B, F' T', patch_f * patch_t], frequency-major, rows (frequency)
  /// first within a patch; `grid` gets F', T'.
  at::Tensor patches(const at::Tensor& mel, Grid& grid) const;
  /// Raw patches [..., patch_f * patch_t] -> [..., D] without position.
  at::Tensor embed_patches(const at::Tensor& patches) const;
  /// Position embedding of the patches of `grid`, [F' T', D], fitted as PositionKind says.
  /// `columns` of a separate embedding start at `offset`.
  at::Tensor position(Grid grid, int64_t offset = 0) const;
  /// Special tokens in front, blocks, norm: what all heads share. `tokens.x` are patches with
  /// position, `draws` those of the clips in their order.
  void encode(Tokens& tokens, const DrawKey& draws, const Pass& pass) const;
  /// The same without the norm and only the first `depth` blocks.
  void run_blocks(Tokens& tokens, const DrawKey& draws, const Pass& pass, int64_t depth) const;

 protected:
  void members(Members& list) override;

 private:
  struct Patches;
  Patches enter(const Input& input, const Widths& widths, const Pass& pass, Tokens& tokens) const;
  void prepend_special(Tokens& tokens) const;
  at::Tensor aggregate(const Tokens& tokens, size_t run) const;

  TrunkOptions options_;
  at::Tensor cls_token_, dist_token_;
  at::Tensor pos_special_, pos_grid_, pos_freq_, pos_time_;
  Linear proj_;
  std::vector<Block> blocks_;
  Norm norm_;
  Norm head_norm_;
  Linear head_linear_;
};

}  // namespace xp::model
